"""Which rule is right in both regimes? The claims about rules across mechanisms, from the records of the long sweeps.

Records lie in paper_checks/records/ (sims/sweeps.py, 100 paired seeds a cell). They are read here by the rules of
claims.py, and some of their cells are run again: a record that today's code does not give is red, not a verdict.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest

from paper_checks.claims import claim
from paper_checks.map_records import READ, Record, load
from paper_checks.statistics import FAILS, HOLDS, UNDECIDED, Interval, interval
from paper_checks.verdicts import Evidence
from sims.sweeps import HELD_OUT, LEANING, RULES, SITUATIONS, sweep
from tests.tolerances import RERUN, STANDARD_ERRORS, close

DESIGN = tuple(name for name in SITUATIONS if name not in HELD_OUT)
RULE, HERD = "ACU-SHRUNK", "ACU-HERD"
AGAIN = 12  # cells of each record


@pytest.fixture(params=READ)
def record(request: pytest.FixtureRequest) -> Record:
    return load(request.param)


def run_again(record: Record, rng: np.random.Generator, seeds: int) -> tuple[pd.DataFrame, np.ndarray]:
    """The record's lines of one setting, chosen by --seed, for so many of its seeds; and the same cells run today."""
    cells, frame = sweep(record.name).cells(False), record.frame
    settings = frame.groupby(["situation", "trusted", "policy"]).ngroup()
    while True:  # not of a policy whose readings do not vary, such as a mode that is gone
        lines = frame[settings == rng.integers(settings.max() + 1)].iloc[:seeds]
        if lines["value"].std() > 0:
            break
    today = [sweep(record.name).run(cells[i])[-1][READ[record.name]] for i in lines.index]
    return lines, np.array(today)


def test_record_is_what_todays_cells_give(record: Record, smoke: bool, rng: np.random.Generator) -> None:
    """One setting, chosen by --seed, run again: the same numbers, or, where rounding has turned the axes of equal
    variances and so the draws, the same law. Control: numbers larger by 5 s.d. of a cell are another law."""
    assert not record.stale, f"{record.name}: settings have changed since {record.header['date']}: make maps"
    lines, today = run_again(record, rng, 6 if smoke else AGAIN)
    then = lines["value"].to_numpy()
    assert same_law(today, then), f"{lines.iloc[0].to_dict()}: {today} today"
    assert not same_law(today + 5 * then.std(), then), "the control was accepted"


def same_law(today: np.ndarray, then: np.ndarray) -> bool:
    """Equal up to rounding, or means within 5 standard errors of their difference."""
    error = np.sqrt((today.var(ddof=1) + then.var(ddof=1)) / len(then))
    return close(today, then, RERUN) or bool(abs(today.mean() - then.mean()) <= STANDARD_ERRORS * error)


def gains(record: Record, situation: str, rule: str, trusted: int = 100) -> Interval:
    """log KL(random) - log KL(rule), by seed."""
    pairs = record.logs(situation, "ACUR", trusted), record.logs(situation, rule, trusted)
    assert list(pairs[0].index) == list(pairs[1].index), "seeds are not paired"
    return interval(pairs[0] - pairs[1])


def never_worse(parts: Sequence[Interval]) -> tuple[str, Interval]:
    """Holds iff no interval lies below 0; the value is the least gain."""
    return (FAILS if any(p.high < 0 for p in parts) else HOLDS), min(parts, key=lambda p: p.mean)


@pytest.fixture
def put(report: list[Evidence]) -> Callable[..., None]:
    """Evidence of a map into the report: value and interval, no verdict demanded."""

    def add(name: str, verdict: str, value: float, ci: Interval | None, n: int) -> None:
        around = None if ci is None else (ci.low, ci.high)
        report.append(Evidence(claim(name), "low-rank", verdict, value, around, tuple(range(1000, 1000 + n))))

    return add


@pytest.mark.parametrize(
    ("name", "rule", "sweep_name", "situations"),
    [
        ("never worse", RULE, "mechanisms", DESIGN),
        ("never worse, held-out mechanisms", RULE, "mechanisms", HELD_OUT),
        ("trim-then-herd, never worse", HERD, "rules-again", tuple(SITUATIONS)),
    ],
)
def test_never_worse(
    put: Callable[..., None], name: str, rule: str, sweep_name: str, situations: tuple[str, ...]
) -> None:
    verdict, least = never_worse([gains(load(sweep_name), s, rule) for s in situations])
    put(f"better-rule [{name}]", verdict, least.mean, least, least.n)


def test_control_top_n_is_worse_somewhere(put: Callable[..., None]) -> None:
    """The paper's rule by the same measure; and the measure must be able to say "worse"."""
    verdict, least = never_worse([gains(load("mechanisms"), s, "ACU-LSF") for s in SITUATIONS])
    put("top-n-right-in-both", verdict, least.mean, least, least.n)
    assert verdict == FAILS, "top-N is worse than random choice in no situation: has the measure any power?"


@pytest.mark.parametrize(
    ("name", "rule", "sweep_name"),
    [
        ("best or tied in most", RULE, "mechanisms"),
        ("trim-then-herd, best or tied in most", HERD, "rules-again"),
    ],
)
def test_best_or_tied(put: Callable[..., None], name: str, rule: str, sweep_name: str) -> None:
    """In how many situations is no other rule better? Value: their share."""
    record, kept = load(sweep_name), 0
    for situation in SITUATIONS:
        own = record.logs(situation, rule)
        rivals = [interval(own - record.logs(situation, rival)) for rival in RULES if rival != rule]
        kept += not any(r.low > 0 for r in rivals)
    verdict = HOLDS if 2 * kept > len(SITUATIONS) else FAILS
    put(f"better-rule [{name}]", verdict, kept / len(SITUATIONS), None, 100)


@pytest.mark.parametrize(
    ("name", "rule"), [("few trusted samples", RULE), ("trim-then-herd, few trusted samples", HERD)]
)
def test_few_trusted_samples(put: Callable[..., None], name: str, rule: str) -> None:
    record = load("trusted-size")
    parts = [gains(record, s, rule, m) for s in ("sound", "contraction") for m in (20, 40)]
    verdict, least = never_worse(parts)
    put(f"better-rule [{name}]", verdict, least.mean, least, least.n)
    others = [gains(record, "sound", other, 20) for other in LEANING if other != RULE]
    assert any(g.high < 0 for g in others), "control: no rule is worse with 20 samples"


@pytest.mark.parametrize(("name", "policy"), [("top-N", "ACU-LSF"), ("shrunk herding", RULE)])
def test_minority(put: Callable[..., None], name: str, policy: str) -> None:
    """Share of the minority mode over its fair share after six generations; holds iff its CI lies above one half."""
    frame = load("minority").frame
    ci = interval(frame[frame.policy == policy]["value"])
    verdict = HOLDS if ci.low > 0.5 else FAILS if ci.high < 0.5 else UNDECIDED
    put(f"minority-kept [{name}]", verdict, ci.mean, ci, ci.n)
