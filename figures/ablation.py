"""Do diffusion latents filter better than pixels, principal components, the classifier or an ImageNet network?

The paper's rule (top N by a probe's confidence) on each of them, as distance over ACUR's, paired by seed.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from figures.policies import limit_x, spaces
from figures.records import World
from figures.style import LOOKS, finish, interval, new, row_name, seeds_of

__all__ = ["WORLDS", "LATENTS", "draw", "against"]

WORLDS = ("digits-weak", "digits-strong")
LATENTS = {
    "ACU-LSF": "diffusion latents (the paper's)",
    "ACU-LSF-PIXELS": "pixels",
    "ACU-LSF-PCA": "principal components",
    "ACU-LSF-CLASSIFIER": "classifier's features",
    "ACU-LSF-IMAGENET": "ImageNet network",
}


def columns_of(world: World) -> dict[str, str]:
    """Metrics by their way in a record: the distance in every feature space, recall and label accuracy."""
    beside = world.runs[0].of("ACUR", world.last)["metrics"]["spaces"]
    own = world.settings["notes"]["feature_space"]
    return {
        "frechet": f"Fréchet distance / ACUR's\nin {own}",
        **{f"spaces/{name}/frechet": f"Fréchet distance / ACUR's\nin {name}" for name in beside},
        "recall": "k-NN recall − ACUR's",
        "accuracy": "label accuracy − ACUR's",
    }


def at(metrics: dict[str, Any], way: str) -> float:
    """A number by the way to it."""
    for key in way.split("/"):
        metrics = metrics[key]
    return float(metrics)  # type: ignore[arg-type]


def against(world: World, policy: str, way: str) -> np.ndarray:
    """(seeds,): the ratio to ACUR's of a distance, else the difference, at the last generation."""
    a, b = (world.values(p, lambda m: at(m, way), world.last)[:, 0] for p in (policy, "ACUR"))
    return a / b if way.endswith("frechet") else a - b


def panel(ax: Axes, world: World, way: str) -> None:
    """One metric: a line a feature space of the filter."""
    log = way.endswith("frechet")
    values = {p: against(world, p, way) for p in LATENTS if p in world.policies}
    for y, (p, v) in zip(range(len(values) - 1, -1, -1), values.items(), strict=True):
        look = LOOKS[p]
        mean, low, high = (np.exp(a) for a in interval(np.log(v))) if log else interval(v)
        ax.plot(v, np.full(len(v), y - 0.22), ".", color=look.colour, markersize=4)
        if len(v) > 1:
            ax.plot([low, high], [y, y], color=look.colour, linewidth=2)
        ax.plot([mean], [y], look.marker, color=look.colour, markersize=6.5, label=LATENTS[p], zorder=3)
    if log:
        limit_x(ax, [*values.values(), np.ones(1)], True)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.axvline(
        1 if log else 0, color=LOOKS["ACUR"].colour, linewidth=1.2, linestyle=(0, (5, 2)), label="ACUR"
    )
    ax.set_yticks(range(len(values)), [LATENTS[p] for p in reversed(values)])
    ax.set_ylim(-0.6, len(values) - 0.4)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", visible=False)


def draw(worlds: dict[str, World]) -> Figure:
    """A row a regime, a column a metric."""
    ways = columns_of(next(iter(worlds.values())))
    figure, axes = new(len(worlds), len(ways), 13, 0.9 + 2.1 * len(worlds), sharey="row")
    for row, world in zip(axes, worlds.values(), strict=True):
        for ax, way in zip(row, ways, strict=True):
            panel(ax, world, way)
        row[0].set_ylabel(row_name(world.name), weight="bold")
    for ax, title in zip(axes[0], ways.values(), strict=True):
        ax.set_title(title, fontsize=9)
    last = next(iter(worlds.values())).last
    return finish(
        figure,
        "Which latents should the filter read?",
        f"Top N by confidence of a probe on each representation, at generation {last}, against a random N (ACUR, "
        f"dashed blue), paired by seed; small dots are seeds. Distances on log axes; {spaces(worlds)}, the other "
        f"spaces on the same samples. {seeds_of(worlds.values())}",
        worlds.values(),
    )
