"""What does refitting a Gaussian to its own samples do to the variance, and what do old and fresh data change?

Exact expectations of theory.gaussian_loop, in units of the real variance. Theory only; no records.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.records import World
from figures.style import DASHED, FLOOR, HUES, RAMP, finish, new, plain_logarithms
from theory.gaussian_loop import (
    accumulated_variance,
    biased_accumulation,
    expected_log_det,
    expected_variance,
    fresh_data_drift,
    fresh_data_spread,
    noisy_accumulation,
)

__all__ = ["WORLDS", "draw"]

WORLDS: tuple[str, ...] = ()
DIM = 10
REFIT = (500, 100, 20)
POOLED = (100, 20, 5)
SHRINK = (0.9, 0.5, 0.1)
ADDED = 0.5
LAST = 1000
K = np.unique(np.geomspace(1, LAST + 1, 120).astype(int)) - 1


def refit(ax: Axes) -> None:
    """Mean and typical variance when each generation is fitted to the last one's samples."""
    for n, colour in zip(REFIT, RAMP, strict=False):
        ax.plot(expected_variance(n, 200), color=colour, label=f"n = {n}")
        typical = np.exp(np.asarray(expected_log_det(DIM, n, np.arange(201))) / DIM)
        ax.plot(typical, color=colour, linestyle=DASHED)
    ax.set_yscale("log")
    ax.set_ylim(1e-6, 2)
    ax.set_ylabel("variance / real")


def accumulation(ax: Axes) -> None:
    """E Sigma_K with its limit when each fit sees everything so far."""
    for n, colour in zip(POOLED, RAMP, strict=False):
        ax.plot(K + 1, accumulated_variance(n, K), color=colour, label=f"n = {n}")
        ax.axhline(float(accumulated_variance(n)), color=colour, linestyle=(0, (1, 2)), linewidth=1)
    ax.set_ylim(0, 1.05)
    ax.set_ylabel("mean variance / real")


def biased(ax: Axes) -> None:
    """The pool's variance under a generator that contracts it, or adds to it."""
    for lam, colour in zip(SHRINK, RAMP, strict=False):
        ax.plot(K + 1, biased_accumulation(lam, LAST)[K], color=colour, label=f"× {lam:g} each fit")
    lam = SHRINK[1]
    ax.plot(K + 1, lam**K, color=FLOOR, linestyle=DASHED, label=f"× {lam:g}, last block only")
    ax.plot(K + 1, noisy_accumulation(ADDED, LAST)[K], color=HUES[1], label=f"+ {ADDED:g} each fit")
    ax.set_yscale("log")
    ax.set_ylim(1e-4, 10)
    ax.set_ylabel("variance of the pool / real")


def fresh(ax: Axes) -> None:
    """Stationary drift of the mean and spread of the variance against the real share."""
    a = np.geomspace(1e-3, 1, 200)
    for n, colour in zip(REFIT, RAMP, strict=False):
        ax.plot(a, fresh_data_drift(n, a), color=colour, label=f"n = {n}")
        spread = np.asarray(fresh_data_spread(n, a))
        seen = np.isfinite(spread)
        ax.plot(a[seen], spread[seen], color=colour, linestyle=DASHED)
    ax.set_yscale("log")
    ax.set_ylim(1e-3, 30)
    ax.set_xlabel("share a of real data in each fit")
    ax.set_ylabel("stationary value (units of real)")


def draw(worlds: dict[str, World]) -> Figure:
    """(a) refits, (b) accumulation, (c) a biased generator under accumulation, (d) fresh data."""
    figure, axes = new(2, 2, 10, 7.6)
    (a, b), (c, d) = axes
    for ax, panel in ((a, refit), (b, accumulation), (c, biased), (d, fresh)):
        panel(ax)
    a.set_xlabel("generation k")
    for ax in (b, c, d):
        ax.set_xscale("log")
        plain_logarithms(ax, "x")
    for ax in (b, c):
        ax.set_xlabel("blocks of data in the pool, K + 1")
    for ax, title in (
        (a, "(a) fit to the last generation: mean (—), typical (- -)"),
        (b, "(b) fit to everything so far: limits dotted"),
        (c, "(c) everything so far, biased generator"),
        (d, "(d) real data in every fit: drift of mean (—), Var Σ (- -)"),
    ):
        ax.set_title(title)
        ax.legend(fontsize=8)
    return finish(
        figure,
        "Gaussian refit loops",
        "n samples a generation, exact expectations, real variance = 1. (a) Mean E Σ_k against the typical "
        f"variance exp(E log det Σ_k / d), d = {DIM}: a few runs carry the mean, almost all collapse faster. (b) "
        "Accumulation stops at sin(π/√n)/(π/√n) (mean estimated). (c) A generator that contracts by λ makes the "
        "pool fall like K^−(1−λ), slower than without accumulation but to zero; added variance grows like the "
        "harmonic numbers. (d) Stationary E mean² (mean estimated) and Var Σ (one dimension, mean known; infinite "
        "to the left of where a line starts). No simulation.",
    )
