"""How do OLE and confidence move by generation, mechanism by mechanism?

Changes since generation 0, paired by seed, under SYN and ACUR. Map (f), by generation.
"""

import numpy as np
from matplotlib.figure import Figure

from figures.map_mechanisms import LOGS, READINGS, SHOWN
from figures.style import FLOOR, LOOKS, finish, generations, interval, new
from figures.tables import SweepTable, seeds_said

__all__ = ["SWEEPS", "draw"]

SWEEPS = ("mechanisms",)


def draw(tables: dict[str, SweepTable]) -> Figure:
    """A row a reading, a column a situation."""
    table = tables["mechanisms"]
    names = list(dict.fromkeys(table.frame["situation"]))
    figure, axes = new(
        len(READINGS), len(names), max(9.0, 2.2 + 1.3 * len(names)), 8.6, sharex=True, sharey="row"
    )
    for row, reading in zip(axes, READINGS, strict=True):
        scale = np.log if reading in LOGS else np.asarray
        by = table.by(reading, "situation", "policy")
        for ax, name in zip(row, names, strict=True):
            for policy in SHOWN:
                look, v = LOOKS[policy], scale(by[name, policy])
                mean, low, high = interval(v - v[:, :1])
                k = np.arange(len(mean))
                ax.fill_between(k, low, high, color=look.colour, alpha=0.25, linewidth=0)
                ax.plot(
                    k, mean, look.marker, linestyle="-", color=look.colour, label=look.label, markersize=3.5
                )
            ax.axhline(0, color=FLOOR, linewidth=1)
        row[0].set_ylabel(READINGS[reading].replace(", ", ",\n"))
    for ax, name in zip(axes[0], names, strict=True):
        ax.set_title(name.replace(" and ", "\nand ").replace(" sampling ", "\nsampling "), fontsize=8.5)
    for ax in axes[-1]:
        generations(ax, table.last)
        ax.set_xlabel("generation k", fontsize=8)
    return finish(
        figure,
        "OLE, confidence and the truth, by generation",
        f"Change since generation 0 of {', '.join(READINGS.values())}, of {table.cells[0].n} samples made, and of the "
        f"law they are drawn from. Bands: 95% t-intervals. {seeds_said([table])}",
        [table],
        handles=axes[0, 0].get_legend_handles_labels()[0],
    )
