"""Cells that take no time and tell when they are run. Workers import this file: nothing heavy here."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ToyWorld:
    noise: float = 1.0


@dataclass(frozen=True)
class Toy:
    """`marks`: a folder where the cell's file gets a line, the process, whenever it is run; `fails`: it raises."""

    seed: int
    policy: str = "SYN"
    world: ToyWorld = field(default=ToyWorld())
    generations: int = 2
    fails: bool = False
    takes: float = 0.0
    kept: float | None = None
    measures: tuple[str, ...] = ("laws", "samples")
    marks: str = ""


def run_toy(cell: Toy) -> list[dict[str, Any]]:
    """Numbers of the cell's own, some as NumPy has them, one column that only some rows have."""
    rng = np.random.default_rng(cell.seed)
    time.sleep(cell.takes)
    if cell.marks:
        with Path(cell.marks, f"{cell.policy}-{cell.seed}").open("a") as file:
            file.write(f"{os.getpid()}\n")
    if cell.fails:
        raise KeyError("no such thing")
    rows = []
    for k in range(cell.generations + 1):
        kl = rng.standard_normal() / 3 + (rng.random((40, 40)) @ rng.random((40, 40))).sum()
        rows.append(
            {"generation": k, "kl": np.float64(kl), "kept": np.int64(7), **({"real": 0.1 * k} if k else {})}
        )
    return rows


def threads_of(cell: Toy) -> list[dict[str, Any]]:
    """How many threads does NumPy's linear algebra have here?"""
    from threadpoolctl import threadpool_info

    blas = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    return [{"threads": max(blas, default=1), "process": os.getpid()}]
