"""How fast does the deterministic equivalent of E OLE become right, and how fast with its first correction?

At r = 1, s = 0, with z = sqrt((1 + sin theta)/2), as n grows (proved: tests/proofs/test_rate.py)
    D/E OLE - 1 ~ (3 + 1/z)/(16 n),   (D + delta)/E OLE - 1 ~ -(31 + 3/z + 9/z^2 + 9/z^3)/(512 n^2)
(`theory.finite_size.rate_constants`). The table shows it from n = 1 on: relative errors with a certain radius (ball
arithmetic of the exact integral, of D and of delta), in three families:
    ole      E OLE at r = 1, s = 0, angles from 0 to 90 degrees (there all three are 0: errors blank)
    white    E||G_{r x n}||_*, r = 1 and 2, exact in closed form
    noisy    E OLE with noise, simulated; its radius is 5 standard errors of 100 batches, no certainty

Control: the correction with the wrong sign; its error falls like 1/n only. Own derivation.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from paper_checks.simulated import sampled_ole
from sims.lowrank import TwoSubspaces
from tests.tolerances import STANDARD_ERRORS, estimate
from theory.ole import expected_ole
from theory.ole_enclosures import (
    arb,
    ctx,
    enclose_chi_mean,
    enclose_correction,
    enclose_equivalent,
    enclose_ole,
    enclose_white_two,
)

__all__ = ["COLUMNS", "Job", "errors", "fitted", "jobs", "row", "summary"]

COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256, 512, 1024)
ANGLES = (0.0, 0.5, *(float(x) for x in np.linspace(1, 89, 75)), 89.5, 90.0)
NOISY = ((8, 1, 0.1), (8, 2, 0.3), (6, 3, 0.1), (12, 4, 0.5))  # dim, rank, noise
NOISY_COUNTS = (2, 4, 8, 16)
DRAWS = 3000
FIT_FROM = 16
COLUMNS = (
    "family", "rank", "dim", "n", "angle_deg", "noise", "value", "radius", "error", "error_radius", "corrected",
    "corrected_radius", "wrong_sign", "wrong_sign_radius",
)  # fmt: skip
BITS = 96


class Job(NamedTuple):
    """A row to be made; `seed` and `stream` make the random stream of a simulated one."""

    family: str
    rank: int
    dim: int
    n: int
    angle: float
    noise: float
    seed: int = 0
    stream: int = 0


def jobs(seed: int, every: int = 1) -> list[Job]:
    """All points; `every` keeps one in so many."""
    found = [Job("ole", 1, 2, n, angle, 0.0) for angle in ANGLES for n in COUNTS]
    found += [Job("white", r, r, n, 0.0, 0.0) for r in (1, 2) for n in COUNTS if n >= r]
    noisy = [(d, r, n, s) for d, r, s in NOISY for n in NOISY_COUNTS]
    found += [Job("noisy", r, d, n, 60.0, s, seed, k) for k, (d, r, n, s) in enumerate(noisy)]
    return found[::every]


@lru_cache
def single(n: int, rank: int = 1) -> tuple[arb, arb]:
    """(D, delta) of white rows."""
    one = (arb(1),) * rank
    return enclose_equivalent(one, n), enclose_correction(one, n)


def exact_and_equivalent(job: Job) -> tuple[arb, arb, arb]:
    """(exact, D, delta) of an exact family."""
    n = job.n
    if job.family == "white":
        return (enclose_chi_mean(n) if job.rank == 1 else enclose_white_two(n), *single(n, job.rank))
    turn = arb(job.angle) / 180
    h: tuple[arb, ...] = ((turn / 2).cos_pi() ** 2, (turn / 2).sin_pi() ** 2)
    if job.angle == 0:
        h = h[:1]
    sine = turn.sin_pi()
    D, delta = single(n)
    both, correction = enclose_equivalent(h, 2 * n), enclose_correction(h, 2 * n, sine)
    return enclose_ole(n, sine), 2 * D - both, 2 * delta - correction


def simulated(job: Job) -> tuple[arb, arb, arb]:
    """(mean +- 5 standard errors, D, delta) of a noisy point."""
    theta = float(np.radians(job.angle))
    truth = TwoSubspaces(job.dim, job.rank, theta, job.noise)
    rng = np.random.default_rng([job.seed, job.stream, 7])
    found = estimate(sampled_ole(truth, job.n), rng, DRAWS)
    angles = np.full(job.rank, theta)
    D, better = (float(expected_ole(job.dim, job.n, angles, job.noise, first)) for first in (False, True))
    return arb(found.mean, STANDARD_ERRORS * found.error), arb(D), arb(better - D)


def errors(exact: arb, D: arb, delta: arb) -> list[arb]:
    """Relative errors of D, of D + delta, and of the control D - delta."""
    return [x / exact - 1 for x in (D, D + delta, D - delta)]


def row(job: Job) -> dict[str, str]:
    """The row of a point, by `COLUMNS`."""
    with ctx.workprec(BITS):
        exact, D, delta = simulated(job) if job.family == "noisy" else exact_and_equivalent(job)
        found = [] if job.angle == 90 else errors(exact, D, delta)
    pairs = [text for ball in [exact, *found] for text in shown(ball)]
    cells = [job.family, job.rank, job.dim, job.n, f"{job.angle:.6g}", f"{job.noise:.6g}", *pairs]
    return dict(zip(COLUMNS, map(str, [*cells, *[""] * (len(COLUMNS) - len(cells))]), strict=True))


def shown(ball: arb) -> tuple[str, str]:
    """Middle to six digits, and a radius that counts their rounding too."""
    text = f"{float(ball.mid()):.6g}"
    with ctx.workprec(BITS):
        radius = float(abs(ball - arb(text)).upper())
    return text, f"{1.01 * radius:.2g}"


def fitted(rows: Sequence[dict[str, str]], column: str) -> tuple[float, float]:
    """Slope of log |error| against log n over n >= 16, and its half-width, two standard errors of the fit."""
    use = [r for r in rows if int(r["n"]) >= FIT_FROM]
    x, y = (np.log(np.abs([float(r[name]) for r in use])) for name in ("n", column))
    line, cov = np.polyfit(x, y, 1, cov="unscaled")
    residual = y - np.polyval(line, x)
    return float(line[0]), float(2 * np.sqrt(cov[0, 0] * (residual @ residual) / (len(x) - 2)))


def summary(rows: Sequence[dict[str, str]]) -> str:
    """The extreme fitted slopes, and the n at which the correction makes it worse, certainly."""
    kinds: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for r in rows:
        if r["family"] != "noisy" and r["error"]:
            kinds.setdefault((r["family"], r["rank"], r["angle_deg"]), []).append(r)
    lines = []
    for column in ("error", "corrected", "wrong_sign"):
        slopes = [fitted(group, column) for group in kinds.values() if len(group) > len(COUNTS) // 2]
        low, high = min(slopes, default=(np.nan, 0)), max(slopes, default=(np.nan, 0))
        lines.append(f"{column}: slopes {low[0]:.3f} +- {low[1]:.3f} to {high[0]:.3f} +- {high[1]:.3f}")
    worse = sorted({int(r["n"]) for r in rows if r["error"] and is_worse(r)})
    return "; ".join([*lines, f"correction worse at n = {worse}"])


def is_worse(r: dict[str, Any]) -> bool:
    """|corrected| > |error|, radii counted."""
    sizes = {k: (abs(float(r[k])), float(r[f"{k}_radius"])) for k in ("error", "corrected")}
    return sizes["corrected"][0] - sizes["corrected"][1] > sizes["error"][0] + sizes["error"][1]
