"""How is one image after another read, and which images are refused?

One image is open at a time: 4 * channels * height * width bytes an image asked for (float32), and a quarter of that
again (uint8) while they are read.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["Read", "scaled", "stacked", "exact", "cropped_to_one_size"]

Read = Callable[[Any, str], np.ndarray]
"""An opened image and its name to (channels, size, size), uint8; raises ValueError that begins with the name."""

PLAIN = ("1", "L", "P", "RGB")
"""PIL's image modes that become grey or RGB without loss of anything but colour: no transparency, no 16 bits."""


def scaled(x: np.ndarray) -> np.ndarray:
    """0..255 to [-1, 1], with no second float array."""
    out = x.astype(np.float32)
    out /= 127.5
    out -= 1
    return out


def stacked(
    ids: Sequence[int], opened: Callable[[int], Any], named: Callable[[int], str], read: Read
) -> np.ndarray:
    """The images of `ids`, opened one at a time, as one float32 array; the one that cannot be read is named."""
    out: np.ndarray | None = None
    for k, i in enumerate(map(int, ids)):
        try:
            image = opened(i)
            image.load()
        except Exception as error:  # every image format has errors of its own
            raise ValueError(f"{named(i)}: no image that can be read ({error})") from error
        x = read(image, named(i))
        if out is None:
            out = np.empty((len(ids), *x.shape), np.uint8)
        out[k] = x
    assert out is not None
    return scaled(out)


def plain(image: Any, mode: str, name: str) -> Any:
    """The image in mode "L" or "RGB", if that takes nothing from it but colour."""
    if image.mode not in PLAIN or "transparency" in image.info or getattr(image, "n_frames", 1) > 1:
        raise ValueError(
            f"{name}: of mode {image.mode}, must be one grey or RGB image of 8 bits, not transparent"
        )
    return image.convert(mode)


def pixels(image: Any) -> np.ndarray:
    """(channels, height, width), uint8."""
    return np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)


def middle(image: Any) -> Any:
    """The middle square, cut out before anything is resized: no pixel from beyond it may bleed in."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def exact(image: Any, size: int, name: str) -> np.ndarray:
    """An RGB image that must have this size."""
    if image.size != (size, size):
        raise ValueError(f"{name}: an image of {image.width}x{image.height} pixels, must be {size}x{size}")
    return pixels(plain(image, "RGB", name))


def cropped_to_one_size(size: int, mode: str) -> Read:
    """The middle square, resized; every image must be of the size of the first, and no smaller than asked for."""
    seen: set[tuple[int, int]] = set()

    def read(image: Any, name: str) -> np.ndarray:
        if min(image.size) < size or (seen and image.size not in seen):
            wanted = "{}x{} as the others".format(*min(seen)) if seen else f"{size}x{size} or more"
            raise ValueError(
                f"{name}: an image of {image.width}x{image.height} pixels, must be {wanted}; bring all to one size"
            )
        seen.add(image.size)
        square = middle(plain(image, mode, name))
        return pixels(square.resize((size, size), Image.Resampling.LANCZOS))

    return read
