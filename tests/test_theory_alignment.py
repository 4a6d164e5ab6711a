"""What turns subspaces: PCA drift and leakage against simulation, the leaked covariances, the noise floor."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import angle
from tests.tolerances import BIAS_LEAKAGE, BIAS_OVERLAP, assert_asymptotic, assert_exact, at_most, close
from theory.alignment import (
    critical_leakage,
    leakage_angle,
    leakage_confidence,
    leakage_ole,
    noise_floor_ole,
    pca_overlap,
)
from theory.confidence import expected_confidence, gaussian_probe_confidence, snr
from theory.nuclear_norm import deterministic_equivalent
from theory.ole import expected_ole, normalised_ole
from theory.subspaces import class_covariance, frames, principal_angles


def top(S, rank):
    return np.linalg.eigh(S)[1][..., -rank:]


def draw_overlap(dim, n, noise, rank):
    """Mean squared cosine between a fitted and the true subspace."""

    def draw(rng, size):
        x = noise * rng.standard_normal((size, dim, n))
        x[:, :rank] += rng.standard_normal((size, rank, n))
        fitted = x @ top(x.swapaxes(-1, -2) @ x, rank)  # from the smaller Gram matrix
        fitted /= np.linalg.norm(fitted, axis=-2, keepdims=True)
        return (fitted[:, :rank] ** 2).sum(axis=(1, 2)) / rank

    return draw


def test_overlap_against_simulation(rng):
    value = pca_overlap(100, 60, 0.6)
    control = 1 / (1 + 100 / 60 * 0.6**2)  # forgets the numerator
    assert_asymptotic(draw_overlap(100, 60, 0.6, 2), value, BIAS_OVERLAP, rng, 400, control)


def test_overlap_limits():
    assert pca_overlap(10, 10, 0.0) == 1
    assert pca_overlap(100, 1, 2.0) == 0
    assert close(critical_leakage(10, 10, 0.0), 0)
    assert close(critical_leakage(100, 1, 2.0), 0.5)
    assert critical_leakage(1, 10, 1.265) < 0.4  # c2 is 0 from 0.4999 on: a second root, at 1/2
    assert critical_leakage([10, 20], [[5], [6]], 0.3).shape == (2, 2)
    assert pca_overlap([10, 20], [[5], [6]], 0.3).shape == (2, 2)


@given(angle, st.floats(0, 0.5))
def test_leakage_angle_is_that_between_the_mixtures(theta, eps):
    P = [U @ U.T for U in frames(theta, 3)]
    turned = [top((1 - eps) * P[c] + eps * P[1 - c], 1) for c in (0, 1)]
    found = leakage_angle(theta, eps, 1)[-1]
    if (1 - 2 * eps) * theta > 1e-3 and np.pi / 2 - theta > 1e-3:
        assert close(principal_angles(*turned)[0], found, condition=1e4)
    assert at_most(found, theta)


def test_leakage_beats_estimation_only_beyond_the_critical_share():
    """The spike of 1 - eps is found less well; the control is eps_c = (1 - c2)/2 with the unleaked overlap."""
    eps_c = critical_leakage(40, 20, 0.5)
    theta = np.pi / 2 - 1e-4
    for eps, closer in [(0.99 * eps_c, False), (1.01 * eps_c, True)]:
        cosine = pca_overlap(40, 20, 0.5, eps) * np.cos(leakage_angle(theta, eps, 1)[-1])
        assert (cosine > np.cos(theta)) == closer
    assert (1 - pca_overlap(40, 20, 0.5)) / 2 < 0.9 * eps_c


@given(st.floats(0, 0.45), st.floats(0.05, 1.0))
def test_leaked_overlap_is_that_of_a_noisier_spike(eps, noise):
    """x/sqrt(1 - eps) has spike 1 and noise s/sqrt(1 - eps): the same eigenvectors."""
    assert close(pca_overlap(30, 40, noise, eps), pca_overlap(30, 40, noise / np.sqrt(1 - eps)))


def test_leaked_overlap_against_simulation(rng):
    """A share eps of the columns comes from an orthogonal subspace; the control forgets the leakage."""

    def draw(rng, size):
        x = 0.6 * rng.standard_normal((size, 200, 300))
        x[:, 0, :210] += rng.standard_normal((size, 210))
        x[:, 1, 210:] += rng.standard_normal((size, 90))
        return top(x @ x.swapaxes(-1, -2), 1)[:, 0, 0] ** 2

    # sampling also mixes the two spikes, a relative 1.5% here, falling like r/n
    value, control = pca_overlap(200, 300, 0.6, 0.3), pca_overlap(200, 300, 0.6)
    assert_asymptotic(draw, value, BIAS_OVERLAP, rng, 200, control)


def leaked(theta, rank, noise, L, dim):
    S_0, S_1 = (class_covariance(U, noise) for U in frames(np.full(rank, theta), dim))
    return (1 + L) / 2 * S_1 + (1 - L) / 2 * S_0, (1 + L) / 2 * S_0 + (1 - L) / 2 * S_1


@given(angle, st.floats(0, 1), st.floats(0, 0.5), st.integers(1, 3))
@settings(max_examples=40)
def test_leakage_ole_is_that_of_the_leaked_covariances(theta, noise, eps, rank):
    dim, n = 2 * rank + 3, 11
    path = leakage_ole(dim, rank, n, theta, noise, eps, 3)
    for k in range(4):
        S = leaked(theta, rank, noise, (1 - 2 * eps) ** k, dim)
        spectrum, pooled = (np.maximum(np.linalg.eigvalsh(x), 0) for x in (S[0], (S[0] + S[1]) / 2))
        value = 2 * deterministic_equivalent(spectrum, n) - deterministic_equivalent(pooled, 2 * n)
        assert close(path[k], value, condition=1e4)
    assert at_most(path[:-1], path[1:], 100)  # leakage raises OLE


def test_leakage_ole_against_simulation(rng):
    S = leaked(1.0, 2, 0.2, 0.81, 24)
    halves = [np.linalg.cholesky(x) for x in S]

    def draw(rng, size):
        M = [half @ rng.standard_normal((size, 24, 40)) for half in halves]
        norms = [np.linalg.svd(m, compute_uv=False).sum(axis=-1) for m in (*M, np.concatenate(M, axis=-1))]
        return norms[0] + norms[1] - norms[2]

    path = leakage_ole(24, 2, 40, 1.0, 0.2, 0.05, 2)
    assert_asymptotic(draw, path[2], BIAS_LEAKAGE, rng, 400, control=path[0])


@pytest.mark.parametrize("refit", ["mixture", "gaussian"])
def test_leakage_confidence_against_simulation(refit, rng):
    rank, theta, noise, L = 6, 0.9, 0.15, 0.8**3
    U_0, U_1 = frames([theta] * rank, 13)
    Q = (U_1 @ U_1.T - U_0 @ U_0.T) / (noise**2 * (1 + noise**2))
    S_0, S_1 = (class_covariance(U, noise) for U in (U_0, U_1))

    def draw(rng, size):
        share = (1 + L) / 2
        z = [rng.standard_normal((size, 13)) @ np.linalg.cholesky(S).T for S in (S_0, S_1)]
        if refit == "mixture":
            x = np.where(rng.random((size, 1)) < share, z[1], z[0])
        else:
            x = np.sqrt(share) * z[1] + np.sqrt(1 - share) * z[0]
        return 1 / (1 + np.exp(-np.einsum("ni,ij,nj->n", x, Q, x) / 2))

    values = {
        kind: leakage_confidence(rank, theta, noise, 0.1, 3, kind)[-1] for kind in ("mixture", "gaussian")
    }
    control = next(values[kind] for kind in values if kind != refit)
    assert_exact(draw, values[refit], rng, 400_000, control)
    if refit == "gaussian":
        S = leaked(theta, rank, noise, L, 13)[0]
        assert close(values[refit], gaussian_probe_confidence(Q, S))


@given(angle, st.floats(0.05, 2), st.floats(0, 0.5), st.integers(1, 5))
def test_leakage_confidence_starts_exact_and_falls(theta, noise, eps, rank):
    xi_0 = expected_confidence([snr(theta, noise)] * rank)
    mixture = leakage_confidence(rank, theta, noise, eps, 4)
    gaussian = leakage_confidence(rank, theta, noise, eps, 4, refit="gaussian")
    for path in (mixture, gaussian):
        assert close(path[0], xi_0)
        assert at_most(path[1:], path[:-1], 1e3)


def test_gaussian_refit_hides_leakage_where_angles_are_many():
    low, high = (
        [leakage_confidence(r, 1.0, s, 0.25, 1, kind)[-1] for kind in ("mixture", "gaussian")]
        for r, s in [(20, 0.1), (1, 0.5)]
    )
    assert low[1] > low[0] + 0.2
    assert high[1] < high[0]


def test_noise_floor_raises_ole_and_turns_nothing():
    path = noise_floor_ole(32, 3, 100, 0.9, 0.1, 0.05, 4)
    assert close(path[0], expected_ole(32, 100, [0.9] * 3, 0.1))
    assert close(path[4], expected_ole(32, 100, [0.9] * 3, np.sqrt(0.1**2 + 4 * 0.05**2)))
    assert (np.diff(path) > 0).all()
    floors = np.sqrt(0.1**2 + np.arange(5) * 0.05**2)
    assert (np.diff(expected_confidence(snr([0.9] * 3, floors))) < 0).all()
    assert (np.diff(normalised_ole(32, 100, [0.9] * 3, floors)) > 0).all()


def test_shapes():
    angles, leaks = np.array([0.3, 0.9]), np.array([[0.0], [0.1], [0.2]])
    assert leakage_angle(angles, leaks, 4).shape == (3, 2, 5)
    assert leakage_ole(12, 3, [10, 20], angles, 0.1, leaks, 4).shape == (3, 2, 5)
    assert noise_floor_ole(12, 3, 10, angles, 0.1, 0.1, 4).shape == (2, 5)
    for refit in ("mixture", "gaussian"):
        out = leakage_confidence(3, angles, [0.2, 0.3], leaks, 4, refit)
        assert out.shape == (3, 2, 5)
        assert close(out[2, 1], leakage_confidence(3, 0.9, 0.3, 0.2, 4, refit))
    assert close(
        leakage_ole(12, 3, [10, 20], angles, 0.1, leaks, 4)[2, 1], leakage_ole(12, 3, 20, 0.9, 0.1, 0.2, 4)
    )


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: pca_overlap(0, 10, 0.1), "dim"),
        (lambda: pca_overlap(10, 10, -0.1), "noise"),
        (lambda: pca_overlap(10, 10, 0.1, 0.6), "leakage"),
        (lambda: critical_leakage(10, 0, 0.1), "n"),
        (lambda: leakage_angle(0.3, 0.6, 2), "leakage"),
        (lambda: leakage_angle(3.0, 0.1, 2), "angle"),
        (lambda: leakage_ole(5, 3, 10, 0.3, 0.1, 0.1, 2), "dim"),
        (lambda: leakage_confidence(2, 0.3, 0.0, 0.1, 2), "noise"),
        (lambda: leakage_confidence(2, 0.3, 0.1, 0.1, 2, refit="none"), "refit"),
        (lambda: noise_floor_ole(5, 3, 10, 0.3, 0.1, 0.1, 2), "dim"),
        (lambda: noise_floor_ole(8, 3, 10, 0.3, 0.1, -0.1, 2), "growth"),
        (lambda: noise_floor_ole(8, 3, 10, 0.3, 0.1, 0.1, -2), "generations"),
    ],
)
def test_refused(call, name):
    with pytest.raises(ValueError, match=f"^{name} "):
        call()
