"""How sharp is the bound for C classes, and where does Theorem 2's form fail? Orthogonal planes, exact confidence.

D = r/(2 s^2 (1 + s^2)), the divergence of two classes; J = (C-1) D. Theory only; no records.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.records import World
from figures.style import finish, new
from theory.confidence import multiclass_confidence
from theory.multiclass import sharp_confidence_bound

__all__ = ["WORLDS", "draw"]

WORLDS: tuple[str, ...] = ()
CLASSES = (2, 3, 5, 10)
RANK = 2
D = np.geomspace(0.02, 50, 60)
NOISE = np.sqrt((np.sqrt(1 + 2 * RANK / D) - 1) / 2)  # s^2 (1 + s^2) = r/(2D)
EXACT = {"color": "#000000", "linewidth": 2.2, "label": "exact, r = 2", "zorder": 3}
SHARP = {"color": "#0072B2", "linewidth": 1.8, "label": "sharp bound: any C densities"}
NATURAL = {
    "color": "#882255",
    "linewidth": 1.5,
    "linestyle": (0, (5, 2)),
    "label": "Theorem 2's form 1/(1 + (C−1) exp(−D))",
}
FAILS = {"color": "#882255", "alpha": 0.14, "linewidth": 0}


def natural(C: int) -> np.ndarray:
    """1/(1 + (C-1) e^-D)."""
    return np.asarray(1 / (1 + (C - 1) * np.exp(-D)))


def above(ax: Axes, C: int, exact: np.ndarray) -> None:
    """xi and the two bounds."""
    ax.plot(D, natural(C), **NATURAL)  # type: ignore[arg-type]
    ax.plot(D, sharp_confidence_bound((C - 1) * D, C), **SHARP)  # type: ignore[arg-type]
    ax.plot(D, exact, **EXACT)  # type: ignore[arg-type]
    ax.axhline(1 / C, color="#8a8a8a", linewidth=0.8, linestyle=":")
    ax.set_ylim(0, 1.03)


def below(ax: Axes, C: int, exact: np.ndarray) -> None:
    """Excess over 1/C, of the bounds as multiples of the exact one: below 1 a bound is false."""
    form, sharp = (
        (bound - 1 / C) / (exact - 1 / C)
        for bound in (natural(C), np.asarray(sharp_confidence_bound((C - 1) * D, C)))
    )
    ax.fill_between(D, 1, np.minimum(form, 1), **FAILS)  # type: ignore[arg-type]
    ax.plot(D, form, **NATURAL)  # type: ignore[arg-type]
    ax.plot(D, sharp, **SHARP)  # type: ignore[arg-type]
    ax.plot(D, np.ones(D.shape), **EXACT)  # type: ignore[arg-type]
    ax.set_ylim(0.6, 2.1)


def draw(worlds: dict[str, World]) -> Figure:
    """xi above, excess over 1/C below, a column a number of classes."""
    figure, axes = new(2, len(CLASSES), 11, 5.8, sharex=True, sharey="row")
    for column, C in zip(axes.T, CLASSES, strict=True):
        exact = np.asarray(multiclass_confidence(C, RANK, NOISE))
        above(column[0], C, exact)
        below(column[1], C, exact)
        column[0].set_title(f"C = {C} classes")
        column[1].set_xscale("log")
        column[1].set_xlabel("D = r / (2s²(1 + s²))")
    axes[0, 0].set_ylabel("expected confidence ξ")
    axes[1, 0].set_ylabel("(bound − 1/C) / (ξ − 1/C)")
    return finish(
        figure,
        "A sharp bound for C classes",
        "C classes N(0, U_c U_c' + s² I), orthogonal planes; D is the Kullback-Leibler divergence of two of them, J = "
        "(C−1)D. Exact confidence in the true label by quadrature. Sharp bound: the largest ξ of any C densities with "
        "that J (mean of both directions over pairs, times C−1), attained by an erased symmetric channel. Below: "
        "under 1 (shaded) a bound is false. Theorem 2's form is a bound for two classes only; for more it fails at "
        "small D. Dotted: 1/C. No simulation, no seeds.",
        handles=axes[0, 0].get_lines()[:3],
    )
