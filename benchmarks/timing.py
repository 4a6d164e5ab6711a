"""How is a ratio of two times measured so that a busy machine does not decide it?

Both sides run alternately in one process, one thread, and each is represented by its fastest run.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Result", "fastest"]


@dataclass(frozen=True)
class Result:
    """One benchmark: how many times faster, and in words what was compared and measured."""

    name: str
    ratio: float
    detail: str


def fastest(*sides: Callable[[], object], repeats: int = 3) -> list[float]:
    """Seconds of the fastest of `repeats` runs of each side, run in turn."""
    best = [float("inf")] * len(sides)
    for _ in range(repeats):
        for i, side in enumerate(sides):
            began = time.perf_counter()
            side()
            best[i] = min(best[i], time.perf_counter() - began)
    return best
