"""Does the paper hold in the loops? One check per claim and world, each decided by its own rule in claims.py.

A claim that fails in reality is evidence, not an error: it is printed. Red is reserved for an expectation with a wide
berth (claims.EXPECTED) that is missed.
"""

import pytest

from paper_checks.claims import CLAIMS, EXPECTED, FROM_RUNS, Claim, claim
from paper_checks.measures import Run
from paper_checks.verdicts import Evidence, conjunction, evidence_from_runs

RIVALS = ("SYN", "SYN-ADD", "ACUR", "SIMS", "SC")
EVERY = "every rival at hand"
CELLS = [(c, w) for c in CLAIMS if c.rule in FROM_RUNS and EVERY not in c.name for w in c.worlds]
TOGETHER = [(c, w) for c in CLAIMS if EVERY in c.name for w in c.worlds]


@pytest.mark.parametrize(("row", "world"), CELLS, ids=[f"{c.name}-{w}" for c, w in CELLS])
def test_claim(
    row: Claim, world: str, runs: dict[str, list[Run]], report: list[Evidence], smoke: bool
) -> None:
    evidence = evidence_from_runs(row, world, runs[world])
    report.append(evidence)
    expect(evidence, smoke)


@pytest.mark.parametrize(("row", "world"), TOGETHER, ids=[f"{c.name}-{w}" for c, w in TOGETHER])
def test_best_of_every_rival(
    row: Claim, world: str, runs: dict[str, list[Run]], report: list[Evidence], smoke: bool
) -> None:
    one_by_one = [claim(row.name.replace(EVERY, rival)) for rival in RIVALS]
    at_hand = [evidence_from_runs(c, world, runs[world]) for c in one_by_one if world in c.worlds]
    evidence = conjunction(row, world, at_hand)
    report.append(evidence)
    expect(evidence, smoke)


def expect(evidence: Evidence, smoke: bool) -> None:
    """Red only where the register expects a verdict; a smoke run expects nothing."""
    expected = EXPECTED.get((evidence.claim.name, evidence.world))
    if expected is not None and not smoke:
        assert evidence.verdict == expected, f"{evidence.claim.name} in {evidence.world}: {evidence.value}"
