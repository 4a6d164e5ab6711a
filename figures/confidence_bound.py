"""How loose is Theorem 2? Exact expected confidence of the Bayes classifier against its bounds.

All r principal angles are equal: rho = sin^2 theta / (s^2 (1 + s^2)). Theory only; no records.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import expit

from figures.records import World
from figures.style import finish, new
from theory.confidence import confidence_bounds, expected_confidence, shortfall, theorem2_bound

__all__ = ["WORLDS", "draw"]

WORLDS: tuple[str, ...] = ()
RANKS = (1, 2, 4, 10)
RHO = np.geomspace(0.02, 100, 200)
SMALLEST = 1e-6  # of the lower axes
EXACT = {"color": "#000000", "linewidth": 2.2, "label": "exact", "zorder": 3}
THEOREM2 = {"color": "#882255", "linewidth": 1.8, "label": "Theorem 2 (upper)"}
ORDERS = {1: ("#56B4E9", "-"), 3: ("#44AA99", (0, (4, 1.5)))}


def linear(ax: Axes, rho: np.ndarray) -> None:
    """xi and its bounds."""
    for order, (colour, style) in ORDERS.items():
        for bound in confidence_bounds(rho, order):
            ax.plot(
                RHO, bound, color=colour, linestyle=style, linewidth=1.2, label=f"order {order} (both sides)"
            )
    ax.plot(RHO, theorem2_bound(rho), **THEOREM2)  # type: ignore[arg-type]
    ax.plot(RHO, expected_confidence(rho), **EXACT)  # type: ignore[arg-type]
    ax.set_ylim(0.49, 1.01)


def logarithmic(ax: Axes, rho: np.ndarray) -> None:
    """1 - xi and 1 - bounds, each computed without the cancellation of 1 - (1 - x)."""
    for order, (colour, style) in ORDERS.items():
        for bound in confidence_bounds(rho, order):
            ax.plot(RHO, 1 - np.asarray(bound), color=colour, linestyle=style, linewidth=1.2)
    ax.plot(RHO, expit(-rho.sum(axis=-1) / 2), **THEOREM2)  # type: ignore[arg-type]
    ax.plot(RHO, shortfall(rho), **EXACT)  # type: ignore[arg-type]
    ax.set_yscale("log")
    ax.set_ylim(SMALLEST, 0.8)


def draw(worlds: dict[str, World]) -> Figure:
    """xi above, 1 - xi below, a column a rank."""
    figure, axes = new(2, len(RANKS), 11, 5.8, sharex=True, sharey="row")
    for column, r in zip(axes.T, RANKS, strict=True):
        rho = np.repeat(RHO[:, None], r, axis=1)
        linear(column[0], rho)
        logarithmic(column[1], rho)
        column[0].set_title(f"r = {r} equal angles" if r > 1 else "r = 1 angle")
        column[1].set_xscale("log")
        column[1].set_xlabel("ρ = sin²θ / (s²(1 + s²))")
    axes[0, 0].set_ylabel("expected confidence ξ")
    axes[1, 0].set_ylabel("1 − ξ (log axis)")
    return finish(
        figure,
        "Exact confidence against Theorem 2",
        "Two classes N(0, U_c U_c' + s² I) whose subspaces meet at r equal principal angles θ; confidence of the Bayes "
        "classifier in the true label, exact (quadrature). Theorem 2 (paper, as reported in secondary notes): "
        "ξ ≤ sigmoid(rρ/2); orders 1 and 3: our bounds from 1 and 3 nodes, upper and lower. Below: 1 − ξ falls like a "
        "power of ρ, Theorem 2's 1 − bound like exp(−rρ/2). No simulation, no seeds.",
        handles=axes[0, 0].get_lines(),
    )
