"""Metrics against closed forms, brute force and sets whose answer is known beforehand."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.linalg import sqrtm
from sklearn.metrics import pairwise_distances
from sklearn.metrics.pairwise import polynomial_kernel

from sims import metrics
from sims.metrics import (
    class_retention,
    frechet_distance,
    kernel_distance,
    nearest_distance,
    neighbour_metrics,
    space_metrics,
    within,
    within_class_variance,
)
from tests.tolerances import FLOAT64, assert_asymptotic, assert_exact, close

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


@pytest.mark.parametrize(("n", "m", "p"), [(9, 12, 30), (9, 40, 30), (40, 9, 30), (40, 50, 6), (31, 30, 30)])
def test_frechet_by_eigenvalues(n: int, m: int, p: int, rng: np.random.Generator) -> None:
    """|A B'|_* = tr (S_1 S_2)^{1/2}, by the eigenvalues of S_1^{1/2} S_2 S_1^{1/2}, with n < p too."""
    x, y = rng.standard_normal((n, p)) + 1.0, rng.standard_normal((m, p)) @ np.diag(np.linspace(0.5, 2, p))
    S, T = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    w, V = np.linalg.eigh(S)
    root = V * np.sqrt(np.clip(w, 0, None)) @ V.T
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ T @ root), 0, None)).sum()
    exact = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(S + T) - 2 * cross
    assert close(frechet_distance(x, y), exact, FLOAT64, 1e5)  # square roots of eigenvalues that should be 0
    assert not close(frechet_distance(x, y), exact * m / (m - 1), FLOAT64, 1e5)


def test_frechet_and_kernel_of_rotated_features(rng: np.random.Generator) -> None:
    """Rotations change neither; a stretch changes both. A shift changes the kernel distance, not the Frechet one."""
    x, y = rng.standard_normal((20, 30)), rng.standard_normal((25, 30)) + 0.3
    Q = np.linalg.qr(rng.standard_normal((30, 30)))[0]
    for distance in (frechet_distance, kernel_distance):
        assert close(distance(x @ Q, y @ Q), distance(x, y), FLOAT64, CONDITION)
        assert not close(distance(1.1 * x, 1.1 * y), distance(x, y), FLOAT64, CONDITION)
    assert close(frechet_distance(x + 5, y + 5), frechet_distance(x, y), FLOAT64, CONDITION)
    assert not close(kernel_distance(x + 5, y + 5), kernel_distance(x, y), FLOAT64, CONDITION)


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
        "density": sum(
            np.linalg.norm(r - m) <= ball(reference, i) for m in made for i, r in enumerate(reference)
        )
        / (k * len(made)),
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
    names = ("precision", "recall", "density", "coverage")
    same = {**dict.fromkeys(names, 1.0), "density": 6 / 5}  # itself and, on the border, its five neighbours
    assert neighbour_metrics(x, x.copy()) == neighbour_metrics(x + 1e3, x + 1e3) == same
    assert neighbour_metrics(x, x[rng.permutation(50)]) == same
    assert neighbour_metrics(x, x + 100) == dict.fromkeys(names, 0.0)


def test_density_of_a_crowd(rng: np.random.Generator) -> None:
    """Samples crowded in the middle, where many balls overlap: density rises above 1, coverage falls."""
    x = rng.standard_normal((400, 8))
    fresh, crowd = (neighbour_metrics(x, s * rng.standard_normal((400, 8))) for s in (1.0, 0.2))
    assert crowd["density"] > 2.0 > 1.2 > fresh["density"] > 0.8
    assert crowd["coverage"] < 0.5 < fresh["coverage"]


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


def kernel_by_hand(x: np.ndarray, y: np.ndarray) -> float:
    """The estimator, written out."""

    def others(z: np.ndarray) -> float:
        K = polynomial_kernel(z, degree=3, gamma=1 / z.shape[1], coef0=1.0)
        return (K.sum() - np.trace(K)) / (len(z) * (len(z) - 1))

    return (
        others(x) + others(y) - 2 * polynomial_kernel(x, y, degree=3, gamma=1 / x.shape[1], coef0=1.0).mean()
    )


