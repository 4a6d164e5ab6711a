"""When do the policies part, and do they go on? Distance, recall, variance and label accuracy to generation 15."""

from matplotlib.figure import Figure

from figures.policies import LOG, UNIT, caption, headed
from figures.records import World
from figures.style import FRONT, bars, finish, fit_y, floor_line, generations, name_ends, new, row_name

__all__ = ["WORLDS", "ALSO", "draw"]

WORLDS = ("digits-weak-long", "digits-strong-long")
ALSO = ("digits-strong-log-snr-long", "fashion-mnist", "fashion-mnist-strong")
SHOWN = ("frechet", "recall", "variance_ratio", "accuracy")


def draw(worlds: dict[str, World]) -> Figure:
    """A row a regime, a column a metric, a line a policy."""
    figure, axes = new(len(worlds), len(SHOWN), 12.5, 0.9 + 2.85 * len(worlds))
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
            ax.set_title(headed(world, metric))
        name_ends(ax, {p: float(values[:, -1].mean()) for p, values in parts.items()})
        row[0].set_ylabel(row_name(world.name), weight="bold")
    return finish(
        figure,
        "Policies by generation",
        f"{caption(worlds, 'recall')} Variance within classes, over that of real data, log axis. Names stand at the "
        "ends of the lines on the right.",
        worlds.values(),
        handles,
    )
