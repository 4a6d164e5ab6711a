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
from paper_checks.measures import Run, Turn, statistics_of
from paper_checks.register import IMAGES
from paper_checks.statistics import FAILS, HOLDS, NOT_TESTED, UNDECIDED, equivalent, interval, superior
from sims.record import write_text

__all__ = [
    "Evidence", "STALE", "evidence_from_runs", "evidence_of_turn", "nothing", "headed", "print_table", "write_verdicts",
]  # fmt: skip

STALE = "stale"
"""The verdict on a record whose preset has changed since: there is evidence, but not of today's experiment."""

COLOURS = {
    "holds": "green",
    "holds as corrected": "green",
    "fails": "red",
    "undecided": "yellow",
    STALE: "magenta",
    "not tested": "dim",
}


NAMED = 12
"""So many claims without evidence are named below the table; more are counted, as after a run of one check."""


@dataclass(frozen=True)
class Evidence:
    """The verdict on a claim in a world: value, 95% interval where there is one, and the seeds behind it.

    `models`: the generation-0 models that the seeds start from, where they share some: then it is conditional on them.
    """

    claim: Claim
    world: str
    verdict: str
    value: float | None
    interval: tuple[float, float] | None
    seeds: tuple[int, ...]
    models: tuple[int, ...] = ()

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
            "models": list(self.models),
        }


def marked(verdict: str, smoke: bool) -> str:
    """A verdict of a smoke run says so: it shows that the way can be gone, and decides nothing."""
    return f"smoke: {verdict}" if smoke and verdict != NOT_TESTED else verdict


def evidence_from_runs(claim: Claim, world: str, runs: Sequence[Run]) -> Evidence:
    """Apply the claim's rule to the records of a world."""
    images = world in IMAGES
    D, noise = statistics_of(claim, runs)
    ci = interval(D)
    if claim.rule == "equivalent":
        verdict = equivalent(D, claim.margin)
    elif claim.rule == "not worse" or not images:
        verdict = superior(D, claim.margin)
    else:
        verdict = superior(D, claim.margin, noise, agree=True)
    seeds = tuple(run.seed for run in runs)
    return Evidence(claim, world, verdict, ci.mean, (ci.low, ci.high), seeds, shared_models(runs))


def shared_models(runs: Sequence[Run]) -> tuple[int, ...]:
    """The generation-0 models of these runs, if some share one; else ()."""
    models = sorted({run.seed if run.model is None else run.model for run in runs})
    return tuple(models) if len(models) < len(runs) else ()


def nothing(claim: Claim, world: str, word: str = STALE) -> Evidence:
    """No evidence: from a record whose preset has changed ("stale"), or that nobody has made ("not tested")."""
    return Evidence(claim, world, word, None, None, ())


def evidence_of_turn(claim: Claim, world: str, turn: Turn) -> Evidence:
    """Holds iff the CI of D lies above 0 at the shortest training and below it at the longest; fails iff one is on the
    wrong side; else undecided. Value: where the mean crosses 0."""
    lengths = sorted(turn.gains)
    first, last = (superior(turn.gains[n], 0.0) for n in (lengths[0], lengths[-1]))
    verdict = (
        FAILS if first == FAILS or last == HOLDS else HOLDS if (first, last) == (HOLDS, FAILS) else UNDECIDED
    )
    value = turn.accuracy if "accuracy" in claim.convention else turn.crossing
    return Evidence(claim, world, verdict, value, None, tuple(range(len(turn.gains[lengths[0]]))))


def conjunction(claim: Claim, world: str, parts: Sequence[Evidence]) -> Evidence:
    """Intersection-union: holds iff every part holds, fails iff one fails; the value is the smallest part's.

    Stale, or not tested, if a part is.
    """
    verdicts = {e.verdict for e in parts}
    for word in (NOT_TESTED, STALE):
        if word in verdicts:
            return nothing(claim, world, word)
    verdict = FAILS if FAILS in verdicts else HOLDS if verdicts == {HOLDS} else UNDECIDED
    least = min(parts, key=lambda e: np.inf if e.value is None else e.value)
    return Evidence(claim, world, verdict, least.value, least.interval, least.seeds, least.models)


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


def headed(world: str, seeds: int, models: int = 0) -> str:
    """The world and its number of seeds; images on fewer than five are indicative, and seeds that share `models`
    generation-0 models are conditional on them."""
    few = ", indicative" if world in IMAGES and seeds < 5 else ""
    shared = f" on {models} generation-0 models, conditional on them" if models else ""
    return f"{world} (n = {seeds}{shared}{few})" if seeds > 1 else world


def print_table(evidence: Sequence[Evidence], console: Console, smoke: bool) -> None:
    """Claims down, worlds across; then what chance alone would give."""
    table = Table(
        title="Claims and verdicts" + (" (smoke run: decides nothing)" if smoke else ""), show_lines=True
    )
    seeds = {w: max((len(e.seeds) for e in evidence if e.world == w), default=0) for w in WORLDS}
    models = {w: max((len(e.models) for e in evidence if e.world == w), default=0) for w in WORLDS}
    for head in ("claim", "margin", *(headed(w, seeds[w], models[w]) for w in WORLDS)):
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
    tested = sum(e.interval is not None and not e.claim.summarises for e in evidence)
    old = sorted({e.world for e in evidence if e.verdict == STALE})
    if old:
        console.print(
            f"stale records, whose presets have changed since: {', '.join(old)}: run `make images` again"
        )
    named = "; ".join(untested) if len(untested) <= NAMED else f"{len(untested)} other claims"
    console.print(f"not tested: {named or 'none'}", markup=False)
    console.print(
        f"{tested} cells have 95% intervals: by chance alone about {tested / 40:.0f} would fall wrongly on each side."
    )
    console.print(
        "Value: D of paper_checks/claims.py, mean [95% interval over seeds].",
        markup=False,
    )
