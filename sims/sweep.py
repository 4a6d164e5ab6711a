"""How are many runs made side by side?

joblib runs one single-threaded process for each job at a time; each reports its ticks to the parent, which shows them.
A job is one (preset, seed): the folder it writes resumes, so a sweep that was killed goes on where it stopped.
"""

import queue
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import Manager
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from sims import progress
from sims.loop import run, run_path
from sims.presets import preset
from sims.record import RunFolder

__all__ = ["Job", "run_all", "shown", "single_thread"]


@dataclass(frozen=True)
class Job:
    """One run folder to be filled."""

    preset: str
    seed: int


def single_thread() -> None:
    """One thread for torch in this process: two are slower beside a busy neighbour, and results then depend on them."""
    import torch

    torch.set_num_threads(1)


def run_job(job: Job, root: Path, ticks: Any) -> Path:
    """Fill the folder of a job; `ticks` is a queue that takes (job, what, done, total)."""
    single_thread()
    row = preset(job.preset)
    with progress.listening(lambda what, done, total: ticks.put((job, what, done, total))):
        return run(row, job.seed, run_path(row, job.seed, root)).path


def run_all(jobs: Sequence[Job], root: Path = Path("runs"), processes: int = 2) -> dict[Job, RunFolder]:
    """Run the jobs, long ones first as given, `processes` at a time; gives the run folder of each."""
    with Manager() as manager, shown() as show:
        ticks = manager.Queue()
        listener = threading.Thread(target=listen, args=(ticks, show), daemon=True)
        listener.start()
        work = (delayed(run_job)(job, root, ticks) for job in jobs)
        try:
            paths = Parallel(n_jobs=processes, batch_size=1, inner_max_num_threads=1)(work)
        finally:
            ticks.put(None)
            listener.join()
    return {job: RunFolder(path) for job, path in zip(jobs, paths, strict=True)}


def listen(ticks: queue.Queue, show: "Display") -> None:
    """Hand ticks to the display until a None comes."""
    while (tick := ticks.get()) is not None:
        job, what, done, total = tick
        show.tick(f"{job.preset} seed {job.seed}", what, done, total)


class Display:
    """A bar for each job on a terminal; elsewhere a plain line for each generation of models."""

    def __init__(self, bars: Progress) -> None:
        self.bars = bars
        self.tasks: dict[str, Any] = {}

    def tick(self, name: str, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` steps of `what` are done."""
        if not self.bars.console.is_terminal:
            return
        if name not in self.tasks:
            self.tasks[name] = self.bars.add_task(name, total=total)
        self.bars.update(self.tasks[name], description=f"{name}: {what}", completed=done, total=total)


@contextmanager
def shown() -> Iterator[Display]:
    """Progress on standard error."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bars:
        yield Display(bars)
