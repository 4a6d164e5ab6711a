"""The register, the table, the page and the file of verdicts. What real runs give is not asked here."""

from __future__ import annotations

import io
import json
import re
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from paper_checks.__main__ import main, markdown
from paper_checks.claims import CLAIMS, EXPECTED, FROM_RUNS, LOOPS, WORLDS, Claim, claim
from paper_checks.measures import Run, statistics_of
from paper_checks.register import DIGITS
from paper_checks.statistics import (
    CORRECTED,
    FAILS,
    HOLDS,
    NOT_TESTED,
    UNDECIDED,
)
from paper_checks.verdicts import (
    STALE,
    Evidence,
    complete,
    conjunction,
    evidence_from_runs,
    headed,
    nothing,
    print_table,
    write_verdicts,
)
from sims.loop import run
from sims.presets import preset
from tests.test_paper_measures import CELLS, EVERY_RIVAL

# --- verdicts ---


def evidence(
    name: str = "syn-collapses", world: str = "gaussian", verdict: str = HOLDS, value: float = 1.0
) -> Evidence:
    return Evidence(claim(name), world, verdict, value, (value - 0.5, value + 0.5), (0, 1, 2))


def written(found: list[Evidence], path: Path, smoke: bool = False) -> list[dict[str, Any]]:
    write_verdicts(found, path / "out" / "verdicts.json", smoke)
    text = (path / "out" / "verdicts.json").read_text()
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_table_is_complete_and_what_was_not_tested_says_so(tmp_path: Path) -> None:
    rows = written([evidence()], tmp_path)
    assert len(rows) == len(CLAIMS) * len(WORLDS)
    assert len({(r["claim"], r["convention"], r["world"]) for r in rows}) == len(rows)
    assert {tuple(r) for r in rows} == {
        ("claim", "world", "convention", "verdict", "value", "interval", "seeds", "models")
    }
    (tested,) = [r for r in rows if r["verdict"] != NOT_TESTED]
    assert tested == {
        "claim": "syn-collapses",
        "world": "gaussian",
        "convention": "",
        "verdict": HOLDS,
        "value": 1.0,
        "interval": [0.5, 1.5],
        "seeds": [0, 1, 2],
        "models": [],
    }
    for r in rows:
        if r is not tested:
            assert (r["value"], r["interval"], r["seeds"]) == (None, None, [])


def test_smoke_verdicts_are_marked(tmp_path: Path) -> None:
    verdicts = [HOLDS, FAILS, UNDECIDED, CORRECTED, STALE]
    found = [evidence(world=w, verdict=v) for w, v in zip(LOOPS[: len(verdicts)], verdicts, strict=True)]
    rows = written(found, tmp_path, smoke=True)
    assert {r["verdict"] for r in rows} == {f"smoke: {v}" for v in verdicts} | {NOT_TESTED}
    assert {r["verdict"] for r in written(found, tmp_path)} == {*verdicts, NOT_TESTED}


def test_infinite_interval_is_null(tmp_path: Path) -> None:
    one_seed = replace(evidence(verdict=UNDECIDED), interval=(-np.inf, np.inf), seeds=(0,))
    (row,) = [r for r in written([one_seed], tmp_path) if r["verdict"] == UNDECIDED]
    assert row["interval"] is None
    assert row["value"] == 1.0


@pytest.mark.parametrize(
    ("verdicts", "together"),
    [
        ([HOLDS, HOLDS, HOLDS], HOLDS),
        ([HOLDS, UNDECIDED, HOLDS], UNDECIDED),
        ([HOLDS, FAILS, UNDECIDED], FAILS),
        ([UNDECIDED, UNDECIDED, UNDECIDED], UNDECIDED),
    ],
)
def test_every_rival_must_be_beaten(verdicts: list[str], together: str) -> None:
    parts = [evidence(verdict=v, value=3.0 - i) for i, v in enumerate(verdicts)]
    found = conjunction(claim(EVERY_RIVAL), "gaussian", parts)
    assert (found.verdict, found.value, found.claim.name) == (together, 1.0, EVERY_RIVAL)


def printed(found: list[Evidence], smoke: bool = False) -> str:
    stream = io.StringIO()
    print_table(found, Console(file=stream, width=10_000), smoke)
    return stream.getvalue()


