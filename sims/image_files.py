"""How is one image after another read, and which images are refused?

One image is open at a time: 4 * channels * height * width bytes an image asked for (float32), and a quarter of that
again (uint8) while they are read. What an image file may be: lsf.image_files.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lsf.image_files import fitted, pixels, plain, scaled

__all__ = ["Read", "stacked", "exact", "cropped_to_one_size"]

Read = Callable[[Any], np.ndarray]
"""A decoded image to (channels, size, size), uint8; raises ValueError with the reason it is refused."""


def stacked(
    ids: Sequence[int], decoded: Callable[[int], Any], named: Callable[[int], str], read: Read
) -> np.ndarray:
    """The images of `ids`, decoded one at a time, as one float32 array; the one that cannot be read is named."""
    out: np.ndarray | None = None
    for k, i in enumerate(map(int, ids)):
        try:
            x = read(decoded(i))
        except ValueError as error:
            raise ValueError(f"{named(i)}: {error}") from error
        if out is None:
            out = np.empty((len(ids), *x.shape), np.uint8)
        out[k] = x
    assert out is not None
    return scaled(out)


def exact(image: Any, size: int) -> np.ndarray:
    """An RGB image that must have this size."""
    if image.size != (size, size):
        raise ValueError(f"an image of {image.width}x{image.height} pixels, must be {size}x{size}")
    return pixels(plain(image, "RGB"))


def cropped_to_one_size(size: int, mode: str) -> Read:
    """The middle square, resized; every image must be of the size of the first, and no smaller than asked for."""
    seen: set[tuple[int, int]] = set()

    def read(image: Any) -> np.ndarray:
        if min(image.size) < size or (seen and image.size not in seen):
            wanted = "{}x{} as the others".format(*min(seen)) if seen else f"{size}x{size} or more"
            found = f"an image of {image.width}x{image.height} pixels"
            raise ValueError(f"{found}, must be {wanted}; bring all to one size")
        seen.add(image.size)
        return pixels(fitted(plain(image, mode), size, size))

    return read
