"""How are the log-odds distributed, and how many confidences are exactly 1 in single precision?

Z = log p1/p0 under class 1, all r angles equal; sg(Z) rounds to 1 in float32 beyond Z = 25 ln 2, half the distance
from 1 to the number below it. Theory only; no records.
"""

from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.records import World
from figures.style import DASHED, FLOOR, RAMP, finish, new, plain_logarithms
from theory.confidence import log_odds_density, snr

__all__ = ["WORLDS", "draw"]

WORLDS: tuple[str, ...] = ()
RHOS = (30.0, 10.0, 3.0, 1.0)
RANKS = (10, 4, 2, 1)
NOISES = np.geomspace(0.03, 1.0, 31)
SATURATED = 25 * np.log(2)
EDGE = {"color": FLOOR, "linewidth": 1.2, "linestyle": DASHED}


def density(ax: Axes, rho: float, rank: int, colour: str, label: str) -> None:
    """p1(z), left and right of its singularity at zero for r = 1."""
    z = np.sort(np.concatenate([np.linspace(-12, 40, 131), [-0.02, 0.02]]))
    z = z[z != 0]
    ax.plot(z, log_odds_density(z, np.full((z.size, rank), rho)), color=colour, label=label)


@cache
def curve(rank: int) -> np.ndarray:
    """The share at NOISES."""
    return saturated(rank, NOISES)


def saturated(rank: int, noise: np.ndarray) -> np.ndarray:
    """P(Z > 25 ln 2) at 90 degrees: the density's tail, which falls like exp(-(b - 1/2) z), b^2 = 1/4 + 1/rho."""
    rho = np.asarray(snr(np.pi / 2, noise))[:, 0]
    x, weight = np.polynomial.legendre.leggauss(40)
    tail = 40 + 6 * rank  # lengths of the exponential
    y, weight = tail * ((x + 1) / 2) ** 2, tail * weight * (x + 1) / 2
    length = 1 / (np.sqrt(0.25 + 1 / rho) - 0.5)
    z = SATURATED + length[:, None] * y
    return length * (log_odds_density(z, np.repeat(rho[:, None, None], rank, axis=2)) @ weight)


def draw(worlds: dict[str, World]) -> Figure:
    """(a) density by rho, (b) by rank, (c) share of confidences that are exactly 1."""
    figure, axes = new(1, 3, 11, 4.2)
    a, b, c = axes[0]
    for rho, colour in zip(RHOS, RAMP, strict=True):
        density(a, rho, 2, colour, f"ρ = {rho:g}")
    for r, colour in zip(RANKS, RAMP, strict=True):
        density(b, 3.0, r, colour, f"r = {r}")
        c.plot(NOISES, curve(r), color=colour, label=f"r = {r}")
    for ax in (a, b):
        ax.axvline(SATURATED, **EDGE)
        ax.set_yscale("log")
        ax.set_ylim(1e-5, 1)
        ax.set_xlabel("log-odds Z of the true class, nats")
        ax.set_ylabel("density")
    c.set_xscale("log")
    plain_logarithms(c, "x")
    c.set_ylim(0, 1.02)
    c.set_xlabel("noise s.d. s (angles 90°)")
    c.set_ylabel("share of confidences exactly 1")
    for ax, title in (
        (a, "(a) two angles, by ρ"),
        (b, "(b) ρ = 3, by number of angles"),
        (c, "(c) float32 saturates"),
    ):
        ax.set_title(title)
        ax.legend(fontsize=8)
    return finish(
        figure,
        "The law of the log-odds",
        "Z = log p₁/p₀ of a class-1 sample under the Bayes classifier, exact; ρ = sin²θ / (s²(1 + s²)), all "
        "angles equal. Left of 0 the other class is the likelier one; p₁(z) = exp(z) p₁(−z). Dashed: Z = 25 ln 2 "
        "= 17.3, beyond which the confidence sigmoid(Z) rounds to exactly 1 in float32. (c) how often it does: "
        "such samples tie, so rank by log-odds. No simulation.",
    )