def test_printed_table_has_every_claim_once() -> None:
    found = [evidence(), evidence("lsf-best-fid [against SYN]", "digits-weak", FAILS, -1.0)]
    text = printed(found)
    for word in (
        "gaussian (n = 3)",
        "holds",
        "[0.5, 1.5]",
        "fails",
        "lsf-best-fid [against SYN]",
        "by chance alone",
    ):
        assert word in text
    assert "smoke" not in text
    assert "smoke: holds" in printed(found, smoke=True)


def test_what_was_not_tested_is_named_if_little_and_counted_if_much() -> None:
    def untested(found: list[Evidence]) -> str:
        (line,) = [line for line in printed(found).splitlines() if line.startswith("not tested:")]
        return line

    all_but_two = [evidence(c.name) for c in CLAIMS[2:]]
    assert untested(all_but_two) == f"not tested: {CLAIMS[0].name}; {CLAIMS[1].name}"
    assert untested(all_but_two[:1]) == f"not tested: {len(CLAIMS) - 1} other claims"
    assert untested([evidence(c.name) for c in CLAIMS]) == "not tested: none"


def test_shared_models_few_seeds_and_stale_records_are_said() -> None:
    assert headed("digits-strong", 5, 3) == (
        "digits-strong (n = 5 on 3 generation-0 models, conditional on them)"
    )
    assert headed("fashion-mnist", 3) == "fashion-mnist (n = 3, indicative)"
    assert headed("gaussian", 3) == "gaussian (n = 3)"
    shared = replace(evidence(world="digits-strong"), seeds=tuple(range(5)), models=(0, 1, 2))
    text = printed([shared, nothing(claim("syn-collapses"), "fashion-mnist")])
    assert "5 on 3 generation-0 models, conditional on them" in text
    assert "stale records, whose presets have changed since: fashion-mnist" in text
    assert "stale records" not in printed([shared])  # control


def test_conjunctions_are_not_counted_among_what_chance_gives() -> None:
    """They have no interval of their own: one of them beside 40 others leaves the count at 1."""
    rows = [c for c in CLAIMS if c.rule in FROM_RUNS and not c.summarises]
    forty = [(c, w) for c in rows for w in c.worlds][:40]
    found = [Evidence(c, w, HOLDS, 1.0, (0.5, 1.5), (0, 1)) for c, w in forty]
    assert "40 cells have 95% intervals: by chance alone about 1 would" in printed(found)
    assert "40 cells have" in printed([*found, evidence(EVERY_RIVAL, "digits-weak")])
    assert "41 cells have" in printed([*found, evidence("top-n-costs [recall]", "fashion-mnist")])  # control


def test_every_claim_can_be_printed() -> None:
    names = [c.name for c in CLAIMS]
    text = printed([evidence(name, c.worlds[0]) for c in CLAIMS if c.worlds for name in [c.name]])
    assert all(name in text.replace("\n", " ") for name in names)


def test_complete_keeps_the_order_of_the_register() -> None:
    found = complete([evidence()])
    assert [(e.claim.name, e.world) for e in found] == [(c.name, w) for c in CLAIMS for w in WORLDS]


# --- the register ---


def test_names_are_unique_and_found() -> None:
    names = [c.name for c in CLAIMS]
    assert len(set(names)) == len(names)
    assert all(claim(c.name) is c for c in CLAIMS)
    with pytest.raises(KeyError):
        claim("no such claim")


def test_claims_are_whole() -> None:
    for c in CLAIMS:
        assert c.rule in (*FROM_RUNS, "exact", "maps", "own seeds", "turn"), c.name
        assert c.id, c.name
        assert c.place, c.name
        assert c.statement, c.name
        assert set(c.worlds) <= set(WORLDS), c.name
        assert c.rule not in FROM_RUNS or set(c.worlds) <= set(LOOPS), c.name
        assert (c.margin < 0) == (c.rule == "not worse"), c.name


def test_claims_of_the_issue_are_checked_in_both_regimes() -> None:
    """At least those that issue 2 names."""
    asked = (
        "confidence-falls", "latent-degrades", "ole-u-shape", "filter-keeps-real", "syn-collapses", "lsf-best-fid",
        "lsf-best-precision", "lsf-recall-near-acu",
    )  # fmt: skip
    for id in asked:
        assert any(set(DIGITS) <= set(c.worlds) for c in CLAIMS if c.id == id), id


def test_expectations_are_of_cells_that_exist() -> None:
    for (name, world), verdict in EXPECTED.items():
        assert world in claim(name).worlds
        assert verdict in (HOLDS, CORRECTED, FAILS, UNDECIDED)


