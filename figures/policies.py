"""Which policy is best in the end, and is it the same one whether generation 0 was weak or strong?

Every policy of the image loops: the controls and the paper's, and below them its rule under other choices (green),
rules that compare with trusted real data (wine), and its rule on other latents (brown).
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from figures.records import World
from figures.style import (
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
    "recall": "k-NN recall",
    "coverage": "coverage",
    "accuracy": "label accuracy",
    "precision": "k-NN precision",
    "variance_ratio": "variance / real",
}
SHOWN = ("frechet", "recall", "coverage", "accuracy")
GROUPS = {
    "controls": ("REAL", "ORACLE"),
    "the paper's policies": (
        "SYN",
        "SYN-ADD",
        "ACU",
        "ACU-EQUAL-STEPS",
        "ACUR",
        "ACUR-SIMS",
        "ACUR-SC",
        "ACU-LSF",
    ),
    "confidence, other rules": ("ACU-LSF-CLASS", "ACU-LSF-THRESHOLD", "ACU-LSF-MATCHED"),
    "against trusted real data": ("ACU-RATIO-CLASS", "ACU-RANKSUM-CLASS", "ACU-HERD", "ACU-SHRUNK"),
    "the paper's, other latents": (
        "ACU-LSF-PIXELS",
        "ACU-LSF-PCA",
        "ACU-LSF-CLASSIFIER",
        "ACU-LSF-IMAGENET",
    ),
}
UNIT = (-0.03, 1.012)  # the axis of a share
LOG = ("frechet", "variance_ratio")


def dot(ax: Axes, y: float, values: np.ndarray, policy: str, log: bool) -> None:
    """Mean, interval and every seed of one policy, at height y."""
    look = LOOKS[policy]
    mean, low, high = (np.exp(a) for a in interval(np.log(values))) if log else interval(values)
    if len(values) > 1:
        ax.plot([low, high], [y, y], color=look.colour, linewidth=1.8, solid_capstyle="butt", zorder=2)
    ax.plot(values, np.full(len(values), y - 0.3), ".", color=look.colour, markersize=3)
    face = "white" if look.hollow else look.colour
    shape: dict[str, Any] = {"color": look.colour, "markerfacecolor": face, "markersize": 5.5}
    ax.plot([mean], [y], look.marker, zorder=3, label=look.label, **shape)


def places(policies: tuple[str, ...]) -> dict[str, float]:
    """Heights from the top down of the policies that there are, under the heads of their groups."""
    rows: list[str] = []
    for head, members in GROUPS.items():
        there = [p for p in members if p in policies]
        rows += [head, *there] if there else []
    return {name: float(len(rows) - 1 - i) for i, name in enumerate(rows)}


def panel(ax: Axes, world: World, metric: str) -> None:
    """One metric of one regime: a line a policy, real data as lines across."""
    log = metric in LOG
    heights = places(world.policies)
    values = {p: world.values(p, lambda m: m[metric], world.last)[:, 0] for p in heights if p in LOOKS}
    for p, v in values.items():
        dot(ax, heights[p], v, p, log)
    floor = world.floor(lambda m: m[metric])
    floor_line(ax, floor, "floor", log, vertical=True)
    real = np.exp(np.log(values["REAL"]).mean()) if log else values["REAL"].mean()
    ax.axvline(float(real), color="black", linewidth=0.8, linestyle=":", zorder=1, label="REAL")
    limit_x(ax, [*values.values(), floor], log)
    name_rows(ax, heights)


def name_rows(ax: Axes, heights: dict[str, float]) -> None:
    """Policies in their colour, heads of groups in grey."""
    ax.set_yticks(list(heights.values()), [LOOKS[p].label if p in LOOKS else p for p in heights])
    for tick, name in zip(ax.yaxis.get_major_ticks(), heights, strict=True):
        look = {"color": LOOKS[name].colour} if name in LOOKS else {"color": "#666666", "style": "italic"}
        tick.label1.set(**look)
    ax.set_ylim(-0.7, len(heights) - 0.6)
    ax.tick_params(axis="y", length=0, labelsize=8.5)
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
    """Four metrics at the last generation: rows of panels are regimes, a line a policy."""
    tall = 0.185 * sum(len(places(w.policies)) for w in worlds.values()) + 1.8
    figure, axes = new(len(worlds), len(SHOWN), 11, tall, sharey="row")
    for row, world in zip(axes, worlds.values(), strict=True):
        for ax, metric in zip(row, SHOWN, strict=True):
            panel(ax, world, metric)
            ax.tick_params(axis="x", labelsize=8)
            ax.set_title(headed(world, metric))
        row[0].set_ylabel(WORLD_NAMES[world.name], fontsize=10, weight="bold")
    return finish(
        figure,
        f"Policies at generation {last_of(worlds)}",
        f"{caption(worlds)} Small dots: single seeds. Dotted black: the mean of REAL. Intervals may run beyond an "
        "axis; those of log axes are of logarithms. Verdicts stand on differences paired by seed.",
        worlds.values(),
    )


def headed(world: World, metric: str) -> str:
    """The name of a metric, of a distance with the feature space."""
    space = f"\nin {world.settings['notes']['feature_space']}" if metric == "frechet" else ""
    return METRICS[metric] + space


def last_of(worlds: dict[str, World]) -> str:
    """K, or the Ks."""
    return " and ".join(str(k) for k in sorted({w.last for w in worlds.values()}))


def spaces(worlds: dict[str, World]) -> str:
    """What the distance was taken of, and how many of each; a sentence a feature space."""
    said = []
    for world in worlds.values():
        one = world.runs[0].of(world.policies[0], world.last)["metrics"]
        space = world.settings["notes"]["feature_space"]
        said.append(f"{one['n']} generated against {one['n_reference']} real reference samples in {space}")
    return "; ".join(dict.fromkeys(said))


def caption(worlds: dict[str, World], beside: str = "recall and coverage") -> str:
    """What was measured, on how many samples, in which feature space."""
    budgets = " or ".join(str(n) for n in sorted({w.settings["preset"]["budget"] for w in worlds.values()}))
    alone = (
        " ACU trains on everything, all others on"
        if any("ACU" in w.policies for w in worlds.values())
        else " All on"
    )
    return (
        f"Fréchet distance (squared units of the feature space, log axis), {beside}: {spaces(worlds)}; "
        f"label accuracy by another classifier. Dashed grey: real data against real data.{alone} N = {budgets} a "
        f"generation. {seeds_of(worlds.values())}"
    )
