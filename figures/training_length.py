"""At which quality of generation 0 does the filter turn from help to harm?

D = log distance(ACUR) - log distance(rule) at the last generation, paired by seed: above 0 the rule helps.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Transform, offset_copy

from figures.policies import spaces
from figures.records import World
from figures.style import LOOKS, finish, fit_y, interval, new
from sims.presets import BEST, LENGTHS

__all__ = ["WORLDS", "RULES", "draw", "gain", "crossing"]

WORLDS = tuple(row.name for row in LENGTHS)
RULES = ("ACU-LSF", BEST)


def gain(world: World, rule: str) -> np.ndarray:
    """(seeds,): D at the last generation."""
    a, b = (world.values(p, lambda m: m["frechet"], world.last)[:, 0] for p in ("ACUR", rule))
    return np.log(a) - np.log(b)


def steps_of(world: World) -> int:
    """Training steps of generation 0."""
    return int(world.settings["preset"]["world"]["generator"]["steps"])


def accuracy(world: World) -> np.ndarray:
    """(seeds,): label accuracy of generation 0."""
    return world.values("ACUR", lambda m: m["accuracy"])[:, 0]


def crossing(x: np.ndarray, D: np.ndarray) -> float | None:
    """Where the mean of D first falls through 0, linearly between neighbours of x; None if it does not."""
    for i in range(len(x) - 1):
        if D[i] > 0 >= D[i + 1]:
            return float(x[i] + (x[i + 1] - x[i]) * D[i] / (D[i] - D[i + 1]))
    return None


def panel(ax: Axes, xs: Mapping[str, np.ndarray], worlds: dict[str, World]) -> None:
    """D of both rules against `xs`, one x a seed and world: seeds, and means with their intervals."""
    x = np.array([xs[name].mean() for name in worlds])
    parts = []
    for rule, aside in zip(RULES, (-2.0, 2.0), strict=True):
        look, D = LOOKS[rule], {name: gain(world, rule) for name, world in worlds.items()}
        own: dict[str, Any] = {"color": look.colour, "transform": moved(ax, aside)}
        mean, low, high = np.transpose([interval(D[name]) for name in worlds])
        ax.plot(x, mean, marker=look.marker, label=look.label, zorder=3, **own)
        ax.vlines(x, low, high, linewidth=1.2, alpha=0.7, **own)
        for name in worlds:
            ax.plot(xs[name], D[name], ".", markersize=4, alpha=0.6, **own)
        parts += list(D.values())
    fit_y(ax, [*parts, np.zeros(1)])
    ax.axhline(0, color="black", linewidth=0.9)


def moved(ax: Axes, points: float) -> Transform:
    """Data coordinates, a little to the side."""
    return offset_copy(ax.transData, ax.get_figure(root=True), x=points, units="points")


def sides(ax: Axes) -> None:
    """Which side of 0 is help."""
    style: dict[str, Any] = {
        "fontsize": 8.5,
        "style": "italic",
        "color": "#555555",
        "transform": ax.transAxes,
    }
    ax.text(0.98, 0.98, "the rule helps", ha="right", va="top", **style)
    ax.text(0.02, 0.02, "the rule harms", ha="left", va="bottom", **style)


def mark(ax: Axes, where: float | None, unit: str) -> None:
    """A line where the first rule turns, if it does."""
    if where is not None:
        colour = LOOKS[RULES[0]].colour
        ax.axvline(where, ymax=0.85, color=colour, linestyle=":", linewidth=1.2)
        said = f"{where:.0f} {unit}" if where > 1 else f"{unit} {where:.2f}"
        place: dict[str, Any] = {"xytext": (4, 0), "textcoords": "offset points", "rotation": 90}
        ax.annotate(
            said, (where, 0.44), xycoords=("data", "axes fraction"), fontsize=8.5, color=colour, **place
        )


def draw(worlds: dict[str, World], solver: str = "without noise") -> Figure:
    """(a) against the steps that generation 0 was trained, (b) against the label accuracy it reached."""
    figure, axes = new(1, 2, 10.5, 4.4, sharey=True)
    a, b = axes[0]
    steps = np.array([float(steps_of(w)) for w in worlds.values()])
    D = np.array([gain(w, RULES[0]).mean() for w in worlds.values()])
    reached = {name: accuracy(w) for name, w in worlds.items()}
    panel(a, {name: np.full(w.n, steps_of(w), dtype=float) for name, w in worlds.items()}, worlds)
    panel(b, reached, worlds)
    a.set_xscale("log")
    a.set_xlim(steps.min() / 1.2, steps.max() * 1.2)
    seen = np.concatenate(list(reached.values()))
    b.set_xlim(seen.min() - 0.03, seen.max() + 0.03)
    a.set_xticks(steps, [f"{n:g}" for n in steps])
    a.minorticks_off()
    a.set_xlabel("training steps of generation 0 (log axis)")
    b.set_xlabel("label accuracy of generation 0")
    a.set_ylabel("log distance(ACUR) − log distance(rule)")
    turn = crossing(np.log(steps), D)
    mark(a, None if turn is None else float(np.exp(turn)), "steps")
    mark(b, crossing(np.array([reached[name].mean() for name in worlds]), D), "accuracy")
    for ax in (a, b):
        sides(ax)
    last, n = next(iter(worlds.values())).last, next(iter(worlds.values())).n
    turned = (
        f"The mean of {RULES[0]} does not fall through 0."
        if turn is None
        else f"Dotted: where the mean of {RULES[0]} falls through 0, linear between neighbours."
    )
    return finish(
        figure,
        f"Help and harm against the quality of generation 0, sampled {solver}",
        f"Fréchet distance at generation {last}: {spaces(worlds)}. D of a rule is paired by seed; small dots are "
        f"seeds, large ones means over n = {n} seeds with 95% t-intervals. {turned} Digits, weak network, ten solver "
        f"steps {solver}.",
        worlds.values(),
        [line for line in a.get_lines() if line.get_label() in {LOOKS[rule].label for rule in RULES}],
        columns=len(RULES),
    )
