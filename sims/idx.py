"""What do MNIST's own files hold?

IDX: two zero bytes, a type (8 = unsigned byte), the number of dimensions, each size as a big-endian 32-bit integer,
then the values, the last index fastest.
Source: LeCun, Cortes and Burges, The MNIST database of handwritten digits (1998).
"""

import gzip
import zlib
from math import prod
from pathlib import Path

import numpy as np

__all__ = ["read_idx", "labelled"]

UNSIGNED_BYTE = 8


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """The uint8 array of a file, plain or gzip (told by its first bytes, not by its name).

    Raises ValueError, with the path, if it is no IDX file of unsigned bytes with so many dimensions, or if it holds
    fewer or more values than it says.
    """
    with open(path, "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if zipped else open(path, "rb") as file:
            magic, sizes = file.read(4), np.frombuffer(file.read(4 * dimensions), ">u4").tolist()
            if magic != bytes([0, 0, UNSIGNED_BYTE, dimensions]):
                raise ValueError(
                    f"begins with {magic.hex() or 'nothing'}, not {bytes([0, 0, UNSIGNED_BYTE, dimensions]).hex()}: "
                    f"no IDX file of unsigned bytes in {dimensions} dimension(s)"
                )
            values = np.frombuffer(file.read(), np.uint8)
    except (EOFError, gzip.BadGzipFile, zlib.error, ValueError) as error:
        raise ValueError(f"{path}: {error}; put a good copy in its place") from error
    if len(sizes) < dimensions or len(values) != prod(sizes):
        raise ValueError(
            f"{path}: holds {len(values)} values, its header says {sizes}; put a good copy in its place"
        )
    return values.reshape(sizes)


def labelled(folder: Path, part: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Images (n, height, width) and labels (n,), both uint8, of `part` ("train" or "t10k") in a folder.

    Raises ValueError if a file is not there or not good, or if there are not as many labels as images.
    """
    images = read_idx(found(folder, f"{part}-images", 3), 3)
    path = found(folder, f"{part}-labels", 1)
    labels = read_idx(path, 1)
    if len(labels) != len(images):
        raise ValueError(
            f"{path}: {len(labels)} labels of {len(images)} images; put a good copy in its place"
        )
    return images, labels


def found(folder: Path, stem: str, dimensions: int) -> Path:
    """The file under one of the names it goes by."""
    names = [f"{stem}{dot}idx{dimensions}-ubyte{gz}" for dot in "-." for gz in ("", ".gz")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise ValueError(f"{folder} holds no {names[0]}, plain or .gz")
