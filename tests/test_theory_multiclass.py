"""The sharp bound for C classes: attained, never beaten; each step of its proof; Gaussian classes; refusals."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from tests.strategies import signals
from tests.tolerances import (
    FEASIBLE,
    FLOAT64,
    MP,
    assert_exact,
    at_most,
    close,
)
from theory.confidence import multiclass_confidence, theorem2_bound
from theory.counterexamples import natural_multiclass_bound
from theory.enclosures import enclose_multiclass
from theory.multiclass import (
    attaining_channel,
    sharp_confidence_bound,
    sharp_shortfall,
)

CLASSES = [2, 3, 4, 10, 1000]
DIVERGENCES = [1e-12, 1e-6, 0.1, 0.78, 1.0, 10.0, 300.0, 1e4]


def law(weights, log_p):
    """(J, xi) of the posterior law with atoms exp(log_p) (k, C), as if averaged over all orders of the classes.

    That averaging makes the mean uniform, as equal priors ask, and moves neither number: any law will do.
    """
    C, p = log_p.shape[-1], np.exp(log_p)
    return weights @ ((C * p - 1) * log_p).sum(axis=-1), weights @ (p**2).sum(axis=-1)


def channel_law(J, C):
    """(J, xi) of the erased symmetric channel said to attain the bound, from its posteriors."""
    w, omega = attaining_channel(J, C)
    log_a = -np.log1p((C - 1) * np.exp(-omega))
    J_seen, xi_seen = law(np.ones(1), np.array([[log_a, *[log_a - omega] * (C - 1)]]))
    return w * J_seen, w * xi_seen + (1 - w) / C


def sharper(J, C, share=0.99):
    """The control: `share` of the bound's excess over 1/C."""
    return 1 / C + share * (np.asarray(sharp_confidence_bound(J, C)) - 1 / C)


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_channel_attains_the_bound(divergence, classes):
    J, xi = channel_law(divergence, classes)
    assert close(
        J / divergence, 1, condition=1 + 1e-5 / divergence
    )  # sum f: rounding of p, some 1e-16, over J
    assert close(xi, sharp_confidence_bound(divergence, classes))
    if divergence >= 0.1:
        assert xi > sharper(divergence, classes)


def reference(J, C):
    """(1 - xi, y) to many digits: the tangency by its definition vL' = L, the rest by its definition J = N v L."""
    N, J = C - 1, mp.mpf(J)

    def L(v):
        return mp.log((1 + N * v) / (1 - v))

    def bisected(f, low, high):
        return mp.findroot(
            f, (low, high), solver="bisect", tol=mp.mpf(10) ** -190, verify=False, maxsteps=1000
        )

    bend, one = mp.mpf(C - 2) / (2 * N), 1 - mp.mpf(10) ** -180
    tangent = bisected(lambda v: C * v - (1 + N * v) * (1 - v) * L(v), bend, one) if C > 2 else mp.mpf(0)
    if N * tangent * L(tangent) > J:
        y = J * tangent / (N * L(tangent))
    else:
        y = bisected(lambda v: N * v * L(v) - J, tangent, one) ** 2
    return N * (1 - y) / C, y


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("divergence", DIVERGENCES[:-1])
def test_against_two_hundred_digits(divergence, classes):
    with mp.workdps(200):
        missing, y = reference(divergence, classes)
        w, omega = attaining_channel(divergence, classes)
        v = -np.expm1(-omega) / (1 + (classes - 1) * np.exp(-omega))
        assert close(float(sharp_shortfall(divergence, classes) / missing), 1)
        assert close(float(w * v**2 / y), 1)
        assert close(sharp_confidence_bound(divergence, classes), float(1 - missing))


@given(st.integers(2, 6), st.integers(1, 4), st.data())
def test_no_law_beats_the_bound(classes, atoms, data):
    logits = data.draw(arrays(float, (atoms, classes), elements=st.floats(-30, 30)))
    weights = data.draw(arrays(float, atoms, elements=st.floats(0.01, 1)))
    J, xi = law(weights / weights.sum(), log_softmax(logits, axis=-1))
    assert at_most(xi, sharp_confidence_bound(max(J, 0), classes), classes)


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("divergence", [0.2, 1.0, 4.0])
def test_an_adversary_reaches_the_bound_and_stops(classes, divergence, rng):
    """The largest xi of laws with three atoms, by a search that knows nothing of the proof."""

    def parts(z):
        return law(softmax(z[:3]), log_softmax(z[3:].reshape(3, classes), axis=-1))

    at_J = {"type": "eq", "fun": lambda z: parts(z)[0] - divergence}
    best, starts = 0.0, 0
    while starts < 5 or (best <= sharper(divergence, classes) and starts < 100):  # many starts end nowhere
        starts += 1
        start = rng.normal(scale=2, size=3 + 3 * classes)
        z = minimize(
            lambda z: -parts(z)[1], start, method="SLSQP", constraints=at_J, options={"maxiter": 300}
        ).x
        J, xi = parts(z)
        assert at_most(xi, sharp_confidence_bound(J, classes), classes)
        if abs(J / divergence - 1) < FEASIBLE:
            best = max(best, xi)
    assert best > sharper(divergence, classes), "a bound 1% sharper was not refuted: the search is weak"


def test_bound_of_an_observed_channel(rng):
    """Labels sent through the channel itself: the mean posterior of what was sent is the bound."""
    J, C = 0.5, 3
    w, omega = attaining_channel(J, C)
    a = 1 / (1 + (C - 1) * np.exp(-omega))

    def draw(rng, size):
        seen, right = rng.random(size) < w, rng.random(size) < a
        return np.where(seen, np.where(right, a, a * np.exp(-omega)), 1 / C)

    assert_exact(draw, sharp_confidence_bound(J, C), rng, 2_000_000, control=float(natural_multiclass(J, C)))


