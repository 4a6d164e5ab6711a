"""Does the theory predict the image loop? The models of pair_models.py against what is seen, from the records.

A cell is a policy's generation (0, shared; 1; the last). D = mean over pairs of classes of the prediction / the same
of what is seen - 1, one number a seed. A cell holds iff the 95% CI of D lies within +-10%, fails iff it lies wholly
outside or fewer than half of the pairs have a prediction, and is undecided otherwise; a row holds iff every cell does,
and fails iff one does; each convention of a latent is a row of its own. What knows nothing is judged by the same rule
(`ignorance`): a row that holds where it holds too shows no power and is undecided. Value: D of the cell where it is
largest. A row that fails is evidence, not an error.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from paper_checks.claims import claim
from paper_checks.image_theory import UNSEEN, Record, first_model, load, made, rows
from paper_checks.pair_models import LATENTS, LAWS, LAWS_BESIDE, MEASURES, MEASURES_BESIDE
from paper_checks.statistics import FAILS, HOLDS, NOT_TESTED, UNDECIDED, Interval, equivalent, interval
from paper_checks.verdicts import STALE, Evidence, nothing
from sims.loop import run_path
from sims.presets import evidence_preset
from sims.record import RunFolder
from tests.tolerances import STANDARD_ERRORS

WORLDS = ("digits-weak", "digits-strong")
WITHIN = 0.1
ROWS = [
    (law, measure, LATENTS[0])
    for law in LAWS
    for measure in MEASURES
    if "own probe" not in law or "OLE" not in measure
]
"""The probe is no part of OLE."""
ROWS += [
    (law, measure, latents) for latents in LATENTS[1:] for law in LAWS_BESIDE for measure in MEASURES_BESIDE
]


def name_of(law: str, measure: str, latents: str = LATENTS[0]) -> str:
    """The claim's name; the filter's own latents are not named."""
    model, _, variant = law.partition(", ")
    parts = [measure, variant, latents if latents != LATENTS[0] else ""]
    return f"{model}-predicts-images [{', '.join(filter(None, parts))}]"


def ignorance(measure: str, generation: int, seen: float, normalised: float) -> float:
    """What one would say who knows nothing: a fair coin, classes that share one subspace, random choice. `normalised`
    is OLEn as seen."""
    blind = 1 - np.sqrt(0.5)
    return {
        "confidence": 0.5,
        "shortfall of confidence": 0.5,
        "raw OLE": seen / normalised * blind,
        "normalised OLE": blind,
        "kept spread": 1.0,
        "share of real": 1 / (generation + 1),
    }[measure]


def differences(
    record: Record, law: str, measure: str, latents: str = LATENTS[0]
) -> dict[tuple[str | None, int], Any]:
    """D of each cell by seed, and the same of what knows nothing; None where the model cannot be fitted."""
    found: dict[tuple[str | None, int], Any] = {}
    normalised = record.cells(law, "normalised OLE", latents)
    for (policy, k), read in record.cells(law, measure, latents).items():
        if policy == UNSEEN or (k == 0 and measure in ("kept spread", "share of real")):
            continue
        if any(r is None or 2 * r[4] < record.header["pairs"] for r in read):
            found[policy, k] = None
            continue
        D = [r[0] / r[1] - 1 for r in read]
        other = zip(read, normalised[policy, k], strict=True)
        blind = [ignorance(measure, k, r[1], o[1] if o else np.nan) / r[1] - 1 for r, o in other]
        found[policy, k] = (D, blind)
    return found


def together(verdicts: Sequence[str]) -> str:
    """Holds iff all do, fails iff one does."""
    return FAILS if FAILS in verdicts else HOLDS if set(verdicts) == {HOLDS} else UNDECIDED


def verdict_of(cells: Sequence[Any]) -> tuple[str, Interval | None]:
    """By the rule of this file, from (D, D of what knows nothing) of each cell."""
    fitted = [c for c in cells if c is not None]
    if not fitted:
        return FAILS, None
    worst = max((interval(D) for D, _ in fitted), key=lambda ci: abs(ci.mean))
    verdict = FAILS if len(fitted) < len(cells) else together([equivalent(D, WITHIN) for D, _ in fitted])
    if verdict == HOLDS and together([equivalent(blind, WITHIN) for _, blind in fitted]) == HOLDS:
        return UNDECIDED, worst
    return verdict, worst


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(("law", "measure", "latents"), ROWS, ids=[name_of(*row) for row in ROWS])
def test_predicted(law: str, measure: str, latents: str, world: str, report: list[Evidence]) -> None:
    row = claim(name_of(law, measure, latents))
    if not made(world) or (record := load(world)).stale:
        report.append(nothing(row, world, STALE if made(world) else NOT_TESTED))
        return
    verdict, worst = verdict_of(list(differences(record, law, measure, latents).values()))
    value, around = (None, None) if worst is None else (worst.mean, (worst.low, worst.high))
    seeds = tuple(record.header["seeds"])
    report.append(Evidence(row, world, verdict, value, around, seeds))


@pytest.mark.parametrize("latents", LATENTS)
@pytest.mark.parametrize("world", WORLDS)
def test_control_random_choice_is_rejected(world: str, latents: str) -> None:
    """The filter chooses: that it keeps a random part of the pool must not pass for a prediction of it."""
    if (record := load(world)).stale:
        return  # test_predicted says so
    cells = differences(record, "gaussian", "share of real", latents).values()
    blind = [(b, b) for _, b in (c for c in cells if c is not None)]
    assert verdict_of(blind)[0] == FAILS, (
        "random choice predicts the share of real data: is there any filter?"
    )


@pytest.mark.parametrize("world", WORLDS)
def test_record_is_what_todays_run_gives(world: str, runs: dict[str, Any], seed: int, smoke: bool) -> None:
    """Generation 0 and unseen real data of one seed, read again: within 5 s.d. of the record's seeds (another machine
    trains another network), to the four digits kept. A smoke run has no record, nor has another seed, and shows that it
    can be read."""
    preset = evidence_preset(world, smoke)
    own = runs[world][0].seed
    folder = RunFolder(run_path(preset, own))
    today = rows(folder, first_model(folder), policies=())
    assert [line["law"] for line in today] == [*LAWS, *LAWS, *LAWS_BESIDE * 2 * len(LATENTS[1:])]
    if smoke or seed != 0 or not made(world) or (record := load(world)).stale:
        return
    for line in today:
        for measure in MEASURES[:4]:
            cells = record.cells(line["law"], measure, line["latents"])
            then = cells[line["policy"], line["generation"]]
            what = f"{line['law']}, {measure}, {line['latents']}"
            assert same(line[measure], then), f"{what}: {line[measure]} today, {then} then"


def same(now: Any, then: Sequence[Any]) -> bool:
    """Within 5 s.d. over seeds of their mean, the prediction and what is seen; or nothing to be said, then as now."""
    if now is None or None in then:
        return now is None and None in then
    old = np.array([t[:2] for t in then])
    room = STANDARD_ERRORS * old.std(axis=0, ddof=1) + 1e-3 * np.abs(old.mean(axis=0))
    return bool((np.abs(now[:2] - old.mean(axis=0)) <= room).all())
