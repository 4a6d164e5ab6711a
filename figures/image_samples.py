"""What do the image loops make, generation by generation, under the leading policies?

The contact sheets that are kept beside the records, pixel by pixel: real images at the left, then a block a policy.
"""

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from figures.records import World
from figures.style import WORLD_NAMES, finish

__all__ = ["WORLDS", "ALSO", "draw", "enlarged"]

WORLDS = ("digits-weak-long", "digits-strong-long")
ALSO = ("fashion-mnist", "fashion-mnist-strong")
WIDTH = 11.0  # inches
MARGIN, HEAD, ABOVE, BELOW = 0.08, 0.28, 0.38, 0.5  # inches: left, a sheet's name, title, caption


def enlarged(world: World, pixels: float) -> np.ndarray:
    """The sheet of a world, every pixel as many times as fit into `pixels`; ValueError if there is none."""
    if world.sheet is None or not world.sheet.exists():
        raise ValueError(
            f"images-{world.name}.png is missing beside its record: restore it, or make the record again"
        )
    with Image.open(world.sheet) as picture:
        sheet = np.asarray(picture.convert("RGB"))
    zoom = max(1, int(pixels // sheet.shape[1]))
    return sheet.repeat(zoom, axis=0).repeat(zoom, axis=1)


def draw(worlds: dict[str, World]) -> Figure:
    """One sheet below the other."""
    figure = Figure(layout="constrained")
    dpi = figure.dpi
    sheets = {name: enlarged(world, (WIDTH - 2 * MARGIN) * dpi) for name, world in worlds.items()}
    tall = ABOVE + BELOW + sum(HEAD + sheet.shape[0] / dpi for sheet in sheets.values())
    figure.set_size_inches(WIDTH, tall)
    top = tall - ABOVE
    for name, sheet in sheets.items():
        seed = worlds[name].runs[0].seed
        place = (MARGIN / WIDTH, (top - HEAD / 2) / tall)
        figure.text(*place, f"{WORLD_NAMES[name]} (seed {seed})", va="center", fontsize=10)
        top -= HEAD + sheet.shape[0] / dpi
        figure.figimage(sheet, round(MARGIN * dpi), round(top * dpi), origin="upper")
    return finish(
        figure,
        "What the image loops make",
        "The number is the generation. In a block a column is a class, the first samples of it below one another; "
        "generation by generation the same place is the same starting noise under every policy. Not chosen by eye.",
        worlds.values(),
    )
