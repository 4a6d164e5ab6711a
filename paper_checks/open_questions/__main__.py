"""The command line of the open questions: `python -m paper_checks.open_questions NAME|all`.

A module answers one question: COLUMNS names its table's columns, `jobs(seed)` lists its rows to be made, `row(job)`
makes one as a dict of strings, `summary(rows)` sums the table up in a line.
"""

import csv
import io
import sys
from pathlib import Path
from types import ModuleType

import click
from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import Progress

from paper_checks.open_questions import csnr, finite_size, rate
from sims.record import replacing

QUESTIONS: dict[str, ModuleType] = {"finite-size": finite_size, "csnr": csnr, "rate": rate}


def table(module: ModuleType, seed: int, processes: int) -> list[dict[str, str]]:
    """The rows of a question, in the order of its jobs, whatever the number of processes."""
    jobs = module.jobs(seed)
    console = Console(file=sys.stderr)
    work = Parallel(n_jobs=processes, return_as="generator", inner_max_num_threads=1)
    with Progress(console=console, disable=not console.is_terminal) as bars:
        return list(bars.track(work(map(delayed(module.row), jobs)), total=len(jobs), description="rows"))


def written(rows: list[dict[str, str]], columns: tuple[str, ...], path: Path) -> None:
    """The rows as CSV, the columns named in its first line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with replacing(path) as temporary:
        temporary.write_text(text.getvalue())


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=True)
@click.argument(
    "names", metavar="NAME...|all", nargs=-1, required=True, type=click.Choice([*QUESTIONS, "all"])
)
@click.option(
    "--out",
    default="docs/open_questions",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where NAME.csv goes.",
)
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Root seed of all draws."
)
@click.option("--processes", default=2, show_default=True, type=click.IntRange(min=1), help="Side by side.")
def main(names: tuple[str, ...], out: Path, seed: int, processes: int) -> None:
    """Make the tables of docs/open_questions.md again: the same seed gives the same table."""
    for name in QUESTIONS if "all" in names else dict.fromkeys(names):
        rows = table(QUESTIONS[name], seed, processes)
        written(rows, QUESTIONS[name].COLUMNS, out / f"{name}.csv")
        click.echo(f"{name}: {len(rows)} rows in {out / name}.csv: {QUESTIONS[name].summary(rows)}")


if __name__ == "__main__":
    main(prog_name="python -m paper_checks.open_questions")
