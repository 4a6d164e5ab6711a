"""How deep is the U in the timestep, and where is its lowest point, as generations pass?

Depth: min(OLE at both ends) / OLE(t*) - 1, t* the lowest interior point of the mean over one half of the seeds, depth
over the other half (the statistic of `ole-u-shape`; below 0 there is no U). For raw and normalised OLE, clean and
noised input, in the exact-score world. Map (g), its depth.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.map_timesteps import curves, timesteps
from figures.style import DASHED, FLOOR, HUES, finish, generations, interval, new, plain_logarithms
from figures.tables import SweepTable, seeds_said

__all__ = ["SWEEPS", "draw", "depth", "lowest"]

SWEEPS = ("timesteps",)
READINGS = {"ole": "raw OLE", "ole_normalised": "OLEn"}
MARGIN = 0.05  # of the claim


def depth(values: np.ndarray) -> np.ndarray:
    """(half of the seeds,) from values (seeds, timesteps): even seeds choose t*, odd ones are measured."""
    at = 1 + int(np.argmin(values[::2].mean(axis=0)[1:-1]))
    other = values[1::2]
    return np.minimum(other[:, 0], other[:, -1]) / other[:, at] - 1


def lowest(t: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Interior timestep (seeds,) at which each seed is lowest."""
    return t[1:-1][np.argmin(values[:, 1:-1], axis=1)]


def panels(deep: Axes, where: Axes, t: np.ndarray, found: dict[str, np.ndarray]) -> None:
    """Depth above, place of the lowest point below; only where there is a U."""
    most = -np.inf
    for i, (name, values) in enumerate(found.items()):
        k = np.arange(-1, values.shape[1] - 1) + 0.08 * (i - 1.5)
        D = np.stack([depth(values[:, j]) for j in range(values.shape[1])], axis=1)
        mean, low, high = interval(D)
        deep.vlines(k, low, high, color=HUES[i], linewidth=1.5)
        deep.plot(k, mean, "os^D"[i], linestyle="-", linewidth=1, color=HUES[i], label=name)
        place = np.stack([lowest(t, values[:, j]) for j in range(values.shape[1])], axis=1)
        middle, left, right = (np.exp(a) for a in interval(np.log(place)))
        seen = mean > 0
        most = max(most, float(mean.max()))
        where.vlines(k[seen], left[seen], right[seen], color=HUES[i], linewidth=1.5)
        where.plot(k[seen], middle[seen], "os^D"[i], linestyle="-", linewidth=1, color=HUES[i])
    deep.axhline(0, color=FLOOR, linewidth=1)
    deep.axhline(MARGIN, color=FLOOR, linewidth=1, linestyle=DASHED)
    if most <= 0:
        where.text(
            0.5, 0.5, "no U: lowest at an end", ha="center", transform=where.transAxes, color="#555555"
        )
    where.set_yscale("log")
    where.set_ylim(t[0], t[-1])
    plain_logarithms(where)


def draw(tables: dict[str, SweepTable]) -> Figure:
    """A column a convention."""
    table = tables["timesteps"]
    t = timesteps(table)
    names = list(dict.fromkeys(table.frame["mechanism"]))
    figure, axes = new(2, 4, 13, 6.4, sharex=True)
    columns = [(reading, given) for reading in READINGS for given in ("clean", "noised")]
    for (deep, where), (reading, given) in zip(axes.T, columns, strict=True):
        found = curves(table, reading)
        panels(deep, where, t, {name: found[name, given] for name in names})
        deep.set_title(f"{READINGS[reading]}, {given} input")
        generations(where, table.last, -1)
    axes[0, 0].set_ylabel("depth of the U")
    axes[1, 0].set_ylabel("lowest timestep t*")
    return finish(
        figure,
        "The U-shape in the timestep, by generation",
        "The exact-score world of the map of timesteps, SYN; generation -1 is real data that no model has seen. Depth: "
        f"the lower of both ends (t = {t[0]}, {t[-1]}) over OLE at its lowest interior point, less 1; that point is "
        f"chosen on one half of the seeds and measured on the other ({table.n // 2}). Dashed: {MARGIN:.0%}, the margin "
        "of the claim ole-u-shape (the paper's, as reported in secondary notes); below 0 there is no U. Lowest "
        f"timestep: mean of logarithms over all seeds, on a grid of {len(t)} timesteps, where there is a U. "
        f"{seeds_said([table])}",
        [table],
        handles=axes[0, 0].get_legend_handles_labels()[0],
    )
