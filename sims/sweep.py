"""How are many runs made side by side?

joblib runs one single-threaded process for each job at a time; each reports its ticks to the parent, which shows them.
A job is one (preset, seed): the folder it writes resumes, so that what was killed goes on where it stopped.

A sweep is a list of cells, far more and far shorter: `run_cells` fills one table, a line a finished cell.
"""

import queue
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from multiprocessing import Manager
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sims import progress
from sims.cells import run_cell
from sims.loop import locked, run, run_path
from sims.presets import preset
from sims.record import RunFolder, key_of
from sims.tables import Table, brief, cell_keys, sweep_settings
from sims.workers import Run, check_backend, outcomes

__all__ = ["Job", "run_all", "run_cells", "shown", "single_thread", "sweep_path", "with_seeds"]


@dataclass(frozen=True)
class Job:
    """One run folder to be filled with the policies of its preset, or with some."""

    preset: str
    seed: int
    policies: tuple[str, ...] | None = None


def single_thread() -> None:
    """One thread for torch in this process: two are slower beside a busy neighbour, and results then depend on them."""
    import torch

    torch.set_num_threads(1)


def run_job(job: Job, root: Path, ticks: Any) -> Path:
    """Fill the folder of a job; the queue `ticks` takes (job, what, done, total), at the end (job, None, 0, 0)."""
    single_thread()
    row = preset(job.preset)
    with progress.listening(lambda what, done, total: ticks.put((job, what, done, total))):
        path = run(row, job.seed, run_path(row, job.seed, root), job.policies).path
    ticks.put((job, None, 0, 0))
    return path


def run_all(jobs: Sequence[Job], root: Path = Path("runs"), processes: int = 2) -> dict[Job, RunFolder]:
    """Run the jobs, long ones first as given, `processes` at a time; gives the run folder of each."""
    with Manager() as manager, shown(len(jobs)) as display:
        ticks = manager.Queue()
        listener = threading.Thread(target=listen, args=(ticks, display), daemon=True)
        listener.start()
        work = (delayed(run_job)(job, root, ticks) for job in jobs)
        try:
            paths = Parallel(n_jobs=processes, batch_size=1, inner_max_num_threads=1)(work)
        finally:
            ticks.put(None)
            listener.join()
    return {job: RunFolder(path) for job, path in zip(jobs, paths, strict=True)}


def sweep_path(name: str, cells: Sequence[Any], run: Run, root: Path = Path("runs")) -> Path:
    """The default folder of a sweep: its name changes with cells, versions and source."""
    return root / "sweeps" / f"{name}-{key_of(sweep_settings(cell_keys(cells), run))}"


def with_seeds(cells: Sequence[Any], number: int) -> list[Any]:
    """The same settings with that many seeds each, counted on from the first seed that the cells have of a setting."""
    first: dict[Any, int] = {}
    for cell in cells:
        setting = replace(cell, seed=0)
        first[setting] = min(cell.seed, first.get(setting, cell.seed))
    return [replace(setting, seed=seed + i) for setting, seed in first.items() for i in range(number)]


def run_cells(
    cells: Sequence[Any], path: Path, processes: int = 2, backend: str = "loky", run: Run = run_cell
) -> pd.DataFrame:
    """Run `run(cell)`, rows of a table, for each cell that the sweep folder at `path` has not; gives the whole table.

    The table is in the order of the cells, and lies in `path`/table.csv.gz. Raises ValueError, before anything is run,
    on equal cells, an unknown or missing backend, or a folder that holds something else; and on the first cell that
    fails, with its settings (finished cells stay).
    """
    cell_keys(cells)
    check_backend(backend, processes)
    with locked(path):
        table = Table(path, cells, run)
        todo = [(i, cells[i]) for i, key in enumerate(table.keys) if key not in table.finished]
        with shown(len(cells), "cells") as display, closing(outcomes(run, todo, processes, backend)) as done:
            display.advance(len(cells) - len(todo))
            for outcome in done:
                if outcome.error:
                    failure = ValueError(f"{brief(cells[outcome.index])} failed: {outcome.error}")
                    failure.add_note(outcome.trace)
                    raise failure
                table.add(table.keys[outcome.index], outcome.rows)
                display.advance(1)
                display.say(f"the last: {brief(cells[outcome.index])}")
        return table.write()


def listen(ticks: queue.Queue, display: "Display") -> None:
    """Hand ticks to the display until a None comes."""
    while (tick := ticks.get()) is not None:
        job, what, done, total = tick
        name = f"{job.preset} seed {job.seed}"
        if what is None:
            display.finish(name)
        else:
            display.tick(name, what, done, total)


class Display:
    """On a terminal a bar for each run under way; elsewhere a plain line every now and then. `what`: runs, or cells."""

    def __init__(self, bars: Progress, runs: int, every: float = 20.0, what: str = "runs") -> None:
        self.bars, self.every, self.what = bars, every, what
        self.finished, self.runs = 0, runs
        self.overall = bars.add_task(f"{what} finished", total=runs, visible=runs > 1)
        self.tasks: dict[str, Any] = {}
        self.said = time.monotonic()

    def tick(self, name: str, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` steps of `what` are done in the run `name`."""
        text = f"{name}: {what}"
        if not self.bars.console.is_terminal:
            self.say(f"{text} {done}/{total}")
            return
        if name not in self.tasks:
            self.tasks[name] = self.bars.add_task(text, total=total)
        self.bars.update(self.tasks[name], description=text, completed=done, total=total)

    def finish(self, name: str) -> None:
        """The run `name` is over."""
        self.advance(1)
        if name in self.tasks:
            self.bars.remove_task(self.tasks.pop(name))

    def advance(self, number: int) -> None:
        """So many more are finished."""
        self.finished += number
        self.bars.update(self.overall, completed=self.finished)

    def say(self, text: str) -> None:
        """A plain line, unless one was written a moment ago."""
        if not self.bars.console.is_terminal and time.monotonic() - self.said >= self.every:
            self.said = time.monotonic()
            line = f"{self.finished}/{self.runs} {self.what} finished; {text}"
            self.bars.console.print(line, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def shown(runs: int = 1, what: str = "runs") -> Iterator[Display]:
    """Progress of that many runs or cells, on standard error."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        *([TimeRemainingColumn()] if what == "cells" else []),
    )
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        yield Display(bars, runs, what=what)
