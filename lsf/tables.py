"""How is a pool read from Parquet, or from a directory that Hugging Face `datasets` saved?

One column holds samples: lists of numbers of one length (latents), or images, as bytes or as a pair (bytes, path) the
way `datasets` writes them. One holds labels: integers or strings; integers that `datasets` has names for become the
names. Rows are read batch by batch: memory is a chunk and what pyarrow holds of a row group, and all labels. A path
in place of an image's bytes is not followed: a table may name any file of the machine. Needs pyarrow, and `datasets`
for its directories (extra "files").
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lsf.image_files import ImageForm, scaled
from lsf.samples import Block, Source, not_finite

__all__ = ["parquet", "saved_dataset", "SAMPLES", "LABELS"]

SAMPLES = ("image", "img", "x", "latents")
LABELS = ("label", "labels", "y")
"""The first of these columns that is there is taken, if none is named."""
AT_ONCE = 4096
"""Rows a batch while labels are read."""

Batches = Callable[[list[str], int], Iterator[list[Any]]]
"""batches(columns, size): those columns, as arrow arrays of at most `size` rows, one batch after another."""


@dataclass(frozen=True)
class Columns:
    """The two columns of a table, checked: their names and types, and the names of integer labels or None."""

    samples: str
    labels: str
    types: tuple[pa.DataType, pa.DataType]
    names: tuple[str, ...] | None

    @classmethod
    def of(cls, schema: Any, samples: str | None, labels: str | None) -> Columns:
        """Raises ValueError where a column is missing or of another type."""
        x, y = _column(schema, samples, SAMPLES, "samples"), _column(schema, labels, LABELS, "labels")
        types = schema.field(x).type, schema.field(y).type
        if not (_is_list(types[0]) or _is_image(types[0])):
            raise ValueError(
                f"column {x!r} is of type {types[0]}, must be lists of numbers, or images as bytes"
            )
        if not (pa.types.is_integer(types[1]) or _is_text(types[1])):
            raise ValueError(f"column {y!r} is of type {types[1]}, must be integers or strings")
        return cls(x, y, types, _class_names(schema, y))


def parquet(
    path: Path,
    form: ImageForm | None = None,
    samples: str | None = None,
    labels: str | None = None,
    split: str | None = None,
) -> Source:
    """A .parquet file, or all those of a folder, or of its data/, in the order of their names.

    `split`: of files named as "train-00000-of-00002.parquet" those that begin so; it must be given if there are
    several kinds. Raises ValueError if none can be read; one that cannot, or has other columns than the first, is
    refused.
    """
    files, refused, columns = [], [], None
    for file in _parquet_files(path, split):
        if not file.is_file():
            refused.append((str(file), "no regular file"))  # a pipe would be waited for, for ever
            continue
        try:
            found = Columns.of(pq.read_schema(file), samples, labels)
            if columns not in (None, found):
                raise ValueError(f"other columns than in the files before: {found}, not {columns}")
            columns = found
            files.append((file, pq.read_metadata(file).num_rows))
        except (pa.ArrowException, ValueError, OSError) as error:
            refused.append((str(file), f"no Parquet file with the columns asked for ({error})"))
    if columns is None:
        raise ValueError(": ".join(refused[0]))
    starts = np.cumsum([0, *(rows for _, rows in files)])

    def where(i: int) -> str:
        k = bisect_right(starts, i) - 1
        return f"{files[k][0]}:{i - starts[k]}"

    return _source([file for file, _ in files], _parquet_batches, columns, form, where, tuple(refused))


def saved_dataset(
    path: Path,
    form: ImageForm | None = None,
    samples: str | None = None,
    labels: str | None = None,
    split: str | None = None,
) -> Source:
    """What `Dataset.save_to_disk` or `DatasetDict.save_to_disk` left; of the latter, the part `split`.

    Raises ValueError if it cannot be read, has no such part, or has several and none is named.
    """
    import datasets

    try:
        data = datasets.load_from_disk(str(path))
        if isinstance(data, dict):
            data = data[_only("parts", sorted(data), split)]
        elif split is not None:
            raise ValueError(f"it is one data set without parts: leave out split={split!r}")
        columns = Columns.of(data.features.arrow_schema, samples, labels)
    except Exception as error:  # pyarrow and datasets raise classes of their own
        raise ValueError(f"{path}: no saved data set that can be read ({error})") from error
    return _source([data], _dataset_batches, columns, form, lambda i: f"{path}:{i}", ())


def _source(
    parts: list[Any],
    batches_of: Callable[[Any, list[str], int], Iterator[list[Any]]],
    columns: Columns,
    form: ImageForm | None,
    where: Callable[[int], str],
    refused: tuple[tuple[str, str], ...],
) -> Source:
    def batches(names: list[str], size: int) -> Iterator[list[Any]]:
        for part in parts:
            try:
                yield from batches_of(part, names, size)
            except (pa.ArrowException, OSError) as error:
                raise ValueError(f"{where(0) if len(parts) == 1 else part}: damaged ({error})") from error

    read = _reader(columns, batches, form, where)
    y, unlabelled = _labels(columns, batches)

    def blocks(size: int) -> Iterator[Block]:
        start = 0
        for (array,) in batches([columns.samples], size):
            x, reasons = read(array)
            none = np.flatnonzero(unlabelled[start : start + len(x)])
            yield x, {int(i): "it has no label" for i in none} | reasons
            start += len(x)

    return Source(y, where, blocks, refused)


def _parquet_batches(file: Path, names: list[str], size: int) -> Iterator[list[Any]]:
    # buffered, and not read ahead: a row group of images need not fit into memory twice
    with pq.ParquetFile(file, buffer_size=2**20, pre_buffer=False) as opened:
        for batch in opened.iter_batches(batch_size=size, columns=names, use_threads=False):
            yield [batch.column(batch.schema.get_field_index(name)) for name in names]


def _dataset_batches(data: Any, names: list[str], size: int) -> Iterator[list[Any]]:
    for table in data.select_columns(names).with_format("arrow").iter(batch_size=size):
        yield [table.column(name).combine_chunks() for name in names]


def _labels(columns: Columns, batches: Batches) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,), and where (n,) they are missing: null, or an integer that the data set has no name for."""
    parts, missing = [np.empty(0, str if columns.names or _is_text(columns.types[1]) else np.int64)], []
    for (array,) in batches([columns.labels], AT_ONCE):
        none = array.is_null().to_numpy(zero_copy_only=False)
        if _is_text(columns.types[1]):
            y = np.array(pc.fill_null(array.cast(pa.string()), "").to_pylist(), dtype=str)
        else:
            y = pc.fill_null(array, 0).cast(pa.int64()).to_numpy(zero_copy_only=False)
        if columns.names is not None:
            none = none | (y < 0) | (y >= len(columns.names))
            y = np.array(columns.names)[np.where(none, 0, y)]
        parts.append(y)
        missing.append(none)
    return np.concatenate(parts), np.concatenate([np.empty(0, bool), *missing])


