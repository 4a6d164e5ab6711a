"""How much of what the filter does is the solver's doing?

The same networks sampled by other solvers: distance of each policy, and D = log distance(ACUR) - log distance(rule) at
the last generation, paired by seed: above 0 the rule helps.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.policies import limit_x, spaces
from figures.records import World
from figures.style import LOOKS, finish, floor_line, interval, new, seeds_on
from figures.training_length import RULES, gain
from sims.presets import LEADING, preset

__all__ = ["WORLDS", "draw", "solver_of"]

WORLDS = (
    "digits-weak",
    "digits-weak-20-steps",
    "digits-weak-stochastic-10",
    "digits-weak-stochastic",
    "digits-strong",
    "digits-strong-log-snr",
)
"""Rows that differ in the solver alone, regime by regime."""
APART = 0.13  # of two policies, in rows


def solver_of(name: str) -> str:
    """Regime and solver of a preset, in words."""
    world: Any = preset(name).world
    return f"{name.split('-')[1]}: {world.generator.sampler_name}"


def mark(ax: Axes, y: float, values: np.ndarray, policy: str, log: bool) -> None:
    """Seeds, their mean and its interval at height y."""
    look = LOOKS[policy]
    mean, low, high = (np.exp(a) for a in interval(np.log(values))) if log else interval(values)
    ax.plot([low, high], [y, y], color=look.colour, linewidth=1.8)
    ax.plot(values, np.full(len(values), y), ".", color=look.colour, markersize=3, alpha=0.6)
    ax.plot([mean], [y], look.marker, color=look.colour, markersize=6, label=look.label, zorder=3)


def distances(ax: Axes, worlds: dict[str, World]) -> None:
    """A row a solver, a dot a policy."""
    parts = []
    for row, world in enumerate(worlds.values()):
        for i, policy in enumerate(LEADING):
            values = world.values(policy, lambda m: m["frechet"], world.last)[:, 0]
            mark(ax, row + APART * (i - 2), values, policy, log=True)
            parts.append(values)
    floor = np.concatenate([w.floor(lambda m: m["frechet"]) for w in worlds.values()])
    floor_line(ax, floor, "real data", log=True, vertical=True)
    limit_x(ax, [*parts, floor], True)
    ax.set_xlabel("Fréchet distance (log axis)")


def gains(ax: Axes, worlds: dict[str, World]) -> None:
    """D of two rules, a row a solver."""
    for row, world in enumerate(worlds.values()):
        for rule, aside in zip(RULES, (-APART, APART), strict=True):
            mark(ax, row + aside, gain(world, rule), rule, log=False)
    ax.axvline(0, color=LOOKS["ACUR"].colour, linewidth=1.2, linestyle=(0, (5, 2)))
    ax.text(0.0, -0.46, " ACUR", color=LOOKS["ACUR"].colour, fontsize=8.5, va="top")
    ax.set_xlabel("log distance(ACUR) − log distance(rule): the rule helps above 0")


def draw(worlds: dict[str, World]) -> Figure:
    """(left) distance by policy, (right) what two rules gain over a random choice."""
    figure, axes = new(1, 2, 12, 1.6 + 0.62 * len(worlds), sharey=True)
    left, right = axes[0]
    distances(left, worlds)
    gains(right, worlds)
    left.set_yticks(range(len(worlds)), [solver_of(name) for name in worlds])
    left.set_ylim(len(worlds) - 0.5, -0.5)
    for ax in (left, right):
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="y", visible=False)
        for row in range(1, len(worlds)):
            ax.axhline(row - 0.5, color="#dddddd", linewidth=0.8, zorder=0)
    last = next(iter(worlds.values())).last
    seeds = dict.fromkeys(f"{seeds_on(w)} ({name.split('-')[1]})" for name, w in worlds.items())
    handles = [line for line in left.get_lines() if not str(line.get_label()).startswith("_")]
    return finish(
        figure,
        "How much of it is the solver?",
        f"Digits, the same networks under other solvers (SDE: with noise in every step), generation {last}; "
        f"{spaces(worlds)}. Small dots are seeds. Mean and 95% t-interval over seeds, n = {', '.join(seeds)}.",
        worlds.values(),
        handles,
    )
