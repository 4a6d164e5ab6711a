"""Metrics against closed forms, brute force and sets whose answer is known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm
from sklearn import config_context

from sims.metrics import class_retention, frechet_distance, neighbour_metrics, within_class_variance
from tests.tolerances import FLOAT64, assert_asymptotic, close

CONDITION = 1e3  # square roots of covariances


def with_moments(n: int, mean: np.ndarray, S: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`n` rows whose sample mean and sample covariance are exactly these."""
    z = rng.standard_normal((n, len(mean)))
    z -= z.mean(axis=0)
    white = np.linalg.solve(np.linalg.cholesky(np.cov(z, rowvar=False)), z.T).T
    return mean + white @ np.linalg.cholesky(S).T


def random_covariance(p: int, rng: np.random.Generator) -> np.ndarray:
    A = rng.standard_normal((p, p))
    return A @ A.T + 0.1 * np.eye(p)


def test_frechet_of_commuting_covariances(rng: np.random.Generator) -> None:
    """|m|^2 + sum (sqrt a_i - sqrt b_i)^2."""
    a, b, m = np.array([4.0, 1.0, 0.25]), np.array([1.0, 9.0, 0.25]), np.array([1.0, 0.0, -2.0])
    x, y = with_moments(50, m, np.diag(a), rng), with_moments(70, 0 * m, np.diag(b), rng)
    found, exact = frechet_distance(x, y), m @ m + np.square(np.sqrt(a) - np.sqrt(b)).sum()
    assert close(found, exact, FLOAT64, CONDITION)
    assert not close(found, m @ m + np.square(a - b).sum(), FLOAT64, CONDITION)  # control: no square roots


@pytest.mark.parametrize("p", [2, 5])
def test_frechet_of_rotated_covariances(p: int, rng: np.random.Generator) -> None:
    S, T, m = random_covariance(p, rng), random_covariance(p, rng), rng.standard_normal(p)
    found = frechet_distance(with_moments(60, m, S, rng), with_moments(60, 0 * m, T, rng))
    exact = m @ m + np.trace(S + T - 2 * np.real(sqrtm(S @ T)))
    assert close(found, exact, FLOAT64, CONDITION)
    apart = m @ m + np.trace(S + T - 2 * np.real(sqrtm(S)) @ np.real(sqrtm(T)))
    assert not close(found, apart, FLOAT64, CONDITION)  # control: right only if the two commute


def test_frechet_is_a_distance(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((40, 4)), rng.standard_normal((30, 4)) * [1, 2, 3, 4]
    assert close(frechet_distance(x, x), 0.0, FLOAT64, CONDITION)
    assert close(frechet_distance(x, y), frechet_distance(y, x), FLOAT64, CONDITION)
    assert close(frechet_distance(x, x + np.array([3, 0, 4, 0])), 25.0, FLOAT64, CONDITION)
    assert frechet_distance(x, y) > 1


def test_frechet_of_singular_covariances_is_finite(rng: np.random.Generator) -> None:
    """Fewer samples than dimensions, and a feature that is constant: digits have both."""
    x = rng.standard_normal((6, 20))
    x[:, 3] = 0
    assert close(frechet_distance(x, x), 0.0, FLOAT64, 1e6)
    assert np.isfinite(frechet_distance(x, rng.standard_normal((5, 20))))


def test_frechet_of_samples_tends_to_that_of_their_laws(rng: np.random.Generator) -> None:
    m, root = np.array([1.0, 0.0, 0.5]), np.diag([1.0, 2.0, 0.5])
    exact = m @ m + np.square(np.diag(root) - 1).sum()

    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        pairs = (rng.standard_normal((2, 1000, 3)) for _ in range(size))
        return np.array([frechet_distance(a, m + b @ root) for a, b in pairs])

    assert_asymptotic(draw, exact, 0.02, rng, 100, control=exact - m @ m)


def brute_force(reference: np.ndarray, made: np.ndarray, k: int) -> dict[str, float]:
    def ball(x: np.ndarray, i: int) -> float:
        return float(np.sort([np.linalg.norm(x[i] - x[j]) for j in range(len(x)) if j != i])[k - 1])

    def inside(point: np.ndarray, x: np.ndarray) -> bool:
        return any(np.linalg.norm(point - x[i]) <= ball(x, i) for i in range(len(x)))

    covered = [
        min(np.linalg.norm(reference[i] - m) for m in made) <= ball(reference, i)
        for i in range(len(reference))
    ]
    return {
        "precision": float(np.mean([inside(m, reference) for m in made])),
        "recall": float(np.mean([inside(r, made) for r in reference])),
        "coverage": float(np.mean(covered)),
    }


@pytest.mark.parametrize("k", [1, 3, 5])
def test_neighbours_by_brute_force(k: int, rng: np.random.Generator) -> None:
    reference, made = rng.standard_normal((24, 2)), 0.7 * rng.standard_normal((17, 2)) + [2.0, 0.0]
    found = neighbour_metrics(reference, made, k)
    assert found == brute_force(reference, made, k)
    assert found != brute_force(made, reference, k)  # control: precision and recall exchanged


def test_neighbours_of_identical_and_disjoint_sets(rng: np.random.Generator) -> None:
    x = rng.standard_normal((50, 3))
    names = ("precision", "recall", "coverage")
    assert neighbour_metrics(x, x.copy()) == dict.fromkeys(names, 1.0)
    assert neighbour_metrics(x, x + 100) == dict.fromkeys(names, 0.0)


def test_dropped_mode_costs_recall_and_an_invented_one_precision(rng: np.random.Generator) -> None:
    here, there = (rng.standard_normal((2, 100, 2)) + np.array([[[0.0]], [[40.0]]])).reshape(2, 100, 2)
    both = np.concatenate([here, there])
    again = rng.standard_normal((200, 2))
    dropped, invented = neighbour_metrics(both, again), neighbour_metrics(again, both)
    assert dropped["precision"] > 0.9
    assert 0.4 < dropped["recall"] <= 0.5
    assert dropped["coverage"] <= 0.5
    assert 0.4 < invented["precision"] <= 0.5
    assert invented["recall"] > 0.9


def test_blocks_change_nothing(rng: np.random.Generator) -> None:
    reference, made = rng.standard_normal((300, 4)), rng.standard_normal((200, 4))
    whole = neighbour_metrics(reference, made)
    with config_context(working_memory=0.01):
        assert neighbour_metrics(reference, made) == whole


def test_class_retention() -> None:
    reference = np.array([0, 0, 0, 0, 1, 1, 7, 7])
    assert class_retention(reference, reference) == [1.0, 1.0, 1.0]
    assert class_retention(reference, np.array([0, 0, 1, 1])) == [1.0, 2.0, 0.0]
    assert class_retention(reference, np.array([7] * 5)) == [0.0, 0.0, 4.0]


def test_within_class_variance(rng: np.random.Generator) -> None:
    """The mean over classes of tr cov: classes count alike whatever their size, and their means do not count."""
    x = np.array([[0.0, 0.0], [2.0, 0.0], [100.0, 0.0], [100.0, 4.0], [100.0, 8.0]])
    y = np.array([0, 0, 1, 1, 1])
    assert close(within_class_variance(x, y), (2 + 16) / 2)
    assert not close(within_class_variance(x, 0 * y), (2 + 16) / 2)  # control: labels not looked at
    far = x + 1000.0 * y[:, None]
    assert close(within_class_variance(far, y), within_class_variance(x, y), FLOAT64, CONDITION)
    assert close(within_class_variance(3 * x, y), 9 * within_class_variance(x, y))
