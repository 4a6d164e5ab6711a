"""What does each rule leave of a minority mode?

Share of the minority modes among the samples made, over that among real data (Bayes' rule assigns samples to modes).
Map (e).
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.rules import RULE_LOOKS, path
from figures.style import FLOOR, finish, generations, interval, new
from figures.tables import SweepTable, seeds_said

__all__ = ["SWEEPS", "draw"]

SWEEPS = ("minority",)


def paths(ax: Axes, by: dict[str, np.ndarray]) -> None:
    """By generation, rules side by side."""
    for i, (rule, values) in enumerate(by.items()):
        look = RULE_LOOKS[rule]
        path(ax, np.arange(values.shape[1]) + 0.06 * (i - (len(by) - 1) / 2), values, look)
    ax.set_ylabel("share of the minority / real")


def at_the_end(ax: Axes, by: dict[str, np.ndarray]) -> None:
    """At the last generation, sorted, with every seed as a tick."""
    order = sorted(by, key=lambda rule: by[rule][:, -1].mean())
    for y, rule in enumerate(order):
        look, values = RULE_LOOKS[rule], by[rule][:, -1]
        mean, low, high = interval(values)
        ax.plot(values, np.full(len(values), y - 0.25), "|", color=look.colour, markersize=4, alpha=0.5)
        ax.hlines(y, low, high, color=look.colour, linewidth=2.5)
        face = "white" if look.hollow else look.colour
        ax.plot([mean], [y], look.marker, color=look.colour, markerfacecolor=face, markersize=6)
    ax.set_yticks(range(len(order)), [RULE_LOOKS[rule].label for rule in order])
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("share of the minority / real")


def draw(tables: dict[str, SweepTable]) -> Figure:
    """(a) by generation, (b) at the last one."""
    table = tables["minority"]
    found = table.by("minority", "policy")
    by = {rule: found[rule] for rule in RULE_LOOKS}
    figure, axes = new(1, 2, 12, 5.6)
    a, b = axes[0]
    paths(a, by)
    generations(a, table.last)
    a.set_xlim(-0.4, table.last + 0.4)
    at_the_end(b, by)
    a.axhline(1, color=FLOOR, linewidth=1)
    b.axvline(1, color=FLOOR, linewidth=1)
    a.set_title("(a) by generation")
    b.set_title(f"(b) generation {table.last}; ticks: single seeds")
    world = table.cells[0].world
    return finish(
        figure,
        "What each rule leaves of a minority",
        f"Two classes in {world.dim} dimensions, {world.minority:.0%} of each a mode that lies {world.shift:g} nearer "
        f"to the centre than the rest, {world.separation:g} from it (noise s.d. {world.noise:g}); the generator fits "
        "both modes by EM. Shown: share of the minority modes among the "
        f"{table.cells[0].n} samples made at generation k, over their share among real ones (grey: 1, as real data), "
        "samples given to modes by Bayes' rule. Our statement C3 (kept_minority_share) has top-N lose them; the "
        f"oracle knows which samples are real. {seeds_said([table])}",
        [table],
        handles=a.get_legend_handles_labels()[0],
        columns=5,
    )
