"""What do the kept records of the image loops say, and are they still what today's presets ask for?

images-PRESET.jsonl: a header (settings, seeds, policies, versions, device, source, date; a digest of all lines; the
columns of the lines), then a line [shape, seed, policy, generation, values...] a generation. Policy "floor" stands for
real data against real data, generation 0 for what policies share (policy null). A shape is a list of columns; a column
is the way to a number: text is a key, an integer a place in a list, an object the row of a list that has this
convention. Who writes them, and what is kept: paper_checks/image_records.py.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from lsf.pool import Pool
from sims.presets import PRESETS, Preset
from sims.record import key_of, run_settings

__all__ = ["Column", "KeptRecord", "CURE", "identity", "nested", "read_lines", "settings_of"]

CURE = "run `make images`, then `python -m paper_checks.image_records`"

Column = tuple[Any, ...]
"""The way to a number in a record; conventions of rows as tuples of items."""
Records = dict[tuple[str | None, int], dict[str, Any]]
"""What is kept of each generation, by policy and generation."""


class KeptRecord:
    """The lines of one preset's record under its header; `read` gives a seed's numbers as its run folder has them."""

    def __init__(self, name: str, header: dict[str, Any], lines: list[list[Any]]) -> None:
        self.name, self.header, self.lines = name, header, lines
        columns = [as_column(way) for way in header["columns"]]
        self.shapes = [[columns[i] for i in shape] for shape in header["shapes"]]

    @property
    def stale(self) -> bool:
        """Has the preset other settings, seeds or policies today, or is it gone?"""
        row = PRESETS.get(self.name)
        return row is None or any(self.header[k] != v for k, v in identity(row).items())

    def numbers(self, seed: int) -> dict[tuple[str | None, int | None], dict[Column, float]]:
        """Of each (policy, generation) of a seed, and of ("floor", None): what is kept, by the way to it."""
        return {
            (policy, k): dict(zip(self.shapes[shape], values, strict=True))
            for shape, own, policy, k, *values in self.lines
            if own == seed
        }

    def read(self, seed: int) -> tuple[dict[str, Any], Records]:
        """The floor and the records of a seed."""
        found = self.numbers(seed)
        floor = nested(found.pop(("floor", None)))["metrics"]
        records = {
            (policy, k): {"policy": policy, "generation": k} | nested(numbers)
            for (policy, k), numbers in found.items()
            if k is not None
        }
        return floor, records


def settings_of(row: Preset) -> dict[str, Any]:
    """The settings that decide the numbers of a preset's runs, as a run folder keeps them."""
    nothing = Pool(np.zeros((1, 1)), np.zeros(1, dtype=np.int64), 0)
    return dict(run_settings(row, 0, nothing)["preset"])


def identity(row: Preset) -> dict[str, Any]:
    """What a record and today's preset must have in common."""
    return {"preset": settings_of(row), "seeds": list(row.seeds), "policies": list(row.policies)}


def read_lines(name: str, folder: Path) -> tuple[dict[str, Any], list[list[Any]]]:
    """Header and lines of images-NAME.jsonl; ValueError if it is missing or not what its digest was made of."""
    file = folder / f"images-{name}.jsonl"
    if not file.exists():
        raise ValueError(f"{file.name} is missing: {CURE}")
    try:
        header, *lines = (json.loads(line) for line in file.read_text().splitlines())
        digest = key_of({"header": {k: v for k, v in header.items() if k != "digest"}, "lines": lines})
        if header["digest"] != digest:
            raise ValueError("not what its digest was made of")
    except (ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"{file.name} is damaged ({error}): restore it, or {CURE}") from error
    return header, lines


def nested(numbers: dict[Column, float]) -> dict[str, Any]:
    """Numbers by the way to them, as nested dicts and lists, rows of latents in the order of their columns."""
    out: dict[str, Any] = {}
    for way, value in numbers.items():
        place: Any = out
        for key, after in pairwise(way):
            place = step(place, key, [] if isinstance(after, tuple | int) else {})
        if isinstance(place, list):
            place.append(value)
        else:
            place[way[-1]] = value
    return out


def step(place: Any, key: Any, new: Any) -> Any:
    """What lies at `key` of a dict or list; `new`, or the row of that convention, if nothing does."""
    if isinstance(key, tuple):
        convention = dict(key)
        row = next((r for r in place if convention.items() <= r.items()), None)
        if row is None:
            place.append(row := convention)
        return row
    if isinstance(key, int):
        if key == len(place):
            place.append(new)
        return place[key]
    return place.setdefault(key, new)


def as_column(way: list[Any]) -> Column:
    """A column from how it stands in the header."""
    return tuple(tuple(part.items()) if isinstance(part, dict) else part for part in way)
