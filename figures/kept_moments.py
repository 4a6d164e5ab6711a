"""What does keeping the most confident do to variance, minorities and real data, in theory alone?

Formulas of theory.selection: second moments kept along a class's own and the other's axes, the share of a minority,
and the runaway of top-N with a generator that multiplies the variance by lam. Theory only; no records.
"""

from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.records import World
from figures.style import DASHED, FLOOR, RAMP, finish, generations, new, plain_logarithms
from theory.selection import kept_minority_share, kept_moments, runaway, runaway_growth

__all__ = ["WORLDS", "draw"]

WORLDS: tuple[str, ...] = ()
RANKS, NOISE = (10, 4, 2, 1), 0.5
NOISES, RANK = (2.0, 0.7, 0.3, 0.1), 2
GAPS = (4.0, 2.5, 1.0, 0.0)
WEIGHT = 0.1
SHRINK, LAST = (1.0, 0.8, 0.5, 0.3), 12


@cache
def kept(rank: int, noise: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fractions, closer together near 1 where the curves bend, and the moments kept at 90 degrees."""
    q = np.append(np.geomspace(0.01, 0.4, 10), 1 - 0.6 * np.linspace(1, 0, 19)[1:] ** 2)
    _, m_A, m_B = kept_moments(np.pi / 2, noise, rank, q)
    return q, np.asarray(m_A), np.asarray(m_B)


def moments(ax: Axes, cases: list[tuple[str, int, float]]) -> None:
    """m_A (solid) and m_B (dashed) against q."""
    for (label, rank, noise), colour in zip(cases, RAMP, strict=True):
        q, m_A, m_B = kept(rank, noise)
        ax.plot(q, m_A, color=colour, label=label)
        ax.plot(q, m_B, color=colour, linestyle=DASHED)
    ax.axhline(1, color=FLOOR, linewidth=1)
    ax.set_yscale("log")
    plain_logarithms(ax)
    ax.set_ylabel("kept second moment / before")


def minority(ax: Axes) -> None:
    """Share of a 10% mode whose confidence is lower by a gap, in standard deviations."""
    q = np.geomspace(0.01, 1, 200)
    for gap, colour in zip(GAPS, RAMP, strict=True):
        ax.plot(
            q,
            100 * np.asarray(kept_minority_share(q, WEIGHT, 0.0, gap)),
            color=colour,
            label=f"gap {gap:g} s.d.",
        )
    ax.set_yscale("log")
    ax.set_ylim(1e-3, 30)
    plain_logarithms(ax)
    ax.set_ylabel("minority among the kept, %")


@cache
def grown() -> tuple[np.ndarray, np.ndarray]:
    """lam and g - 1."""
    lam = np.geomspace(0.1, 2, 25)
    return lam, np.asarray(runaway_growth(lam)) - 1


def growth(ax: Axes) -> None:
    """Asymptotic factor a generation, minus 1."""
    ax.plot(*grown(), color=RAMP[0])
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(1e-5, 3)
    ax.set_xticks([0.1, 0.2, 0.5, 1, 2], ["0.1", "0.2", "0.5", "1", "2"])
    ax.set_xlabel("λ, the generator's factor on the variance")
    ax.set_ylabel("g − 1: growth a generation")


def loops(variance: Axes, share: Axes) -> None:
    """v_k and the share of real data kept."""
    for lam, colour in zip(SHRINK, RAMP, strict=True):
        v, real = runaway(lam, LAST)
        variance.plot(v, color=colour, label=f"λ = {lam:g}")
        share.plot(real, color=colour, label=f"λ = {lam:g}")
    share.plot(1 / (np.arange(LAST + 1) + 1), color=FLOOR, linestyle=DASHED, label="random choice, 1/(k + 1)")
    for ax in (variance, share):
        ax.set_yscale("log")
        generations(ax, LAST)
    plain_logarithms(variance)
    variance.set_ylabel("kept variance / real")
    share.set_ylim(1e-5, 1.5)
    plain_logarithms(share)
    share.set_ylabel("share of real data kept")


def draw(worlds: dict[str, World]) -> Figure:
    """One selection above: moments by rank and by noise, minorities; the loop below: variance, real data, growth."""
    figure, axes = new(2, 3, 11.5, 7.2)
    (a, b, c), (d, e, f) = axes
    moments(a, [(f"r = {r}", r, NOISE) for r in RANKS])
    moments(b, [(f"s = {s:g}", RANK, s) for s in NOISES])
    minority(c)
    loops(d, e)
    growth(f)
    for ax in (a, b, c):
        ax.set_xscale("log")
        plain_logarithms(ax, "x")
        ax.set_xlabel("fraction q kept")
    for ax, title in (
        (a, f"(a) one selection, s = {NOISE:g}"),
        (b, f"(b) one selection, r = {RANK}"),
        (c, "(c) a minority of 10%"),
        (d, "(d) top-N loop: variance"),
        (e, "(e) top-N loop: real data"),
        (f, "(f) growth in the end"),
    ):
        ax.set_title(title)
        if ax is not f:
            ax.legend(fontsize=8)
    return finish(
        figure,
        "What keeping the most confident does",
        "Exact, no simulation. (a, b) Top fraction q by log-odds, angles 90°: second moments along the class's "
        "own axes (solid, m_A) and the other class's (dashed, m_B), 1 = unchanged. (c) A minority whose "
        "confidence lies lower by the gap; both modes have s.d. 1. (d, e) Keep the N most confident of real data "
        "and all generations so far (r = 2, 90°, s → 0, infinite sample), with a generator that multiplies the "
        "variance by λ. (f) v_k grows by g a generation in the end, g > 1 for every λ, hardly above 1 for strong "
        "contraction.",
    )
