"""The sharp bound for C classes: attained, never beaten; each step of its proof; Gaussian classes; refusals."""

import mpmath as mp
import numpy as np
import pytest
import sympy as sy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from paper_checks.gaussian_classes import posteriors, random_classes, true_label
from tests.strategies import signals
from tests.tolerances import (
    CONTROL,
    FEASIBLE,
    FLOAT64,
    MP,
    STANDARD_ERRORS,
    assert_exact,
    at_most,
    close,
    estimate,
)
from theory.confidence import multiclass_confidence, theorem2_bound
from theory.counterexamples import natural_multiclass_bound
from theory.enclosures import enclose_multiclass
from theory.multiclass import (
    attaining_channel,
    mean_divergence,
    pairwise_bounds,
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

    assert_exact(draw, sharp_confidence_bound(J, C), rng, 400_000, control=float(natural_multiclass(J, C)))


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


# the proof, step by step

C, N, p, v, omega = sy.symbols("C N p v omega", positive=True)


def test_step_1_three_derivatives_and_the_ray():
    f = (C * p - 1) * sy.log(p)
    assert sy.simplify(f.diff(p, 2) - (C / p + 1 / p**2)) == 0
    assert sy.simplify(f.diff(p, 3) + C / p**2 + 2 / p**3) == 0
    a, b = (1 + N * v) / (N + 1), (1 - v) / (N + 1)
    on_ray = [g.subs(C, N + 1) for g in (f.subs(p, a), f.subs(p, b))]
    Psi = N * v * (sy.log(a) - sy.log(b))
    assert sy.simplify(on_ray[0] + N * on_ray[1] - Psi) == 0
    assert sy.simplify(a**2 + N * b**2 - (1 + N * v**2) / (N + 1)) == 0


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


def test_step_3_one_change_of_sign():
    L = sy.log((1 + N * v) / (1 - v))
    second = (N * v * L).diff(v) / (2 * v)  # d/dy = d/dv / (2v)
    K = v**2 * L.diff(v, 2) + v * L.diff(v) - L
    assert sy.simplify(second.diff(v) / (2 * v) - N * K / (4 * v**3)) == 0
    assert K.subs(v, 0) == 0
    bracket = (3 - v) / (1 - v) ** 3 - N**2 * (3 + N * v) / (1 + N * v) ** 3
    assert sy.simplify(K.diff(v) - v * bracket) == 0
    assert sy.simplify(bracket.subs(v, 0) - 3 * (1 - N**2)) == 0
    slope = (8 - 2 * v) / (1 - v) ** 4 + N**3 * (8 + 2 * N * v) / (1 + N * v) ** 4  # above zero on (0, 1)
    assert sy.simplify(bracket.diff(v) - slope) == 0


def test_step_3_series():
    y = sy.symbols("y", positive=True)
    series = sy.series(N * v * sy.log((1 + N * v) / (1 - v)), v, 0, 4).removeO().subs(v, sy.sqrt(y))
    stated = N * (N + 1) * (y - (N - 1) / 2 * y ** sy.Rational(3, 2))
    assert sy.simplify(series - stated) == 0


def test_step_4_tangency():
    T = sy.exp(omega) + N - 1 - N * sy.exp(-omega) - (N + 1) * omega
    assert sy.simplify(T.diff(omega) - (sy.exp(omega) - 1) * (sy.exp(omega) - N) * sy.exp(-omega)) == 0
    assert T.subs(omega, 0) == 0
    end = (N + 1) * (N - 1 / N - 2 * sy.log(N))  # N - 1/N - 2 log N: 0 at N = 1, slope (1 - 1/N)^2
    assert sy.simplify(sy.expand(sy.expand_log(T.subs(omega, 2 * sy.log(N))) - end)) == 0
    # T = 0 is Psi = y Psi': v dL/dv = L, with v in terms of omega = L
    at = (sy.exp(omega) - 1) / (sy.exp(omega) + N)
    L = sy.log((1 + N * v) / (1 - v))
    assert sy.simplify((v * L.diff(v)).subs(v, at) - omega - T / (N + 1)) == 0


@pytest.mark.parametrize("classes", [3, 7, 1000])
def test_step_4_psi_is_above_the_envelope(classes):
    y = np.linspace(0, 0.999, 2000)[1:]
    envelope = (classes * np.asarray(sharp_confidence_bound(ray(y, classes), classes)) - 1) / (classes - 1)
    assert at_most(y, envelope)
    J = np.linspace(1e-3, 3 * classes, 3000)
    assert (np.diff(sharp_confidence_bound(J, classes), 2) <= FLOAT64).all()  # the bound is concave in J


# one class, Gaussian classes


def test_one_class_alone_may_exceed_the_bound():
    """Classes 1 and 2 equal, class 0 a little apart: p_0 = 1/3 +- e, E_0 p_0 = 3 E p_0^2."""
    e = 0.05
    p_0 = 1 / 3 + np.array([e, -e])
    log_p = np.log(np.stack([p_0, (1 - p_0) / 2, (1 - p_0) / 2], axis=-1))
    J, xi = law(np.full(2, 0.5), log_p)
    bound = sharp_confidence_bound(J, 3)
    assert xi < bound < 3 * np.mean(p_0**2)


@pytest.mark.parametrize("classes", [2, 3, 4, 6])
def test_gaussian_classes_lie_below(classes, rng):
    refuted = 0
    for _ in range(5):
        mu, S = random_classes(rng, classes)
        J = mean_divergence(mu, S)
        found = estimate(true_label(posteriors(mu, S), classes), rng, 60_000)
        assert found.mean <= sharp_confidence_bound(J, classes) + STANDARD_ERRORS * found.error
        refuted += found.mean > sharp_confidence_bound(J / 8, classes) + CONTROL * found.error
    assert refuted, "the control, an eighth of the divergence, was never refuted"


def test_mean_divergence_against_its_definition_and_simulation(rng):
    mu, S = random_classes(rng, 4)
    J = 0.0
    for y in range(4):
        for c in set(range(4)) - {y}:
            inverse, gap = np.linalg.inv(S[c]), mu[y] - mu[c]
            log_det = np.linalg.slogdet(S[c])[1] - np.linalg.slogdet(S[y])[1]
            J += (np.trace(inverse @ S[y]) - 3 + gap @ inverse @ gap + log_det) / 8
    assert close(mean_divergence(mu, S), J)
    posterior = posteriors(mu, S)

    def draw(rng, size):
        log_p, _ = posterior(rng, 4 * -(-size // 4))
        return ((4 * np.exp(log_p) - 1) * log_p).sum(axis=-1)

    assert_exact(draw, J, rng, 200_000, control=1.1 * J)  # the second form of J: E sum_c f(p_c)


def test_mean_divergence_of_orthogonal_subspaces_and_shapes():
    r, s, C = 2, 0.7, 3
    S = s**2 * np.eye(C * r) + np.array([np.diag(np.repeat(np.eye(C)[c], r)) for c in range(C)])
    J = (C - 1) * r / (2 * s**2 * (1 + s**2))
    assert close(mean_divergence(np.zeros((C, C * r)), S), J)
    assert close(mean_divergence(np.zeros((5, C, C * r)), S), np.full(5, J))
    assert isinstance(mean_divergence(np.zeros((C, C * r)), S), float)


@pytest.mark.parametrize("classes", [3, 5])
def test_pairwise_bounds_enclose_one_class(classes, rng):
    """In every sample, hence in the mean; the control, without the sum, is not a lower bound."""
    mu, S = random_classes(rng, classes)
    log_p, y = posteriors(mu, S)(rng, 30_000)
    p = np.exp(log_p)
    for label in range(classes):
        own, others = p[y == label, label, None], np.delete(p[y == label], label, axis=1)
        pairwise = own / (own + others)
        low, high = pairwise_bounds(pairwise)
        assert at_most(low, own[:, 0], classes)
        assert at_most(own[:, 0], high)
        low, high = pairwise_bounds(pairwise.mean(axis=0))
        assert low <= own.mean() <= high
        assert own.mean() < pairwise.mean(axis=0).min(), "the control, the nearest rival alone, was accepted"


def test_pairwise_bounds_by_hand():
    low, high = pairwise_bounds([[0.9, 0.8, 0.7], [0.5, 0.5, 0.5]])
    assert close(low, [0.4, -0.5])
    assert close(high, [0.7, 0.5])
    assert pairwise_bounds(0.75) == (0.75, 0.75)


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
        (lambda: pairwise_bounds([0.5, 1.1]), "pairwise"),
        (lambda: pairwise_bounds([-0.5, 1.0]), "pairwise"),
        (lambda: mean_divergence([0.0, 1.0], np.ones((2, 1, 1))), "means"),
        (lambda: mean_divergence(np.zeros((1, 2)), np.eye(2)[None]), "means"),
        (lambda: mean_divergence(np.zeros((2, 2)), np.eye(2)), "covariances"),
        (lambda: mean_divergence(np.zeros((2, 2)), -np.array([np.eye(2)] * 2)), "covariances"),
    ],
)
def test_refused(call, name):
    with pytest.raises(ValueError, match=f"^{name} "):
        call()
