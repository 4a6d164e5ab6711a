"""What came out? Evidence per claim and world, the table of verdicts, and out/verdicts.json."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from paper_checks.claims import CLAIMS, FROM_RUNS, WORLDS, Claim
from paper_checks.measures import Run, statistics_of
from paper_checks.statistics import FAILS, HOLDS, NOT_TESTED, UNDECIDED, equivalent, interval, superior
from sims.record import write_text

__all__ = ["Evidence", "evidence_from_runs", "headed", "print_table", "write_verdicts"]

COLOURS = {
    "holds": "green",
    "holds as corrected": "green",
    "fails": "red",
    "undecided": "yellow",
    "not tested": "dim",
}


@dataclass(frozen=True)
class Evidence:
    """The verdict on a claim in a world: value, 95% interval where there is one, and the seeds behind it."""

    claim: Claim
    world: str
    verdict: str
    value: float | None
    interval: tuple[float, float] | None
    seeds: tuple[int, ...]

    def row(self, smoke: bool) -> dict[str, Any]:
        """As it stands in verdicts.json."""
        return {
            "claim": self.claim.id,
            "world": self.world,
            "convention": self.claim.convention,
            "verdict": marked(self.verdict, smoke),
            "value": self.value,
            "interval": list(self.interval)
            if self.interval is not None and np.isfinite(self.interval).all()
            else None,
            "seeds": list(self.seeds),
        }


def marked(verdict: str, smoke: bool) -> str:
    """A verdict of a smoke run says so: it shows that the way can be gone, and decides nothing."""
    return f"smoke: {verdict}" if smoke and verdict != NOT_TESTED else verdict


def evidence_from_runs(claim: Claim, world: str, runs: Sequence[Run]) -> Evidence:
    """Apply the claim's rule to the records of a world."""
    images = world.startswith("digits")
    D, noise = statistics_of(claim, runs)
    ci = interval(D)
    if claim.rule == "equivalent":
        verdict = equivalent(D, claim.margin)
    elif claim.rule == "not worse" or not images:
        verdict = superior(D, claim.margin)
    else:
        verdict = superior(D, claim.margin, noise, agree=True)
    return Evidence(claim, world, verdict, ci.mean, (ci.low, ci.high), tuple(run.seed for run in runs))


def conjunction(claim: Claim, world: str, parts: Sequence[Evidence]) -> Evidence:
    """Intersection-union: holds iff every part holds, fails iff one fails; the value is the smallest part's."""
    verdicts = {e.verdict for e in parts}
    verdict = FAILS if FAILS in verdicts else HOLDS if verdicts == {HOLDS} else UNDECIDED
    least = min(parts, key=lambda e: np.inf if e.value is None else e.value)
    return Evidence(claim, world, verdict, least.value, least.interval, least.seeds)


def complete(evidence: Sequence[Evidence]) -> list[Evidence]:
    """All claims in all worlds: "not tested" where there is no evidence, never green."""
    found = {(e.claim.name, e.world): e for e in evidence}
    return [
        found.get((c.name, w), Evidence(c, w, NOT_TESTED, None, None, ())) for c in CLAIMS for w in WORLDS
    ]


def write_verdicts(evidence: Sequence[Evidence], path: Path, smoke: bool) -> None:
    """The whole table as JSON."""
    write_text(path, json.dumps([e.row(smoke) for e in complete(evidence)], indent=1) + "\n")


def cell(e: Evidence, smoke: bool) -> str:
    """Verdict, value and interval of one cell."""
    if e.verdict == NOT_TESTED:
        return "[dim]–[/dim]" if e.world in e.claim.worlds else ""
    text = f"[{COLOURS[e.verdict]}]{marked(e.verdict, smoke)}[/]"
    if e.value is not None:
        text += f"\n{e.value:.3g}"
    if e.interval is not None and np.isfinite(e.interval).all():
        text += f" [{e.interval[0]:.3g}, {e.interval[1]:.3g}]".replace("[", r"\[", 1)
    return text


def headed(world: str, seeds: int) -> str:
    """The world and its number of seeds; images on fewer than five are indicative."""
    few = ", indicative" if world.startswith("digits") and seeds < 5 else ""
    return f"{world} (n = {seeds}{few})" if seeds > 1 else world


def print_table(evidence: Sequence[Evidence], console: Console, smoke: bool) -> None:
    """Claims down, worlds across; then what chance alone would give."""
    table = Table(
        title="Claims and verdicts" + (" (smoke run: decides nothing)" if smoke else ""), show_lines=True
    )
    seeds = {w: max((len(e.seeds) for e in evidence if e.world == w), default=0) for w in WORLDS}
    for head in ("claim", "margin", *(headed(w, seeds[w]) for w in WORLDS)):
        table.add_column(head)
    rows = complete(evidence)
    untested = []
    for i, c in enumerate(CLAIMS):
        cells = rows[i * len(WORLDS) : (i + 1) * len(WORLDS)]
        if all(e.verdict == NOT_TESTED for e in cells):
            untested.append(c.name)
            continue
        margin = f"{c.margin:.3g}" if c.rule in FROM_RUNS else c.rule
        table.add_row(rf"{c.name}".replace("[", r"\["), margin, *(cell(e, smoke) for e in cells))
    console.print(table)
    tested = sum(e.interval is not None for e in evidence)
    console.print(f"not tested: {'; '.join(untested)}", markup=False)
    console.print(
        f"{tested} cells have 95% intervals: by chance alone about {tested / 40:.0f} would fall wrongly on each side."
    )
    console.print(
        "Value: D of paper_checks/claims.py, mean [95% interval over seeds].",
        markup=False,
    )
