"""Why is there a best timestep for telling two classes apart, and where is it?

CSNR(w) of posterior-mean features at noise level w, for real data with a floor delta; the optimum and its law for
small floors. Theory only; no records.
"""

from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.records import World
from figures.style import DASHED, FLOOR, RAMP, finish, new, plain_logarithms
from theory.timestep import csnr, optimal_time, small_floor_law

__all__ = ["WORLDS", "draw"]

WORLDS: tuple[str, ...] = ()
DIM, RANK = 64, 4
FLOORS = (0.03, 0.1, 0.3, 0.6)
RANKS = (8, 4, 2, 1)
LEVELS = np.geomspace(0.01, 10, 49)
DELTAS = np.geomspace(1e-3, 1, 7)


@cache
def curve(floor: float) -> tuple[np.ndarray, float, float]:
    """CSNR at LEVELS, where it is largest, and how large."""
    best = float(optimal_time(DIM, RANK, floor)) if floor else 0.0
    top = float(csnr(best, DIM, RANK, floor)) if floor else np.inf
    return np.asarray(csnr(LEVELS, DIM, RANK, floor)), best, top


@cache
def optimum(rank: int) -> np.ndarray:
    """w* at DELTAS."""
    return np.asarray(optimal_time(DIM, rank, DELTAS))


def curves(ax: Axes) -> None:
    """CSNR against w, the maximum marked."""
    for floor, colour in zip(FLOORS, RAMP, strict=True):
        values, best, top = curve(floor)
        ax.plot(LEVELS, values, color=colour, label=f"δ = {floor:g}")
        ax.plot(best, top, color=colour, marker="o", linestyle="")
    ax.plot(LEVELS, curve(0.0)[0], color=FLOOR, linestyle=DASHED, label="δ = 0: no maximum")
    ax.set_ylim(0.1, 3e4)
    ax.set_xlabel("noise level w (DDPM: √((1 − ᾱ)/ᾱ))")
    ax.set_ylabel("CSNR: own energy / rest")


def optima(ax: Axes) -> None:
    """The best noise level against the floor, and the law."""
    for r, colour in zip(RANKS, RAMP, strict=True):
        ax.plot(DELTAS, optimum(r), color=colour, label=f"r = {r}")
        ax.plot(DELTAS, small_floor_law(DIM, r, DELTAS), color=colour, linestyle=DASHED, linewidth=1)
    ax.set_ylim(5e-3, 10)
    ax.set_xlabel("floor δ of the data (s.d.)")
    ax.set_ylabel("best noise level w*")


def draw(worlds: dict[str, World]) -> Figure:
    """(a) CSNR by floor, (b) where the optimum lies."""
    figure, axes = new(1, 2, 10, 4.6)
    a, b = axes[0]
    curves(a)
    optima(b)
    a.set_title(f"(a) separation against noise level (r = {RANK}, d = {DIM})")
    b.set_title(f"(b) the optimum, and the small-floor law (- -), d = {DIM}")
    for ax in (a, b):
        ax.set_xscale("log")
        ax.set_yscale("log")
        plain_logarithms(ax, "x")
        plain_logarithms(ax)
        ax.legend(fontsize=8)
    return finish(
        figure,
        "The best timestep",
        "Two classes at 90° with a floor of s.d. δ, seen through the posterior mean h = E[x₀ | x₀ + w e]. CSNR: "
        "energy of h within the sample's own subspace over the energy outside. A little noise lets the denoiser "
        "average the floor away, much noise confuses the classes: a best level between (a U for what falls as "
        "classes separate, as normalised OLE). Dots: maxima. (b) Law, asymptotic for δ → 0: w*^(r+4) = 2 δ⁴ (d − "
        "r) / (r (r + 2) a_r). Exact; no simulation.",
    )
