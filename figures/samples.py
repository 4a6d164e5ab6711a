"""What do the samples look like, generation by generation, under each policy, beside real digits?

The samples of one generation start from the same noise whatever the policy, so the same place in two sheets of one
column is the same draw from two models.
"""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.records import World
from figures.style import LOOKS, WORLD_NAMES, finish
from lsf.pool import Pool
from sims.images import digits
from sims.record import RunFolder, digest

__all__ = ["WORLDS", "draw", "sheet"]

WORLDS = ("digits-weak", "digits-strong")
POLICIES = ("SYN", "ACUR", "ACU-LSF")
INK = colormaps["Greys"].with_extremes(bad="#e9eef2")  # a white sample shows on the ground between
EACH = 4  # samples of each class


def sheet(pool: Pool, each: int = EACH) -> np.ndarray:
    """The first `each` samples of every class, a row a class, with a pixel between them, in [-1, 1]; NaN between."""
    rows = [pool.x[pool.y == c][:each, 0] for c in pool.classes]
    height, width = pool.x.shape[-2:]
    image = np.full((len(rows) * (height + 1) - 1, each * (width + 1) - 1), np.nan)
    for i, row in enumerate(rows):
        for j, x in enumerate(row):
            image[i * (height + 1) : i * (height + 1) + height, j * (width + 1) : j * (width + 1) + width] = x
    return image


def show(ax: Axes, image: np.ndarray) -> None:
    """A sheet as dark ink on white, without axes."""
    ax.imshow(np.ma.masked_invalid(image), cmap=INK, vmin=-1, vmax=1, interpolation="nearest", aspect="equal")
    ax.grid(visible=False)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)


def real_pool(folder: RunFolder) -> Pool:
    """The training part; raises ValueError if the run was not trained on it."""
    train = digits().train
    if digest(train.x, train.y) != folder.settings["data"]:
        raise ValueError(f"{folder.path} was trained on other data than the digits of today; run again")
    return train


def strips(axes: np.ndarray, world: World, folder: RunFolder) -> None:
    """Real, generation 0, ..., K: a row a policy."""
    real = sheet(real_pool(folder))
    for row, policy in zip(axes, POLICIES, strict=True):
        show(row[0], real)
        for k in range(world.last + 1):
            show(row[k + 1], sheet(folder.samples(policy if k else None, k)))
        row[0].set_ylabel(policy, color=LOOKS[policy].colour, weight="bold", fontsize=11)
    for ax, title in zip(axes[0], ["real", *(f"k = {k}" for k in range(world.last + 1))], strict=True):
        ax.set_title(title, fontsize=9)


def draw(worlds: dict[str, World]) -> Figure:
    """Contact sheets of the first seed of each regime, the regimes side by side."""
    columns = [w.last + 2 for w in worlds.values()]
    width = 0.92 * sum(columns) + 1.2
    figure = Figure(figsize=(width, 7.9), layout="constrained")
    halves = figure.subfigures(1, len(worlds), width_ratios=columns, wspace=0.03, squeeze=False)[0]
    for half, world in zip(halves, worlds.values(), strict=True):
        axes = half.subplots(len(POLICIES), world.last + 2, squeeze=False, gridspec_kw={"wspace": 0.02})
        strips(axes, world, world.runs[0].folder)  # type: ignore[arg-type]  # never drawn from a kept record
        half.suptitle(f"{WORLD_NAMES[world.name]} (seed {world.runs[0].seed})", fontsize=10)
    return finish(
        figure,
        "Samples by generation",
        f"A row a class (0 to 9), the first {EACH} samples of each; 8x8 pixels; k is the generation. "
        "Generation 0 is shared by the policies. In one column the same place is the same starting noise. "
        "Not chosen by eye.",
        worlds.values(),
    )
