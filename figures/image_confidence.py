"""Does the filter's confidence in what the image loops make fall, under which policy and in which regime?"""

from matplotlib.figure import Figure

from figures.records import World
from figures.style import (
    FRONT,
    WORLD_NAMES,
    bars,
    finish,
    fit_y,
    floor_line,
    generations,
    name_ends,
    new,
    seeds_of,
)

__all__ = ["WORLDS", "ALSO", "draw"]

WORLDS = ("digits-weak-long", "digits-strong-long")
ALSO = ("fashion-mnist", "fashion-mnist-strong")


def draw(worlds: dict[str, World]) -> Figure:
    """Mean log-odds of the own label by generation, a panel a regime, a line a policy."""
    figure, axes = new(1, len(worlds), 4.6 * len(worlds) + 0.6, 4.2)
    for ax, world in zip(axes[0], worlds.values(), strict=True):
        parts = {p: world.values(p, lambda m: m["log_odds"]) for p in FRONT if p in world.policies}
        for p, values in parts.items():
            bars(ax, range(world.last + 1), values, p)
        real = world.floor(lambda m: m["log_odds"])
        floor_line(ax, real, "held-out real data")
        fit_y(ax, [*parts.values(), real])
        generations(ax, world.last)
        name_ends(ax, {p: float(values[:, -1].mean()) for p, values in parts.items()})
        ax.set_title(WORLD_NAMES[world.name])
    axes[0, 0].set_ylabel("mean log-odds of own label (nats)")
    return finish(
        figure,
        "Confidence by generation in the image loops",
        "Log-odds log p/(1 - p) of the label a sample was made for, under the filter's probe, fitted once on real data "
        "and generation 0's latents (flattened, clean input, null label). Dashed grey: held-out real data. "
        + seeds_of(worlds.values()),
        worlds.values(),
    )