def natural_multiclass(J, C):
    """1/(1 + N e^{-J/N}): Theorem 2's form."""
    return 1 / (1 + (C - 1) * np.exp(-np.asarray(J) / (C - 1)))


def test_orthogonal_subspaces_lie_below():
    C, r, s = (
        np.array([2, 3, 4, 6, 10])[:, None, None],
        np.array([1, 2, 3, 10])[:, None],
        np.geomspace(0.15, 5, 12),
    )
    J = (C - 1) * r / (2 * s**2 * (1 + s**2))
    xi = multiclass_confidence(C, r, s)
    assert at_most(xi, sharp_confidence_bound(J, C))
    assert (xi > sharper(J, C)).any(), "the control, 1% sharper, was accepted"


def test_where_the_natural_form_fails():
    bound, natural = sharp_confidence_bound(2 * 2 / (2 * 4 * 5), 3), natural_multiclass_bound(3, 2, 2.0)
    assert enclose_multiclass(3, 2.0) < bound
    assert enclose_multiclass(3, 2.0) > natural


def test_three_classes_natural_form_is_a_bound_from_log_2_on():
    """At D = J/2 = log 2 both are exactly 1/2 (omega = log 4); the sharp bound is above before, below after."""
    D = np.geomspace(1e-3, 30, 200)
    assert close(sharp_confidence_bound(2 * np.log(2), 3), 0.5)
    assert close(natural_multiclass(2 * np.log(2), 3), 0.5)
    excess = np.asarray(sharp_shortfall(2 * D, 3)) / (1 - natural_multiclass(2 * D, 3)) - 1
    assert ((excess > 0) == (np.log(2) < D)).all()


@given(signals())
def test_two_classes_sharpen_theorem_2(rho):
    J = rho.sum() / 2
    assert at_most(sharp_confidence_bound(J, 2), theorem2_bound(rho))
    if J > 0.01:
        assert sharp_shortfall(J, 2) > 1 / (1 + np.exp(J))


def test_two_classes_sharpen_theorem_2_by_at_most_two():
    J = np.geomspace(0.01, 600, 100)
    ratio = np.asarray(sharp_shortfall(J, 2)) * (1 + np.exp(J))
    assert (np.diff(ratio) > -FLOAT64).all()
    assert ratio[0] < 1 + 1e-4
    assert close(ratio[-1], 2)


@given(st.floats(0, 1e4), st.floats(0, 10), st.integers(2, 50))
def test_rises_with_the_divergence(J, more, classes):
    low, high = sharp_confidence_bound([J, J + more], classes)
    assert at_most(low, high)
    assert at_most(1 / classes, low)
    assert high <= 1


# the proof in numbers (in symbols: tests/proofs/test_multiclass.py)


def ray(y, classes):
    """Psi(y), the least divergence at a given sum of squares."""
    v, N = np.sqrt(y), classes - 1
    return N * v * np.log((1 + N * v) / (1 - v))


@given(st.integers(3, 6), st.data())
def test_step_1_the_ray_is_least(classes, data):
    log_p = log_softmax(data.draw(arrays(float, (1, classes), elements=st.floats(-6, 6))), axis=-1)
    J, xi = law(np.ones(1), log_p)
    assert at_most(ray(max(classes * xi - 1, 0) / (classes - 1), classes), J, 1e3)


def test_step_1_two_large_coordinates_are_not():
    J, xi = law(np.ones(1), np.log([[0.45, 0.45, 0.1]]))
    assert 1.1 * ray((3 * xi - 1) / 2, 3) < J


@pytest.mark.parametrize("classes", [3, 7, 1000])
def test_step_4_psi_is_above_the_envelope(classes):
    y = np.linspace(0, 0.999, 2000)[1:]
    envelope = (classes * np.asarray(sharp_confidence_bound(ray(y, classes), classes)) - 1) / (classes - 1)
    assert at_most(y, envelope)
    J = np.linspace(1e-3, 3 * classes, 3000)
    assert (np.diff(sharp_confidence_bound(J, classes), 2) <= FLOAT64).all()  # the bound is concave in J


def test_one_class_alone_may_exceed_the_bound():
    """Classes 1 and 2 equal, class 0 a little apart: p_0 = 1/3 +- e, E_0 p_0 = 3 E p_0^2."""
    e = 0.05
    p_0 = 1 / 3 + np.array([e, -e])
    log_p = np.log(np.stack([p_0, (1 - p_0) / 2, (1 - p_0) / 2], axis=-1))
    J, xi = law(np.full(2, 0.5), log_p)
    bound = sharp_confidence_bound(J, 3)
    assert xi < bound < 3 * np.mean(p_0**2)


def test_shapes():
    assert isinstance(sharp_confidence_bound(1.0, 3), float)
    assert (
        sharp_confidence_bound([[0.1], [1.0]], [2, 3, 4]).shape
        == sharp_shortfall([[1.0], [2.0]], [2, 3, 4]).shape
    )
    assert close(sharp_confidence_bound(0.0, CLASSES), 1 / np.array(CLASSES), MP)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: sharp_confidence_bound(-1.0, 3), "divergence"),
        (lambda: sharp_confidence_bound(np.inf, 3), "divergence"),
        (lambda: sharp_shortfall(1.0, 1), "classes"),
        (lambda: attaining_channel(1.0, 2.5), "classes"),
    ],
)
def test_refused(call, name):
    with pytest.raises(ValueError, match=f"^{name} "):
        call()
