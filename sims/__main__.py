"""The command line of the loops: `python -m sims PRESET --seed S`, `sweep NAME`, `show RUN`,
`data [NAME]`."""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy is imported: equal runs give equal records

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from sims import progress
from sims.curation import NAMES
from sims.image_worlds import Images
from sims.images import DATASETS, describe
from sims.loop import run
from sims.presets import PRESETS, STUDY, preset
from sims.record import RunFolder
from sims.show import show
from sims.sweep import Job, run_all, run_cells, shown, single_thread, sweep_path, with_seeds
from sims.sweeps import SWEEPS, sweep
from sims.workers import BACKENDS

EPILOG = """
Examples:

\b
  python -m sims digits-smoke --seed 0                     a real run in seconds
  python -m sims digits-weak --seed 3 -p SYN -p ACU-LSF    two policies, the same seed
  python -m sims show runs/digits-smoke-seed0-...          its table
  python -m sims sweep minority --size smoke               many analytic loops, one table

A run that was killed goes on where it stopped when the same command is given again. Generation-0 models lie beside the
run folder, in generation-0/, under a key of settings, data, versions and source.
"""

SWEEPS_EPILOG = """
Sweeps, and the question of each:

\b
{sweeps}

Examples:

\b
  python -m sims sweep minority --size smoke               the whole way in seconds
  python -m sims sweep minority --seeds 10 --processes 8
  RAY_ADDRESS=auto python -m sims sweep minority --backend ray --processes 64

A sweep that was killed goes on where it stopped when the same command is given again; no finished cell is run twice.
Equal sweeps give equal tables, byte for byte, by any number of processes and either backend. Ray is an extra (`scale`);
without RAY_ADDRESS it is started on this machine, and every node of a cluster needs this very source and its versions.
""".format(sweeps="\n".join(f"  {row.name:<18} {row.question}" for row in SWEEPS.values()))


class Folder(click.Path):
    """A path that says something: the empty one, of a shell variable that is not set, is not the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


@contextmanager
def one_line() -> Iterator[None]:
    """What is wrong with a folder, or with a training, is said in one line, without a traceback."""
    try:
        yield
    except (ValueError, OSError, ArithmeticError) as error:
        raise click.ClickException(" ".join(str(error).split())) from error


class RunByDefault(click.Group):
    """`python -m sims PRESET ...` is `python -m sims run PRESET ...`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = {*self.commands, "--help", "-h"}
        return super().parse_args(ctx, ["run", *args] if args and args[0] not in known else args)


@click.group(cls=RunByDefault, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
def main() -> None:
    """Self-consuming loops in analytic worlds and on real digits.

    The first argument may be the name of a preset: PRESET --seed S is short for run PRESET --seed S.
    """


@main.command("run", epilog=EPILOG)
@click.argument("name", metavar="PRESET", type=click.Choice(list(PRESETS)))
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Root seed of every draw."
)
@click.option(
    "--policy",
    "-p",
    "policies",
    multiple=True,
    type=click.Choice(NAMES),
    help="Repeat for several. [default: all of the preset's]",
)
@click.option(
    "--folder",
    "data",
    type=Folder(file_okay=False),
    help="Where the files of the preset's data set lie, as of `python -m sims data NAME`.",
)
@click.option(
    "--out",
    type=Folder(file_okay=False, path_type=Path),
    help="Run folder. [default: runs/PRESET-seedS-KEY]",
)
def run_command(name: str, seed: int, policies: tuple[str, ...], data: str | None, out: Path | None) -> None:
    """Run (or resume) the loops of PRESET with one seed, and print the table."""
    single_thread()
    row = preset(name)
    if data is not None:
        if not isinstance(row.world, Images):
            raise click.UsageError(f"--folder is of data sets, {name} has none")
        row = replace(row, world=replace(row.world, folder=data))
    with one_line():
        with shown() as display, progress.listening(lambda *tick: display.tick(f"{name} seed {seed}", *tick)):
            folder = run(row, seed, out, policies or None)
        show(folder)
    click.echo(f"records: {folder.path}")