def test_kernel_distance_written_out(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((30, 7)) + 2.0, 1.5 * rng.standard_normal((21, 7))
    found = kernel_distance(x, y)
    assert close(found, kernel_by_hand(x, y), FLOAT64, CONDITION)
    assert close(found, kernel_distance(y, x), FLOAT64, CONDITION)
    biased = (
        polynomial_kernel(x, degree=3, gamma=1 / 7).mean()
        - polynomial_kernel(y, degree=3, gamma=1 / 7).mean()
    )
    assert not close(found, biased, FLOAT64, CONDITION)


def test_kernel_distance_is_unbiased(rng: np.random.Generator) -> None:
    """0 in the mean for two small samples of one law; with the diagonal it would be E k(x,x) - E k(x,x') too large."""

    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        return np.array([kernel_distance(*rng.standard_normal((2, 8, 2))) for _ in range(size)])

    # p = 2: E (|x|^2/2 + 1)^3 = 16 (moments of a unit exponential); E (x.x'/2 + 1)^3 = 1 + 3 E (x.x')^2/4 = 2.5
    assert_exact(draw, 0.0, rng, 1500, control=2 * (16 - 2.5) / 8)


def test_kernel_distance_of_two_laws(rng: np.random.Generator) -> None:
    """x = +-1, y = 0 in one dimension: E k(x,x') + k(0,0) - 2 k(x,0) = 4 + 1 - 2 = 3."""

    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        signs = rng.choice([-1.0, 1.0], (size, 6, 1))
        return np.array([kernel_distance(x, np.zeros((5, 1))) for x in signs])

    assert_exact(draw, 3.0, rng, 1500, control=3.0 + (8 - 4) / 6)  # control: x with itself counted


@pytest.mark.parametrize("seen_before", [False, True])
def test_all_numbers_of_a_space_at_once(seen_before: bool, rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((40, 6)), rng.standard_normal((30, 6)) * 0.8
    labels, other = np.arange(40) % 2, np.arange(30) % 3
    found = space_metrics(x, y, labels, other, known=within(x) if seen_before else None)
    assert found == {
        "frechet": frechet_distance(x, y),
        "kernel": found["kernel"],
        **neighbour_metrics(x, y),
        "variance_ratio": within_class_variance(y, other) / within_class_variance(x, labels),
    }
    assert close(found["kernel"], kernel_distance(x, y))
    assert found["kernel"] != space_metrics(y, x, other, labels)["frechet"]


@pytest.mark.parametrize("block", [1, 977, 40_000])
def test_blocks_change_nothing(block: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    reference, made = rng.standard_normal((300, 4)), rng.standard_normal((200, 4))
    whole, near = metrics.compare(reference, made, 5), nearest_distance(reference, reference + 1, made)
    monkeypatch.setattr(metrics, "BLOCK", block)
    parts = metrics.compare(reference, made, 5)
    assert close(parts.pop("kernel"), whole.pop("kernel"))
    assert parts == whole
    assert close(nearest_distance(reference, reference + 1, made), near)


def test_distances_far_from_the_origin(rng: np.random.Generator) -> None:
    """Where features have a large mean, |x|^2 + |y|^2 - 2 x.y about the origin would have lost the distance."""
    x, y = rng.standard_normal((30, 3)) + 1e6, rng.standard_normal((20, 3)) + 1e6
    (_, found, _), exact = next(metrics.pairs(x, y)), np.square(x[:, None] - y[None]).sum(axis=2)
    assert close(found, exact)
    G = x @ y.T
    about_zero = np.square(x).sum(1)[:, None] + np.square(y).sum(1) - 2 * G
    assert not close(about_zero, exact, FLOAT64, CONDITION)


def test_copies_are_nearest_and_fresh_draws_as_far_as_real_ones(rng: np.random.Generator) -> None:
    train, unseen, fresh = rng.standard_normal((3, 400, 5)) + 50.0
    copies = train[rng.permutation(400)[:100]]
    assert nearest_distance(train, unseen, copies) == 0.0
    assert nearest_distance(train, unseen, unseen) == 1.0
    assert 0.9 < nearest_distance(train, unseen, fresh) < 1.1
    half = np.concatenate([copies, fresh[:100]])
    assert 0.4 < nearest_distance(train, unseen, half) < 0.6
    assert nearest_distance(train, unseen, copies + 0.01) < 0.05
    assert nearest_distance(train, unseen, 3 * (fresh - 50) + 50) > 1.5


def test_nearest_distance_by_brute_force(rng: np.random.Generator) -> None:
    train, unseen, made = (rng.standard_normal((n, 3)) for n in (20, 15, 12))
    exact = (
        pairwise_distances(made, train).min(axis=1).mean() / pairwise_distances(unseen, train).min(1).mean()
    )
    assert close(nearest_distance(train, unseen, made), exact)
    assert not close(nearest_distance(made, unseen, train), exact)  # control: the sets exchanged


BAD = {
    "made has 1 NaN": lambda x: (x, np.where(np.arange(30)[:, None] == 4, [np.nan, 1, 1], x)),
    "made has 2 features": lambda x: (x, x[:, :2]),
    "reference has 5 samples: at least 6": lambda x: (x[:5], x),
    "made has 5 samples: at least 6": lambda x: (x, x[:5]),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_sets_are_refused(message: str, rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=message):
        neighbour_metrics(*BAD[message](rng.standard_normal((30, 3))))


def test_other_bad_arguments_are_refused(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((30, 3)), np.arange(30) % 2
    with pytest.raises(ValueError, match=r"known was taken at k = 3 of 30 rows: use within\(reference, 5\)"):
        space_metrics(x, x, y, y, known=within(x, 3))
    with pytest.raises(ValueError, match="known was taken"):
        space_metrics(x, x, y, y, known=within(x[:20]))
    with pytest.raises(ValueError, match="every row is a row of train"):
        nearest_distance(x, x[:9], x)
    with pytest.raises(ValueError, match="class 7 has one sample"):
        within_class_variance(x, np.where(np.arange(30) == 3, 7, y))
    with pytest.raises(ValueError, match="y has 29 labels"):
        within_class_variance(x, y[1:])
    with pytest.raises(ValueError, match="b has 1 samples"):
        frechet_distance(x, x[:1])


LARGE = """
import resource
import numpy as np
from sims.metrics import nearest_distance, space_metrics
x, y = np.random.default_rng(0).standard_normal((2, {n}, 512))
labels = np.arange({n}) % 10
space_metrics(x, y, labels, labels)
nearest_distance(x, y, y + 0.1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.slow
def test_ten_thousand_against_ten_thousand_in_a_gigabyte() -> None:
    """Everything, Python itself and the two sets (82 MB) included: one matrix of all pairs would be 800 MB."""
    done = subprocess.run([sys.executable, "-c", LARGE.format(n=10_000)], check=True, capture_output=True)
    assert int(done.stdout) < 1e9


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
