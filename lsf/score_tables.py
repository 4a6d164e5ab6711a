"""In which tables do scores and choices lie, and how do they come back?

    index, path, label, score[, kept]       one row a sample, in the order of the pool; .parquet or .csv

index counts the samples that were read, from 0; score is empty for filters that give a sample none. Tables are written
batch by batch, whole or not at all, and scores in CSV have all their digits. A text that a spreadsheet would run as a
formula is refused in CSV, not altered. A table that is read back must be of the very pool: as many rows, the same
paths and labels. Needs pyarrow (extra "cli").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from lsf.samples import Samples
from lsf.whole_files import replacing

__all__ = ["ENDINGS", "write_scores", "read_scores", "write_table"]

ENDINGS = (".parquet", ".csv")
ROWS = 2**16
"""Rows a batch."""
FORMULA = re.compile(r"[=+\-@\t\r]|.*\0", re.DOTALL)
"""How a text begins that spreadsheets run; and a byte that ends a text for some readers of CSV."""


def write_scores(
    path: Path, samples: Samples, scores: np.ndarray | None, kept: np.ndarray | None = None
) -> None:
    """The table of a pool: scores (n,) or None, kept (n,) of truth values or None (then without that column).

    Raises ValueError on a path or label that CSV should not hold; OSError.
    """
    fields = [
        ("index", pa.int64()),
        ("path", pa.string()),
        ("label", _type(samples)),
        ("score", pa.float64()),
    ]
    schema = pa.schema(fields + ([] if kept is None else [("kept", pa.bool_())]))
    batches = (_batch(schema, samples, rows, scores, kept) for rows in _cuts(len(samples)))
    write_table(path, schema, batches)


def write_table(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    """Batches as one file, in the format that its ending names."""
    with replacing(path) as temporary:
        make = pq.ParquetWriter if path.suffix == ".parquet" else pc.CSVWriter
        with make(temporary, schema) as writer:
            for batch in batches:
                if path.suffix == ".csv":
                    _refuse_formulas(batch)
                writer.write_batch(batch)


def read_scores(
    path: Path, samples: Samples, argument: str, need_kept: bool = False
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """(scores (n,) or None, kept indices or None) of a table of these samples.

    Raises ValueError if it cannot be read, lacks a column, or is of another pool.
    """
    parts: list[np.ndarray] = []
    kept: list[np.ndarray] = []
    start = 0
    for batch in _batches(path, samples, argument, need_kept):
        _check_rows(batch, samples, start, f"{argument}: {path}")
        parts.append(batch["score"].to_numpy(zero_copy_only=False))
        if need_kept:
            kept.append(batch["kept"].to_numpy(zero_copy_only=False))
        start += len(batch)
    if start != len(samples):
        raise ValueError(f"{argument}: {path} has {start} rows, the pool {len(samples)} samples")
    scores = np.concatenate(parts).astype(np.float64)
    if not np.isnan(scores).all() and not np.isfinite(scores).all():
        raise ValueError(f"{argument}: {path} has scores that are missing or infinite: make it again")
    chosen = np.flatnonzero(np.concatenate(kept)) if need_kept else None
    return (None if np.isnan(scores).all() else scores), chosen


def _type(samples: Samples) -> pa.DataType:
    return pa.string() if samples.y.dtype.kind == "U" else pa.int64()


def _cuts(count: int) -> Iterator[range]:
    return (range(start, min(start + ROWS, count)) for start in range(0, count, ROWS))


def _batch(
    schema: pa.Schema, samples: Samples, rows: range, scores: np.ndarray | None, kept: np.ndarray | None
) -> pa.RecordBatch:
    part = slice(rows.start, rows.stop)
    columns: list[Any] = [
        pa.array(rows, pa.int64()),
        pa.array([samples.where(i) for i in rows], pa.string()),
        pa.array(samples.y[part].tolist(), _type(samples)),
        pa.nulls(len(rows), pa.float64()) if scores is None else pa.array(scores[part]),
    ]
    return pa.record_batch(columns + ([] if kept is None else [pa.array(kept[part])]), schema=schema)


def _refuse_formulas(batch: pa.RecordBatch) -> None:
    for name in batch.schema.names:
        if batch.schema.field(name).type != pa.string():
            continue
        for text in batch[name].to_pylist():
            if FORMULA.match(text):
                raise ValueError(
                    f"{name} {text!r} could run as a formula in a spreadsheet, or be cut short: write --out as .parquet"
                )


def _batches(path: Path, samples: Samples, argument: str, need_kept: bool) -> Iterator[pa.RecordBatch]:
    """The columns that are needed, of the types they should have."""
    types = {"index": pa.int64(), "path": pa.string(), "label": _type(samples), "score": pa.float64()}
    schema = pa.schema(types | ({"kept": pa.bool_()} if need_kept else {}))
    try:
        with _opened(path, schema) as (names, batches):
            if lacking := [name for name in schema.names if name not in names]:
                raise ValueError(f"it has no column {', '.join(lacking)}: give what `lsf` wrote")
            for batch in batches:
                yield pa.record_batch(
                    [batch[name].cast(schema.field(name).type) for name in schema.names], schema
                )
    except (pa.ArrowException, ValueError, OSError) as error:
        raise ValueError(f"{argument}: {path} is no table of this pool that can be read ({error})") from error


@contextmanager
def _opened(path: Path, schema: pa.Schema) -> Iterator[tuple[list[str], Iterator[pa.RecordBatch]]]:
    """Names of the columns of a table, and its batches, with those of the schema at least."""
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            yield names, file.iter_batches(ROWS, columns=[name for name in schema.names if name in names])
    elif path.suffix == ".csv":
        lines = pc.ParseOptions(newlines_in_values=True)
        kinds = pc.ConvertOptions(column_types=schema, null_values=[""], strings_can_be_null=False)
        with pc.open_csv(path, parse_options=lines, convert_options=kinds) as reader:
            yield reader.schema.names, iter(reader)
    else:
        raise ValueError(f"its name must end in {' or '.join(ENDINGS)}")


def _check_rows(batch: pa.RecordBatch, samples: Samples, start: int, where: str) -> None:
    """ValueError at the first row that is not that sample's."""
    if start + len(batch) > len(samples):
        raise ValueError(f"{where} has more rows than the pool has samples, {len(samples)}")
    if any(
        column.null_count for name, column in zip(batch.schema.names, batch, strict=True) if name != "score"
    ):
        raise ValueError(f"{where} has empty places from row {start} on: make it again")
    columns = (batch[name].to_pylist() for name in ("index", "path", "label"))
    for i, row in enumerate(zip(*columns, strict=True), start):
        own = (i, samples.where(i), samples.y[i].item())
        if row != own:
            raise ValueError(f"{where} is of another pool: row {i} is {row}, the pool's sample {own}")
