"""Has the signal-to-noise ratio of posterior-mean features one optimum in the timestep, or could there be two?

At most one, for every floor and every dimension at once, at each rank that `theory.csnr_enclosures.certify_unimodal`
proves; whether there is one is the sign of `enclose_start`. The table adds what the proof does not need: enclosures of
CSNR itself on a grid of w, at points (r, delta, d) with d - 2r from 0 to a million, and the bracket of the optimum.

    verdict   one: a single interior maximum, none: CSNR falls from w = 0 on (both proved for all w);
              two: a certain rise after a certain fall on the grid (a refutation); undecided
    turns     the certain rises (+) and falls (-) from each grid point to the next that certainly differs
    w_low, w_high   grid points between which the maximum lies, certainly; blank if it is not inside the grid

Own derivation; docs/open_questions.md tells the proof. No randomness: the seed of the command line changes nothing.
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from theory.csnr_enclosures import certify_unimodal, enclose_csnr, enclose_start

__all__ = ["Job", "COLUMNS", "ONE", "NONE", "TWO", "UNDECIDED", "jobs", "turns", "verdict", "row", "summary"]

ONE, NONE, TWO, UNDECIDED = "one", "none", "two", "undecided"
RANKS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24, 32, 48, 64, 128)
FLOORS = tuple(float(f"{x:.4g}") for x in np.geomspace(1e-3, 30, 20))  # exactly what the table prints
SPARE = (0, 1, 2, 8, 64, 1000, 10**6)  # d - 2r
GRID = 25
COLUMNS = (
    "rank", "dim", "floor", "at_most_one", "at_zero", "turns", "w_low", "w_high", "csnr_low", "verdict",
)  # fmt: skip


class Job(NamedTuple):
    """A row to be made: r, d and delta."""

    rank: int
    dim: int
    floor: float


def jobs(seed: int = 0, every: int = 1) -> list[Job]:
    """All points; `every` keeps one in so many."""
    found = [Job(r, 2 * r + m, delta) for r in RANKS for delta in FLOORS for m in SPARE]
    found += [Job(r, 2 * r + 8, 1.0) for r in range(1, RANKS[-1]) if r not in RANKS]  # each rank proved once
    return found[::every]


def grid(floor: float) -> list[float]:
    """Where CSNR is enclosed: from a tenth of the floor to 30 times the larger of floor and signal."""
    return [float(f"{w:.6g}") for w in np.geomspace(floor / 10, 30 * max(1.0, floor), GRID)]


def turns(balls: Sequence[Any]) -> str:
    """'+' for each run of certain rises, '-' for each of falls: '+-' is one maximum, '+-+-' are two."""
    found, last = "", balls[0]
    for ball in balls[1:]:
        sign = "+" if ball > last else "-" if ball < last else ""
        if sign:
            found, last = found if found.endswith(sign) else found + sign, ball
    return found


@lru_cache
def at_most_one(rank: int) -> bool:
    """Is it proved at this rank?"""
    try:
        return certify_unimodal(rank).rank == rank
    except ArithmeticError:
        return False


def verdict(proved: bool, start: Any, pattern: str) -> str:
    """`start`: above zero iff CSNR rises at w = 0, certainly."""
    if "-+" in pattern:
        return TWO
    if not proved:
        return UNDECIDED
    return ONE if start > 0 else NONE if start < 0 and pattern == "-" else UNDECIDED


def row(job: Job) -> dict[str, str]:
    """The row of a point, by `COLUMNS`."""
    r, d, delta = job
    at = [0.0, *grid(delta)]
    balls = [enclose_csnr(w, d, r, delta) for w in at]
    start, pattern, proved = enclose_start(d, r, delta), turns(balls), at_most_one(r)
    sides = [i for i in range(1, len(at) - 1) if balls[i] > balls[i - 1] and balls[i] > balls[i + 1]]
    bracket = [f"{at[i + j]:.6g}" for i in sides[:1] for j in (-1, 1)] or ["", ""]
    best = max(float(ball.lower()) for ball in balls)
    sign = "rises" if start > 0 else "falls" if start < 0 else UNDECIDED
    cells = [r, d, f"{delta:.4g}", "proved" if proved else "", sign, pattern, *bracket, f"{best:.6g}"]
    return dict(zip(COLUMNS, map(str, [*cells, verdict(proved, start, pattern)]), strict=True))


def summary(rows: Sequence[dict[str, str]]) -> str:
    """Verdicts counted, then the patterns on the grid."""
    count = Counter(r["verdict"] for r in rows)
    seen = Counter(r["turns"] for r in rows)
    return "; ".join(
        [*(f"{n} {what}" for what, n in sorted(count.items())), f"turns {dict(sorted(seen.items()))}"]
    )
