"""The rate of B3: enclosures against the float64 formulas, fitted slopes and constants, and the wrong correction."""

import numpy as np
import pytest
from flint import arb, ctx

from paper_checks.open_questions import rate as table
from tests.tolerances import CONSTANT, EXPONENT_SHARP, FLOAT64, INTEGRAL, SLOPE, close
from theory.finite_size import first_correction, rate_constants
from theory.nuclear_norm import chi_mean, deterministic_equivalent
from theory.ole import exact_ole_rank_one
from theory.ole_enclosures import (
    enclose_chi_mean,
    enclose_correction,
    enclose_equivalent,
    enclose_ole,
    enclose_white_two,
)


def holds(ball, value, tolerance=FLOAT64):
    """Within `tolerance` of the ball, and a thousand times that is seen."""
    return (ball * arb(1, tolerance)).overlaps(arb(float(value))) and not (ball * arb(1, tolerance)).overlaps(
        arb(float(value)) * (1 + 1000 * tolerance)
    )


@pytest.mark.parametrize(("n", "degrees"), [(1, 0.0), (1, 30.0), (2, 1.0), (10, 60.0), (300, 20.0)])
def test_balls_hold_the_float64_formulas(n, degrees):
    theta = np.radians(degrees)
    turn = arb(degrees) / 180
    h = ((turn / 2).cos_pi() ** 2, (turn / 2).sin_pi() ** 2)[: 1 if degrees == 0 else 2]
    spectrum = [float(x) for x in h]
    assert holds(enclose_ole(n, turn.sin_pi()), exact_ole_rank_one(n, theta))
    assert holds(enclose_equivalent(h, 2 * n), deterministic_equivalent(spectrum, 2 * n), INTEGRAL)
    planes = tuple(
        np.array([x]) for x in (np.cos(theta / 2) ** 2, np.sin(theta / 2) ** 2, np.sin(theta) ** 2)
    )
    value = first_correction(spectrum, 2 * n, None, planes)
    assert holds(enclose_correction(h, 2 * n, turn.sin_pi()), value, INTEGRAL)
    without = first_correction(spectrum, 2 * n)
    if degrees > 0:
        assert not holds(enclose_correction(h, 2 * n, turn.sin_pi()), without, INTEGRAL)
    assert holds(enclose_chi_mean(n), chi_mean(n))


def test_two_rows_of_white_noise(rng):
    """E sqrt(tr + 2 sqrt det) against simulation, and by hand at n = 1 and 2."""
    assert holds(enclose_white_two(1), np.sqrt(np.pi / 2))
    assert holds(enclose_white_two(2), chi_mean(4) * 2 / 3 * (2**1.5 - 1))
    G = rng.standard_normal((100, 400, 2, 5))
    norms = np.linalg.svd(G, compute_uv=False).sum(axis=-1).mean(axis=1)
    error = norms.std(ddof=1) / 10
    assert abs(norms.mean() - float(enclose_white_two(5))) < 5 * error
    assert abs(norms.mean() - float(enclose_equivalent((arb(1),) * 2, 5))) > 12 * error  # D is 2.5% high


@pytest.mark.parametrize("angle", [0.0, 32.0, 89.5])
def test_slopes_and_constants(angle):
    counts = [16, 32, 64, 128, 256]
    rows = [table.row(table.Job("ole", 1, 2, n, angle, 0.0)) for n in counts]
    for column, slope in (("error", -1), ("corrected", -2), ("wrong_sign", -1)):
        found, half = table.fitted(rows, column)
        assert abs(found - slope) <= EXPONENT_SHARP
        assert half <= EXPONENT_SHARP
    c_1, c_2 = rate_constants(np.radians(angle))
    assert abs(float(rows[-1]["error"]) * 256 / c_1 - 1) < CONSTANT
    assert abs(-float(rows[-1]["corrected"]) * 256**2 / c_2 - 1) < CONSTANT
    assert abs(table.fitted(rows, "wrong_sign")[0] + 2) > 0.5  # the control has the wrong rate


def test_at_one_sample_a_class_the_correction_harms():
    worse = [table.is_worse(table.row(table.Job("ole", 1, 2, n, 45.0, 0.0))) for n in (1, 2, 3)]
    assert worse == [True, False, False]


def test_constants_at_the_ends():
    assert close(rate_constants(np.pi / 2), (1 / 4, 13 / 128))
    assert close(rate_constants(0.0), ((3 + np.sqrt(2)) / 16, (49 + 21 * np.sqrt(2)) / 512))
    assert close(rate_constants([0.3, 0.4])[0][1], rate_constants(0.4)[0])


def test_radii_count_the_rounding_of_the_text():
    with ctx.workprec(96):
        text, radius = table.shown(arb(1) / 3)
    assert text == "0.333333"
    assert 3.3e-7 < float(radius) < 3.5e-7


def test_rows_of_the_table():
    jobs = table.jobs(0)
    assert len(jobs) >= 2000
    right = table.row(table.Job("ole", 1, 2, 4, 90.0, 0.0))
    assert right["error"] == ""
    assert abs(float(right["value"])) <= float(right["radius"])
    white = [table.row(j) for j in jobs if j.family == "white" and j.rank == 1]
    text = table.summary(white)
    assert "correction worse at n = []" in text or "correction worse at n = [1]" in text
    assert abs(float(text.split("corrected: slopes ")[1].split()[0]) + 2) < SLOPE


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: enclose_ole(0, arb(1)), "n"),
        (lambda: enclose_equivalent((arb(1),) * 3, 2), "n"),
        (lambda: enclose_chi_mean(0), "degrees"),
        (lambda: rate_constants(2.0), "angle"),
    ],
)
def test_refused(call, name):
    with pytest.raises(ValueError, match=f"^{name} "):
        call()
