"""Does the paper hold in the loops? One check per claim and world, each decided by its own rule in claims.py.

A claim that fails in reality is evidence, not an error: it is printed. Red is reserved for an expectation with a wide
berth (claims.EXPECTED) that is missed, and for a record that is damaged. A stale one gives "stale", one that nobody
has made "not tested".
"""

from collections.abc import Callable

import pytest

from paper_checks.claims import CLAIMS, EXPECTED, FROM_RUNS, Claim, claim
from paper_checks.image_records import ImageRecord, made
from paper_checks.measures import turning
from paper_checks.register import DIGITS
from paper_checks.statistics import NOT_TESTED
from paper_checks.verdicts import (
    STALE,
    Evidence,
    conjunction,
    evidence_from_runs,
    evidence_of_turn,
    nothing,
)

RIVALS = ("SYN", "SYN-ADD", "ACUR", "SIMS", "SC")
EVERY = "every rival at hand"
STEPS = (60, 125, 250, 500, 1000, 2000)
CELLS = [(c, w) for c in CLAIMS if c.rule in FROM_RUNS and not c.summarises for w in c.worlds]
TOGETHER = [(c, w) for c in CLAIMS if EVERY in c.name for w in c.worlds]
IN_BOTH = [c for c in CLAIMS if c.id == "right-in-both"]
TURNS = [(c, w) for c in CLAIMS if c.rule == "turn" for w in c.worlds]


def names(cells: list[tuple[Claim, str]]) -> list[str]:
    return [f"{c.name}-{w}" for c, w in cells]


@pytest.fixture
def decide(
    request: pytest.FixtureRequest, records: Callable[[str], ImageRecord]
) -> Callable[[Claim, str], Evidence]:
    """Evidence on a claim in a world, from loops run now or from the record that the claim names."""

    def evidence(row: Claim, world: str) -> Evidence:
        if (name := row.record(world)) is None:
            return evidence_from_runs(row, world, request.getfixturevalue("runs")[world])
        if not made(name):
            return nothing(row, world, NOT_TESTED)
        record = records(name)
        return nothing(row, world) if record.stale else evidence_from_runs(row, world, record.runs)

    return evidence


@pytest.mark.parametrize(("row", "world"), CELLS, ids=names(CELLS))
def test_claim(
    row: Claim, world: str, decide: Callable[[Claim, str], Evidence], report: list[Evidence], smoke: bool
) -> None:
    evidence = decide(row, world)
    report.append(evidence)
    expect(evidence, smoke)


@pytest.mark.parametrize(("row", "world"), TOGETHER, ids=names(TOGETHER))
def test_best_of_every_rival(
    row: Claim, world: str, decide: Callable[[Claim, str], Evidence], report: list[Evidence], smoke: bool
) -> None:
    one_by_one = [claim(row.name.replace(EVERY, rival)) for rival in RIVALS]
    evidence = conjunction(row, world, [decide(c, world) for c in one_by_one if world in c.worlds])
    report.append(evidence)
    expect(evidence, smoke)


@pytest.mark.parametrize("row", IN_BOTH, ids=[c.name for c in IN_BOTH])
def test_right_in_both_regimes(
    row: Claim, decide: Callable[[Claim, str], Evidence], report: list[Evidence], smoke: bool
) -> None:
    parts = [f"{id} [{row.convention}]" for id in ("rule-not-worse", "rule-keeps-recall")]
    evidence = conjunction(
        row, DIGITS[-1], [decide(claim(part), world) for part in parts for world in DIGITS]
    )
    report.append(evidence)
    expect(evidence, smoke)


@pytest.mark.parametrize(("row", "world"), TURNS, ids=names(TURNS))
def test_help_turns_to_harm(
    row: Claim, world: str, records: Callable[[str], ImageRecord], report: list[Evidence], smoke: bool
) -> None:
    by_length = {n: records(row.length(n)) for n in STEPS if made(row.length(n))}
    if len(by_length) < len(STEPS):
        evidence = nothing(row, world, NOT_TESTED)
    elif any(record.stale for record in by_length.values()):
        evidence = nothing(row, world)
    else:
        evidence = evidence_of_turn(row, world, turning({n: r.runs for n, r in by_length.items()}))
    report.append(evidence)
    expect(evidence, smoke)


def expect(evidence: Evidence, smoke: bool) -> None:
    """Red only where the register expects a verdict; a smoke run and a stale record are expected to say nothing."""
    expected = EXPECTED.get((evidence.claim.name, evidence.world))
    if expected is not None and not smoke and evidence.verdict not in (STALE, NOT_TESTED):
        assert evidence.verdict == expected, f"{evidence.claim.name} in {evidence.world}: {evidence.value}"
