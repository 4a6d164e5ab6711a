"""Which run folders may a figure be drawn from?

Those of the preset that were made by the source, the settings and the package versions of today, and that are whole:
every policy, every generation. All others are put aside and named, so that a figure never mixes records of different
source without a word. Of several root seeds (`--seed k` of the evidence shifts every seed by 1000 k) one is drawn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lsf.pool import Pool
from sims.image_worlds import Images
from sims.presets import Preset, evidence_preset
from sims.record import RunFolder, key_of, run_settings

__all__ = ["Run", "World", "Shelf", "MissingRecords", "ole_at"]

ROOT_SEEDS = 1000  # the evidence of root seed k uses the seeds s + 1000 k

Read = Callable[[dict[str, Any]], float]


class MissingRecords(ValueError):
    """There is nothing that a figure may be drawn from; the message says which command makes it."""


@dataclass(frozen=True)
class Run:
    """The records of one seed, by policy and generation, read once; `folder` if they come from a run folder."""

    seed: int
    floor: dict[str, Any]
    records: dict[tuple[str | None, int], dict[str, Any]]
    folder: RunFolder | None = None

    def of(self, policy: str, generation: int) -> dict[str, Any]:
        """One record; generation 0 is shared by the policies."""
        return self.records[(None if generation == 0 else policy, generation)]


@dataclass(frozen=True)
class World:
    """The runs that stand for one world: seeds of one preset, of one source.

    `settings`: what all runs share, with the preset's row under "preset". `stale`: not of today's source, or (of a kept
    record) settings. `sheet`: the contact sheet beside a kept record.
    """

    name: str
    runs: tuple[Run, ...]
    settings: dict[str, Any]
    smoke: bool = False
    stale: bool = False
    sheet: Path | None = None

    @property
    def policies(self) -> tuple[str, ...]:
        """The policies that every run has, in the order in which the first ran them."""
        ran = [dict.fromkeys(p for p, _ in run.records if p is not None) for run in self.runs]
        return tuple(p for p in ran[0] if all(p in other for other in ran))

    @property
    def n(self) -> int:
        """How many seeds."""
        return len(self.runs)

    @property
    def models(self) -> int | None:
        """How many generation-0 models the seeds share; None if each has its own."""
        models: int | None = self.settings["preset"].get("models")
        return models

    @property
    def last(self) -> int:
        """K, the last generation."""
        return int(self.settings["preset"]["generations"])

    def values(self, policy: str, read: Read, first: int = 0) -> np.ndarray:
        """(seeds, K + 1 - first): what `read` finds in the metrics of each generation from `first` on."""
        return self.of(policy, lambda record: read(record["metrics"]), first)

    def of(self, policy: str, read: Read, first: int = 0) -> np.ndarray:
        """(seeds, K + 1 - first): what `read` finds in each record."""
        return np.array([[read(run.of(policy, k)) for k in range(first, self.last + 1)] for run in self.runs])

    def floor(self, read: Read) -> np.ndarray:
        """(seeds,): what `read` finds in the same metrics of real data."""
        return np.array([read(run.floor) for run in self.runs])


def ole_at(rows: Sequence[dict[str, Any]], kind: str, **convention: Any) -> float:
    """OLE ("raw" or "normalised") of the one row with that convention; ValueError if there is no such row, or two."""
    found = [row for row in rows if all(row.get(k) == v for k, v in convention.items())]
    if len(found) != 1:
        raise ValueError(f"{len(found)} rows of latents have the convention {convention}")
    return float(found[0][kind])


@dataclass
class Shelf:
    """Finds the runs of a world below `root`.

    `size`: "full", "smoke" or "auto" (full if every world asked for has full records, else smoke). `seed`: the root
    seed of the evidence, by default the lowest there is. `any_source` takes records of another source too, one source
    at a time, the newest first. `aside` says which folders were left out, and why.
    """

    root: Path
    size: str = "auto"
    seed: int | None = None
    any_source: bool = False
    aside: dict[str, str] = field(default_factory=dict)
    known: dict[tuple[str, bool], "World | None"] = field(default_factory=dict)

    def worlds(self, names: Sequence[str]) -> dict[str, World]:
        """The runs of every world named, all full or all smoke. Raises MissingRecords if one of them has none."""
        for smoke in {"auto": (False, True), "full": (False,), "smoke": (True,)}[self.size]:
            found = {name: self.world(name, smoke) for name in names}
            whole = {name: world for name, world in found.items() if world is not None}
            if len(whole) == len(names):
                return whole
        raise MissingRecords(self.missing(names))

    def world(self, name: str, smoke: bool) -> World | None:
        """The runs of one world, or None."""
        if (name, smoke) not in self.known:
            self.known[name, smoke] = self.search(evidence_preset(name, smoke), name, smoke)
        return self.known[name, smoke]

    def search(self, row: Preset, name: str, smoke: bool) -> World | None:
        """Look through the folders of a preset."""
        groups: dict[str, list[RunFolder]] = {}
        stale: set[str] = set()
        for path in sorted(self.root.glob(f"{row.name}-seed*-*/")):
            try:
                folder = RunFolder(path)
            except ValueError as error:
                self.aside[path.name] = str(error)
                continue
            old = outdated(folder, row)
            reason = (not self.any_source and old) or unfinished(folder, row)
            if reason:
                self.aside[path.name] = reason
                continue
            groups.setdefault(group_of(folder), []).append(folder)
            if old:
                stale.add(group_of(folder))
        if not groups:
            return None
        best = max(groups, key=lambda key: (key not in stale, max(map(written, groups[key]))))
        for folder in (f for key, group in groups.items() if key != best for f in group):
            self.aside[folder.path.name] = "records of yet another source"
        runs = tuple(read(f) for f in self.one_root_seed(groups[best], row))
        if not runs:
            return None
        return World(name, runs, groups[best][0].settings, smoke, best in stale)

    def one_root_seed(self, folders: list[RunFolder], row: Preset) -> list[RunFolder]:
        """The folders of one root seed, in the order of their seeds: the preset's own if there are any, else all."""
        folders = sorted(folders, key=lambda f: f.settings["seed"])
        roots = [f.settings["seed"] // ROOT_SEEDS for f in folders]
        root = min(roots) if self.seed is None else self.seed
        block = [f for f, k in zip(folders, roots, strict=True) if k == root]
        own = [f for f in block if f.settings["seed"] - ROOT_SEEDS * root in row.seeds]
        for folder in folders:
            if folder not in (own or block):
                self.aside[folder.path.name] = "a seed of another root seed, or none of the preset's"
        return own or block

    def put_aside(self) -> list[str]:
        """Which folders were left out and why, a line for each reason."""
        reasons = dict.fromkeys(self.aside.values())
        named = {why: [name for name, reason in self.aside.items() if reason == why] for why in reasons}
        return [f"{names[0]}{others(len(names) - 1)}: {why}" for why, names in named.items()]

    def missing(self, names: Sequence[str]) -> str:
        """What is missing, what was put aside, and what to type."""
        smoke = self.size == "smoke"
        rows = [evidence_preset(name, smoke) for name in names if self.world(name, smoke) is None]
        seed = rows[0].seeds[0] + ROOT_SEEDS * (self.seed or 0)
        makes = "make evidence SIZE=smoke (about a minute)" if smoke else "make evidence (about ten minutes)"
        less = "" if self.size != "auto" else ", make evidence SIZE=smoke smoke records (about a minute)"
        return "\n".join(
            [
                f"no current, finished records of {', '.join(r.name for r in rows)} in {self.root}/",
                *(f"  put aside: {line}" for line in self.put_aside()),
                f"  {makes} makes them{less}; one run at a time: python -m sims {rows[0].name} --seed {seed}",
            ]
        )


def others(n: int) -> str:
    """How many more."""
    return f" and {n} more" if n else ""


def outdated(folder: RunFolder, row: Preset) -> str:
    """In what the folder's settings differ from those a run would have today ("" if in nothing)."""
    nothing = Pool(np.zeros((1, 1)), np.zeros(1, dtype=int))
    today = run_settings(row, folder.settings["seed"], nothing)  # the data follow from the rest
    differs = [k for k, v in today.items() if k != "data" and folder.settings.get(k) != v]
    return f"made with other {' and '.join(differs)}" if differs else ""


DRAWN = ("SYN", "ACUR", "ACU-LSF")
"""What every figure of image runs needs."""


def unfinished(folder: RunFolder, row: Preset) -> str:
    """Which policies lack generations ("" if none does). Of the images' policies the checks run some: those that were
    begun must be whole, and `DRAWN` among them."""
    K = folder.settings["preset"]["generations"]
    have = {(r["policy"], r["generation"]) for r in folder.records()}
    begun = {p for p, _ in have}
    wanted = row.policies
    if isinstance(row.world, Images):
        wanted = tuple(p for p in row.policies if p in begun or p in DRAWN)
    late = [p for p in wanted if not {(None, 0), *((p, k) for k in range(1, K + 1))} <= have]
    return f"unfinished: {', '.join(late)}" if late else ""


def group_of(folder: RunFolder) -> str:
    """The same for runs that may stand in one figure: all settings but the seed and its data."""
    return key_of({k: v for k, v in folder.settings.items() if k not in ("key", "notes", "seed", "data")})


def written(folder: RunFolder) -> float:
    """When the folder was begun."""
    return (folder.path / "settings.json").stat().st_mtime


def read(folder: RunFolder) -> Run:
    """All records of a folder."""
    records = {(r["policy"], r["generation"]): r for r in folder.records()}
    return Run(folder.settings["seed"], folder.floor, records, folder)
