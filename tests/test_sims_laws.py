"""Laws: samples against their stated moments and shape, densities against scipy, each beside a wrong value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logsumexp
from scipy.stats import kstest, multivariate_normal

from sims.laws import Laws
from tests.tolerances import FALSE_ALARM, FLOAT64, assert_exact, close

D, SAMPLES = 4, 20_000


def laws(rng: np.random.Generator, J: int = 1, C: int = 2, d: int = D, **curve: object) -> Laws:
    """Classes 2, 5, ... of J components, axes of very different lengths, means of size 1."""
    weights = rng.dirichlet(np.full(J, 3.0), size=C)
    A = rng.standard_normal((C, J, d, d)) * np.linspace(0.3, 2.0, d)
    S = A @ A.swapaxes(2, 3) / d + 0.05 * np.eye(d)
    return Laws(2 + 3 * np.arange(C), weights, rng.standard_normal((C, J, d)), S, **curve)  # type: ignore[arg-type]


def plane(q: int, thickness: float = 0.1, noise: float = 0.5) -> Laws:
    """One class: a sphere in the first q of D coordinates, the others noise; mean (1, .., 1)."""
    S = np.diag(np.where(np.arange(D) < q, 1.0, noise**2))
    return Laws(np.array([0]), np.ones((1, 1)), np.ones((1, 1, D)), S[None, None], q, thickness)


SHAPES = {
    "one component": {"J": 1},
    "mixture of three": {"J": 3},
    "sphere": {"J": 1, "sphere": 3, "thickness": 0.2},
    "circle": {"J": 1, "sphere": 2, "thickness": 0.0},
    "mixture of spheres": {"J": 2, "sphere": 2, "thickness": np.array([[0.1, 0.3], [0.0, 0.2]])},
    "sphere of every axis": {"J": 1, "sphere": D, "thickness": 0.1},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_samples_have_the_stated_moments(shape: str, rng: np.random.Generator) -> None:
    """Mean and variance along a random direction; rejected: the other class's, and what forgets the means' spread."""
    law = laws(rng, **SHAPES[shape])  # type: ignore[arg-type]
    mean, S = law.moments()
    for i, c in enumerate(law.classes):
        u = rng.standard_normal(D)

        def along(g: np.random.Generator, size: int, c: int = c, u: np.ndarray = u) -> np.ndarray:
            return law.sample(np.full(size, c), g) @ u

        def square(g: np.random.Generator, size: int, i: int = i, u: np.ndarray = u) -> np.ndarray:
            return np.square(along(g, size, law.classes[i], u) - mean[i] @ u)

        s = np.sqrt(u @ S[i] @ u)
        assert_exact(along, mean[i] @ u, rng, SAMPLES, control=mean[i] @ u + 0.2 * s)
        assert_exact(square, s**2, rng, SAMPLES, control=1.4 * s**2)


def test_moments_of_a_mixture_by_hand() -> None:
    """Two points at -1 and 3 with weights 3/4 and 1/4: mean 0, between 3, within 1."""
    law = Laws(np.array([0]), np.array([[0.75, 0.25]]), np.array([[[-1.0], [3.0]]]), np.ones((1, 2, 1, 1)))
    mean, S = law.moments()
    assert mean.tolist() == [[0.0]]
    assert S.tolist() == [[[4.0]]]


def test_components_come_in_their_shares(rng: np.random.Generator) -> None:
    """Means 100 apart tell which component a sample is of; one of weight 0 never comes."""
    weights = np.array([[0.0, 0.2, 0.5, 0.3], [1.0, 0.0, 0.0, 0.0]])
    means = np.broadcast_to(100.0 * np.arange(4)[None, :, None], (2, 4, D))
    law = Laws(np.array([0, 1]), weights, means, np.broadcast_to(np.eye(D), (2, 4, D, D)))
    for j, control in ((1, 0.25), (2, 0.45), (3, 0.35)):

        def of_j(g: np.random.Generator, size: int, j: int = j) -> np.ndarray:
            return np.rint(law.sample(np.zeros(size, int), g)[:, 0] / 100) == j

        assert_exact(of_j, weights[0, j], rng, SAMPLES, control)
    x = law.sample(np.repeat([0, 1], 2000), rng)
    assert np.rint(x[:2000] / 100).min() == 1
    assert np.abs(x[2000:]).max() < 50


@pytest.mark.parametrize("q", [2, 3])
def test_radius_and_thickness_of_a_sphere(q: int, rng: np.random.Generator) -> None:
    """|x|/sqrt(q) = (1 + tau z)/sqrt(1 + tau^2) in the plane; a normal law has another, and so has tau / 2."""
    tau = 0.2
    law = plane(q, tau)

    def radius(g: np.random.Generator, size: int) -> np.ndarray:
        return np.linalg.norm(law.sample(np.zeros(size, int), g)[:, :q] - 1, axis=1) / np.sqrt(q)

    assert_exact(radius, 1 / np.sqrt(1 + tau**2), rng, SAMPLES, control=1.0)
    fourth = (1 + 6 * tau**2 + 3 * tau**4) / (1 + tau**2) ** 2
    assert_exact(lambda g, k: radius(g, k) ** 4, fourth, rng, SAMPLES, control=1 + 2 / q)  # of a normal law
    rho = radius(rng, 4000) * np.sqrt(1 + tau**2)
    assert kstest(rho, "norm", (1, tau)).pvalue > FALSE_ALARM
    assert kstest(rho, "norm", (1, tau / 2)).pvalue < FALSE_ALARM  # control


@pytest.mark.parametrize("q", [2, 3])
def test_directions_on_a_sphere_are_uniform(q: int, rng: np.random.Generator) -> None:
    """E u_1^4 = 3/(q(q + 2)) and no axis is preferred; corners of a cube have 1/q^2."""
    law = plane(q, 0.3)

    def fourth(g: np.random.Generator, size: int) -> np.ndarray:
        x = law.sample(np.zeros(size, int), g)[:, :q] - 1
        return (x / np.linalg.norm(x, axis=1, keepdims=True)) ** 4

    for i in range(q):
        assert_exact(lambda g, k, i=i: fourth(g, k)[:, i], 3 / (q * (q + 2)), rng, SAMPLES, control=1 / q**2)


def test_off_a_sphere_is_normal_noise(rng: np.random.Generator) -> None:
    """The other coordinates: N(1, noise^2), and nothing of the radius in them."""
    x = plane(2, 0.3).sample(np.zeros(8000, int), rng)
    off, radius = x[:, 2:] - 1, np.linalg.norm(x[:, :2] - 1, axis=1)
    assert kstest(off.ravel(), "norm", (0, 0.5)).pvalue > FALSE_ALARM
    assert kstest(off.ravel(), "norm", (0, 0.55)).pvalue < FALSE_ALARM  # control
    far = np.square(off[radius > np.median(radius)]).ravel()
    assert kstest(far / 0.25, "chi2", (1,)).pvalue > FALSE_ALARM


def test_circle_without_thickness_is_thin(rng: np.random.Generator) -> None:
    x = plane(2, 0.0).sample(np.zeros(100, int), rng)[:, :2] - 1
    assert close(np.square(x).sum(axis=1), 2.0)
    assert not close(np.square(plane(0).sample(np.zeros(100, int), rng)[:, :2] - 1).sum(axis=1), 2.0)


@pytest.mark.parametrize("J", [1, 3])
def test_densities_are_scipys(J: int, rng: np.random.Generator) -> None:
    law = laws(rng, J, C=3)
    x = 2 * rng.standard_normal((30, D))
    expected = np.array(
        [
            [
                np.log(law.weights[c, j])
                + multivariate_normal(law.means[c, j], law.covariances[c, j]).logpdf(x)
                for j in range(J)
            ]
            for c in range(3)
        ]
    )
    assert close(law.log_densities(x), np.moveaxis(expected, 2, 0), FLOAT64, 100)
    of_class = logsumexp(expected, axis=1)
    y = law.classes[rng.integers(0, 3, 30)]
    mine = of_class[(y - 2) // 3, np.arange(30)]
    rivals = np.where(law.classes[:, None] == y, -np.inf, of_class)
    assert close(law.log_odds(x, y), mine - logsumexp(rivals, axis=0), FLOAT64, 100)
    assert not close(law.log_odds(x, y), mine - logsumexp(of_class, axis=0), FLOAT64, 100)  # control: log p
    assert (law.modes(x) == np.moveaxis(expected, 2, 0).reshape(30, -1).argmax(axis=1)).all()


def test_far_away_log_odds_stay_finite() -> None:
    """Densities that underflow: the odds of N(0, 1) against N(1, 1) at x are 1/2 - x."""
    law = Laws(np.array([0, 1]), np.ones((2, 1)), np.array([[[0.0]], [[1.0]]]), np.ones((2, 1, 1, 1)))
    x = np.array([[-500.0], [500.0]])
    assert close(law.log_odds(x, np.array([0, 0])), [500.5, -499.5])
    assert close(law.log_odds(x, np.array([1, 1])), [-500.5, 499.5])


def test_component_of_no_weight_has_no_density(rng: np.random.Generator) -> None:
    law = laws(rng, J=2)
    none = replace(law, weights=np.array([[1.0, 0.0], [0.4, 0.6]]))
    x = rng.standard_normal((20, D))
    assert np.isneginf(none.log_densities(x)[:, 0, 1]).all()
    assert np.isfinite(none.log_densities(x)[:, 0, 0]).all()
    assert 1 not in none.modes(x)


def test_probabilities_of_the_probe_are_right(rng: np.random.Generator) -> None:
    """Among samples of both classes in equal shares, E sigmoid(log odds of class 2) is the share of class 2."""
    law = laws(rng)

    def confidence(g: np.random.Generator, size: int) -> np.ndarray:
        y = law.classes[g.integers(0, 2, size)]
        x = law.sample(y, g)
        return expit(law.log_odds(x, np.full(size, 2))) - (y == 2)

    assert_exact(confidence, 0.0, rng, SAMPLES, control=0.05)


def test_rows_belong_to_their_labels(rng: np.random.Generator) -> None:
    """Also unsorted, and with gaps between the labels; the same stream gives the same rows."""
    law = replace(laws(rng, C=2), means=np.array([[[-500.0] * D], [[500.0] * D]]))
    y = rng.permutation(np.repeat([2, 5], 20))
    x = law.sample(y, np.random.default_rng(3))
    assert ((x[:, 0] > 0) == (y == 5)).all()
    assert np.array_equal(x, law.sample(y, np.random.default_rng(3)))
    assert not np.array_equal(x, law.sample(y, np.random.default_rng(4)))
    assert law.sample(y[:0], rng).shape == (0, D)


@pytest.mark.parametrize("label", [0, 3, 9])
def test_label_that_is_no_class_is_refused(label: int, rng: np.random.Generator) -> None:
    law = laws(rng)
    with pytest.raises(ValueError, match=rf"labels never seen in fit: \[{label}\]"):
        law.sample(np.array([2, label]), rng)
    with pytest.raises(ValueError, match=rf"labels never seen in fit: \[{label}\]"):
        law.log_odds(np.zeros((2, D)), np.array([2, label]))


def test_roots_are_ordered_and_the_state_makes_the_laws(rng: np.random.Generator) -> None:
    """The largest axis last: a sphere lies in the last q columns."""
    law = laws(rng, J=2, sphere=2, thickness=np.array([[0.1, 0.2], [0.3, 0.4]]))
    assert close(law.roots @ law.roots.swapaxes(2, 3), law.covariances)
    lengths = np.square(law.roots).sum(axis=2)
    assert (np.diff(lengths, axis=2) >= 0).all()
    again = Laws(**{k: v if v.ndim else int(v) for k, v in law.state().items()})  # type: ignore[arg-type]
    y = np.repeat(law.classes, 5)
    assert np.array_equal(again.sample(y, np.random.default_rng(0)), law.sample(y, np.random.default_rng(0)))
