"""Log-odds density, fixed probes on drifted data, many classes: closed forms, simulation, and each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, gamma, gammaincc, kv

from tests.strategies import angle_sets, noises, signals
from tests.tolerances import FLOAT64, INTEGRAL, POINT, assert_exact, at_most, close
from theory.confidence import (
    bayes_error,
    expected_confidence,
    gaussian_probe_confidence,
    log_odds_density,
    multiclass_confidence,
    probe_confidence,
    snr,
)
from theory.gamma_rules import gamma_rule, gamma_top
from theory.probe import plane_confidence
from theory.subspaces import class_covariance, frames


def bessel(z, rho, r):
    """The density for r equal rho."""
    b = np.sqrt(0.25 + 1 / rho)
    K = kv((r - 1) / 2, b * np.abs(z))
    return (
        np.exp(z / 2)
        * rho ** (-r / 2)
        * (np.abs(z) / (2 * b)) ** ((r - 1) / 2)
        * K
        / (np.sqrt(np.pi) * gamma(r / 2))
    )


@pytest.mark.parametrize(("r", "rho"), [(1, 0.5), (2, 3.0), (4, 50.0), (9, 100.0), (64, 1.0)])
def test_density_of_equal_rho_is_a_bessel_function(r, rho):
    z = np.array([-30, -3, -0.1, 1e-3, 0.5, 2, 20, 100.0])
    assert close(log_odds_density(z, [rho] * r) / bessel(z, rho, r), 1)


def integrate(rho, f):
    """int f(z) p1(z) dz over both half-lines on a logarithmic grid (p1 may be singular at 0)."""
    x = np.arange(-42, np.log(60 + 60 * np.sum(rho)), 0.1)
    z = np.concatenate([-np.exp(x), np.exp(x)])
    return (0.1 * np.abs(z) * log_odds_density(z, rho) * f(z)).sum(axis=-1)


@pytest.mark.parametrize("rho", [[0.7], [1.0, 0.0, 4.0], [3.0] * 5, [50.0, 1e-3]])
def test_density_has_its_moments_and_gives_confidence_and_error(rho):
    mean = np.sum(rho) / 2
    second = np.sum(np.asarray(rho) + np.asarray(rho) ** 2 / 2) + mean**2
    found = integrate(rho, lambda z: np.stack([z**0, z / mean, z**2 / second, expit(z), z < 0]))
    assert close(found, [1, 1, 1, expected_confidence(rho), bayes_error(rho)], INTEGRAL)


@given(signals(4, 20.0).filter(lambda rho: rho.max() > 1e-3), st.floats(1e-3, 30))
@settings(max_examples=30)
def test_density_obeys_its_symmetry(rho, z):
    """p1(-z) = e^{-z} p1(z) = p0(z): log-odds of log-odds are log-odds."""
    assert close(log_odds_density(-z, rho) / (np.exp(-z) * log_odds_density(z, rho)), 1)


def test_density_shapes_and_singularity():
    assert log_odds_density(0.0, 2.0) == np.inf
    assert isinstance(log_odds_density(0.0, [1.0, 2.0]), float)
    assert log_odds_density([0.1, 0.2, 0.3], np.ones((2, 1, 5))).shape == (2, 3)


@given(angle_sets(), noises)
def test_undrifted_probe_is_the_bayes_classifier(angles, noise):
    assert close(probe_confidence(angles, noise, noise), expected_confidence(snr(angles, noise)))


def draw_probe(Q, covariance, mean):
    half = np.linalg.cholesky(covariance)

    def draw(rng, size):
        x = rng.standard_normal((size, len(Q))) @ half.T + mean
        return 1 / (1 + np.exp(-np.einsum("ni,ij,nj->n", x, Q, x) / 2))

    return draw


def probe_matrix(angles, noise, dim):
    U_0, U_1 = frames(angles, dim)
    return (U_1 @ U_1.T - U_0 @ U_0.T) / (noise**2 * (1 + noise**2)), U_1


@pytest.mark.parametrize(("angles", "noise", "drifted"), [([0.4, 1.2], 0.4, 0.8), ([1.0], 0.5, 0.2)])
def test_drifted_probe_against_simulation(angles, noise, drifted, rng):
    Q, U_1 = probe_matrix(angles, noise, 5)
    covariance = class_covariance(U_1, drifted)
    value = probe_confidence(angles, noise, drifted)
    control = expected_confidence(snr(angles, drifted))  # a probe that drifted along
    assert_exact(draw_probe(Q, covariance, 0), value, rng, 400_000, control)
    assert close(gaussian_probe_confidence(Q, covariance), value)


def test_probe_on_any_gaussian_data_with_a_mean(rng):
    Q, _ = probe_matrix([0.5, 1.3], 0.6, 4)
    root = rng.standard_normal((4, 4))
    covariance, mean = root @ root.T + 0.1 * np.eye(4), np.array([1.0, -0.5, 2.0, 0.3])
    value = gaussian_probe_confidence(Q, covariance, mean)
    control = gaussian_probe_confidence(Q, covariance)
    assert_exact(draw_probe(Q, covariance, mean), value, rng, 400_000, control)


def test_probe_of_a_point_far_away_is_the_sigmoid():
    Q, mean = np.diag([1.0, -1.0]), np.array([2.0, 1.0])
    assert close(gaussian_probe_confidence(Q, 1e-14 * np.eye(2), mean), 1 / (1 + np.exp(-1.5)), POINT)


@pytest.mark.parametrize(("shape", "rate"), [(0.5, 1e-6), (0.5, 1e6), (3.0, 1.0), (32.0, 1e-3), (32.0, 50.0)])
def test_gamma_rule(shape, rate):
    """E e^{-tX} = (1 + t/rate)^{-shape}; at a small rate only where X stays below the top."""
    X, w = gamma_rule(shape, rate, 200.0)
    for t in (1.0, 0.5 + rate):
        assert close(w @ np.exp(-t * X) / (1 + t / rate) ** -shape, 1)
    if rate >= 1:
        assert close(w.sum(), 1)
        assert close(w @ X / (shape / rate), 1)


@given(st.integers(1, 30), st.floats(0.02, 5))
def test_two_classes_are_the_exact_confidence(rank, noise):
    assert close(multiclass_confidence(2, rank, noise), expected_confidence([snr(np.pi / 2, noise)] * rank))


@pytest.mark.parametrize(("classes", "rank", "noise"), [(3, 2, 2.0), (10, 3, 0.4)])
def test_many_classes_against_simulation(classes, rank, noise, rng):
    def draw(rng, size):
        energy = rng.chisquare(rank, (size, classes)) * noise**2
        energy[:, 0] *= (1 + noise**2) / noise**2
        odds = energy / (2 * noise**2 * (1 + noise**2))
        return np.exp(odds[:, 0]) / np.exp(odds).sum(axis=1)

    value = multiclass_confidence(classes, rank, noise)
    assert_exact(draw, value, rng, 400_000, control=multiclass_confidence(classes, rank + 1, noise))


@given(st.integers(3, 20), st.integers(1, 8), st.floats(0.05, 3))
def test_many_classes_between_their_pairwise_bounds(classes, rank, noise):
    pair, value = multiclass_confidence(2, rank, noise), multiclass_confidence(classes, rank, noise)
    assert at_most(value, multiclass_confidence(classes - 1, rank, noise))
    assert at_most(value, pair)
    assert at_most(1 - (classes - 1) * (1 - pair), value, classes)
    assert at_most(1 / classes, value)


def test_broadcasting():
    assert multiclass_confidence([[2], [3]], [1, 2, 3], 0.5).shape == (2, 3)
    assert probe_confidence([0.3, 0.4], [0.1, 0.2], [[0.1], [0.2], [0.3]]).shape == (3, 2)
    assert isinstance(probe_confidence(0.3, 0.1, 0.2), float)
    assert abs(probe_confidence([np.pi / 2] * 64, 0.05, 0.05) - 1) <= FLOAT64


@given(st.floats(0.01, 20), st.floats(0.01, 20))
@settings(max_examples=30)
def test_a_plane_is_two_eigenvalues_of_opposite_sign(high, low):
    """(1 - i u m_1)(1 - i u m_2) = 1 - i u T + u^2 D, T = m_1 + m_2, D = -m_1 m_2; the control turns T around."""
    value = gaussian_probe_confidence(np.diag([high, -low]), np.eye(2))
    assert close(plane_confidence(high - low, high * low), value)
    assert close(plane_confidence(low - high, high * low), 1 - value)
    three = gaussian_probe_confidence(np.diag([high, -low] * 3), np.eye(6))
    assert close(plane_confidence([high - low] * 3, high * low), three)


@pytest.mark.parametrize(("shape", "rate"), [(0.5, 1e-6), (0.5, 1e6), (3.0, 1.0), (32.0, 50.0), (500.0, 1.0)])
def test_gamma_top_leaves_no_mass(shape, rate):
    """Less than 1e-17 beyond it; half of it, the control, leaves more."""
    top = gamma_top(shape, rate)
    assert gammaincc(shape, rate * top) < 1e-17
    assert gammaincc(shape, rate * top / 2) > 1e-17


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: log_odds_density(np.nan, 1.0), "z"),
        (lambda: log_odds_density(1.0, [0.0, 0.0]), "rho"),
        (lambda: probe_confidence(0.3, 0.0, 0.1), "noise"),
        (lambda: probe_confidence(0.3, 0.1, 0.0), "drifted_noise"),
        (lambda: multiclass_confidence(1, 2, 0.1), "classes"),
        (lambda: multiclass_confidence(3, 0, 0.1), "rank"),
        (lambda: gaussian_probe_confidence(np.ones((2, 3)), np.eye(2)), "quadratic"),
        (lambda: gaussian_probe_confidence(np.eye(2), np.eye(3)), "covariance"),
        (lambda: gaussian_probe_confidence(np.eye(2), -np.eye(2)), "covariance"),
        (lambda: gaussian_probe_confidence(np.eye(2), np.eye(2), [1.0]), "mean"),
    ],
)
def test_refused(call, name):
    with pytest.raises(ValueError, match=f"^{name} "):
        call()
