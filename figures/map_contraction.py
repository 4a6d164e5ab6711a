"""Where does keeping the most confident beat random choice, by contraction and kept part?

D = log d(top-N) - log d(random), paired by seed; d = (1/v - 1 + log v)/2 is the KL divergence per dimension of the
variance v (over its true value) of the law that is sampled, along the class's own plane. Below 0 top-N is nearer. The
line is theory.selection.boundary_fraction of what is made (infinite sample, no noise). Map (b).
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from figures.map_leakage import edges
from figures.style import DASHED, finish, new
from figures.tables import SweepTable, paired, seeds_said, signs
from theory.selection import boundary_fraction

__all__ = ["SWEEPS", "GENERATIONS", "draw", "divergence", "differences"]

SWEEPS = ("contraction-kept",)
GENERATIONS = (1, 5, 15)
TOP, RANDOM = "ACU-LSF-CLASS", "ACUR-CLASS"
SPAN = 5.0  # of the colours, in nats of log divergence


def divergence(v: np.ndarray) -> np.ndarray:
    """(1/v - 1 + log v)/2, nats per dimension."""
    return (1 / v - 1 + np.log(v)) / 2


def differences(table: SweepTable) -> dict[tuple[float, float], np.ndarray]:
    """D (seeds, K + 1) by (q, lam)."""
    own = table.by("energy_own", "kept", "mechanisms.temperature", "policy")
    pairs = dict.fromkeys((q, lam) for q, lam, _ in own)
    return {
        (q, lam): paired(divergence(own[q, lam, TOP]), divergence(own[q, lam, RANDOM])) for q, lam in pairs
    }


def panel(ax: Axes, D: dict[tuple[float, float], np.ndarray], k: int, norm: TwoSlopeNorm) -> None:
    """Mean D of each cell; in brackets where the interval holds 0."""
    q, lam = (np.array(sorted({key[i] for key in D})) for i in (0, 1))
    mean = np.array([[D[a, b][:, k].mean() for b in lam] for a in q])
    clear = np.array([[int(signs(D[a, b][:, k])) for b in lam] for a in q])
    y = np.exp(edges(np.log(q)))
    x = edges(lam)
    ax.pcolormesh(x, y, mean, cmap="PuOr_r", norm=norm, zorder=0)
    for i, j in np.ndindex(mean.shape):
        word = f"{mean[i, j]:.1f}" if clear[i, j] else f"({mean[i, j]:.1f})"
        colour = "white" if abs(mean[i, j]) > 0.6 * SPAN else "black"
        text = ax.text(float(lam[j]), float(q[i]), word, ha="center", va="center", fontsize=8, color=colour)
        text.set_path_effects([withStroke(linewidth=2, foreground="black" if colour == "white" else "white")])
    fine = np.append(np.linspace(max(x[0], 0.05), 0.99, 80), 0.999)
    for made, style in ((True, {"linewidth": 2}), (False, {"linestyle": DASHED})):
        label = f"predicted boundary of what is {'made (D)' if made else 'kept'}"
        line = ax.plot(fine, boundary_fraction(fine, k, made=made), color="black", label=label, **style)[0]
        line.set_path_effects([withStroke(linewidth=4, foreground="white")])
    ax.set_yscale("log")
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(y[0], y[-1])
    ax.set_xticks(lam)
    ax.set_yticks(q, [f"{a:g}" for a in q])
    ax.minorticks_off()
    ax.grid(visible=False)
    ax.set_xlabel("generator's factor λ on the variance")
    ax.set_title(f"generation {k}")


def draw(tables: dict[str, SweepTable]) -> Figure:
    """A panel a generation."""
    table = tables["contraction-kept"]
    D = differences(table)
    shown = [k for k in GENERATIONS if k <= table.last]
    shown = [*shown, table.last] if shown[-1] < table.last and len(shown) < len(GENERATIONS) else shown
    figure, axes = new(1, len(shown), 3.9 * len(shown) + 0.9, 4.9, sharey=True)
    norm = TwoSlopeNorm(0, -SPAN, SPAN)
    for ax, k in zip(axes[0], shown, strict=True):
        panel(ax, D, k, norm)
    axes[0, 0].set_ylabel("part q of the pool that is kept")
    bar = figure.colorbar(ScalarMappable(norm, "PuOr_r"), ax=list(axes[0]), shrink=0.9, extend="both")
    bar.set_label("D: below 0 top-N is nearer")
    world = table.cells[0].world
    return finish(
        figure,
        "Top-N against random choice, by contraction and kept part",
        f"Two planes at {world.angles:g}° in {world.dim} dimensions, s = {world.noise:g}, {table.cells[0].n // 2} new "
        "samples of each class a generation; the part q of the whole growing pool is kept, by confidence or at random, "
        "class by class. D = log d(top-N) - log d(random) of the law that is sampled, d the KL divergence per "
        "dimension along the class's own plane; in brackets where its 95% interval holds 0. Lines: theory.selection."
        "boundary_fraction, above it top-N is nearer, for an infinite sample without noise (our statement C3). "
        f"{seeds_said([table])}",
        [table],
        handles=axes[0, 0].get_legend_handles_labels()[0],
    )
