"""Analytic generators: what a refit gives, by algebra where it is exact and by Monte Carlo where it is a law."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from lsf.pool import Pool
from sims.gaussian import ClassGaussians, GaussianSampler, psd_root
from sims.lowrank import ClassSubspaces, TwoSubspaces
from sims.seeds import stream
from tests.tolerances import FLOAT64, assert_exact, close

SCALES = np.array([3.0, 1.0, 0.5, 0.2, 0.1])
GENERATORS = [
    ClassGaussians(),
    ClassGaussians(shrink=0.5),
    ClassSubspaces(rank=2),
    ClassSubspaces(rank=2, shrink=2.0),
]


def two_classes(n: int, rng: np.random.Generator) -> Pool:
    """Classes 3 and 8 (labels need not count from 0), with means and unequal axes."""
    y = np.repeat([3, 8], n)
    return Pool(rng.standard_normal((2 * n, 5)) * SCALES + 2.0 * (y[:, None] == 8), y, 0)


def covariance(sampler: GaussianSampler, c: int) -> np.ndarray:
    return sampler.roots[c] @ sampler.roots[c].T


def test_psd_root(rng: np.random.Generator) -> None:
    A = rng.standard_normal((5, 2))
    R = psd_root(A @ A.T)
    assert close(R @ R.T, A @ A.T, FLOAT64, 10)
    assert not close(R @ R, A @ A.T, FLOAT64, 10)  # control


def test_gaussian_refit_is_maximum_likelihood(rng: np.random.Generator) -> None:
    pool = two_classes(20, rng)
    sampler = ClassGaussians().fit(pool, rng)
    for i, c in enumerate((3, 8)):
        x = pool.x[pool.y == c]
        assert close(sampler.means[i], x.mean(axis=0))
        assert close(covariance(sampler, i), np.cov(x.T, bias=True), FLOAT64, 10)
        assert not close(covariance(sampler, i), np.cov(x.T), FLOAT64, 10)  # control: 1/(n-1)


def test_gaussian_samples_have_the_refitted_variance(rng: np.random.Generator) -> None:
    pool = two_classes(10, rng)
    sampler = ClassGaussians(shrink=0.5).fit(pool, rng)
    x = pool.x[pool.y == 8]
    u = np.array([1.0, -1.0, 0.5, 0.0, 2.0])
    variance = 0.5 * u @ np.cov(x.T, bias=True) @ u

    def square(rng: np.random.Generator, size: int) -> np.ndarray:
        made = sampler.sample(np.full(size, 8), rng)
        return np.square((made - x.mean(axis=0)) @ u)

    assert_exact(square, variance, rng, 200_000, control=variance * 10 / 9)


@pytest.mark.parametrize("shrink", [1.0, 0.7])
def test_a_generation_loses_one_part_in_n(shrink: float, rng: np.random.Generator) -> None:
    """E S_{k+1} = shrink (1 - 1/n) S_k: the collapse of the analytic world, by the generator itself."""
    family, n = ClassGaussians(shrink), 8
    start = GaussianSampler(np.array([0]), np.zeros((1, 2)), np.diag([2.0, 1.0])[None])

    def variance_of_the_next(rng: np.random.Generator, size: int) -> np.ndarray:
        labels = np.zeros(n, int)
        refits = (family.fit(Pool(start.sample(labels, rng), labels, 1), rng) for _ in range(size))
        return np.array([np.trace(covariance(s, 0)) for s in refits])

    exact = shrink * (1 - 1 / n) * 5
    assert_exact(variance_of_the_next, exact, rng, 4000, control=shrink * 5)


def test_low_rank_refit_has_its_structure(rng: np.random.Generator) -> None:
    """The top eigenvalues are the sample's, the others one floor with the sample's trace, the mean is zero."""
    pool = two_classes(30, rng)
    sampler = ClassSubspaces(rank=2).fit(pool, rng)
    assert (sampler.means == 0).all()
    for i, c in enumerate((3, 8)):
        x = pool.x[pool.y == c]
        S = x.T @ x / len(x)
        w, v = np.linalg.eigvalsh(S), np.linalg.eigvalsh(covariance(sampler, i))
        assert close(v[-2:], w[-2:], FLOAT64, 100)
        assert close(v[:-2], w[:-2].mean(), FLOAT64, 100)
        assert close(v.sum(), np.trace(S), FLOAT64, 100)
        assert not close(w[:-2], w[:-2].mean(), FLOAT64, 100)  # control: the sample has no floor
        top = np.linalg.eigh(S)[1][:, -2:]
        assert np.max(subspace_angles(top, np.linalg.eigh(covariance(sampler, i))[1][:, -2:])) < 1e-6


def test_low_rank_shrink_scales_all_of_it(rng: np.random.Generator) -> None:
    pool = two_classes(30, rng)
    whole, part = (ClassSubspaces(rank=2, shrink=s).fit(pool, rng) for s in (1.0, 0.3))
    assert close(covariance(part, 0), 0.3 * covariance(whole, 0), FLOAT64, 100)


@pytest.mark.parametrize("family", GENERATORS, ids=repr)
def test_generators_keep_the_protocol(family: Any, rng: np.random.Generator) -> None:
    """Refit draws nothing and ignores `start`; a restored model gives the same samples; each label its own class."""
    pool = two_classes(30, rng)
    sampler = family.fit(pool, stream(0))
    again = family.fit(pool, stream(1), start=sampler)
    labels = np.array([8, 3, 3, 8, 8])
    x = sampler.sample(labels, stream(2))
    assert x.shape == (5, 5)
    assert x.dtype == np.float64
    assert (again.sample(labels, stream(2)) == x).all()
    assert (family.restore(sampler.state()).sample(labels, stream(2)) == x).all()
    assert (sampler.sample(labels, stream(3)) != x).any()
    assert set(family.evaluations(pool, True).values()) == {0}


def test_each_label_gets_its_own_class() -> None:
    """Also where labels have gaps and come unsorted."""
    sampler = GaussianSampler(np.array([3, 8]), np.array([[0.0], [100.0]]), np.zeros((2, 1, 1)))
    assert sampler.sample(np.array([8, 3, 8]), stream(0))[:, 0].tolist() == [100.0, 0.0, 100.0]


@pytest.mark.parametrize("label", [0, 5, 9])
def test_class_that_is_gone_is_refused_not_replaced(label: int, rng: np.random.Generator) -> None:
    sampler = ClassGaussians().fit(two_classes(10, rng), rng)
    with pytest.raises(ValueError, match=rf"labels never seen in fit: \[{label}\]"):
        sampler.sample(np.array([3, label]), rng)


@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi / 2])
def test_frames_have_the_stated_angles(angle: float, rng: np.random.Generator) -> None:
    U = TwoSubspaces(dim=9, rank=3, angle=angle, noise=0.1).frames(rng)
    assert close(U[0].T @ U[0], np.eye(3))
    assert close(U[1].T @ U[1], np.eye(3))
    assert np.allclose(subspace_angles(U[0], U[1]), angle, rtol=0, atol=1e-7)
    assert not np.allclose(subspace_angles(U[0], U[1]), angle + 0.01, rtol=0, atol=1e-7)  # control


def test_two_subspaces_have_the_stated_covariance(rng: np.random.Generator) -> None:
    """E (u'x)^2 = 1 + s^2 on the own subspace, cos^2 + s^2 on the other's, s^2 off both."""
    truth = TwoSubspaces(dim=6, rank=2, angle=1.0, noise=0.5)
    U = truth.frames(rng)
    off = np.linalg.svd(np.hstack([U[0], U[1]]).T)[2][-1]
    own, other = U[1][:, 0], U[0][:, 0]
    for u, value, control in ((own, 1.25, 1.0), (other, np.cos(1.0) ** 2 + 0.25, 1.25), (off, 0.25, 0.5)):

        def square(rng: np.random.Generator, size: int, u: np.ndarray = u) -> np.ndarray:
            return np.square(truth.draw(U, size, rng).x[size:] @ u)

        assert_exact(square, value, rng, 40_000, control=control)


def test_draws_are_real_and_balanced(rng: np.random.Generator) -> None:
    truth = TwoSubspaces(dim=6, rank=2, angle=1.0, noise=0.5)
    pool = truth.draw(truth.frames(rng), 7, rng)
    assert np.bincount(pool.y).tolist() == [7, 7]
    assert (pool.born == 0).all()


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: TwoSubspaces(4, 0, 1.0, 0.1), r"rank must lie in 1..dim/2 = 2, found 0"),
        (lambda: TwoSubspaces(4, 3, 1.0, 0.1), r"rank must lie in 1..dim/2 = 2, found 3"),
        (lambda: TwoSubspaces(4, 2, -0.1, 0.1), r"angle must lie in \[0, pi/2\] radians, found -0.1"),
        (lambda: TwoSubspaces(4, 2, 90, 0.1), r"angle must lie in \[0, pi/2\] radians, found 90"),
        (lambda: TwoSubspaces(4, 2, np.nan, 0.1), "angle must lie in"),
        (lambda: TwoSubspaces(4, 2, 1.0, 0.0), "noise must be a positive number, found 0.0"),
        (lambda: TwoSubspaces(4, 2, 1.0, np.inf), "noise must be a positive number, found inf"),
        (lambda: ClassGaussians(shrink=0.0), "shrink must be a positive number, found 0.0"),
        (lambda: ClassGaussians(shrink=-1.0), "shrink must be a positive number, found -1.0"),
        (lambda: ClassSubspaces(shrink=np.nan, rank=1), "shrink must be a positive number, found nan"),
        (lambda: ClassSubspaces(rank=0), "rank must be at least 1, found 0"),
        (
            lambda: ClassSubspaces(rank=5).fit(two_classes(9, np.random.default_rng(0)), stream(0)),
            "rank must be less than the dimension 5, found 5",
        ),
    ],
)
def test_bad_settings_are_refused_by_name(make: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()
