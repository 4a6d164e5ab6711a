"""`python -m benchmarks`: every benchmark in turn, printed and written to out/benchmarks.json."""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy is imported

import json
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console

from benchmarks.confidence import confidence_vs_monte_carlo
from benchmarks.law_exact import (
    law_exact_accumulate_1000,
    law_exact_replace_1000,
    law_exact_replace_100000,
)
from benchmarks.nuclear import ole_vs_svd
from benchmarks.sampling import sampling_vs_ddpm1000
from sims.sweep import single_thread

BENCHMARKS = (
    confidence_vs_monte_carlo,
    ole_vs_svd,
    sampling_vs_ddpm1000,
    law_exact_replace_1000,
    law_exact_accumulate_1000,
    law_exact_replace_100000,
)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), default="out/benchmarks.json", show_default=True
)
def main(out: Path) -> None:
    """Measure speed as ratios, both sides in this process on one thread, and write them as JSON."""
    single_thread()
    console = Console()
    results = []
    for benchmark in BENCHMARKS:
        with console.status(benchmark.__name__.replace("_", "-")):
            results.append(benchmark())
        console.print(
            f"{results[-1].name}: {results[-1].ratio:.3g} times ({results[-1].detail})", soft_wrap=True
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps([asdict(r) for r in results], indent=1) + "\n")
    console.print(f"written: {out}")


if __name__ == "__main__":
    main()
