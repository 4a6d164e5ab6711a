"""Who works on the cells of a sweep, and how do the results come back?

joblib hands the cells out: to processes of this machine ("loky"), or to a Ray cluster ("ray"). Each worker has one
thread, and refuses to work on another source or other versions than those of the process that started the sweep, so
that records are the same whoever made them. Nothing heavy is imported here: every worker imports it.
"""

import logging
import os
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed, parallel_config
from threadpoolctl import ThreadpoolController

from sims.record import key_of, source_digest, versions

__all__ = ["BACKENDS", "Outcome", "Row", "Run", "check_backend", "outcomes"]

Row = dict[str, Any]
Run = Callable[[Any], list[Row]]
"""What is run: a cell in, its rows out."""
BACKENDS = ("loky", "ray")
ROUND = 5.0
"""Seconds that a round of cells on Ray is to take: joblib gives Ray's results when all of a round are there."""


@dataclass(frozen=True)
class Outcome:
    """What became of the cell at `index`: its rows, or why there are none, and the traceback."""

    index: int
    rows: list[Row]
    error: str = ""
    trace: str = ""


@cache
def identity() -> str:
    """Changes with the source and with the versions that numbers depend on."""
    return key_of({"versions": versions(), "source": source_digest()})


@cache
def threads() -> ThreadpoolController:
    """The thread pools of this process's libraries."""
    return ThreadpoolController()


@cache
def leave_with(parent: int) -> None:
    """From now on this process ends when its parent does: a killed sweep leaves no idle workers behind."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def attempt(run: Run, index: int, cell: Any, starter: tuple[int, str]) -> Outcome:
    """Runs in a worker; `starter`: process and identity of who started the sweep.

    An error comes back as a value: raised, it would take the cells of its batch with it.
    """
    if os.getppid() == starter[0]:  # a process of loky, neither the starter itself nor one of Ray's
        leave_with(starter[0])
    if identity() != starter[1]:
        return Outcome(
            index, [], "its worker has another source or other versions than the sweep was started with"
        )
    try:
        with threads().limit(limits=1):
            return Outcome(index, [plain(row) for row in run(cell)])
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}, line {last.lineno}"
        return Outcome(index, [], f"{type(error).__name__} in {where}: {error}", traceback.format_exc())


def plain(row: Row) -> Row:
    """The row with numpy's numbers as Python's."""
    return {name: value.item() if hasattr(value, "item") else value for name, value in row.items()}


def check_backend(backend: str, processes: int) -> None:
    """Raises ValueError on an unknown backend, a missing one, or no process to work."""
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, found {backend!r}")
    if backend == "ray" and find_spec("ray") is None:
        raise ValueError("backend 'ray' needs Ray, which is not installed: pip install -e '.[scale]'")
    if processes < 1:
        raise ValueError(f"processes must be at least 1, found {processes}")


def outcomes(
    run: Run,
    cells: Sequence[tuple[int, Any]],
    processes: int,
    backend: str,
) -> Generator[Outcome, None, None]:
    """What becomes of each (index, cell), as it comes back; in this very process if `processes` is 1 on "loky"."""
    starter = (os.getpid(), identity())
    work = [delayed(attempt)(run, index, cell, starter) for index, cell in cells]
    if not work:
        return
    if backend == "ray":
        yield from by_ray(work, processes)
    else:
        yield from by_loky(work, processes)


def by_loky(work: list[Any], processes: int) -> Iterator[Outcome]:
    """One by one; whoever closes this early, as a failed sweep does, means to cancel what is under way."""
    parallel = Parallel(
        n_jobs=processes, backend="loky", return_as="generator_unordered", inner_max_num_threads=1
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* tasks which were still being processed .* cancelled")
        yield from parallel(work)


def by_ray(work: list[Any], processes: int) -> Iterator[Outcome]:
    """Rounds of a few cells a process at first, twice as many while a round is short."""
    began = start_ray(processes)
    import ray

    try:
        size = 4 * processes
        with parallel_config(backend="ray"), Parallel(n_jobs=processes) as parallel:
            while work:
                now, work = work[:size], work[size:]
                start = time.monotonic()
                yield from parallel(now)
                size *= 2 if time.monotonic() - start < ROUND else 1
    finally:
        if began:
            ray.shutdown()


def start_ray(processes: int) -> bool:
    """Joins the cluster of RAY_ADDRESS, or starts one on this machine, unless there is one: gives whether it did."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # tells nobody
    import ray
    from ray.util.joblib import register_ray

    register_ray()
    logging.getLogger("ray").setLevel(logging.ERROR)
    if ray.is_initialized():
        return False
    quiet = {"log_to_driver": False, "configure_logging": False}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**quiet)
    else:
        ray.init("local", num_cpus=processes, include_dashboard=False, **quiet)
    return True
