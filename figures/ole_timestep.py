"""Is real data's OLE smallest at a middle timestep (the U-shape), and does that survive normalising?"""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from figures.ole import per_class
from figures.records import World, ole_at
from figures.style import finish, fit_y, interval, new, row_name, seeds_of

__all__ = ["WORLDS", "ALSO", "draw"]

WORLDS = ("digits-weak", "digits-strong")
ALSO = ("fashion-mnist", "fashion-mnist-strong")
INPUTS = {"clean": ("#56B4E9", "o", "clean input"), "noised": ("#332288", "s", "input noised to level t")}
COLUMNS = [(kind, latent) for kind in ("raw", "normalised") for latent in ("flattened", "pooled")]
NAMES = {"raw": "OLE", "normalised": "OLEn", "flattened": "flattened", "pooled": "mean-pooled"}


def read(world: World, **at: Any) -> np.ndarray:
    """(seeds,): one OLE of real data."""
    return world.floor(lambda m: ole_at(m["ole"], **at))


def draw(worlds: dict[str, World]) -> Figure:
    """OLE of held-out real data against timestep: a row a regime, columns {raw, normalised} x {flattened, pooled}."""
    figure, axes = new(len(worlds), 4, 10.4, 0.9 + 2.35 * len(worlds), sharex=True)
    handles = []
    for ax in axes[-1]:
        ax.set_xlabel("timestep t")
    for row, world in zip(axes, worlds.values(), strict=True):
        steps = world.settings["preset"]["world"]["ole_timesteps"]
        for ax, (kind, latent) in zip(row, COLUMNS, strict=True):
            parts: list[np.ndarray] = []
            for mode, (colour, marker, label) in INPUTS.items():
                at = {"kind": kind, "input": mode, "latent": latent}
                values = np.transpose([read(world, timestep=t, **at) for t in steps])
                parts.append(values)
                mean, low, high = interval(values)
                handles += ax.plot(steps, mean, color=colour, marker=marker, label=label)
                ax.plot(steps, values.T, color=colour, linewidth=0.7, alpha=0.45)
                if world.n > 1:
                    ax.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
            ax.set_title(f"{NAMES[kind]}, {NAMES[latent]}")
            fit_y(ax, parts)
            ax.set_xticks([0, 250, 500, 750, 1000])
        row[0].set_ylabel(f"{row_name(world.name)}\nOLE (units of the latents)")
        row[2].set_ylabel("OLEn (no unit)")
    return finish(
        figure,
        "OLE of real data against the timestep",
        f"Held-out real images, {per_class(worlds)} a class, through generation 0's bottleneck with the null label. "
        f"Thin lines: seeds. {seeds_of(worlds.values())}",
        worlds.values(),
        handles,
    )
