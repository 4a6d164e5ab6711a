"""What may a figure of the image loops be drawn from?

The kept records, records/images-PRESET.jsonl: no run folder is needed, so these figures are redrawn in seconds from a
clone. A record of other settings than today's preset is drawn and said to be stale; a missing one is refused by name.
Records of theory against the image loop, records/image-theory-PRESET.jsonl: `Readings`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from figures.records import MissingRecords, Run, World
from sims.kept_records import CURE, KeptRecord, read_lines, settings_of
from sims.presets import PRESETS
from sims.record import key_of

__all__ = ["Readings", "RecordShelf"]

THEORY_CURE = "run `make images`, then `python -m paper_checks.image_theory`"

OWN_LATENTS = "clean, flattened"
"""The convention of the filter's own, of those that a record has."""


@dataclass(frozen=True)
class Readings:
    """Predicted and seen, seed by seed: `lines` as paper_checks.image_theory writes them."""

    name: str
    header: dict[str, Any]
    lines: tuple[dict[str, Any], ...]
    smoke: bool = False

    @property
    def stale(self) -> bool:
        """Has the preset other settings today?"""
        if self.name not in PRESETS:
            return True
        return bool(self.header["settings"]["preset"] != key_of(settings_of(PRESETS[self.name])))

    @property
    def n(self) -> int:
        """How many seeds."""
        return len(self.header["seeds"])

    @property
    def models(self) -> int | None:
        """How many generation-0 models the seeds share; None if each has its own."""
        return PRESETS[self.name].models if self.name in PRESETS else None

    def cell(self, law: str, measure: str, policy: str | None, generation: int) -> np.ndarray:
        """(seeds, 2) of the filter's own latents: predicted and seen, means over pairs of classes; seeds without a
        prediction are left out."""
        where = {"latents": OWN_LATENTS, "law": law, "policy": policy, "generation": generation}
        own = [line[measure] for line in self.lines if where.items() <= line.items()]
        return np.array([row[:2] for row in own if row is not None], dtype=float).reshape(-1, 2)

    def last(self, policy: str) -> int:
        """The last generation read of a policy."""
        return max(line["generation"] for line in self.lines if line["policy"] == policy)


@dataclass(frozen=True)
class RecordShelf:
    """The records below `root`, by preset."""

    root: Path

    def worlds(self, names: Sequence[str], also: Sequence[str] = ()) -> dict[str, World]:
        """The record of every preset of `names`, and of those of `also` that there are.

        Raises MissingRecords in one line if one of `names` is missing, ValueError if one is damaged.
        """
        self.require(names, "images", CURE)
        there = [name for name in also if (self.root / f"images-{name}.jsonl").exists()]
        return {name: self.world(name) for name in (*names, *there)}

    def world(self, name: str) -> World:
        """One record as the runs of a world."""
        record = KeptRecord(name, *read_lines(name, self.root))
        runs = tuple(Run(seed, *record.read(seed)) for seed in record.header["seeds"])
        sheet = self.root / f"images-{name}.png"
        return World(name, runs, record.header, stale=record.stale, sheet=sheet)

    def readings(self, names: Sequence[str]) -> dict[str, Readings]:
        """The record of theory of every preset named. Raises as `worlds` does."""
        self.require(names, "image-theory", THEORY_CURE)
        return {name: read_theory(name, self.root / f"image-theory-{name}.jsonl") for name in names}

    def require(self, names: Sequence[str], kind: str, cure: str) -> None:
        files = [f"{kind}-{name}.jsonl" for name in names]
        if lacking := [file for file in files if not (self.root / file).exists()]:
            raise MissingRecords(f"{self.root} has no {', '.join(lacking)}: {cure}")


def read_theory(name: str, file: Path) -> Readings:
    """ValueError unless the lines are those that the digest was made of."""
    try:
        header, *lines = (json.loads(line) for line in file.read_text().splitlines())
        whole = header["digest"] == key_of({"lines": lines})
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file.name} is damaged ({error}): restore it, or {THEORY_CURE}") from error
    if not whole:
        raise ValueError(
            f"{file.name} is damaged (not what its digest was made of): restore it, or {THEORY_CURE}"
        )
    return Readings(name, header, tuple(lines))
