"""Gaussian classes: their mean divergence, the sharp bound in simulation, and one class between its pairwise bounds."""

import numpy as np
import pytest

from paper_checks.gaussian_classes import posteriors, random_classes, true_label
from tests.tolerances import CONTROL, STANDARD_ERRORS, assert_exact, at_most, close, estimate
from theory.multiclass import mean_divergence, pairwise_bounds, sharp_confidence_bound


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


@pytest.mark.parametrize(
    ("call", "name"),
    [
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


def test_small_skew_covariances_are_refused():
    skew = 1e-10 * np.array([[1, 0.9], [0, 1]])
    with pytest.raises(ValueError, match=r"^covariances "):
        mean_divergence(np.zeros((2, 2)), [skew, 1e-10 * np.eye(2)])
    symmetric = mean_divergence(np.zeros((2, 2)), [(skew + skew.T) / 2, 1e-10 * np.eye(2)])
    assert close(symmetric, mean_divergence(np.zeros((2, 2)), [5e9 * (skew + skew.T), np.eye(2)]))
