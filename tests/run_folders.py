"""A small world to run in, and how a run folder is read and interrupted in tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sims.gaussian import ClassGaussians
from sims.loop import run
from sims.lowrank import TwoSubspaces
from sims.presets import Preset
from sims.record import RunFolder
from sims.worlds import Subspaces

WORLD = Subspaces(TwoSubspaces(6, 2, np.pi / 3, 0.3), ClassGaussians(), per_class=25, reference_per_class=30)
KEPT = Preset("tiny", WORLD, budget=50, generations=3, policies=("SYN", "ACU-LSF"))
UNKEPT = replace(KEPT, checkpoints=False)
RECORDS = ("settings.json", "floor.json", "generations.jsonl")


def contents(folder: Path, names: tuple[str, ...] = RECORDS) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names}


def everything(root: Path) -> dict[str, bytes]:
    """All files under a folder but locks, which belong to no run."""
    return {
        str(f.relative_to(root)): f.read_bytes()
        for f in sorted(root.rglob("*"))
        if f.is_file() and not f.name.endswith(".lock")
    }


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it. (A real one: test_sims_kill.py.)"""


def killed_run(path: Path, lines: int = 3) -> None:
    """A run that died after so many lines: generation 0 and then SYN's."""
    real = RunFolder.add

    def add(self: RunFolder, *args: Any) -> None:
        real(self, *args)
        if len(self.records()) == lines:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "add", add)
        with pytest.raises(Killed):
            run(KEPT, 0, path)
