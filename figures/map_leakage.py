"""At which leakage do classes turn together, by the number of samples, and is it where theory has it?

Growth: (mean cos at the last generation K / mean cos at generation 0)^(1/K), cos the signed cosine of the fitted
subspaces; above 1 they turn together. The crossover (growth 1, linear between grid points) has a 95% bootstrap
interval over seeds. Lines: theory.alignment.critical_leakage, linearised at 90 degrees, and the same map iterated from
the angle of generation 0 on, x -> c2(eps) cos(leakage_angle(arccos x, eps)), x_0 = c2(0) cos theta. Map (a).
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from numpy.random import default_rng

from figures.style import DASHED, FLOOR, HUES, RAMP, finish, new, plain_logarithms
from figures.tables import SweepTable
from theory.alignment import critical_leakage, leakage_angle, pca_overlap

__all__ = ["SWEEPS", "draw", "growth", "crossover", "bootstrap"]

SWEEPS = ("leakage-size",)
RESAMPLES = 2000


def growth(cosines: np.ndarray) -> np.ndarray:
    """Factor of the mean cosine each generation from cosines (..., seeds, K + 1), of shape (...); 0 below cosine 0."""
    mean = cosines.mean(axis=-2)
    return np.maximum(mean[..., -1] / mean[..., 0], 0) ** (1 / (cosines.shape[-1] - 1))


def crossover(leakages: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Least leakage at which the factors (..., leakages) reach 1; the end of the grid where they never do."""
    above = factors >= 1
    i = np.clip(np.argmax(above, axis=-1), 1, None)[..., None]
    low, high = (np.take_along_axis(factors, j, axis=-1)[..., 0] for j in (i - 1, i))
    e_low, e_high = (leakages[j[..., 0]] for j in (i - 1, i))
    with np.errstate(divide="ignore", invalid="ignore"):
        between = e_low + (1 - low) / (high - low) * (e_high - e_low)
    return np.where(above[..., 0], leakages[0], np.where(above.any(axis=-1), between, leakages[-1]))


def bootstrap(leakages: np.ndarray, cosines: np.ndarray) -> tuple[float, float]:
    """95% interval of the crossover of cosines (leakages, seeds, K + 1), whole seeds drawn anew (fixed stream)."""
    n = cosines.shape[1]
    rng = default_rng(0)
    found = [crossover(leakages, growth(cosines[:, rng.integers(n, size=n)])) for _ in range(RESAMPLES)]
    return float(np.quantile(found, 0.025)), float(np.quantile(found, 0.975))


def predicted_growth(
    dim: int, n: int, noise: float, angle: float, leakages: np.ndarray, last: int
) -> np.ndarray:
    """Growth of the iterated map at each leakage."""
    theta = np.full(leakages.shape, np.arccos(float(pca_overlap(dim, n, noise)) * np.cos(angle)))
    first, c_2 = np.cos(theta), np.asarray(pca_overlap(dim, n, noise, leakages))
    for _ in range(last):
        theta = np.arccos(c_2 * np.cos(leakage_angle(theta, leakages, 1)[..., -1]))
    return (np.cos(theta) / first) ** (1 / last)


