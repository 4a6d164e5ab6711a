"""Does OLE rise as a loop degrades, at which timestep, in which regime, raw or normalised?"""

import numpy as np
from matplotlib.figure import Figure

from figures.records import World, ole_at
from figures.style import bars, finish, fit_y, floor_line, generations, new, row_name, seeds_of
from sims.presets import BEST

__all__ = ["WORLDS", "ALSO", "draw"]

WORLDS = ("digits-weak", "digits-strong")
ALSO = ("fashion-mnist", "fashion-mnist-strong")
POLICIES = ("REAL", "SYN", "ACUR", "ACU-LSF", BEST)
KINDS = {"raw": "OLE / OLE of real data", "normalised": "OLEn / OLEn of real data"}


def shown(timesteps: list[int]) -> list[int]:
    """Four of the timesteps, 200 (the filter's, and the claims') among them where there is such a one."""
    if len(timesteps) <= 4:
        return timesteps
    middle = 200 if 200 in timesteps else timesteps[len(timesteps) // 3]
    later = min(timesteps, key=lambda t: abs(t - 500))
    return sorted({timesteps[0], middle, later, timesteps[-1]})


def per_class(worlds: dict[str, World]) -> str:
    """How many samples of a class OLE is read from."""
    return " or ".join(
        str(n) for n in sorted({w.settings["preset"]["world"]["ole_per_class"] for w in worlds.values()})
    )


def draw(worlds: dict[str, World]) -> Figure:
    """OLE over that of held-out real data by generation: rows regime x {raw, normalised}, a column a timestep."""
    steps = shown(next(iter(worlds.values())).settings["preset"]["world"]["ole_timesteps"])
    figure, axes = new(
        2 * len(worlds), len(steps), 2.35 * len(steps), 0.9 + 2.2 * 2 * len(worlds), sharey="row"
    )
    handles = []
    for ax, t in zip(axes[0], steps, strict=True):
        ax.set_title(f"t = {t}")
    cases = [(world, kind) for world in worlds.values() for kind in KINDS]
    for row, (world, kind) in zip(axes, cases, strict=True):
        drawn = []
        for ax, t in zip(row, steps, strict=True):
            at = {"kind": kind, "timestep": t, "input": "clean", "latent": "flattened"}
            real = world.floor(lambda m, at=at: ole_at(m["ole"], **at))  # type: ignore[misc]
            for p in POLICIES:
                ratio = world.values(p, lambda m, at=at: ole_at(m["ole"], **at)) / real[:, None]  # type: ignore[misc]
                drawn.append(ratio)
                handles.append(bars(ax, range(world.last + 1), ratio, p))
            handles.append(floor_line(ax, real / real, "held-out real data"))
            generations(ax, world.last)
            ax.label_outer()
        fit_y(row[0], [*drawn, np.ones(world.n)])
        row[0].set_ylabel(f"{row_name(world.name)}\n{KINDS[kind]}")
    n = per_class(worlds)
    return finish(
        figure,
        "OLE by generation and timestep",
        f"Latents: generation-0 bottleneck at timestep t, flattened, clean input, null label; {n} samples a class, as "
        "many of held-out real data. OLE = sum of the classes' nuclear norms less that of all; OLEn: "
        "over that sum. " + seeds_of(worlds.values()),
        worlds.values(),
        handles,
    )
