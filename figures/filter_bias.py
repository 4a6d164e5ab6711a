"""What does keeping the most confident do to variance and to real data? Theory beside simulation.

World `runaway`: two planes at right angles, a generator that multiplies the variance by `shrink` < 1; top-N (ACU-LSF)
makes the kept variance grow all the same. Lines are theory.selection.runaway (infinite sample, no noise), dots are
the simulated loops: the variance kept at generation k is that of the samples made from it, over `shrink`.
"""

from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.records import World
from figures.style import LOOKS, bars, finish, generations, new, plain_logarithms, seeds_of
from theory.selection import kept_moments, runaway

__all__ = ["WORLDS", "draw"]

WORLDS = ("runaway",)
RANKS = {1: "#cbaadb", 2: "#9d6fbf", 4: "#6d3a96", 10: "#35104f"}  # no policy's colour
ANGLE, NOISE = np.pi / 3, 0.3  # the analytic worlds'


def variance(ax: Axes, world: World, shrink: float) -> None:
    """Kept variance by generation."""
    k = np.arange(world.last + 1)
    ax.plot(k, runaway(shrink, world.last)[0], color=LOOKS["ACU-LSF"].colour, label="top-N, theory")
    for policy in ("ACU-LSF", "ACUR"):
        simulated = world.values(policy, lambda m: m["variance_ratio"]) / shrink
        bars(ax, k, simulated, policy, True, apart=0.0, linestyle="", label=f"{policy}, simulated")
    ax.set_yscale("log")
    plain_logarithms(ax)
    ax.set_ylabel("kept variance / real")


def share(ax: Axes, world: World, shrink: float) -> None:
    """Share of real data in what is trained on."""
    k = np.arange(1, world.last + 1)
    ax.plot(k, runaway(shrink, world.last)[1][1:], color=LOOKS["ACU-LSF"].colour, label="top-N, theory")
    ax.plot(k, 1 / (k + 1), color=LOOKS["ACUR"].colour, label="fair share 1/(k + 1)")
    for policy in ("ACU-LSF", "ACUR"):
        simulated = world.of(policy, lambda r: r["trained_on"]["share_real"], 1)
        bars(ax, k, simulated, policy, apart=0.0, linestyle="", label=f"{policy}, simulated")
    ax.set_ylim(-0.02, None)
    ax.set_ylabel("share of real data kept")


@cache
def kept(rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fractions, closer together near 1 where the curves bend, and the moments kept."""
    q = np.append(np.geomspace(0.01, 0.7, 20), 1 - 0.3 * np.linspace(1, 0, 16)[1:] ** 2)
    _, m_A, m_B = kept_moments(ANGLE, NOISE, rank, q)
    return q, np.asarray(m_A), np.asarray(m_B)


def moments(ax: Axes) -> None:
    """m_A (solid) and m_B (dashed) against the fraction kept."""
    for r, colour in RANKS.items():
        q, m_A, m_B = kept(r)
        ax.plot(q, m_A, color=colour, label=f"r = {r}")
        ax.plot(q, m_B, color=colour, linestyle=(0, (4, 1.5)))
    ax.axhline(1, color="#8a8a8a", linewidth=1)
    ax.set_xscale("log")
    ax.set_yscale("log")
    plain_logarithms(ax, "x")
    plain_logarithms(ax)
    ax.set_xlabel("fraction q kept")
    ax.set_ylabel("kept second moment / before")


def draw(worlds: dict[str, World]) -> Figure:
    """(a) variance and (b) share of real data by generation, (c) kept moments against the fraction kept."""
    world = worlds["runaway"]
    shrink = world.settings["preset"]["world"]["generator"]["shrink"]
    figure, axes = new(1, 3, 11.5, 4.5)
    a, b, c = axes[0]
    variance(a, world, shrink)
    share(b, world, shrink)
    moments(c)
    for ax, first in ((a, 0), (b, 1)):
        generations(ax, world.last, first)
    a.set_title("(a) variance kept")
    b.set_title("(b) real data kept")
    c.set_title("(c) one selection: own axes (—), other's (- -)")
    for ax in (a, b, c):
        ax.legend(fontsize=8)
    budget = world.settings["preset"]["budget"]
    return finish(
        figure,
        "The filter's bias, theory beside simulation",
        f"(a, b) Two planes at 90°, N = {budget}, a generator that multiplies the variance by {shrink:g}; theory for "
        f"an infinite sample without noise. {seeds_of([world])} (c) Theory: top fraction q by log-odds of "
        f"N(0, U U' + s² I), angles {np.degrees(ANGLE):.0f}°, s = {NOISE:g}: second moments along the class's "
        "own and the other class's axes, over those before the selection.",
        worlds.values(),
    )
