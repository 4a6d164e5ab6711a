"""What is known of the open questions: fresh samples of the maps in docs/open_questions/."""

from collections import Counter
from collections.abc import Callable

import numpy as np

from lsf.ole import ole
from paper_checks.open_questions import csnr, finite_size, rate
from paper_checks.statistics import FAILS, HOLDS, UNDECIDED
from sims.lowrank import TwoSubspaces
from tests.tolerances import CONSTANT, CONTROL, EXPONENT_SHARP, STANDARD_ERRORS, estimate
from theory.finite_size import rate_constants


def test_ole_falls_with_angle_at_finite_size(conclude: Callable[..., None], seed: int) -> None:
    """One point in 40 of another map than the table's, by fresh draws; the share at which E||M||_* rises is reported.

    Proved points are checked with the rest. The control, E tr (M M')^2, must be seen to fall, and by what is known.
    """
    rows = [finite_size.row(job) for job in finite_size.jobs(1000 + seed, 40)]
    for r in rows:
        assert r["control_verdict"] == finite_size.FALLS, f"the control was not seen to fall at {r}"
        assert float(r["control_low"]) < -2 * int(r["n"]) ** 2 < float(r["control_high"]), r
    count = Counter(r["verdict"] for r in rows)
    rising = count[finite_size.RISES] / len(rows)
    fails, enough = count[finite_size.FALLS] > 0, rising >= 0.95
    verdict = FAILS if fails else HOLDS if enough else UNDECIDED
    conclude("ole-falls-with-angle [noise, finite n]", verdict, rising)


def test_one_optimum_in_the_timestep(conclude: Callable[..., None]) -> None:
    """The proof at four ranks again, and enclosed CSNR on grids; value: how many (r, delta, d) were looked at.

    Control: the same values with a second bump must be seen to have two maxima.
    """
    rows = [csnr.row(job) for job in csnr.jobs() if job.rank in (1, 2, 4, 10)][::37]
    assert {r["turns"] for r in rows} <= {"+-", "-", "+"}
    values = [csnr.enclose_csnr(w, 8, 2, 0.1) for w in (0.0, 0.3, 3.0)]
    bumped = csnr.turns([*values, 2 * values[-1], values[-1]])
    assert csnr.verdict(True, values[0], bumped) == csnr.TWO, "a second maximum was not seen"
    count = Counter(r["verdict"] for r in rows)
    verdict = FAILS if count[csnr.TWO] else UNDECIDED if count[csnr.UNDECIDED] else HOLDS
    conclude("csnr-unimodal [ranks 1 to 128]", verdict, len(rows))


def test_rate_of_the_equivalent(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Slopes in n from enclosures, constants at n = 256; value: the slope with the correction, nearest 0.

    Samples at n = 4 (where the equivalent is 7% high) must agree with the exact value, and not with the equivalent.
    """
    slopes = []
    for angle in (10.0, 45.0, 80.0):
        rows = [rate.row(rate.Job("ole", 1, 2, n, angle, 0.0)) for n in (16, 32, 64, 128, 256)]
        first, second, wrong = (rate.fitted(rows, c)[0] for c in ("error", "corrected", "wrong_sign"))
        assert abs(wrong + 1) < EXPONENT_SHARP, "the wrong correction shows the right rate"
        c_1, c_2 = rate_constants(np.radians(angle))
        constants = [float(rows[-1]["error"]) * 256 / c_1, -float(rows[-1]["corrected"]) * 256**2 / c_2]
        good = abs(first + 1) < EXPONENT_SHARP and np.abs(np.array(constants) - 1).max() < CONSTANT
        slopes.append((good and abs(second + 2) < EXPONENT_SHARP, second))
    truth, small = TwoSubspaces(2, 1, np.pi / 6, 1e-9), rate.row(rate.Job("ole", 1, 2, 4, 30.0, 0.0))

    def drawn(rng: np.random.Generator, size: int) -> np.ndarray:
        pools = [truth.draw(truth.frames(rng), 4, rng) for _ in range(size)]
        return np.array([ole(pool.x, pool.y) for pool in pools])

    found, exact = estimate(drawn, rng, 40_000), float(small["value"])
    assert abs(found.mean - exact) < STANDARD_ERRORS * found.error
    assert abs(found.mean - exact * (1 + float(small["error"]))) > CONTROL * found.error
    verdict = HOLDS if all(good for good, _ in slopes) else FAILS
    conclude("b3-rate", verdict, max(slope for _, slope in slopes))
