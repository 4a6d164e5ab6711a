"""The hunter finds what is there, in corners, inside, at any scale; it takes no rounding for a violation."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_checks.hunt import Choice, Found, Interval, Whole, hunt
from tests.tolerances import POINT, ROUNDING, VIOLATION, close

UNIT = Interval(0.0, 1.0)
SQUARE = {"x": UNIT, "y": UNIT}


def zero(**_):
    return 0.0


def one(**_):
    return 1.0


def peak(height, **centre):
    """1 + height at `centre`, falling to 1 a distance sqrt(height) away."""
    return lambda **point: 1 + height - sum((point[name] - at) ** 2 for name, at in centre.items())


def test_a_true_bound_is_not_violated(rng):
    assert hunt(one, zero, SQUARE, rng) is None
    assert hunt(zero, one, SQUARE, rng).violation > 0  # the control: the other way round


def test_what_is_found_is_what_the_sides_say(rng):
    def exact(x, n, kind):
        return x * n + (kind == "b")

    found = hunt(lambda **_: 10.0, exact, {"x": UNIT, "n": Whole(1, 9), "kind": Choice(("a", "b", "c"))}, rng)
    assert found is None  # 10 at most, reached in a corner that is no end of the Choice
    found = hunt(lambda **_: 9.5, exact, {"x": UNIT, "n": Whole(1, 9), "kind": Choice(("a", "b", "c"))}, rng)
    assert found.point == {"x": 1.0, "n": 9, "kind": "b"}
    assert isinstance(found.point["n"], int)
    assert (found.exact, found.bound) == (10.0, 9.5)
    assert close(found.violation, 0.05)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.bound = 11.0


@pytest.mark.parametrize("x", [0.0, 1.0])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_a_violation_in_a_tiny_corner(x, y, rng):
    def exact(**point):
        return 2.0 if abs(point["x"] - x) < 1e-9 and abs(point["y"] - y) < 1e-9 else 0.5

    found = hunt(one, exact, SQUARE, rng, points=20, starts=0)
    assert found.point == {"x": x, "y": y}
    inside = {"x": Interval(-0.1, 1.1), "y": Interval(-0.1, 1.1)}
    assert hunt(one, exact, inside, rng, points=20, starts=0) is None  # no corner any more


def test_inside_only_the_climb_finds_it(rng):
    """A disc of area 3e-9: random points miss it, the slope around it leads there."""
    exact = peak(1e-9, x=0.3, y=0.7)
    assert hunt(one, exact, SQUARE, rng, starts=0) is None
    found = hunt(one, exact, SQUARE, rng)
    assert np.hypot(found.point["x"] - 0.3, found.point["y"] - 0.7) < np.sqrt(1e-9)
    assert hunt(one, peak(-1e-9, x=0.3, y=0.7), SQUARE, rng) is None  # as high a hill, just below the bound


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_wherever_the_peak_is(x, y, seed):
    found = hunt(one, peak(1e-8, x=x, y=y), SQUARE, np.random.default_rng(seed), points=200)
    assert found is not None


def test_the_only_whole_number(rng):
    def exact(n, kind):
        return 1.001 - abs(n - 4321) / 1000 - 0.5 * (kind != "x")

    domain = {"n": Whole(1, 10_000), "kind": Choice(("u", "v", "w", "x"))}
    assert hunt(one, exact, domain, rng).point == {"n": 4321, "kind": "x"}


def test_one_peak_among_lower_hills(rng):
    """Eight hills that end below the bound, and a ninth, broad as they are, above it."""
    heights = dict(zip(np.linspace(0.1, 0.9, 9), [0, 0, 0, 0, 0, 0, 1, 0, 0], strict=True))

    def exact(x):
        return max(1 - 1e-6 + 2e-6 * up - (x - at) ** 2 for at, up in heights.items())

    assert abs(hunt(one, exact, {"x": UNIT}, rng).point["x"] - 0.7) < 2e-3


@pytest.mark.parametrize("exponent", [-500.0, -100.0, 0.0, 300.0])
def test_rounding_is_no_violation_at_any_scale(exponent, rng):
    size, carried = np.exp(exponent), ROUNDING * (1 + abs(exponent))

    def above(part):
        return hunt(lambda **_: size, lambda **_: size * (1 + part), {"x": UNIT}, rng, points=5)

    assert above(0.5 * carried) is None
    assert above(3 * carried).violation > 0


def test_a_difference_of_large_numbers_carries_their_rounding(rng):
    def exact(x):
        return (1e6 + x / 3) - 1e6 - x / 3  # zero, but for rounding

    assert hunt(zero, exact, {"x": UNIT}, rng).violation > VIOLATION
    assert hunt(zero, exact, {"x": UNIT}, rng, size=lambda x: 1e6) is None
    assert hunt(zero, lambda x: x, {"x": UNIT}, rng, size=lambda x: 1e6).violation > 0


def test_subnormal_numbers_are_rounding(rng):
    assert hunt(lambda **_: 5e-324, lambda **_: 1e-323, {"x": UNIT}, rng) is None


def test_a_logarithmic_interval_reaches_small_numbers(rng):
    """sqrt(x) > 1e6 x below 1e-12 only."""
    sides = (lambda x: 1e6 * x, lambda x: np.sqrt(x))
    found = hunt(*sides, {"x": Interval(1e-15, 1.0, log=True)}, rng, starts=0)
    assert found.point["x"] < 1e-12
    assert hunt(*sides, {"x": Interval(1e-11, 1.0, log=True)}, rng) is None


@given(st.floats(0, 1), st.floats(1e-9, 1e9), st.floats(1.001, 1e6), st.booleans())
def test_every_share_is_inside(u, low, ratio, log):
    part = Interval(low, low * ratio, log)
    assert low <= part.at(u) <= low * ratio
    assert (part.at(0.0), part.at(1.0)) == (low, low * ratio)
    whole = Whole(3, 3 + int(ratio) + 1, log)
    assert 3 <= whole.at(u) <= whole.high
    assert (whole.at(0.0), whole.at(1.0)) == (3, whole.high)


def test_cells_are_even():
    u = (np.arange(1200) + 0.5) / 1200
    assert np.bincount([Whole(0, 3).at(x) for x in u]).tolist() == [300] * 4
    choice = Choice(("a", "b", "c"))
    assert [choice.at(x) for x in choice.ends()] == ["a", "b", "c"]
    assert [choice.at(x) for x in u].count("b") == 400
    logs = np.array([Interval(1e-6, 1.0, log=True).at(x) for x in u])
    assert abs(np.mean(logs < 1e-3) - 0.5) <= 1 / 1200


def test_deterministic_given_the_generator():
    def run(seed):
        return hunt(one, peak(1e-3, x=0.3, y=0.7), SQUARE, np.random.default_rng(seed))

    assert run(3) == run(3)
    assert isinstance(run(3), Found)
    assert run(3) != run(4)
    assert close(run(3).point["x"], run(4).point["x"], POINT)  # both on the summit


@pytest.mark.parametrize("side", ["exact", "bound", "size"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_hole_is_refused(side, value, rng):
    sides = {"exact": zero, "bound": one, "size": one} | {side: lambda x: value if x > 0.9 else 0.5}
    with pytest.raises(ValueError, match=rf"^{side} is {value} at {{'x': "):
        hunt(domain={"x": UNIT}, rng=rng, **sides)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: Interval(1, 1), "low"),
        (lambda: Interval(2, 1), "low"),
        (lambda: Interval(0, np.inf), "low"),
        (lambda: Interval(np.nan, 1), "low"),
        (lambda: Interval(0, 1, log=True), "low"),
        (lambda: Whole(1.5, 3), "low"),
        (lambda: Whole(3, 1), "low"),
        (lambda: Whole(0, 3, log=True), "low"),
        (lambda: Choice(()), "values"),
        (lambda: Choice("abc"), "values"),
        (lambda: hunt(one, zero, {}, np.random.default_rng(0)), "domain"),
        (lambda: hunt(one, zero, [UNIT], np.random.default_rng(0)), "domain"),
        (lambda: hunt(one, zero, {"x": (0, 1)}, np.random.default_rng(0)), "domain"),
        (lambda: hunt(one, zero, {f"x{i}": UNIT for i in range(13)}, np.random.default_rng(0)), "domain"),
        (lambda: hunt(one, zero, SQUARE, 0), "rng"),
        (lambda: hunt(one, zero, SQUARE, np.random.default_rng(0), points=4), "points"),
        (lambda: hunt(one, zero, SQUARE, np.random.default_rng(0), starts=-1), "starts"),
    ],
)
def test_refused(call, name):
    with pytest.raises(ValueError, match=f"^{name} "):
        call()