# --- real records ---


@pytest.fixture(scope="module")
def real_runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    store = tmp_path_factory.mktemp("runs")
    return [Run.read(run(preset("gaussian-smoke"), s, store / str(s))) for s in range(3)]


@pytest.mark.parametrize("row", [c for c, w in CELLS if w == "gaussian"], ids=lambda c: c.name)
def test_claims_can_be_read_off_a_real_run(row: Claim, real_runs: list[Run]) -> None:
    found = evidence_from_runs(row, "gaussian", real_runs)
    assert found.verdict in (HOLDS, FAILS, UNDECIDED)
    assert found.seeds == (0, 1, 2)
    assert found.interval is not None
    assert np.isfinite(found.interval).all()


def test_statistics_read_and_do_not_write(real_runs: list[Run]) -> None:
    before = deepcopy(real_runs)
    for c, w in CELLS:
        if w == "gaussian":
            statistics_of(c, real_runs)
    assert real_runs == before


def test_the_page_of_verdicts_is_a_table_that_renders(tmp_path: Path) -> None:
    """Every row has the cells of the head: a bare | in a statement would shift the verdicts."""
    path = tmp_path / "verdicts.json"
    write_verdicts([], path, smoke=False)
    evidence = [Evidence(c, w, "holds", 0.5, (0.1, 0.9), (0, 1)) for c in CLAIMS for w in c.worlds]
    write_verdicts(evidence, path, smoke=False)
    lines = [line for line in markdown(json.loads(path.read_text())).splitlines() if line.startswith("|")]
    cells = {len(re.split(r"(?<!\\)\|", line)) for line in lines}
    assert cells == {len(WORLDS) + 5}
    assert any("|" in c.statement for c in CLAIMS), "nothing to escape: the test has no power"


# --- the command line ---


def page_of(path: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["--verdicts", str(path), *map(str, arguments)])


def refusal(result: Result) -> str:
    assert result.exit_code in (1, 2)
    assert isinstance(result.exception, SystemExit)
    (line,) = [line for line in result.output.splitlines() if line.startswith("Error")]
    return line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is damaged"),
        ("[{", "is damaged"),
        ("[" * 100_000, "is damaged"),
        ("{}", "not a list of verdicts"),
        ("[1]", "not a list of verdicts"),
        ("[{}]", "not a list of verdicts"),
        ("[]", "other claims or worlds"),
    ],
)
def test_damaged_verdicts_are_one_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "verdicts.json").write_text(text)
    assert message in refusal(page_of(tmp_path / "verdicts.json", "--out", tmp_path / "page.md"))
    assert not (tmp_path / "page.md").exists()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("value", "1", "not a list of verdicts"),
        ("interval", [1.0], "not a list of verdicts"),
        ("interval", [None, 1.0], "not a list of verdicts"),
        ("seeds", None, "not a list of verdicts"),
        ("verdict", None, "not a list of verdicts"),
        ("claim", ["a"], "not a list of verdicts"),
        ("claim", "another", "other claims or worlds"),
    ],
)
def test_a_damaged_row_of_verdicts_is_one_line(key: str, value: Any, message: str, tmp_path: Path) -> None:
    rows = written([evidence()], tmp_path)
    path = tmp_path / "out" / "verdicts.json"
    assert page_of(path).exit_code == 0  # control
    path.write_text(json.dumps([{**rows[0], key: value}, *rows[1:]]))
    assert message in refusal(page_of(path))
    path.write_text(json.dumps([*rows, rows[0]]))
    assert "other claims or worlds" in refusal(page_of(path))


def test_verdicts_that_cannot_be_read_or_written_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    assert "is damaged" in refusal(page_of(tmp_path / "binary"))
    assert "cannot be read" in refusal(page_of(tmp_path))
    assert "cannot be read" in refusal(page_of(tmp_path / "binary" / "x"))
    assert "is not there" in refusal(page_of(tmp_path / "nowhere"))
    written([evidence()], tmp_path)
    path = tmp_path / "out" / "verdicts.json"
    assert "cannot be written" in refusal(page_of(path, "--out", tmp_path / "nowhere" / "page.md"))
    assert "page.md" in refusal(page_of(path, "--out", tmp_path / "binary" / "page.md"))
    assert page_of(path, "--out", tmp_path / "page.md").exit_code == 0
    assert (tmp_path / "page.md").read_text().startswith("# Verdicts")
