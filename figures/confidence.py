"""Does the filter's confidence in generated samples fall from generation to generation, and whose?"""

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
    new,
    seeds_of,
    stretched,
)

__all__ = ["WORLDS", "draw"]

WORLDS = ("gaussian", "low-rank", "digits-weak", "digits-strong")


def draw(worlds: dict[str, World]) -> Figure:
    """Mean log-odds of the own label by generation, a panel a world, a line a policy."""
    figure, axes = new(2, 2, 8.2, 6.9)
    handles = []
    for ax, world in zip(axes.flat, worlds.values(), strict=True):
        real = world.floor(lambda m: m["log_odds"])
        parts = {p: world.values(p, lambda m: m["log_odds"]) for p in FRONT if p in world.policies}
        lines = [bars(ax, range(world.last + 1), values, p) for p, values in parts.items()]
        handles += [*lines, floor_line(ax, real, "held-out real data")]
        fit_y(ax, [*parts.values(), real])
        if "digits" not in world.name:
            stretched(ax)
        generations(ax, world.last)
        ax.set_title(WORLD_NAMES[world.name])
        ax.set_ylabel("mean log-odds of own label (nats)")
    return finish(
        figure,
        "Confidence by generation",
        "Log-odds log p/(1 - p) of the label a sample was made for, under the probe fitted once on real data and "
        "generation 0's latents (digits: flattened, clean input, null label). Upper axes: logarithmic beyond 5. "
        + seeds_of(worlds.values()),
        worlds.values(),
        handles,
        4,
    )
