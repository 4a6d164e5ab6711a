"""What did the long sweeps find, in kilobytes, and is it still what today's cells would give?

records/NAME.jsonl: a header (settings, versions, source and date of the sweep; a digest of the lines), then a line for
each setting of the sweep: situation, trusted samples, policy, first seed, and the values of its seeds in order.
`python -m paper_checks.map_records` writes them from the finished tables of `make maps`. A record is "stale" when the
settings of its cells have changed, an error when a line was changed, and red when its cells give other numbers today.
"""

import json
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sims.cells import Cell
from sims.record import key_of, source_digest, versions, write_text
from sims.sweeps import situation_of, sweep
from sims.tables import cell_keys

__all__ = ["RECORDS", "READ", "Record", "keep", "load"]

RECORDS = Path(__file__).parent / "records"
READ = {"mechanisms": "kl", "rules-again": "kl", "trusted-size": "kl", "minority": "minority"}
"""What of the last generation is kept, by sweep."""


class Record:
    """One number a cell: `frame` has situation, trusted, policy, seed and value, in the order of the sweep's cells."""

    def __init__(self, name: str, header: dict[str, Any], lines: list[list[Any]]) -> None:
        if key_of({"lines": lines}) != header["digest"]:
            raise ValueError(
                f"records/{name}.jsonl is damaged: its lines are not those its digest was made of"
            )
        self.name, self.header = name, header
        rows = [(*line[:3], line[3] + i, v) for line in lines for i, v in enumerate(line[4])]
        self.frame = pd.DataFrame(rows, columns=["situation", "trusted", "policy", "seed", "value"])

    @property
    def stale(self) -> bool:
        """Have the cells of the sweep other settings today?"""
        return self.header["cells"] != cells_digest(sweep(self.name).cells(False))

    def logs(self, situation: str, policy: str, trusted: int = 100) -> pd.Series:
        """log value by seed; KeyError if there is none."""
        f = self.frame
        rows = f[(f.situation == situation) & (f.policy == policy) & (f.trusted == trusted)]
        if rows.empty:
            raise KeyError(f"records/{self.name}.jsonl has no {policy} in {situation!r}")
        return np.log(rows.set_index("seed")["value"])


def cells_digest(cells: Sequence[Cell]) -> str:
    """Changes with any setting of any cell."""
    return key_of({"cells": cell_keys(cells)})


def lines_of(name: str, table: pd.DataFrame) -> list[list[Any]]:
    """One line a setting from the finished table of a sweep, whose cells run through the seeds of a setting in turn."""
    cells = sweep(name).cells(False)
    last = table.sort_values("generation").groupby("cell").last()
    if len(last) != len(cells):
        raise ValueError(f"the table of {name} has {len(last)} cells, the sweep {len(cells)}")
    if list(last["policy"]) != [c.policy for c in cells] or list(last["seed"]) != [c.seed for c in cells]:
        raise ValueError(f"the table of {name} is of other cells than the sweep's")
    lines: list[list[Any]] = []
    for situation, c, value in zip(situation_of(cells), cells, last[READ[name]], strict=True):
        setting = [situation, c.trusted, c.policy]
        if not lines or lines[-1][:3] != setting:
            lines.append([*setting, c.seed, []])
        if c.seed != lines[-1][3] + len(lines[-1][4]):
            raise ValueError(f"the seeds of {name} do not follow one another at {c}")
        lines[-1][4].append(float(f"{value:.7g}"))
    return lines


def keep(name: str, table: pd.DataFrame, source: str, folder: Path = RECORDS) -> Path:
    """Write the record of a sweep; `source` is the digest of the code that made the table."""
    lines = lines_of(name, table)
    header = {
        "sweep": name,
        "value": f"{READ[name]} at the last generation",
        "date": date.today().isoformat(),
        "source": source,
        "versions": versions(),
        "cells": cells_digest(sweep(name).cells(False)),
        "digest": key_of({"lines": lines}),
    }
    text = "\n".join([json.dumps(header), *map(json.dumps, lines)]) + "\n"
    write_text(folder / f"{name}.jsonl", text)
    return folder / f"{name}.jsonl"


def load(name: str, folder: Path = RECORDS) -> Record:
    """The record of a sweep; ValueError if it is missing or damaged."""
    file = folder / f"{name}.jsonl"
    if not file.exists():
        raise ValueError(
            f"{file.name} is missing: run `make maps`, then `python -m paper_checks.map_records`"
        )
    try:
        header, *lines = (json.loads(line) for line in file.read_text().splitlines())
        return Record(name, header, lines)
    except (json.JSONDecodeError, KeyError) as error:
        raise ValueError(f"{file.name} is damaged: {error}") from error


def main(tables: Path) -> None:
    """Keep the records of every finished sweep under `tables`."""
    for name in READ:
        folders = [
            f for f in tables.glob(f"{name}-*") if (f / "table.csv.gz").exists() and "smoke" not in f.name
        ]
        if len(folders) != 1:
            sys.exit(f"one finished sweep {name} is needed under {tables}, found {len(folders)}")
        settings = json.loads((folders[0] / "settings.json").read_text())
        table = pd.read_csv(folders[0] / "table.csv.gz")
        print(keep(name, table, settings.get("source", source_digest())))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/sweeps"))
