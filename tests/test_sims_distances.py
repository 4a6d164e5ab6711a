"""Distances of laws: closed forms against Monte Carlo and matrix roots, energies and cosines against hand examples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.special import gamma
from scipy.stats import multivariate_normal

from sims.analytic import WORLDS, World
from sims.distances import aligned_cosine, bures, energies, kl, law_measures, mean_cosine, subspaces
from sims.laws import Laws
from sims.mechanisms import Mechanisms
from tests.tolerances import FLOAT64, assert_exact, close

D = 4
SPREAD = World(12, 2, 0.3, angles=(30.0, 70.0), classes=3)


def law(rng: np.random.Generator, d: int = D) -> tuple[np.ndarray, np.ndarray]:
    A = rng.standard_normal((d, d))
    return rng.standard_normal(d), A @ A.T / d + 0.2 * np.eye(d)


def single(S: np.ndarray, m: np.ndarray | None = None) -> Laws:
    """One normal law a class, of covariances (C, d, d)."""
    C, d, _ = S.shape
    return Laws(np.arange(C), np.ones((C, 1)), (np.zeros((C, d)) if m is None else m)[:, None], S[:, None])


# --- KL and Bures ---


def test_kl_is_the_mean_log_density_ratio(rng: np.random.Generator) -> None:
    """Under the truth, and not under the law: KL is not symmetric."""
    (m_0, S_0), (m, S) = law(rng), law(rng)
    p_0, p = multivariate_normal(m_0, S_0), multivariate_normal(m, S)

    def ratio(g: np.random.Generator, size: int) -> np.ndarray:
        x = p_0.rvs(size, random_state=g)
        return p_0.logpdf(x) - p.logpdf(x)

    assert_exact(ratio, kl(m_0, S_0, m, S), rng, 40_000, control=kl(m, S, m_0, S_0))


@pytest.mark.parametrize("m", [0.0, 2.0])
@pytest.mark.parametrize("v", [1.0, 4.0, 0.5])
def test_kl_in_one_dimension(m: float, v: float) -> None:
    """(1/v - 1 + m^2/v + log v)/2."""
    value = (1 / v - 1 + m**2 / v + np.log(v)) / 2
    assert close(kl(np.zeros(1), np.eye(1), np.array([m]), np.array([[v]])), value)


def test_bures_is_that_of_matrix_roots(rng: np.random.Generator) -> None:
    (m_0, S_0), (m, S) = law(rng), law(rng)
    root = sqrtm(S_0)
    cross = np.trace(sqrtm(root @ S @ root)).real
    value = np.square(m - m_0).sum() + np.trace(S + S_0) - 2 * cross
    assert close(bures(m_0, S_0, m, S), value, FLOAT64, 10)
    assert close(bures(m, S, m_0, S_0), value, FLOAT64, 10)
    commuting = np.square(m - m_0).sum() + np.trace(S + S_0 - 2 * sqrtm(S_0) @ sqrtm(S)).real
    assert not close(value, commuting)  # control: roots of laws that do not share axes


def test_bures_is_what_the_best_coupling_costs(rng: np.random.Generator) -> None:
    """x -> m + T (x - m_0), T = S_0^{-1/2} (S_0^{1/2} S S_0^{1/2})^{1/2} S_0^{-1/2}; independent draws cost more."""
    (m_0, S_0), (m, S) = law(rng), law(rng)
    root = sqrtm(S_0).real
    T = np.linalg.solve(root, np.linalg.solve(root, sqrtm(root @ S @ root).real).T)

    def cost(g: np.random.Generator, size: int) -> np.ndarray:
        x = g.multivariate_normal(m_0, S_0, size)
        return np.square(x - m - (x - m_0) @ T.T).sum(axis=1)

    apart = np.square(m - m_0).sum() + np.trace(S + S_0)
    assert close(T @ S_0 @ T.T, S, FLOAT64, 100)
    assert_exact(cost, bures(m_0, S_0, m, S), rng, 20_000, control=apart)


@given(seed=st.integers(0, 2**32), d=st.integers(1, 6))
def test_distances_are_zero_at_equality_and_nowhere_else(seed: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    (m_0, S_0), (m, S) = law(rng, d), law(rng, d)
    assert close(kl(m_0, S_0, m_0, S_0), 0)
    assert close(bures(m_0, S_0, m_0, S_0), 0)
    assert kl(m_0, S_0, m, S) > 1e-6
    assert bures(m_0, S_0, m, S) > 1e-6
    A = rng.standard_normal((d, d)) + 3 * np.eye(d)  # KL sees no change of coordinates, Bures no turn of them
    moved = kl(A @ m_0, A @ S_0 @ A.T, A @ m, A @ S @ A.T)
    assert close(moved, kl(m_0, S_0, m, S), FLOAT64, 1e4)
    Q = np.linalg.qr(A)[0]
    assert close(bures(Q @ m_0, Q @ S_0 @ Q.T, Q @ m, Q @ S @ Q.T), bures(m_0, S_0, m, S), FLOAT64, 100)


def test_kl_is_infinite_on_a_singular_law_and_bures_is_not() -> None:
    flat = np.diag([1.0, 0.0])
    assert kl(np.zeros(2), np.eye(2), np.zeros(2), flat) == np.inf
    assert close(bures(np.zeros(2), np.eye(2), np.zeros(2), flat), 1.0)
    rows = law_measures(single(np.stack([np.eye(2), flat])), single(np.stack([np.eye(2)] * 2)), 1)
    assert rows["kl"] == np.inf
    assert close(rows["bures"], 0.5)


# --- energies ---


def frames() -> np.ndarray:
    """Classes on axes 0, 1 and on axes 1, 2 of five: they share one; axes 3 and 4 are off both."""
    return np.stack([np.eye(5)[:, :2], np.eye(5)[:, 1:3]])


def test_energies_by_hand() -> None:
    """Own: axes 0, 1 (of class 1: 1, 2); other: axis 2 (of class 1: 0); off: 3, 4."""
    S_0 = np.stack([np.diag([2.0, 2.0, 0.5, 0.5, 0.5]), np.diag([0.5, 2.0, 2.0, 0.5, 0.5])])
    S = np.stack([np.diag([1.0, 2.0, 1.5, 1.0, 0.5]), np.diag([0.5, 2.0, 6.0, 0.1, 0.1])])
    m_0 = np.zeros((2, 5))
    found = energies(m_0, S, m_0, S_0, frames())
    assert close(found["energy_own"], (3 / 4 + 8 / 4) / 2)
    assert close(found["energy_other"], (1.5 / 0.5 + 0.5 / 0.5) / 2)
    assert close(found["energy_off"], (1.5 / 1.0 + 0.2 / 1.0) / 2)


def test_energies_count_means_that_are_off(rng: np.random.Generator) -> None:
    """|P (m - m_0)|^2 is added, whatever the true means."""
    S_0 = np.stack([np.eye(5)] * 2)
    m_0 = rng.standard_normal((2, 5))
    m = m_0 + np.array([[1.0, 2.0, 3.0, 0.0, 4.0], [0.0] * 5])
    found = energies(m, S_0, m_0, S_0, frames())
    assert close(list(found.values()), [1 + 5 / 2 / 2, 1 + 9 / 1 / 2, 1 + 16 / 2 / 2])
    still = energies(m_0, S_0, m_0, S_0, frames())
    assert list(still) == ["energy_own", "energy_other", "energy_off"]
    assert close(list(still.values()), 1)


def test_energies_are_nan_where_nothing_is_left() -> None:
    """Equal subspaces leave no "other", subspaces that fill the space no "off"."""
    S = np.stack([np.eye(2)] * 2)
    zero = np.zeros((2, 2))
    equal = energies(zero, S, zero, S, np.stack([np.eye(2)[:, :1]] * 2))
    assert np.isnan(equal["energy_other"])
    assert close(equal["energy_off"], 1)
    full = energies(zero, S, zero, S, np.stack([np.eye(2)[:, :1], np.eye(2)[:, 1:]]))
    assert np.isnan(full["energy_off"])
    assert close(full["energy_other"], 1)


def test_energies_are_shares_of_squared_norms(rng: np.random.Generator) -> None:
    """By samples of a law that has turned, cooled and moved, in a world of three classes at two angles."""
    world = replace(SPREAD, separation=1.0, dim=14)
    truth = world.truth(3)
    Q = np.linalg.qr(rng.standard_normal((14, 14)))[0]
    made = Mechanisms(rotation=20.0, temperature=0.7, shrinkage=0.2).apply(truth, Q)
    found = law_measures(made, truth, 2)
    U = subspaces(truth.covariances[:, 0], 2)
    m_0, S_0 = truth.moments()
    W = np.linalg.qr(np.concatenate(list(U), axis=1))[0]

    def parts(x: np.ndarray, c: int) -> list[np.ndarray]:
        own, every = np.square(x @ U[c]).sum(axis=1), np.square(x @ W).sum(axis=1)
        return [own, every - own, np.square(x).sum(axis=1) - every]

    for i, name in enumerate(("energy_own", "energy_other", "energy_off")):
        true = np.array([parts(np.linalg.cholesky(S_0[c]).T, c)[i].sum() for c in range(3)])

        def share(g: np.random.Generator, size: int, i: int = i, true: np.ndarray = true) -> np.ndarray:
            x = [made.sample(np.full(size, c), g) - m_0[c] for c in range(3)]
            return np.mean([parts(x[c], c)[i] / true[c] for c in range(3)], axis=0)

        assert_exact(share, found[name], rng, 10_000, control=1.3 * found[name])


# --- angles ---


def test_cosine_and_kept_subspace_by_hand() -> None:
    """Fitted planes of axes (0, 1) and (0, 2), true ones (0, 1) and (2, 3): one cosine of two is 1; kept 1 and 1/2."""
    big, small = 2.0, 0.1
    fitted = np.stack([np.diag([big, big, small, small]), np.diag([big, small, big, small])])
    true = np.stack([np.diag([big, big, small, small]), np.diag([small, small, big, big])])
    found = law_measures(single(fitted), single(true), 2)
    assert close(found["cosine"], 0.5)
    assert close(found["kept_subspace"], 0.75)
    one = law_measures(single(fitted[:1]), single(true[:1]), 2)
    assert np.isnan(one["cosine"])
    assert close(one["kept_subspace"], 1)


def test_mean_cosine_is_over_angles_and_pairs(seed: int) -> None:
    U = subspaces(SPREAD.truth(seed).covariances[:, 0], 2)
    expected = np.mean(np.cos(np.deg2rad([30, 70])))
    assert close(mean_cosine(U, [(0, 1), (0, 2), (1, 2)]), expected)
    assert not close(mean_cosine(U, [(0, 0), (0, 1)]), expected)


def test_the_truth_is_at_no_distance_from_itself(seed: int) -> None:
    for name, world in WORLDS.items():
        truth = world.truth(seed)
        found = law_measures(truth, truth, world.rank)
        expected = {
            "kl": 0,
            "bures": 0,
            "energy_own": 1,
            "energy_other": 1,
            "energy_off": 1,
            "kept_subspace": 1,
        }
        assert close([found[key] for key in expected], list(expected.values()), FLOAT64, 10), name
        assert set(found) == {*expected, "cosine"}


@pytest.mark.parametrize("world", [SPREAD, replace(SPREAD, classes=2, angles=60.0)])
def test_aligned_cosine_of_the_truth_is_its_cosine(world: World, seed: int) -> None:
    truth = world.truth(seed)
    expected = np.mean(np.cos(np.deg2rad(world.angles)))
    assert close(aligned_cosine(truth, truth, 2), expected)


def test_aligned_cosine_has_a_sign() -> None:
    """Two lines at 60 degrees, fitted at 120 (each turned by 30 away from the other): cos 120 = -1/2, where a
    principal angle knows 60 only."""

    def lines(a: float, b: float) -> Laws:
        u = np.array([[np.cos(t), np.sin(t)] for t in np.deg2rad([a, b])])
        return single(u[:, :, None] * u[:, None, :] + 0.01 * np.eye(2))

    for a, b in ((30, 90), (0, 120), (0, 100)):
        assert close(aligned_cosine(lines(a, b), lines(30, 90), 1), np.cos(np.deg2rad(b - a)))
    assert close(law_measures(lines(0, 120), lines(30, 90), 1)["cosine"], 0.5)
    assert close(aligned_cosine(lines(60, 60), lines(30, 90), 1), 1.0)


def test_aligned_cosine_sees_subspaces_and_not_their_axes(seed: int, rng: np.random.Generator) -> None:
    """Spectra within the subspaces, their order and common turns of everything change nothing."""
    truth = SPREAD.truth(seed)
    turn = np.linalg.qr(rng.standard_normal((12, 12)))[0]
    near = Mechanisms(rotation=15.0, shrinkage=0.3).apply(truth, turn)
    U = subspaces(near.covariances[:, 0], 2)
    V = np.stack([u @ np.linalg.qr(rng.standard_normal((2, 2)))[0] for u in U])
    other = single((V * np.array([1.0, 3.0])) @ V.swapaxes(1, 2) + 0.01 * np.eye(12))
    value = aligned_cosine(near, truth, 2)
    assert close(aligned_cosine(other, truth, 2), value, FLOAT64, 10)

    def turned(one: Laws) -> Laws:
        return replace(one, means=one.means @ turn.T, covariances=turn @ one.covariances @ turn.T)

    assert close(aligned_cosine(turned(near), turned(truth), 2), value, FLOAT64, 10)
    assert not close(value, aligned_cosine(truth, truth, 2))  # control: shrinkage turned them together


def test_aligned_cosine_of_random_lines(rng: np.random.Generator) -> None:
    """cos(angle) (E|u'v|)^2, of order 1/d: not zero, for each fit is turned to its true line; unsigned, E|v'w|."""
    d, truth = 4, World(4, 1, 0.1, 40.0).truth(0)
    mean = gamma(d / 2) / np.sqrt(np.pi) / gamma((d + 1) / 2)

    def lines(g: np.random.Generator) -> np.ndarray:
        u = g.standard_normal((2, d, 1))
        return u / np.linalg.norm(u, axis=1, keepdims=True)

    def signed(g: np.random.Generator, size: int) -> np.ndarray:
        fits = [lines(g) for _ in range(size)]
        return np.stack([aligned_cosine(single(u @ u.swapaxes(1, 2)), truth, 1) for u in fits])

    def unsigned(g: np.random.Generator, size: int) -> np.ndarray:
        return np.stack([mean_cosine(lines(g), [(0, 1)]) for _ in range(size)])

    value = np.cos(np.deg2rad(40)) * mean**2
    assert_exact(signed, value, rng, 2500, control=0.0)
    assert_exact(unsigned, mean, rng, 2500, control=value)


def test_one_class_has_no_cosine() -> None:
    one = World(6, 2, 0.1, classes=1).truth(0)
    assert np.isnan(aligned_cosine(one, one, 2))


def test_subspaces_are_those_within_modes() -> None:
    """It is found though modes lie further apart than it is wide, where the longest axis of the moments is another."""
    truth = World(6, 1, 0.5, separation=9.0, minority=0.3, shift=8.0).truth(0)
    found = law_measures(truth, truth, 1)
    assert close([found["kept_subspace"], found["energy_own"], found["cosine"]], [1, 1, 0])
    longest, own = subspaces(truth.moments()[1], 1), subspaces(truth.covariances[:, 0], 1)
    assert np.abs(longest.swapaxes(1, 2) @ own).max() < 0.1  # control
