"""Which policy is best in the end, and is it the same one whether generation 0 was weak or strong?"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from figures.records import World
from figures.style import (
    FRONT,
    LOOKS,
    WORLD_NAMES,
    finish,
    fit_y,
    floor_line,
    interval,
    new,
    plain_logarithms,
    seeds_of,
)

__all__ = ["WORLDS", "METRICS", "draw"]

WORLDS = ("digits-weak", "digits-strong")
METRICS = {
    "frechet": "Fréchet distance",
    "precision": "k-NN precision",
    "recall": "k-NN recall",
    "coverage": "coverage",
    "accuracy": "label accuracy",
    "variance_ratio": "variance / real",
}
UNIT = (-0.03, 1.012)  # the axis of a share
LOG = ("frechet", "variance_ratio")


def dot(ax: Axes, y: float, values: np.ndarray, policy: str, log: bool) -> None:
    """Mean, interval and every seed of one policy, at height y."""
    look = LOOKS[policy]
    mean, low, high = (np.exp(a) for a in interval(np.log(values))) if log else interval(values)
    if len(values) > 1:
        ax.plot([low, high], [y, y], color=look.colour, linewidth=2, solid_capstyle="butt", zorder=2)
    ax.plot(values, np.full(len(values), y - 0.27), "|", color=look.colour, markersize=4, markeredgewidth=0.8)
    face = "white" if look.hollow else look.colour
    ax.plot(
        [mean],
        [y],
        look.marker,
        color=look.colour,
        markerfacecolor=face,
        markersize=6,
        zorder=3,
        label=look.label,
    )


def panel(ax: Axes, world: World, metric: str) -> None:
    """One metric of one regime: a line a policy, the floor as a line across."""
    log = metric in LOG
    policies = [p for p in FRONT if p in world.policies]
    values = {p: world.values(p, lambda m: m[metric], world.last)[:, 0] for p in policies}
    for i, (p, v) in enumerate(values.items()):
        dot(ax, len(policies) - 1 - i, v, p, log)
    floor = world.floor(lambda m: m[metric])
    floor_line(ax, floor, "floor", log, vertical=True)
    limit_x(ax, [*values.values(), floor], log)
    ax.set_yticks(range(len(policies)), [LOOKS[p].label for p in reversed(policies)])
    ax.set_ylim(-0.6, len(policies) - 0.4)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", visible=False)


def limit_x(ax: Axes, parts: list[np.ndarray], log: bool) -> None:
    """`fit_y` for a horizontal axis."""
    probe = Figure().subplots()
    fit_y(probe, parts, log, *(() if log else UNIT))
    ax.set_xscale("log" if log else "linear")
    ax.set_xlim(probe.get_ylim())
    if log:
        plain_logarithms(ax, "x")
    else:
        ax.xaxis.set_major_locator(MaxNLocator(4, prune="lower"))


def draw(worlds: dict[str, World]) -> Figure:
    """Six metrics at the last generation: a row a regime, a column a metric, a dot with its interval a policy."""
    figure, axes = new(2, len(METRICS), 13, 5.4, sharey="row")
    for ax, name in zip(axes[0], METRICS.values(), strict=True):
        ax.set_title(name)
    for row, world in zip(axes, worlds.values(), strict=True):
        for ax, metric in zip(row, METRICS, strict=True):
            panel(ax, world, metric)
            ax.tick_params(axis="x", labelsize=8)
        row[0].set_ylabel(WORLD_NAMES[world.name])
    return finish(figure, f"Policies at generation {last_of(worlds)}", caption(worlds), worlds.values())


def last_of(worlds: dict[str, World]) -> str:
    """K, or the Ks."""
    return " and ".join(str(k) for k in sorted({w.last for w in worlds.values()}))


def caption(worlds: dict[str, World]) -> str:
    """What was measured, on how many samples, in which feature space."""
    world = next(iter(worlds.values()))
    one: dict[str, Any] = world.runs[0].of("SYN", world.last)["metrics"]
    space = world.settings["notes"]["feature_space"]
    return (
        f"{one['n']} generated against {one['n_reference']} real reference samples in the feature space {space} "
        "(distance in its squared units, log axis; variance within classes, over that of real data, log axis); "
        "label accuracy by another classifier. Dashed grey: real data against real data. ACU trains on everything, all "
        f"others on N = {world.settings['preset']['budget']}. {seeds_of(worlds.values())} Ticks: single seeds. "
        "Intervals may run beyond an axis; those of log axes are of logarithms. Verdicts stand on "
        "differences paired by seed."
    )
