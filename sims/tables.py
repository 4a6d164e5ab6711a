"""How is a sweep kept, so that a killed one goes on where it stopped and equal ones give equal tables?

A sweep folder belongs to one list of cells, a cell being a dataclass that decides all of its numbers:
  settings.json   written first: what is run, a digest of the cells, versions, source, and a `sum` of these
  cells.jsonl     one line a finished cell, in the order they finish: its key, columns, rows, and a `sum` of these
  table.csv.gz    written at the end: all rows, in the order of the cells, whoever ran them in whatever order; first the
                  number of the cell and its settings ("world.dim": dim of its world), then what its rows say
A line that a kill cut short is dropped and its cell run again; a line that was changed is an error.
"""

import gzip
import json
import zlib
from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sims.record import (
    is_leftover,
    key_of,
    read_json,
    read_text,
    replacing,
    sealed,
    source_digest,
    unsealed,
    versions,
)
from sims.workers import Row, Run

__all__ = ["Table", "brief", "cell_keys", "settings_of", "sweep_settings"]

FORMAT = 1


def settings_of(value: Any) -> Any:
    """Every setting of a cell, dataclasses in it as mappings that say their `kind`."""
    if is_dataclass(value):
        own = {f.name: settings_of(getattr(value, f.name)) for f in fields(value)}
        return {"kind": type(value).__name__, **own}
    return [settings_of(v) for v in value] if isinstance(value, list | tuple) else value


def brief(value: Any) -> str:
    """A cell in words: the settings that are not at their defaults."""
    if not is_dataclass(value):
        return repr(value)
    own = [(f, getattr(value, f.name)) for f in fields(value)]
    said = (f"{f.name}={brief(v)}" for f, v in own if f.default is MISSING or v != f.default)
    return f"{type(value).__name__}({', '.join(said)})"


def cell_keys(cells: Sequence[Any]) -> list[str]:
    """The key of each cell; raises ValueError if there is none, one is there twice, or one holds no plain values."""
    keys: dict[str, Any] = {}
    for cell in cells:
        try:
            key = key_of(settings_of(cell))
        except TypeError as error:
            raise ValueError(f"cells must be of plain values, found {brief(cell)} ({error})") from error
        if key in keys:
            raise ValueError(f"cells must differ, found twice: {brief(cell)}")
        keys[key] = cell
    if not keys:
        raise ValueError("cells must not be empty")
    return list(keys)


def sweep_settings(keys: Sequence[str], run: Run) -> dict[str, Any]:
    """What decides every number of a sweep: the function, the cells, versions, source."""
    return {
        "sweep": FORMAT,
        "run": f"{run.__module__}.{run.__qualname__}",
        "number": len(keys),
        "cells": key_of({"keys": list(keys)}),
        "versions": versions(),
        "source": source_digest(),
    }


def flat(cell: Any, prefix: str = "") -> Row:
    """Settings as columns of a table."""
    row: Row = {}
    for f in fields(cell):
        value = getattr(cell, f.name)
        if is_dataclass(value):
            row |= flat(value, f"{prefix}{f.name}.")
        else:
            row[prefix + f.name] = " ".join(map(str, value)) if isinstance(value, list | tuple) else value
    return row


class Table:
    """The finished cells of a sweep, rows by key. Opening it makes its folder, or checks the one that is there.

    Raises ValueError if `path` holds something else, a sweep of other settings, or a damaged line.
    """

    def __init__(self, path: Path, cells: Sequence[Any], run: Run) -> None:
        self.path, self.cells, self.keys = path, list(cells), cell_keys(cells)
        self.file = path / "cells.jsonl"
        self._check_settings(sweep_settings(self.keys, run))
        self.finished: dict[str, list[Row]] = {}
        if self.file.exists():
            self._read()

    def _check_settings(self, settings: dict[str, Any]) -> None:
        file = self.path / "settings.json"
        if not self.path.exists() or (self.path.is_dir() and all(map(is_leftover, self.path.iterdir()))):
            with replacing(file) as temporary:
                temporary.write_text(json.dumps(sealed(settings), indent=1) + "\n")
        found = read_json(file, read_text(file))
        if found.get("sweep") != FORMAT:
            raise ValueError(f"{self.path} is no sweep folder of format {FORMAT}")
        found = unsealed(file, found)
        other = [name for name, value in settings.items() if found.get(name) != value]
        if other:
            raise ValueError(
                f"{self.path} holds a sweep that differs in: {', '.join(other)}; choose another folder"
            )

    def _read(self) -> None:
        """The lines so far; what follows the last newline was cut short by a kill, and goes."""
        data = self.file.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            with self.file.open("r+b") as file:
                file.truncate(whole)
        known = set(self.keys)
        for number, line in enumerate(data[:whole].splitlines(), start=1):
            try:
                key, rows = decoded(self.file, line)
                if key not in known or key in self.finished:
                    raise ValueError("a cell of another sweep, or one that was there before")
            except ValueError as error:
                raise ValueError(
                    f"{self.file}, line {number}, is damaged ({error}); delete that line and run again"
                ) from error
            self.finished[key] = rows

    def add(self, key: str, rows: list[Row]) -> None:
        """One more finished cell, on disk when this returns."""
        line = sealed(encoded(key, rows))
        with self.file.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.finished[key] = rows_of(line)

    def frame(self) -> pd.DataFrame:
        """All rows, in the order of the cells; columns in order of first appearance, empty where a cell has none.

        A setting that has the name of a measure, such as n, is called cell.n.
        """
        found = [self.finished[key] for key in self.keys]
        rows = [row for own in found for row in own]
        measured = pd.DataFrame(rows, columns=list(dict.fromkeys(name for row in rows for name in row)))
        settings = pd.DataFrame([flat(cell) for cell in self.cells])
        settings = settings.rename(columns={name: f"cell.{name}" for name in settings if name in measured})
        number = np.repeat(np.arange(len(found)), [len(own) for own in found])
        own = settings.iloc[number].reset_index(drop=True)
        own.insert(0, "cell", number)
        return pd.concat([own, measured], axis=1)

    def write(self) -> pd.DataFrame:
        """The frame, once it is in table.csv.gz: numbers in full, and no date in the file.

        A table that is there is of these very cells and this source, so only a damaged one is written again.
        """
        frame, file = self.frame(), self.path / "table.csv.gz"
        if not intact(file):
            with replacing(file) as temporary:
                temporary.write_bytes(gzip.compress(frame.to_csv(index=False).encode(), 6, mtime=0))
        return frame


def intact(file: Path) -> bool:
    """Is it there, and what its own checksum says?"""
    try:
        return bool(gzip.decompress(file.read_bytes()))
    except (OSError, EOFError, zlib.error):
        return False


def encoded(key: str, rows: list[Row]) -> dict[str, Any]:
    """A cell as it is written: the names of its columns once. A row without one has null there."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {"cell": key, "columns": names, "rows": [[row.get(name) for name in names] for row in rows]}


def rows_of(line: dict[str, Any]) -> list[Row]:
    return [dict(zip(line["columns"], values, strict=True)) for values in line["rows"]]


def decoded(path: Path, text: bytes) -> tuple[str, list[Row]]:
    """Key and rows of a line; raises ValueError if it is not what was written."""
    try:
        line = json.loads(text)
        if line.pop("sum") != key_of(line):
            raise ValueError("changed after it was written")
        return line["cell"], rows_of(line)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("no record of a cell") from error
