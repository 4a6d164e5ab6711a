"""Records of the maps: what is kept is read again, damage and other settings are seen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from paper_checks import map_records
from paper_checks.map_records import READ, keep, lines_of, load
from paper_checks.statistics import FAILS, HOLDS, Interval
from paper_checks.test_maps import never_worse, same_law
from sims.sweeps import sweep

NAME = "minority"


def table() -> pd.DataFrame:
    """What a finished sweep would give: the cell's number plus its generation over ten."""
    cells = sweep(NAME).cells(False)
    rows = [
        {"cell": i, "policy": c.policy, "seed": c.seed, "generation": k, "minority": i + k / 10}
        for i, c in enumerate(cells)
        for k in range(3)
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


def test_kept_and_read(tmp_path: Path) -> None:
    keep(NAME, table(), "0123", tmp_path)
    record = load(NAME, tmp_path)
    cells = sweep(NAME).cells(False)
    assert not record.stale
    assert list(record.frame["policy"]) == [c.policy for c in cells]
    assert list(record.frame["seed"]) == [c.seed for c in cells]
    np.testing.assert_allclose(record.frame["value"], np.arange(len(cells)) + 0.2, rtol=1e-6)
    assert record.logs("", "ORACLE").index[0] == 1000
    with pytest.raises(KeyError, match="SYN"):
        record.logs("", "SYN")


def test_tables_of_other_cells_are_refused() -> None:
    whole = table()
    with pytest.raises(ValueError, match="999 cells"):
        lines_of(NAME, whole[whole["cell"] > 0])
    with pytest.raises(ValueError, match="other cells"):
        lines_of(NAME, whole.assign(seed=7))


def test_damage_is_seen(tmp_path: Path) -> None:
    file = keep(NAME, table(), "0123", tmp_path)
    text = file.read_text()
    for wrong in (text.replace("17.2", "17.3", 1), text[:-40], text.replace('"digest"', '"other"', 1)):
        assert wrong != text
        file.write_text(wrong)
        with pytest.raises(ValueError, match="damaged"):
            load(NAME, tmp_path)
    file.unlink()
    with pytest.raises(ValueError, match="make maps"):
        load(NAME, tmp_path)


def test_other_settings_are_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(NAME, table(), "0123", tmp_path)
    record = load(NAME, tmp_path)
    monkeypatch.setattr(map_records, "cells_digest", lambda cells: "another")
    assert record.stale


@pytest.mark.parametrize("name", READ)
def test_records_of_the_tree(name: str) -> None:
    """Whole, of today's settings, and kilobytes."""
    record = load(name)
    assert not record.stale
    assert len(record.frame) == len(sweep(name).cells(False))
    assert (map_records.RECORDS / f"{name}.jsonl").stat().st_size < 250_000
    assert json.dumps(record.header)


def test_rules_by_hand() -> None:
    better, unclear, worse = Interval(1, 0.5, 1.5, 9), Interval(-0.1, -0.3, 0.1, 9), Interval(-1, -2, -0.1, 9)
    assert never_worse([better, unclear]) == (HOLDS, unclear)
    assert never_worse([better, unclear, worse]) == (FAILS, worse)


def test_same_law_by_hand(rng: np.random.Generator) -> None:
    a = rng.standard_normal(12)
    assert same_law(a, a)
    assert same_law(rng.permutation(a), a)
    assert not same_law(a + 5 * a.std(), a)
