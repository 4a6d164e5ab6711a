"""What did the generations look like? One small picture: real images, then what each leading policy made.

Down: generations 1, 3 and the last; across: policies. In a block, a class is a column and its samples are below one
another. Grey images have 16 levels, colours 64: tens of kilobytes.
"""

import io

import numpy as np
from PIL import Image, ImageDraw

from lsf.pool import Pool
from sims.record import RunFolder

__all__ = ["LIMIT", "POLICIES", "sheet"]

POLICIES = ("SYN", "ACUR", "ACU-LSF", "ACU-SHRUNK")
LIMIT = 60_000
"""Bytes that a sheet may have."""
SIZES = ((3, 10), (2, 10), (1, 10), (1, 5), (1, 3))
"""(samples a class, classes) from the fullest; the first that keeps to the limit is taken."""
GAP, MARGIN, SPACE = 4, 14, 2


def sheet(folder: RunFolder, real: Pool, last: int) -> bytes:
    """A PNG of the first samples of each class of a run; ValueError if no size keeps to `LIMIT`."""
    for samples, classes in SIZES:
        png = encoded(arranged(folder, real, last, samples, classes), colour=real.x.shape[1] == 3)
        if len(png) <= LIMIT:
            return png
    raise ValueError(f"a contact sheet of {folder.path} takes {len(png)} bytes, more than {LIMIT}")


def arranged(folder: RunFolder, real: Pool, last: int, samples: int, classes: int) -> Image.Image:
    """Blocks with their names: real data at the left of the first row."""
    policies = [p for p in POLICIES if p in folder.policies()]
    generations = sorted({1, min(3, last), last})
    zoom = max(1, 28 // real.x.shape[-1])

    def drawn(pool: Pool) -> np.ndarray:
        small = block(pool, samples, real.classes[:classes])
        return spaced(np.kron(small, np.ones((zoom, zoom, 1), dtype=np.uint8)), samples, classes)

    rows = [[drawn(folder.samples(p, k)) for p in policies] for k in generations]
    left = drawn(real)
    height, width = left.shape[0] + MARGIN, left.shape[1] + GAP
    picture = Image.new("RGB", (width * (len(policies) + 1), height * len(rows)), "white")
    named(picture, left, "real", (0, 0))
    for i, (k, row) in enumerate(zip(generations, rows, strict=True)):
        for j, (p, made) in enumerate(zip(policies, row, strict=True), start=1):
            named(picture, made, f"{p} {k}", (j * width, i * height))
    return picture


def named(picture: Image.Image, pixels: np.ndarray, name: str, at: tuple[int, int]) -> None:
    """Paste a block below its name."""
    ImageDraw.Draw(picture).text((at[0] + 1, at[1] + 1), name, fill="black")
    picture.paste(Image.fromarray(pixels), (at[0], at[1] + MARGIN))


def block(pool: Pool, samples: int, classes: np.ndarray) -> np.ndarray:
    """(samples H, classes W, 3) bytes: the first samples of these classes, images in [-1, 1]; gaps stay white."""
    h, w = pool.x.shape[-2:]
    out = np.full((samples * h, len(classes) * w, 3), 255, dtype=np.uint8)
    for column, c in enumerate(classes):
        for row, image in enumerate(pool.x[pool.y == c][:samples]):
            grey = np.clip((image.transpose(1, 2, 0) + 1) * 127.5, 0, 255).round().astype(np.uint8)
            out[row * h : (row + 1) * h, column * w : (column + 1) * w] = grey
    return out


def spaced(pixels: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """A block of equal tiles with `SPACE` white pixels right of and below each."""
    height, width = pixels.shape[0] // rows, pixels.shape[1] // columns
    tiles = pixels.reshape(rows, height, columns, width, 3)
    white = np.pad(tiles, ((0, 0), (0, SPACE), (0, 0), (0, SPACE), (0, 0)), constant_values=255)
    return white.reshape(rows * (height + SPACE), columns * (width + SPACE), 3)


def encoded(picture: Image.Image, colour: bool) -> bytes:
    """PNG bytes with a palette of 64 colours, or 16 greys."""
    small = picture.quantize(64) if colour else picture.convert("L").quantize(16)
    stream = io.BytesIO()
    small.save(stream, "PNG", optimize=True)
    return stream.getvalue()
