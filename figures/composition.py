"""What do the filters keep? Share of real data, mean generation and smallest class, by generation."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.policies import GROUPS
from figures.records import World
from figures.style import FLOOR, WORLD_NAMES, bars, finish, fit_y, generations, name_ends, new, seeds_of

__all__ = ["WORLDS", "PARTS", "draw"]

WORLDS = ("digits-weak", "digits-strong")
PARTS = {
    "share_real": "share of real data",
    "mean_generation": "mean generation (real = 0)",
    "smallest_class": "share of the smallest class",
}
FILTERS = ("ACUR", "ACU-LSF", *GROUPS["confidence, other rules"], *GROUPS["against trusted real data"])


def panel(ax: Axes, world: World, part: str) -> None:
    """One number by generation, a line a filter."""
    filters = [p for p in FILTERS if p in world.policies]
    values = {p: world.of(p, lambda r: r["trained_on"][part], 1) for p in filters}
    for p, own in values.items():
        bars(ax, range(1, world.last + 1), own, p, apart=0.01)
    fit_y(ax, list(values.values()))
    if part == "smallest_class":
        fair = 1 / len(world.runs[0].floor["retention"])
        ax.axhline(fair, color=FLOOR, linestyle=(0, (5, 2)), linewidth=1.2)
        ax.set_ylim(-0.004, 1.08 * fair)
    generations(ax, world.last, 1)
    name_ends(ax, {p: float(own[:, -1].mean()) for p, own in values.items()})


def draw(worlds: dict[str, World]) -> Figure:
    """A row a regime, a column a number, a line a filter."""
    figure, axes = new(len(worlds), len(PARTS), 13, 0.7 + 3.1 * len(worlds))
    for row, world in zip(axes, worlds.values(), strict=True):
        for ax, part in zip(row, PARTS, strict=True):
            panel(ax, world, part)
            ax.set_title(PARTS[part])
        row[0].set_ylabel(WORLD_NAMES[world.name], weight="bold")
    return finish(
        figure,
        "What the filters keep",
        "What generation k is trained on: N samples of everything accumulated, real data and generations 0 to k - 1, "
        "under each filter's own loop. ACUR chooses at random: what it keeps is the pool's own. Dashed grey: a class's "
        f"fair share. {seeds_of(worlds.values())}",
        worlds.values(),
    )
