"""How is a pool read from numpy's files, without loading it whole and without trusting it?

.npy is memory-mapped. .npz is a zip of .npy members: each is read in one stream, row by row, so that memory is a
chunk whatever the file says; before that, the size that a member declares must be what its own header needs, and no
more than RATIO times what lies in the file once it is above FREE (a zip bomb is a small file that unpacks to a huge
one). Pickled objects are refused, for to load them is to run them.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from lsf.samples import Block, Source, not_finite

__all__ = ["npy_file", "npz_file", "RATIO", "FREE"]

RATIO = 100
"""Latents and images compress to between 1/1 and 1/20."""
FREE = 2**26
"""64 MiB may be unpacked whatever the ratio: such an array does no harm."""
NUMBERS = "biuf"


def npy_file(path: Path, labels: Any = None) -> Source:
    """Samples (n, ...) of one .npy file, labels (n,) of another, at the path `labels`; both as they are.

    Raises ValueError if either is damaged or cut, or holds anything but numbers (labels: integers or strings).
    """
    if labels is None:
        raise ValueError(f"labels must be given: the path of the .npy file with the labels of {path}")
    x, y = _mapped(path), np.array(_mapped(Path(labels)))
    _check_samples(str(path), x.shape, x.dtype)
    _check_labels(str(labels), y.shape, y.dtype, len(x))

    def blocks(size: int) -> Iterator[Block]:
        for start in range(0, len(x), size):
            part = np.asarray(x[start : start + size])
            yield part, not_finite(part)

    return Source(_labels(str(labels), y), _rows_of(path), blocks)


def npz_file(path: Path, samples: str | None = None, labels: str | None = None) -> Source:
    """Arrays `samples` (n, ...), by default "x", and `labels` (n,), by default "y", of an .npz file.

    Raises ValueError if it is damaged or cut, lacks one of them, declares more than it holds, or holds anything but
    numbers (labels: integers or strings).
    """
    x, y = (_declared(path, name) for name in (samples or "x", labels or "y"))
    _check_samples(f"{path}, {x.name}", x.shape, x.dtype)
    _check_labels(f"{path}, {y.name}", y.shape, y.dtype, x.shape[0])
    whole = np.concatenate(list(_streamed(path, y, max(y.shape[0], 1))))

    def blocks(size: int) -> Iterator[Block]:
        for part in _streamed(path, x, size):
            yield part, not_finite(part)

    return Source(_labels(f"{path}, {y.name}", whole), _rows_of(path), blocks)


class _Member(NamedTuple):
    """An array in a zip, as its header declares it."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype


def _mapped(path: Path) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path}: no .npy file of numbers that can be read ({error})") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise ValueError(f"{path}: a zip, not one array; name it .npz")
    return array


def _declared(path: Path, name: str) -> _Member:
    """The array of that name in an .npz, its size checked against header and file before anything is unpacked."""
    with _opened(path) as archive:
        if f"{name}.npy" not in archive.namelist():
            there = [n.removesuffix(".npy") for n in archive.namelist()[:8]]
            raise ValueError(f"holds no array {name!r}, but {there}: name it with samples= or labels=")
        info = archive.getinfo(f"{name}.npy")
        with archive.open(info) as file:
            shape, fortran, dtype = _header(file)
            needed = file.tell() + prod(shape) * dtype.itemsize
    where = f"{path}, {name}"
    if dtype.hasobject:
        raise ValueError(
            f"{where}: an array of objects, which only pickle could load: save numbers or strings"
        )
    if fortran and len(shape) > 1:
        raise ValueError(
            f"{where}: in Fortran order, no row of it lies together: save np.ascontiguousarray of it"
        )
    if info.file_size != needed:
        raise ValueError(
            f"{where}: {info.file_size} bytes, its header needs {needed}; put a good copy in its place"
        )
    if info.file_size > FREE and info.file_size > RATIO * info.compress_size:
        raise ValueError(
            f"{where}: unpacks {info.compress_size} bytes to {info.file_size}, more than {RATIO}-fold: "
            "it looks like a zip bomb; if it is none, save it with np.savez"
        )
    return _Member(name, shape, dtype)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    readers: dict[tuple[int, int], Callable[..., Any]] = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"an array in version {version} of numpy's format, must be 1.0 or 2.0")
    return readers[version](file)


def _streamed(path: Path, member: _Member, size: int) -> Iterator[np.ndarray]:
    """The rows of a member, `size` at a time."""
    row = prod(member.shape[1:]) * member.dtype.itemsize
    with _opened(path) as archive, archive.open(f"{member.name}.npy") as file:
        _header(file)
        for start in range(0, member.shape[0], size):
            count = min(size, member.shape[0] - start)
            data = file.read(count * row)
            if len(data) != count * row:
                raise ValueError(f"{member.name}: ends after {start} of {member.shape[0]} rows")
            yield np.frombuffer(data, member.dtype).reshape(count, *member.shape[1:])
        file.read(1)  # at its end zipfile compares the checksum


class _opened:
    """A zip file, with whatever goes wrong in it named by its path."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> zipfile.ZipFile:
        try:
            self.archive = zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise ValueError(f"{self.path}: no .npz file that can be read ({error})") from error
        return self.archive

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.archive.close()
        # an encrypted member is a RuntimeError, an unknown compression a NotImplementedError
        if isinstance(
            error, zipfile.BadZipFile | zlib.error | OSError | EOFError | RuntimeError | ValueError
        ):
            raise ValueError(f"{self.path}: {error}") from error


def _check_samples(where: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    if dtype.kind not in NUMBERS:
        raise ValueError(f"{where}: must be real numbers, found dtype {dtype}")
    if len(shape) < 1 or prod(shape) == 0:
        raise ValueError(f"{where}: must be samples (n, ...), at least one, found shape {shape}")


def _check_labels(where: str, shape: tuple[int, ...], dtype: np.dtype, count: int) -> None:
    if dtype.kind not in "iuU":
        raise ValueError(f"{where}: labels must be integers or strings, found dtype {dtype}")
    if shape != (count,):
        raise ValueError(f"{where}: must be one label for each of {count} samples, found shape {shape}")


def _labels(where: str, y: np.ndarray) -> np.ndarray:
    """Labels as they are, but that unsigned ones of 64 bits become signed; ValueError where they cannot."""
    if y.dtype != np.uint64:
        return y
    if y.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{where}: labels must be below 2^63, found {y.max()}")
    return y.astype(np.int64)


def _rows_of(path: Path) -> Callable[[int], str]:
    return lambda i: f"{path}:{i}"