def cells_of(table: SweepTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """n a class, leakages, and cosines (n, leakages, seeds, K + 1)."""
    by = table.by("aligned_cosine", "cell.n", "mechanisms.leakage")
    sizes, leakages = (np.array(sorted({key[i] for key in by})) for i in (0, 1))
    return sizes // 2, leakages, np.array([[by[n, e] for e in leakages] for n in sizes])


def edges(centres: np.ndarray) -> np.ndarray:
    """Borders between cells whose centres are these."""
    half = np.diff(centres) / 2
    return np.concatenate([[centres[0] - half[0]], centres[:-1] + half, [centres[-1] + half[-1]]])


def heat(ax: Axes, n: np.ndarray, leakages: np.ndarray, cosines: np.ndarray) -> None:
    """Growth by n and leakage, with the crossover: an arrow where it may lie beyond the grid."""
    factors = growth(cosines)
    span = max(float(np.abs(factors - 1).max()), 0.05)
    x, y = np.exp(edges(np.log(n))), edges(leakages)
    ax.pcolormesh(x, y, factors.T, cmap="PuOr_r", norm=TwoSlopeNorm(1, 1 - span, 1 + span), zorder=0)
    step = y[1] - y[0]
    for i, j in np.ndindex(factors.shape):
        dark = abs(factors[i, j] - 1) > 0.55 * span
        place: Any = {"ha": "center", "va": "center", "fontsize": 7.5, "color": "white" if dark else "black"}
        ax.text(float(n[i]), leakages[j] - 0.33 * step, f"{factors[i, j]:.2f}", **place)
    middle = np.array([crossover(leakages, f) for f in factors])
    ends = np.array([bootstrap(leakages, c) for c in cosines])
    ax.vlines(n, ends[:, 0], ends[:, 1], color="black", linewidth=2)
    inside = middle < leakages[-1]
    ax.plot(
        n[inside],
        middle[inside],
        "D",
        color="black",
        markerfacecolor="white",
        label="crossover, 95% interval",
    )
    beyond = ends[:, 1] >= leakages[-1]
    ax.plot(n[beyond], np.full(beyond.sum(), leakages[-1] + 0.2 * step), "^", color="black", markersize=6,
            label="... beyond the grid")  # fmt: skip
    ax.set_xscale("log")
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(y[0], y[-1])
    ax.set_xticks(n, [f"{a:g}" for a in n], minor=False)
    ax.minorticks_off()
    ax.grid(visible=False)
    ax.set_xlabel("n, samples a class")
    ax.set_ylabel("leakage ε")


def borders(ax: Axes, n: np.ndarray, world: Any, last: int) -> None:
    """Predicted crossovers: linearised at 90 degrees, and iterated from the world's angle."""
    fine = np.unique(np.geomspace(n[0], n[-1], 60).astype(int))
    d, s, theta = world.dim, world.noise, np.deg2rad(world.angles)
    ax.plot(fine, critical_leakage(d, fine, s), color="black", linestyle=DASHED, label="predicted, at 90°")
    grid = np.linspace(0, 0.5, 501)
    with np.errstate(invalid="ignore"):
        found = [crossover(grid, predicted_growth(d, m, s, theta, grid, last)) for m in fine]
    shown = np.where(np.array(found) < grid[-1], found, np.nan)
    ax.plot(fine, shown, color=HUES[2], linewidth=1.8, label=f"predicted, iterated from {world.angles:g}°")


def curves(ax: Axes, n: np.ndarray, leakages: np.ndarray, cosines: np.ndarray, world: Any) -> None:
    """Growth against leakage for some n, beside that of the iterated map."""
    fine = np.linspace(leakages[0], leakages[-1], 61)
    some = np.unique(np.linspace(0, len(n) - 1, 4).round().astype(int))
    rng = default_rng(0)
    for i, colour in zip(some, RAMP, strict=False):
        c = cosines[i]
        draws = [growth(c[:, rng.integers(c.shape[1], size=c.shape[1])]) for _ in range(RESAMPLES // 4)]
        low, high = np.quantile(draws, [0.025, 0.975], axis=0)
        ax.vlines(leakages, low, high, color=colour, linewidth=1.5)
        ax.plot(leakages, growth(c), "o", color=colour, label=f"n = {n[i]:g}")
        theory = predicted_growth(
            world.dim, n[i], world.noise, np.deg2rad(world.angles), fine, c.shape[-1] - 1
        )
        ax.plot(fine, theory, color=colour, linestyle=DASHED)
    ax.axhline(1, color=FLOOR, linewidth=1)
    ax.set_yscale("log")
    plain_logarithms(ax)
    ax.set_xlabel("leakage ε")
    ax.set_ylabel("growth of cos a generation")
    ax.legend(fontsize=8, loc="lower right")


def draw(tables: dict[str, SweepTable]) -> Figure:
    """(a) growth by n and leakage, (b) growth against leakage."""
    table = tables["leakage-size"]
    n, leakages, cosines = cells_of(table)
    world, K = table.cells[0].world, table.last
    figure, axes = new(1, 2, 11, 5.2)
    a, b = axes[0]
    heat(a, n, leakages, cosines)
    borders(a, n, world, K)
    curves(b, n, leakages, cosines, world)
    a.set_title("(a) growth of the signed cosine a generation")
    b.set_title("(b) the same against ε; dashed: predicted, iterated")
    return finish(
        figure,
        "Leakage against estimation: when classes turn together",
        f"SYN with a PCA refit, d = {world.dim}, r = {world.rank}, angle {world.angles:g}° at the start, s = "
        f"{world.noise:g}; a share ε of each class is drawn from the other. Growth: (mean signed cosine at generation "
        f"{K} / at generation 0)^(1/{K}), {table.n} seeds; above 1 classes turn together. Intervals by bootstrap over "
        "seeds (95%). Predicted: where estimation and leakage balance, theory.alignment.critical_leakage, and the map "
        "leakage_angle x pca_overlap iterated from the angle of generation 0 on (our statement C2; asymptotic in d and "
        "n). Simulated worlds of ours; no claim of the paper.",
        [table],
        handles=a.get_legend_handles_labels()[0],
    )
