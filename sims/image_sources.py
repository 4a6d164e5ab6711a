"""Where do real images come from?

A `Source` knows its labels at once and reads images only when asked, so that no more than the split is ever decoded.
Files are read where they lie. Data sets in Hugging Face's format: sims.hub_files.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from lsf.image_files import decoded, scaled
from sims.idx import labelled
from sims.image_files import cropped_to_one_size, stacked

__all__ = ["Source", "embedded_digits", "idx_files", "class_folders", "class_names"]


@dataclass(frozen=True)
class Source:
    """Integer labels (n,), and images (m, channels, height, width), float32 in [-1, 1], of m indices."""

    labels: np.ndarray
    images: Callable[[Sequence[int]], np.ndarray]


def embedded_digits() -> Source:
    """scikit-learn's 1,797 real handwritten digits, 8x8, scaled from 0..16.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI (1998); ships with scikit-learn.
    """
    data = load_digits()
    x = (data.images / 8.0 - 1.0).astype(np.float32)[:, None]
    return Source(data.target, lambda ids: x[ids])


def idx_files(folder: Path, size: int) -> Source:
    """The train part of a data set in MNIST's files; raises ValueError if they are not good or not of this size."""
    x, y = labelled(folder)
    if x.shape[1:] != (size, size):
        raise ValueError(f"{folder}: images of {x.shape[1]}x{x.shape[2]} pixels, must be {size}x{size}")
    return Source(y.astype(np.int64), lambda ids: scaled(x[ids][:, None]))


def class_names(folder: Path) -> tuple[str, ...]:
    """The names of the sub-folders, sorted; raises ValueError if there are not at least two."""
    names = sorted(path.name for path in visible(folder) if path.is_dir())
    if len(names) < 2:
        raise ValueError(
            f"{folder} holds {len(names)} sub-folder(s), must hold one for each of two or more classes"
        )
    return tuple(names)


def visible(folder: Path) -> list[Path]:
    """What lies in a folder, in order, without hidden files."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def class_folders(folder: Path, size: int, mode: str) -> Source:
    """Images of one size, any, in one sub-folder a class; centre-cropped to a square and resized; mode "L" or "RGB".

    Raises ValueError if a class holds a folder; and, when read, at a file that is no image, or of another size.
    """
    files, labels = [], []
    for label, name in enumerate(class_names(folder)):
        for path in visible(folder / name):
            if path.is_dir():
                raise ValueError(f"{path} is a folder within a class: images lie directly in {folder / name}")
            files.append(path)
            labels.append(label)
    read = cropped_to_one_size(size, mode)
    return Source(
        np.array(labels, np.int64),
        lambda ids: stacked(ids, lambda i: decoded(files[i]), lambda i: str(files[i]), read),
    )
