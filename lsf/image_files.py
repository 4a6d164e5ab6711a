"""Which image files may enter, and as which numbers?

    x = v / 127.5 - 1,      v the 8-bit values 0..255, (channels, height, width).

A file of unknown origin is a program's input written by a stranger. So: only formats that are plain pixels (no
PostScript, no PDF), a limit on pixels that is checked before any is decoded (a decompression bomb is a small file of
a huge image), and what is cut off, animated, transparent or of more than 8 bits is refused: nothing is guessed.
Images lie as their EXIF orientation says. Needs Pillow (extra "files").
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile, ImageOps

from lsf import checks

__all__ = ["ImageForm", "FORMATS", "MOST_PIXELS", "decoded", "plain", "fitted", "pixels", "scaled"]

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""What Pillow may open; its other readers call other programs, or hold no photographs."""
MOST_PIXELS = 2**26
"""8192 x 8192: 200 MB as RGB. An image that says it has more is not decoded."""
PLAIN = ("1", "L", "P", "RGB")
"""Pillow's modes that become grey or RGB without loss of anything but colour: no transparency, no 16 bits."""


@dataclass(frozen=True)
class ImageForm:
    """How images come out: (channels, *size), size (height, width) or the side of a square, 1 or 3 channels.

    An image of another size is refused; with `resize` the middle of it, in the proportions asked for, is brought to
    size (Lanczos), unless that would enlarge it. Raises ValueError or TypeError on a bad size or channels.
    """

    size: int | tuple[int, int]
    channels: int = 3
    resize: bool = False

    def __post_init__(self) -> None:
        sides = self.size if isinstance(self.size, tuple) else (self.size, self.size)
        if len(sides) != 2 or min(checks.whole("size", side) for side in sides) < 1:
            raise ValueError(f"size must be a side or (height, width) in pixels, found {self.size!r}")
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 (grey) or 3 (RGB), found {self.channels!r}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        height, width = self.size if isinstance(self.size, tuple) else (self.size, self.size)
        return self.channels, height, width

    def __call__(self, file: Path | bytes | None) -> np.ndarray:
        """(channels, height, width) uint8 of a file or its bytes; ValueError with the reason it is refused."""
        _, height, width = self.shape
        image = plain(decoded(file), "L" if self.channels == 1 else "RGB")
        if self.resize:
            return pixels(fitted(image, width, height))
        if image.size != (width, height):
            found = f"an image of {image.width}x{image.height} pixels"
            raise ValueError(f"{found}, must be {width}x{height}, unless resize=True brings all to one size")
        return pixels(image)


def decoded(file: Path | bytes | None) -> Any:
    """The Pillow image of a file or its bytes, decoded whole; ValueError if it is none, too large, cut or animated.

    None stands for the bytes of a table that holds a path instead: it is refused, for it may name any file.
    """
    if file is None:
        raise ValueError("no bytes of an image, at most a path, which is not followed")
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise RuntimeError("PIL.ImageFile.LOAD_TRUNCATED_IMAGES is set: images cut short would get through")
    try:
        with (
            warnings.catch_warnings(),
            io.BytesIO(file) if isinstance(file, bytes) else open(file, "rb") as stream,
        ):
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(stream, formats=FORMATS)
            _refuse_huge(image)
            if getattr(image, "is_animated", False):
                raise ValueError("it has several frames")
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
    except Exception as error:  # every image format has errors of its own
        raise ValueError(f"no image that can be read ({error})") from error
    return image


def _refuse_huge(image: Any) -> None:
    if image.width * image.height > MOST_PIXELS:
        raise ValueError(f"it says {image.width}x{image.height} pixels, more than {MOST_PIXELS}: not decoded")


def plain(image: Any, mode: str) -> Any:
    """The image in mode "L" or "RGB"; ValueError if that takes anything from it but colour."""
    if image.mode not in PLAIN or "transparency" in image.info:
        raise ValueError(f"of mode {image.mode}, must be grey or RGB of 8 bits, not transparent")
    return image.convert(mode)


def fitted(image: Any, width: int, height: int) -> Any:
    """The middle of an image, cut to the proportions of width x height and resized to it; never enlarged.

    It is cut before it is resized: no pixel from beyond may bleed in. ValueError if the image is smaller.
    """
    if image.width < width or image.height < height:
        found = f"an image of {image.width}x{image.height} pixels"
        raise ValueError(f"{found}, must be {width}x{height} or more: images are not enlarged")
    across = min(image.width, image.height * width // height)
    down = min(image.height, image.width * height // width)
    left, top = (image.width - across) // 2, (image.height - down) // 2
    middle = image.crop((left, top, left + across, top + down))
    return middle.resize((width, height), Image.Resampling.LANCZOS)


def pixels(image: Any) -> np.ndarray:
    """(channels, height, width), uint8."""
    return np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)


def scaled(v: np.ndarray) -> np.ndarray:
    """0..255 to float32 in [-1, 1], with no second float array."""
    x = v.astype(np.float32)
    x /= 127.5
    x -= 1
    return x
