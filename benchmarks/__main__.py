"""`python -m benchmarks [ROW...]`: every benchmark in turn, or some, printed and written to out/benchmarks.json."""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy is imported

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmarks.bfloat16 import bfloat16_sampling, bfloat16_training
from benchmarks.confidence import confidence_vs_monte_carlo
from benchmarks.generation import generation_step_vs_ddpm1000
from benchmarks.law_exact import (
    law_exact_accumulate_1000,
    law_exact_replace_1000,
    law_exact_replace_100000,
)
from benchmarks.networks import sampling_vs_matmul, training_vs_matmul
from benchmarks.nuclear import ole_vs_svd
from benchmarks.sampling import sampling_vs_ddpm1000
from benchmarks.streaming import lsf_vs_cleanlab, score_select_vs_matmul
from sims import progress
from sims.sweep import single_thread

BENCHMARKS = {
    benchmark.__name__.replace("_", "-"): benchmark
    for benchmark in (
        confidence_vs_monte_carlo,
        ole_vs_svd,
        score_select_vs_matmul,
        lsf_vs_cleanlab,
        sampling_vs_ddpm1000,
        law_exact_replace_1000,
        law_exact_accumulate_1000,
        law_exact_replace_100000,
        training_vs_matmul,
        sampling_vs_matmul,
        bfloat16_training,
        bfloat16_sampling,
        generation_step_vs_ddpm1000,
    )
}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("rows", nargs=-1, metavar="[ROW]...")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), default="out/benchmarks.json", show_default=True
)
def main(rows: tuple[str, ...], out: Path) -> None:
    """Measure speed as ratios, both sides in this process on one thread, and write them as JSON.

    With names of ROWs only these are measured, and the others that the file holds stay. All take some twenty minutes,
    a third of that generation-step-vs-ddpm1000; two rows of large pools write 2 GB to TMPDIR for a while.
    """
    if unknown := sorted(set(rows) - BENCHMARKS.keys()):
        raise click.UsageError(f"no row {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    single_thread()
    console = Console()
    results = {r["name"]: r for r in written(out)} if rows else {}
    for name in rows or BENCHMARKS:
        results[name] = measured(name, console)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps([results[name] for name in BENCHMARKS if name in results], indent=1) + "\n")
    console.print(f"written: {out}")


def written(out: Path) -> list[dict[str, Any]]:
    """The rows of an earlier run, if there is one; a UsageError if the file holds something else."""
    try:
        found = json.loads(out.read_text()) if out.exists() else []
        return [{"name": r["name"], **r} for r in found]
    except (ValueError, TypeError, KeyError) as error:
        raise click.UsageError(
            f"{out} holds no rows of benchmarks; delete it or choose another --out"
        ) from error


def measured(name: str, console: Console) -> dict[str, Any]:
    """The row, printed when it is there; until then how far the work is."""
    with (
        console.status(name) as status,
        progress.listening(lambda what, done, total: status.update(f"{name}: {what} {done} of {total}")),
    ):
        result = BENCHMARKS[name]()
    ratio = "" if result.ratio is None else f"{result.ratio:.3g} times "
    console.print(f"{result.name}: {ratio}({result.detail})", soft_wrap=True, markup=False)
    return asdict(result)


if __name__ == "__main__":
    main()
