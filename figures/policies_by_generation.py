"""When do the policies part? Distance, precision, recall and label accuracy by generation."""

from matplotlib.figure import Figure

from figures.policies import LOG, METRICS, UNIT, WORLDS, caption
from figures.records import World
from figures.style import FRONT, WORLD_NAMES, bars, finish, fit_y, floor_line, generations, new

__all__ = ["WORLDS", "draw"]

SHOWN = ("frechet", "precision", "recall", "accuracy")


def draw(worlds: dict[str, World]) -> Figure:
    """A row a regime, a column a metric, a line a policy."""
    figure, axes = new(2, len(SHOWN), 12, 6.2)
    handles = []
    for row, world in zip(axes, worlds.values(), strict=True):
        policies = [p for p in FRONT if p in world.policies]
        for ax, metric in zip(row, SHOWN, strict=True):
            log = metric in LOG
            floor = world.floor(lambda m, metric=metric: m[metric])  # type: ignore[misc]
            parts = {p: world.values(p, lambda m, metric=metric: m[metric]) for p in policies}  # type: ignore[misc]
            handles += [bars(ax, range(world.last + 1), values, p, log) for p, values in parts.items()]
            handles.append(floor_line(ax, floor, "real against real data", log))
            fit_y(ax, [*parts.values(), floor], log, *(() if log else UNIT))
            generations(ax, world.last)
            ax.set_title(METRICS[metric])
        row[0].set_ylabel(WORLD_NAMES[world.name])
    return finish(
        figure,
        "Policies by generation",
        caption(worlds).replace(" Ticks: single seeds.", ""),
        worlds.values(),
        handles,
    )
