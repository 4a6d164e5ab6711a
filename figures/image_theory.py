"""Does the theory predict the image loop? What two fitted models say, against what the filter does.

Models: two subspaces (paper) and Gaussian classes with means (ours), fitted to the latents of a pair of classes. A
point is a policy's generation, the mean over pairs of classes and seeds.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures.image_records import Readings
from figures.style import FLOOR, LOOKS, WORLD_NAMES, finish, interval, new, seeds_on

__all__ = ["READINGS", "LAWS", "MEASURES", "draw"]

READINGS = ("digits-weak", "digits-strong")
LAWS = {"two-subspace": "two-subspace model", "gaussian": "Gaussian classes with means"}
MEASURES = {
    "confidence": "confidence",
    "raw OLE": "OLE",
    "normalised OLE": "OLEn",
    "kept spread": "kept spread / pool's",
    "share of real": "share of real kept",
}
FROM_SELECTION = ("kept spread", "share of real")
POLICIES = ("SYN", "ACUR", "ACU-LSF")
WITHIN = 0.1
SMALL, LARGE = 4.0, 7.0  # markers of generation 1, and of 0 and the last
FIRST = ("#000000", "D", "generation 0")


def cells(readings: Readings, measure: str) -> list[tuple[str | None, int]]:
    """Generation 0, and of each policy generation 1 and the last; what is selected from generation 1 on."""
    own: list[tuple[str | None, int]] = [(p, k) for p in POLICIES for k in sorted({1, readings.last(p)})]
    return own if measure in FROM_SELECTION else [(None, 0), *own]


def look_of(policy: str | None) -> tuple[str, str]:
    """Colour and marker; generation 0 is nobody's."""
    return FIRST[:2] if policy is None else (LOOKS[policy].colour, LOOKS[policy].marker)


def point(ax: Axes, values: np.ndarray, policy: str | None, filled: bool, size: float) -> None:
    """(seeds, 2) predicted and seen, as their means with intervals."""
    colour, marker = look_of(policy)
    (predicted, seen), low, high = interval(values)
    if len(values) > 1:
        ax.plot([seen, seen], [low[0], high[0]], color=colour, linewidth=1, alpha=0.7)
        ax.plot([low[1], high[1]], [predicted, predicted], color=colour, linewidth=1, alpha=0.7)
    face = colour if filled else "white"
    shape: dict[str, Any] = {"color": colour, "markerfacecolor": face, "markersize": size}
    ax.plot([seen], [predicted], marker, zorder=3, **shape)


def panel(ax: Axes, readings: Readings, measure: str) -> None:
    """Both models' predictions of one measure against what is seen; equality, and 10% about it."""
    found = []
    for law in LAWS:
        for policy, k in cells(readings, measure):
            values = readings.cell(law, measure, policy, k)
            if len(values):
                point(ax, values, policy, law == "gaussian", SMALL if k == 1 else LARGE)
                found.append(values.mean(axis=0))
    low, high = np.min(found), np.max(found)
    ends = np.array([max(low - 0.12 * (high - low), 0), high + 0.12 * (high - low)])
    ax.fill_between(
        ends, ends * (1 - WITHIN), ends * (1 + WITHIN), color=FLOOR, alpha=0.25, linewidth=0, zorder=0.5
    )
    ax.plot(ends, ends, color=FLOOR, linewidth=1.2, linestyle=(0, (5, 2)), zorder=1)
    ax.set(xlim=ends, ylim=ends, box_aspect=1)
    ax.locator_params(nbins=4)


def legend() -> list[Line2D]:
    """Policies by colour and marker, models by filling."""
    plain: dict[str, Any] = {"linestyle": "", "markersize": 6}
    own = [Line2D([], [], color=LOOKS[p].colour, marker=LOOKS[p].marker, label=p, **plain) for p in POLICIES]
    first = Line2D([], [], color=FIRST[0], marker=FIRST[1], label=FIRST[2], **plain)
    models = [
        Line2D([], [], color="#444444", marker="o", label=name, markerfacecolor=face, **plain)
        for name, face in zip(LAWS.values(), ("white", "#444444"), strict=True)
    ]
    return [first, *own, *models]


def draw(readings: dict[str, Readings]) -> Figure:
    """A row a regime, a column a measure."""
    figure, axes = new(len(readings), len(MEASURES), 13, 1.2 + 2.85 * len(readings))
    for row, own in zip(axes, readings.values(), strict=True):
        for ax, measure in zip(row, MEASURES, strict=True):
            panel(ax, own, measure)
            ax.set_xlabel("seen")
        row[0].set_ylabel(f"{WORLD_NAMES[own.name]}\npredicted", weight="bold")
    for ax, name in zip(axes[0], MEASURES.values(), strict=True):
        ax.set_title(name)
    first = next(iter(readings.values()))
    dim = first.header["settings"]["dim"]
    seeds = ", ".join(f"{seeds_on(r)} ({WORLD_NAMES[r.name]})" for r in readings.values())
    return finish(
        figure,
        "Theory against the image loop",
        "Models fitted to the filter's own latents (generation-0 bottleneck, flattened, clean input, null label) of "
        f"every generation, each of {first.header['pairs']} pairs of classes in at most {dim} leading axes of its real "
        "latents; seen: the filter's linear probe on the same latents. Small: generation 1, large: the last, diamond: "
        f"generation 0. Dashed: predicted = seen, band ±{WITHIN:.0%}. Mean and 95% t-interval over seeds, n = {seeds}.",
        readings.values(),
        legend(),
    )