STUDY_EPILOG = """
Presets of the study: {study}

Examples:

\b
  python -m sims study digits-weak digits-strong           every policy, every seed of the report
  python -m sims study fashion-mnist --processes 3

A study that was killed goes on where it stopped; runs that start from one generation-0 model train it once.
""".format(study=", ".join(row.name for row in STUDY))


@main.command("study", epilog=STUDY_EPILOG)
@click.argument("names", metavar="[PRESET]...", nargs=-1, type=click.Choice(list(PRESETS)))
@click.option("--processes", type=click.IntRange(min=1), default=2, show_default=True, help="Runs at a time.")
@click.option(
    "--root",
    type=Folder(file_okay=False, path_type=Path),
    default="runs",
    show_default=True,
    help="Where run folders and generation-0 models lie.",
)
def study_command(names: tuple[str, ...], processes: int, root: Path) -> None:
    """Run (or resume) every policy and every report seed of the PRESETs. [default: the whole study of images]"""
    rows = [preset(name) for name in names] or list(STUDY)
    with one_line():
        for row in rows:
            row.world.build(row.seeds[0])  # what is missing is said before any work
        folders = run_all([Job(row.name, seed) for row in rows for seed in row.seeds], root, processes)
    for folder in folders.values():
        click.echo(f"records: {folder.path}")


@main.command("show")
@click.argument("path", metavar="RUN", type=Folder(path_type=Path))
def show_command(path: Path) -> None:
    """Print the table of the run folder RUN."""
    with one_line():
        show(RunFolder(path))


@main.command("sweep", epilog=SWEEPS_EPILOG)
@click.argument("name", metavar="NAME", type=click.Choice(list(SWEEPS)))
@click.option(
    "--size", type=click.Choice(["full", "smoke"]), default="full", show_default=True, help="How many cells."
)
@click.option(
    "--seeds", type=click.IntRange(min=1), help="Seeds of every setting. [default: the sweep's own]"
)
@click.option(
    "--processes", type=click.IntRange(min=1), default=2, show_default=True, help="Cells at a time."
)
@click.option(
    "--backend", type=click.Choice(BACKENDS), default="loky", show_default=True, help="Who runs them."
)
@click.option(
    "--out",
    type=Folder(file_okay=False, path_type=Path),
    help="Sweep folder. [default: runs/sweeps/NAME-KEY]",
)
def sweep_command(
    name: str, size: str, seeds: int | None, processes: int, backend: str, out: Path | None
) -> None:
    """Run (or resume) all cells of the sweep NAME, (world, policy, rule, setting, seed) each, into one tidy table."""
    row = sweep(name)
    with one_line():
        cells = row.cells(size == "smoke")
        cells = with_seeds(cells, seeds) if seeds else cells
        title = name if size == "full" else f"{name}-{size}"
        path = sweep_path(title, cells, row.run) if out is None else out
        table = run_cells(cells, path, processes, backend, row.run)
    click.echo(f"{row.question} {len(table)} rows of {len(cells)} cells")
    click.echo(f"table: {path / 'table.csv.gz'}")


@main.command("data")
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--folder", type=Folder(path_type=Path), help="Where its files lie. [default: the usual place]")
def data_command(name: str | None, folder: Path | None) -> None:
    """Say whether the data set NAME is there, how many images a class it has, and how to get it.

    The exit code is 1 if it is not there, or damaged.

    Without NAME: every set. `folder:SIZE:grey` and `folder:SIZE:rgb` are images of your own, one sub-folder a class.
    """
    if name is not None:
        with one_line():
            click.echo(describe(name, folder))
        return
    if folder is not None:
        raise click.UsageError("--folder needs the NAME of a data set")
    for row in DATASETS:
        try:
            click.echo(describe(row))
        except ValueError as error:
            click.echo(str(error))


if __name__ == "__main__":
    main()
