"""Does the filter keep real data? Share of real data in what it keeps beyond the pool's own share.

Both quotas are asked of the very same pools: those that ACUR's loop and ACU-LSF's loop have accumulated.
"""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from figures.records import World
from figures.style import (
    LOOKS,
    WORLD_NAMES,
    bars,
    finish,
    fit_y,
    floor_line,
    generations,
    new,
    seeds_of,
)

__all__ = ["WORLDS", "draw"]

WORLDS = ("gaussian", "low-rank", "digits-weak", "digits-strong")
HISTORIES = ("ACUR", "ACU-LSF")
QUOTAS: dict[str, Any] = {"global": "-", "class": (0, (4, 1.5))}


def draw(worlds: dict[str, World]) -> Figure:
    """A panel a world; colour: whose pool, line style: which quota."""
    figure, axes = new(2, 2, 8.2, 6.2)
    handles = []
    for ax, world in zip(axes.flat, worlds.values(), strict=True):
        parts = []
        for history in HISTORIES:
            for quota, style in QUOTAS.items():
                more = world.of(history, lambda r, q=quota: excess(r["choices"], q), 1)  # type: ignore[misc]
                parts.append(more)
                label = f"{LOOKS[history].label}'s pool, {quota} quota"
                k = range(1, world.last + 1)
                face = LOOKS[history].colour if quota == "global" else "white"
                handles.append(bars(ax, k, more, history, linestyle=style, label=label, markerfacecolor=face))
        handles.append(floor_line(ax, np.zeros(world.n), "a random choice"))
        fit_y(ax, [*parts, np.zeros(world.n)])
        generations(ax, world.last, 1)
        ax.set_title(WORLD_NAMES[world.name])
        ax.set_ylabel("share of real kept − pool's share")
    return finish(
        figure,
        "Does the filter keep real data?",
        "Share of real data among the N most confident of everything accumulated, minus its share in that pool, when "
        "generation k is trained. " + seeds_of(worlds.values()),
        worlds.values(),
        handles,
        3,
    )


def excess(choices: dict[str, dict[str, float]], quota: str) -> float:
    """Share of real data kept, minus the pool's."""
    return choices[quota]["share_real"] - choices["pool"]["share_real"]
