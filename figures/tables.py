"""Which tables of sweeps may a map be drawn from, and what do they say by setting, seed and generation?

The finished table of a sweep as `python -m sims sweep NAME` would make it today: these cells, this source, these
versions. With `any_source` an older one of the same cells will do, and the map says that it is stale; a missing one is
refused with the command that makes it.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from figures.records import MissingRecords
from figures.style import interval
from sims.record import read_json, read_text, unsealed
from sims.sweep import sweep_path
from sims.sweeps import situation_of, sweep
from sims.tables import brief, cell_keys, flat, sweep_settings

__all__ = ["SweepTable", "TableShelf", "paired", "signs", "seeds_said"]

SIZES = {"auto": (False, True), "full": (False,), "smoke": (True,)}


@dataclass(frozen=True)
class SweepTable:
    """All rows of one sweep, and the cells they belong to. `stale`: not of today's source or versions."""

    name: str
    rows: pd.DataFrame
    cells: tuple[Any, ...]
    smoke: bool = False
    stale: bool = False

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The rows with two more settings, in words: `situation` (of sims.sweeps.SITUATIONS) and `mechanism`."""
        said = [brief(cell.mechanisms)[len("Mechanisms(") : -1] for cell in self.cells]
        own = self.rows["cell"].to_numpy()
        extra = {
            "situation": np.array(situation_of(self.cells), dtype=object)[own],
            "mechanism": np.array([s.replace("=", " ") or "no mechanism" for s in said], dtype=object)[own],
        }
        return self.rows.assign(**extra)

    @property
    def n(self) -> int:
        """How many seeds."""
        return int(self.rows["seed"].nunique())

    @property
    def last(self) -> int:
        """K, the last generation."""
        return int(self.rows["generation"].max())

    def by(self, column: str, *keys: str, across: str = "generation") -> dict[Any, np.ndarray]:
        """(seeds, generations) of a column for each combination of the settings `keys`, in the order of the cells.

        Row i belongs to the same seed everywhere. Raises KeyError for a column that is not there, ValueError if seeds
        are missing somewhere or a value is there twice.
        """
        wide = self.frame.pivot(index=[*keys, "seed"], columns=across, values=column)
        order = self.frame[list(keys)].drop_duplicates().itertuples(index=False, name=None)
        found: dict[Any, np.ndarray] = {}
        for key in order:
            part: pd.DataFrame = wide.loc[key]
            if len(part) != self.n:
                raise ValueError(f"{self.name}: {len(part)} of {self.n} seeds at {key}")
            found[key if len(keys) > 1 else key[0]] = part.to_numpy(dtype=float)
        return found


def paired(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """log a - log b, seed by seed."""
    return np.log(a) - np.log(b)


def signs(values: np.ndarray) -> np.ndarray:
    """1 where the 95% t-interval over seeds (axis 0) lies above 0, -1 where below, else 0."""
    _, low, high = interval(values)
    return np.where(low > 0, 1, np.where(high < 0, -1, 0))


def seeds_said(tables: Sequence[SweepTable]) -> str:
    """The part of a caption that says whose numbers these are, and what an interval stands on."""
    said = ", ".join(f"{t.n} ({t.name})" if len(tables) > 1 else str(t.n) for t in tables)
    return f"Mean and 95% t-interval over seeds, n = {said}; seeds paired. Simulated worlds of ours."


@dataclass
class TableShelf:
    """Finds the tables of sweeps below `root`/sweeps. `size` as in figures.records.Shelf: all full, or all smoke."""

    root: Path
    size: str = "auto"
    any_source: bool = False
    aside: dict[str, str] = field(default_factory=dict)
    known: dict[tuple[str, bool], SweepTable | None] = field(default_factory=dict)

    def tables(self, names: Sequence[str]) -> dict[str, SweepTable]:
        """The table of every sweep named. Raises MissingRecords if one of them has none."""
        for smoke in SIZES[self.size]:
            found = {name: self.table(name, smoke) for name in names}
            whole = {name: table for name, table in found.items() if table is not None}
            if len(whole) == len(names):
                return whole
        raise MissingRecords(self.missing(names))

    def table(self, name: str, smoke: bool) -> SweepTable | None:
        """The table of one sweep, or None; looked for once."""
        if (name, smoke) not in self.known:
            self.known[name, smoke] = self.search(name, smoke)
        return self.known[name, smoke]

    def search(self, name: str, smoke: bool) -> SweepTable | None:
        """Look through the folders of a sweep: today's, else (`any_source`) the newest of the same cells."""
        row = sweep(name)
        cells = row.cells(smoke)
        title = f"{name}-smoke" if smoke else name
        today = sweep_settings(cell_keys(cells), row.run)
        path = sweep_path(title, cells, row.run, self.root)
        others = [
            p for p in self.root.glob(f"sweeps/{title}-*") if re.fullmatch(rf"{title}-[0-9a-f]{{12}}", p.name)
        ]
        for folder in (path, *sorted((p for p in others if p != path), key=written, reverse=True)):
            old = self.unlike(folder, today)
            if old is None or (old and not self.any_source):
                continue
            try:
                rows = pd.read_csv(folder / "table.csv.gz")
            except (OSError, EOFError, zlib.error, ValueError) as error:
                self.aside[folder.name] = f"its table is damaged ({error})"
                continue
            if old and not same_cells(rows, cells):
                continue
            return SweepTable(name, rows, tuple(cells), smoke, bool(old))
        return None

    def unlike(self, folder: Path, today: dict[str, Any]) -> bool | None:
        """Is the folder's source or version another? None if it cannot be drawn from at all: `aside` says why."""
        if not (folder / "table.csv.gz").exists():
            if folder.exists():
                self.aside[folder.name] = "unfinished: the same command goes on with it"
            return None
        try:
            file = folder / "settings.json"
            found = unsealed(file, read_json(file, read_text(file)))
        except ValueError as error:
            self.aside[folder.name] = str(error)
            return None
        differs = [name for name, value in today.items() if found.get(name) != value]
        if differs:
            self.aside[folder.name] = f"made with other {' and '.join(differs)}"
        return None if {"run", "number", "sweep"} & set(differs) else bool(differs)

    def missing(self, names: Sequence[str]) -> str:
        """What is missing, what was put aside, and what to type."""
        size = " --size smoke" if self.size == "smoke" else ""
        lacking = [name for name in names if self.table(name, bool(size)) is None]
        makes = "make maps SIZE=smoke (under a minute)" if size else "make maps (about half an hour)"
        return "\n".join(
            [
                f"no current, finished table of {', '.join(lacking)} in {self.root}/sweeps/",
                *(f"  put aside: {name}: {why}" for name, why in self.aside.items()),
                f"  {makes} makes them all; one: python -m sims sweep {lacking[0]}{size}",
            ]
        )


def same_cells(rows: pd.DataFrame, cells: Sequence[Any]) -> bool:
    """Are the settings that a table shows those of today's cells? (Cells may have gained a setting since.)"""
    own = rows.drop_duplicates("cell").sort_values("cell").reset_index(drop=True)
    today = pd.DataFrame([flat(cell) for cell in cells])
    if len(own) != len(today):
        return False
    for name in today:
        there = f"cell.{name}" if f"cell.{name}" in own else name
        if there in own:
            a, b = own[there], today[name]
            if not (a.eq(b) | (a.isna() & b.isna())).all():
                return False
    return True


def written(folder: Path) -> float:
    """When the folder was last written to."""
    return folder.stat().st_mtime
