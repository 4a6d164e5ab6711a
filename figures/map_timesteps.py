"""What becomes of separation by timestep, in the exact-score world, as generations pass?

CSNR (own energy of the latents over the rest) and OLEn of posterior means, by timestep, input (clean or noised) and
generation, mechanism by mechanism; for noised real data beside theory.timestep.csnr. Map (g).
"""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.style import DASHED, FLOOR, finish, interval, new, plain_logarithms
from figures.tables import SweepTable, seeds_said
from sims.exact_score import noise_level
from theory.timestep import csnr

__all__ = ["SWEEPS", "draw", "curves"]

SWEEPS = ("timesteps",)
PANELS = {
    ("csnr", "noised"): "CSNR, noised",
    ("ole_normalised", "noised"): "OLEn, noised",
    ("ole_normalised", "clean"): "OLEn, clean",
    ("ole", "clean"): "raw OLE, clean",
}


def curves(table: SweepTable, reading: str) -> dict[tuple[str, str], np.ndarray]:
    """(seeds, generations -1 .. K, timesteps) of a reading, by mechanism and input."""
    by = table.by(reading, "mechanism", "input", "generation", across="timestep")
    pairs = dict.fromkeys((m, i) for m, i, _ in by)
    return {(m, i): np.stack([by[m, i, k] for k in range(-1, table.last + 1)], axis=1) for m, i in pairs}


def timesteps(table: SweepTable) -> np.ndarray:
    """t, rising."""
    return np.array(sorted(table.rows["timestep"].unique()))


def panel(ax: Axes, t: np.ndarray, values: np.ndarray, log: bool) -> None:
    """A line with its interval for each generation, real data in grey."""
    K = values.shape[1] - 2
    for i in range(K + 2):
        colour = FLOOR if i == 0 else colormaps["viridis"](0.9 * (i - 1) / max(K, 1))
        mean, low, high = (
            (np.exp(a) for a in interval(np.log(values[:, i]))) if log else interval(values[:, i])
        )
        ax.fill_between(t, low, high, color=colour, alpha=0.2, linewidth=0)
        label = "real data" if i == 0 else f"generation {i - 1}"
        ax.plot(t, mean, "o", linestyle="-", color=colour, markersize=3, linewidth=1.2, label=label)
    ax.set_xscale("log")
    plain_logarithms(ax, "x")
    if log:
        ax.set_yscale("log")
        plain_logarithms(ax)


def draw(tables: dict[str, SweepTable]) -> Figure:
    """A row a reading, a column a mechanism."""
    table = tables["timesteps"]
    t, world = timesteps(table), table.cells[0].world
    w = np.array([noise_level(int(a)) for a in t])
    names = list(dict.fromkeys(table.frame["mechanism"]))
    figure, axes = new(
        len(PANELS), len(names), max(9.0, 1 + 3.1 * len(names)), 10.4, sharex=True, sharey="row"
    )
    for row, ((reading, given), label) in zip(axes, PANELS.items(), strict=True):
        found = curves(table, reading)
        for ax, name in zip(row, names, strict=True):
            panel(ax, t, found[name, given], reading != "ole_normalised")
            if (reading, given) == ("csnr", "noised") and world.angles == 90.0:
                theory = csnr(w, world.dim, world.rank, world.noise)
                ax.plot(t, theory, color="black", linestyle=DASHED, label="theory, real data")
        row[0].set_ylabel(label)
    for ax, name in zip(axes[0], names, strict=True):
        ax.set_title(name)
    for ax in axes[-1]:
        ax.set_xlabel("timestep t")
    return finish(
        figure,
        "Separation by timestep as generations pass: the exact-score world",
        f"SYN; two classes of rank {world.rank} at {world.angles:g}° in {world.dim} dimensions, floor s = "
        f"{world.noise:g}. Latents: posterior means of all classes together, E[x₀ | x_t], of the generation-0 model "
        "fitted to real data, without a label; x_t noised, or the clean x taken for x_t. CSNR: energy within the own "
        "class's subspace over the rest. Theory: theory.timestep.csnr, our statement D, for real data seen through the "
        f"true denoiser; real: data that no model has seen. {table.cells[0].n} samples a generation, log axes with "
        f"intervals of logarithms. {seeds_said([table])} The paper's claim, as reported in secondary notes: OLE is "
        "U-shaped in t.",
        [table],
        handles=axes[0, 0].get_legend_handles_labels()[0],
    )
