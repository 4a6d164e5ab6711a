"""How are many runs made side by side?

joblib runs one single-threaded process for each job at a time; each reports its ticks to the parent, which shows them.
A job is one (preset, seed): the folder it writes resumes, so a sweep that was killed goes on where it stopped.
"""

import queue
import sys
import threading
import time
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
    """Fill the folder of a job; the queue `ticks` takes (job, what, done, total), at the end (job, None, 0, 0)."""
    single_thread()
    row = preset(job.preset)
    with progress.listening(lambda what, done, total: ticks.put((job, what, done, total))):
        path = run(row, job.seed, run_path(row, job.seed, root)).path
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
    """On a terminal a bar for each run under way; elsewhere a plain line every now and then."""

    def __init__(self, bars: Progress, runs: int, every: float = 20.0) -> None:
        self.bars, self.every = bars, every
        self.finished, self.runs = 0, runs
        self.overall = bars.add_task("runs finished", total=runs, visible=runs > 1)
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
        self.finished += 1
        self.bars.update(self.overall, completed=self.finished)
        if name in self.tasks:
            self.bars.remove_task(self.tasks.pop(name))

    def say(self, text: str) -> None:
        """A plain line, unless one was written a moment ago."""
        if time.monotonic() - self.said >= self.every:
            self.said = time.monotonic()
            self.bars.console.print(f"{self.finished}/{self.runs} runs finished; {text}", highlight=False)


@contextmanager
def shown(runs: int = 1) -> Iterator[Display]:
    """Progress of that many runs, on standard error."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
    )
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        yield Display(bars, runs)
