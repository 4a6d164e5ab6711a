"""The command line of the loops: `python -m sims PRESET --seed S`, `python -m sims show RUN`."""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy is imported: equal runs give equal records

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from sims import progress
from sims.curation import NAMES
from sims.loop import run, run_path
from sims.presets import PRESETS, preset
from sims.record import RunFolder
from sims.show import show
from sims.sweep import shown, single_thread

EPILOG = """
Examples:

\b
  python -m sims digits-smoke --seed 0                     a real run in seconds
  python -m sims digits-weak --seed 3 -p SYN -p ACU-LSF    two policies, the same seed
  python -m sims show runs/digits-smoke-seed0-...          its table

A run that was killed goes on where it stopped when the same command is given again. Generation-0 models lie beside the
run folder, in generation-0/, under a key of settings, data, versions and source.
"""


class Folder(click.Path):
    """A path that says something: the empty one, of a shell variable that is not set, is not the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


@contextmanager
def one_line() -> Iterator[None]:
    """What is wrong with a folder is said in one line, without a traceback."""
    try:
        yield
    except (ValueError, OSError) as error:
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
    "--out",
    type=Folder(file_okay=False, path_type=Path),
    help="Run folder. [default: runs/PRESET-seedS-KEY]",
)
def run_command(name: str, seed: int, policies: tuple[str, ...], out: Path | None) -> None:
    """Run (or resume) the loops of PRESET with one seed, and print the table."""
    single_thread()
    row = preset(name)
    path = run_path(row, seed) if out is None else out
    with one_line():
        with shown() as display, progress.listening(lambda *tick: display.tick(f"{name} seed {seed}", *tick)):
            folder = run(row, seed, path, policies or None)
        show(folder)
    click.echo(f"records: {folder.path}")


@main.command("show")
@click.argument("path", metavar="RUN", type=Folder(path_type=Path))
def show_command(path: Path) -> None:
    """Print the table of the run folder RUN."""
    with one_line():
        show(RunFolder(path))


if __name__ == "__main__":
    main()