def _reader(
    columns: Columns, batches: Batches, form: ImageForm | None, where: Callable[[int], str]
) -> Callable[[Any], Block]:
    """How one batch of the column of samples becomes a block."""
    if _is_image(columns.types[0]):
        if form is None:
            raise ValueError(f"{where(0)}: column {columns.samples!r} holds images: size must be given")
        return lambda array: _images(array, form)
    if form is not None:
        raise ValueError(f"{where(0)}: column {columns.samples!r} holds lists of numbers: size is for images")
    kind = columns.types[0]
    d = kind.list_size if pa.types.is_fixed_size_list(kind) else _first_length(columns, batches)
    return lambda array: _latents(array, d, np.dtype(kind.value_type.to_pandas_dtype()))


def _first_length(columns: Columns, batches: Batches) -> int:
    for (array,) in batches([columns.samples], AT_ONCE):
        lengths = pc.list_value_length(array).drop_null().to_numpy()
        if lengths.any():
            return int(lengths[lengths > 0][0])
    raise ValueError(f"column {columns.samples!r} holds no numbers")


def _latents(array: Any, d: int, dtype: np.dtype) -> Block:
    """Rows (k, d) of a batch of lists; the others are zeros, with a reason."""
    lengths = pc.list_value_length(array).to_numpy(zero_copy_only=False)  # null: NaN
    whole = lengths == d
    reasons = {
        int(i): f"a list of {lengths[i]:.0f} numbers, must be {d} as the first"
        for i in np.flatnonzero(~whole)
    }
    reasons |= dict.fromkeys(
        np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False)).tolist(), "it is missing"
    )
    values = array.filter(pa.array(whole)).flatten()
    numbers = values.to_numpy(zero_copy_only=False).reshape(
        int(whole.sum()), d
    )  # with a null: floats, and it a NaN
    rows = np.flatnonzero(whole)
    found = {int(rows[i]): reason for i, reason in not_finite(numbers).items()}
    x = np.zeros((len(array), d), dtype)
    good = np.array([int(i) not in found for i in rows], dtype=bool)
    x[rows[good]] = numbers[good]
    return x, reasons | found


def _images(array: Any, form: ImageForm) -> Block:
    v, reasons = np.zeros((len(array), *form.shape), np.uint8), {}
    for i, value in enumerate(array):
        data = value.as_py()
        if isinstance(data, dict):
            data = data.get("bytes")
        try:
            v[i] = form(data)
        except ValueError as error:
            reasons[i] = str(error)
    return scaled(v), reasons


def _parquet_files(path: Path, split: str | None) -> list[Path]:
    if path.is_file():
        if split is not None:
            raise ValueError(f"split is for a folder of Parquet files, {path} is one file")
        return [path]
    files = sorted(path.glob("*.parquet")) or sorted(path.glob("data/*.parquet"))
    part_of = {file: re.sub(r"-\d+-of-\d+\.parquet$", "", file.name) for file in files}
    named = sorted({part for file, part in part_of.items() if part != file.name})
    if not named and split is None:
        return files
    try:
        part = _only("parts", named, split)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return [file for file in files if part_of[file] == part]


def _only(what: str, there: list[str], wanted: str | None) -> str:
    if wanted is None and len(there) == 1:
        return there[0]
    if wanted not in there:
        raise ValueError(f"it has {what} {', '.join(there)}: split must name one of them, found {wanted!r}")
    assert wanted is not None
    return wanted


def _column(schema: Any, given: str | None, usual: tuple[str, ...], argument: str) -> str:
    wanted = usual if given is None else (given,)
    for name in wanted:
        if schema.names.count(name) == 1:
            return name
    raise ValueError(
        f"no column {' or '.join(map(repr, wanted))}, but {schema.names[:20]}: name it with {argument}="
    )


def _class_names(schema: Any, column: str) -> tuple[str, ...] | None:
    """The names that `datasets` keeps of integer labels in a schema's metadata; None where there are none."""
    try:
        notes = json.loads((schema.metadata or {})[b"huggingface"])
        names = notes["info"]["features"][column]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
        return None
    return tuple(names) if pa.types.is_integer(schema.field(column).type) else None


def _is_list(kind: Any) -> bool:
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if not any(is_kind(kind) for is_kind in lists):
        return False
    return pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)


def _is_image(kind: Any) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _is_image(kind.field("bytes").type)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)
