"""How does a pool that does not fit into memory come in?

In chunks: any object that can be iterated again and again, each time from the start, over pairs (x, y) of samples
(k, ...) and their labels (k,), k of any size and never twice the same if need be. A list of pairs is one; so are the
readers here, which hold one chunk at a time:

    Arrays(x, y)                            in memory
    Npy("x.npy", "y.npy")                   memory-mapped
    Parquet("pool.parquet", "latent", "label")   a column of lists of one length, or several columns; needs pyarrow
    Safetensors("pool.safetensors", "x", "y")    tensors by name, read slice by slice; needs safetensors

A generator can be read once only, so it is refused. `lsf.blocks.Blocks` cuts chunks anew, whatever their sizes: what is
computed block by block does not depend on the chunks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import gen_batches

from lsf import checks
from lsf.blocks import BLOCK, Chunk, pair

__all__ = ["Arrays", "Npy", "Parquet", "Safetensors"]

ROWS = 4 * BLOCK
"""Rows a chunk of the readers, unless they are told another number."""


class _Reader:
    """Chunks of `rows` consecutive rows, each read from the file when it is its turn; two of them are alike."""

    rows: int

    def __post_init__(self) -> None:
        if checks.whole("rows", self.rows) < 1:
            raise ValueError(f"rows must be at least 1, found {self.rows}")

    def _cuts(self, count: int) -> Iterator[slice]:
        return gen_batches(count, self.rows)


@dataclass(frozen=True, eq=False)
class Arrays(_Reader):
    """x (n, ...) and y (n,) in memory, in chunks of `rows`."""

    x: Any
    y: Any
    rows: int = ROWS

    def __iter__(self) -> Iterator[Chunk]:
        x, y = pair(0, (self.x, self.y))
        return ((x[rows], y[rows]) for rows in self._cuts(len(x)))


@dataclass(frozen=True)
class Npy(_Reader):
    """Two .npy files: x (n, ...), memory-mapped and never read as a whole, and y (n,).

    Pickled objects are never loaded. Raises ValueError if a file is no .npy file of plain numbers or words, or lengths
    differ; FileNotFoundError.
    """

    x: str | Path
    y: str | Path
    rows: int = ROWS

    def __iter__(self) -> Iterator[Chunk]:
        count, labels = len(checks.samples(str(self.x), _mapped(self.x))), _mapped(self.y)
        checks.labels_for(str(self.y), labels, count, str(self.x))
        for rows in self._cuts(count):
            # mapped anew, so that the pages of the chunks before it can go
            yield _mapped(self.x)[rows], labels[rows]


def _mapped(path: str | Path) -> np.ndarray:
    if Path(path).suffix == ".npz":
        raise ValueError(f"{path} is an archive, which cannot be mapped: save its arrays as .npy files")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is no .npy file of plain numbers or words: {error}") from error


@dataclass(frozen=True)
class Parquet(_Reader):
    """Parquet file or files (one after the other): `x` names a column of lists of one length, or several columns of
    numbers, in that order; `y` the column of labels, integers or words.

    Raises ValueError naming column and chunk on missing values, and lists of several lengths; KeyError names a column
    that is not there. Needs pyarrow.
    """

    path: str | Path | Sequence[str | Path]
    x: str | Sequence[str]
    y: str
    rows: int = ROWS

    def __iter__(self) -> Iterator[Chunk]:
        from pyarrow import parquet

        names = [self.x] if isinstance(self.x, str) else list(self.x)
        for path in [self.path] if isinstance(self.path, str | Path) else self.path:
            with parquet.ParquetFile(path) as file:
                if lacking := [name for name in (*names, self.y) if name not in file.schema_arrow.names]:
                    raise KeyError(f"{path} has no column {lacking}; it has {file.schema_arrow.names}")
                for batch in file.iter_batches(self.rows, columns=[*names, self.y]):
                    columns = [_numbers(path, name, batch.column(name)) for name in names]
                    x = columns[0] if isinstance(self.x, str) else np.stack(columns, axis=1)
                    yield x, _words_or_numbers(path, self.y, batch.column(self.y))


def _whole_column(path: Any, name: str, column: Any) -> None:
    if column.null_count:
        first = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise checks.Unusable(f"column {name!r} of {path} has {column.null_count} missing values", first)


def _numbers(path: Any, name: str, column: Any) -> np.ndarray:
    """A column of numbers as (k,), one of lists of d numbers as (k, d)."""
    from pyarrow import types

    _whole_column(path, name, column)
    if (
        types.is_fixed_size_list(column.type)
        or types.is_list(column.type)
        or types.is_large_list(column.type)
    ):
        flat = column.flatten()
        _whole_column(path, name, flat)
        if len(lengths := set(column.value_lengths().to_pylist())) != 1:
            raise ValueError(
                f"column {name!r} of {path} has lists of lengths {sorted(lengths)}: latents have one length"
            )
        return flat.to_numpy(zero_copy_only=False).reshape(len(column), -1)
    return column.to_numpy(zero_copy_only=False)


def _words_or_numbers(path: Any, name: str, column: Any) -> np.ndarray:
    _whole_column(path, name, column)
    values = column.to_numpy(zero_copy_only=False)
    return values.astype(np.str_) if values.dtype == object else values


@dataclass(frozen=True)
class Safetensors(_Reader):
    """A .safetensors file: tensor `x` (n, ...), read slice by slice, and tensor `y` (n,).

    Raises ValueError if lengths differ or a tensor is of a kind numpy lacks, such as bfloat16; KeyError names a tensor
    that is not there. Needs safetensors.
    """

    path: str | Path
    x: str = "x"
    y: str = "y"
    rows: int = ROWS

    def __iter__(self) -> Iterator[Chunk]:
        from safetensors import safe_open

        with safe_open(self.path, framework="numpy") as file:
            there = sorted(file.keys())
            if lacking := [name for name in (self.x, self.y) if name not in there]:
                raise KeyError(f"{self.path} has no tensor {lacking}; it has {there}")
            x, labels = file.get_slice(self.x), file.get_slice(self.y)
            if x.get_shape()[:1] != labels.get_shape():
                raise ValueError(
                    f"{self.y!r} of {self.path} has shape {labels.get_shape()}, {self.x!r} {x.get_shape()}"
                )
            for rows in self._cuts(x.get_shape()[0]):
                yield _tensor(self.x, x, rows), _tensor(self.y, labels, rows)


def _tensor(name: str, tensor: Any, rows: slice) -> np.ndarray:
    try:
        return tensor[rows]
    except TypeError as error:
        kind = tensor.get_dtype()
        raise ValueError(f"tensor {name!r} is {kind}, which numpy lacks: save it as float32") from error
