"""The exact-score world: denoiser against Bayes' rule and Tweedie, DDIM's law, latents, CSNR against theory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm
from sklearn.base import clone

from lsf.ole import normalised_ole, ole
from sims.diffusion import Diffusion, noise_schedule
from sims.exact_score import (
    ABAR,
    Denoiser,
    Diffused,
    PosteriorMean,
    csnr_of,
    latent_curve,
    noise_level,
    posterior_mean,
)
from sims.laws import Laws
from tests.tolerances import (
    BIAS_POOL,
    CENTRAL_DIFFERENCE,
    DDIM_1000,
    EXPONENT_SHARP,
    FLOAT32,
    FLOAT64,
    ROUNDING,
    assert_asymptotic,
    assert_exact,
    close,
)
from theory import timestep


def mixtures(rng: np.random.Generator) -> Laws:
    """Classes 3 and 8 of two components in 4 dimensions, one of them of rank 2."""
    A = rng.standard_normal((2, 2, 4, 4))
    A[0, 1, :, 2:] = 0
    weights = np.array([[0.3, 0.7], [0.9, 0.1]])
    return Laws(np.array([3, 8]), weights, rng.standard_normal((2, 2, 4)), A @ A.swapaxes(2, 3))


def two_subspaces(dim: int, rank: int, floor: float) -> tuple[Laws, np.ndarray]:
    """Classes 0 and 1 at 90 degrees on the first axes, and their frames (2, d, r)."""
    frames = np.eye(dim)[:, : 2 * rank].reshape(dim, 2, rank).swapaxes(0, 1)
    S = frames @ frames.swapaxes(1, 2) + floor**2 * np.eye(dim)
    return Laws(np.arange(2), np.ones((2, 1)), np.zeros((2, 1, dim)), S[:, None]), frames


def one_gaussian(rng: np.random.Generator) -> Laws:
    """Class 5 with a mean, axes that are not the coordinates', and a floor of s.d. .1."""
    V = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    S = (V * [4.0, 0.5, 0.01]) @ V.T
    return Laws(np.array([5]), np.ones((1, 1)), np.array([[[2.0, -1.0, 3.0]]]), S[None, None])


def log_terms(laws: Laws, x: np.ndarray, w: float, classes: list[int]) -> np.ndarray:
    """log p_k N(x; m_k, S_k + w^2 I), (n, K), by scipy's density."""
    return np.stack(
        [
            np.log(laws.weights[c, j] / len(classes))
            + multivariate_normal(laws.means[c, j], laws.covariances[c, j] + w**2 * np.eye(4)).logpdf(x)
            for c in classes
            for j in range(2)
        ],
        axis=1,
    )


def by_bayes(laws: Laws, x: np.ndarray, w: float, classes: list[int]) -> np.ndarray:
    """Sum of m + S (S + w^2 I)^-1 (x - m) over components, by linear solves."""
    log_p = log_terms(laws, x, w, classes)
    r = np.exp(log_p - logsumexp(log_p, axis=1, keepdims=True))
    parts = [
        m + (x - m) @ np.linalg.solve(S + w**2 * np.eye(4), S)
        for c in classes
        for m, S in zip(laws.means[c], laws.covariances[c], strict=True)
    ]
    return np.einsum("nk,knd->nd", r, np.array(parts))


def test_schedule_is_that_of_diffusers() -> None:
    f = Diffusion(size=8, classes=2, channels=(8,), steps=1, lr=1e-3)
    theirs = noise_schedule(f).alphas_cumprod.numpy()
    assert close(ABAR / theirs, 1, FLOAT32, 10)
    assert not close(ABAR[1:] / theirs[:-1], 1, FLOAT32, 10)  # control: a timestep off
    assert close(1 / (1 + noise_level(200) ** 2), ABAR[200])


@pytest.mark.parametrize("w", [0.01, 0.5, 30.0])
def test_posterior_mean_is_bayes_rule(w: float, rng: np.random.Generator) -> None:
    laws = mixtures(rng)
    labels = np.repeat([8, 3], 20)
    x = laws.sample(labels, rng) + w * rng.standard_normal((40, 4))
    null = by_bayes(laws, x, w, [0, 1])
    own = np.concatenate([by_bayes(laws, x[:20], w, [1]), by_bayes(laws, x[20:], w, [0])])
    condition = 10 / min(w, 1) ** 2
    assert close(posterior_mean(laws, x, w), null, FLOAT64, condition)
    assert close(posterior_mean(laws, x, w, labels), own, FLOAT64, condition)
    assert not close(posterior_mean(laws, x, w, 11 - labels), own, FLOAT64, condition)  # control: swapped
    unequal = replace(laws, weights=laws.weights[::-1])
    assert w < 0.1 or not close(posterior_mean(unequal, x, w), null, FLOAT64, condition)  # control


def test_score_is_the_slope_of_the_log_density(rng: np.random.Generator) -> None:
    """Tweedie: by central differences of the log density itself."""
    laws, w, step = mixtures(rng), 0.7, 1e-4
    x = 2 * rng.standard_normal((30, 4))

    def slope(classes: list[int]) -> np.ndarray:
        moved = [
            logsumexp(log_terms(laws, x + sign * step * e, w, classes), axis=1)
            for e in np.eye(4)
            for sign in (1, -1)
        ]
        up, down = np.array(moved).reshape(4, 2, len(x)).swapaxes(0, 1)
        return (up - down).T / (2 * step)

    denoiser = Denoiser(laws)
    assert close(denoiser.score(x, w), slope([0, 1]), CENTRAL_DIFFERENCE)
    assert close(denoiser.score(x, w, np.full(30, 8)), slope([1]), CENTRAL_DIFFERENCE)
    assert not close(denoiser.score(x, 1.001 * w), slope([0, 1]), CENTRAL_DIFFERENCE)  # control


def test_far_away_and_without_weight_nothing_overflows(rng: np.random.Generator) -> None:
    laws = mixtures(rng)
    assert np.isfinite(posterior_mean(laws, np.full((1, 4), 1e8), 0.01)).all()
    alone = replace(laws, weights=np.array([[1.0, 0.0], [1.0, 0.0]]))
    x = rng.standard_normal((5, 4))
    m, S = laws.means[1, 0], laws.covariances[1, 0]
    linear = m + (x - m) @ np.linalg.solve(S + np.eye(4), S)
    assert close(posterior_mean(alone, x, 1.0, np.full(5, 8)), linear)


def test_steps_go_from_the_last_timestep_to_no_noise(rng: np.random.Generator) -> None:
    """Levels of 4 steps; and one step is the denoiser itself."""
    levels = [noise_level(t) for t in (999, 666, 333, 0)]
    sampler = Diffused(mixtures(rng), 4)
    assert close(sampler.levels, [*levels, 0])
    e, labels, w = np.random.default_rng(3).standard_normal((5, 4)), np.full(5, 8), levels[0]
    x = Diffused(sampler.laws, 1).sample(labels, np.random.default_rng(3))
    assert close(x, posterior_mean(sampler.laws, np.sqrt(1 + w**2) * e, w, labels))
    assert not close(x, posterior_mean(sampler.laws, w * e, w, labels))  # control


@pytest.mark.parametrize("steps", [1, 7, 40])
def test_ddim_is_the_affine_map_of_its_noise(steps: int, rng: np.random.Generator) -> None:
    """Sample by sample: x = mean + sqrt(1 + w^2) V F V' e, whose square is the covariance."""
    sampler = Diffused(one_gaussian(rng), steps)
    law = sampler.sampled_laws()
    lam, V = np.linalg.eigh(law.covariances[0, 0])
    x = sampler.sample(np.full(50, 5), np.random.default_rng(1))
    e = np.random.default_rng(1).standard_normal((50, 3))
    assert close(x, law.means[0, 0] + e @ (V * np.sqrt(np.clip(lam, 0, None))) @ V.T, FLOAT64, 100)
    off = sampler.laws.means[0, 0] + e @ (V * np.sqrt(np.clip(lam, 0, None))) @ V.T
    assert not close(x, off, FLOAT64, 100)  # control: the mean is not all there yet


def test_ddim_samples_have_the_sampled_law(rng: np.random.Generator) -> None:
    """By Monte Carlo, along an oblique direction; the control is the law whose score it follows."""
    sampler = Diffused(one_gaussian(rng), 10)
    law, u = sampler.sampled_laws(), np.array([1.0, 0.5, -1.0])

    def square(rng: np.random.Generator, size: int) -> np.ndarray:
        return np.square((sampler.sample(np.full(size, 5), rng) - law.means[0, 0]) @ u)

    value, control = (u @ S @ u for S in (law.covariances[0, 0], sampler.laws.covariances[0, 0]))
    assert_exact(square, float(value), rng, 40_000, float(control))


def variances(steps: int) -> np.ndarray:
    """What DDIM makes of the variances .01, .25, 1 and 4."""
    S = np.diag([0.01, 0.25, 1.0, 4.0])[None, None]
    laws = Laws(np.array([0]), np.ones((1, 1)), np.zeros((1, 1, 4)), S)
    return np.diag(Diffused(laws, steps).sampled_laws().covariances[0, 0])


def test_ddim_tends_to_the_law_from_below(rng: np.random.Generator) -> None:
    """Monotone in refined steps, error of order 1/steps (where the last step, to 0, is not the largest part), and
    never above the limit."""
    lam, w_2 = np.array([0.01, 0.25, 1.0, 4.0]), 1 / ABAR[-1] - 1
    limit = lam * (1 + w_2) / (lam + w_2)
    found = np.array([variances(s) for s in (10, 40, 80, 160, 1000)])
    assert (np.diff(found, axis=0) > 0).all()
    assert (found < limit).all()
    assert close(found[-1] / lam, 1, DDIM_1000)
    assert not close(found[-2] / lam, 1, DDIM_1000)  # control: 160 steps
    error = (1 - found / limit)[:, 2:]
    assert np.abs(np.log2(error[1] / error[2]) - 1).max() <= EXPONENT_SHARP
    assert np.abs(np.log2(error[2] / error[3]) - 1).max() <= EXPONENT_SHARP


def test_ddim_of_a_mixture_keeps_every_quantile(rng: np.random.Generator) -> None:
    """In one dimension the flow keeps order: F_0^{-1}(F_w(x_w)). The control takes 20 steps in place of 1000."""
    weights, means, sds = np.array([0.2, 0.8]), np.array([-2.0, 1.0]), np.array([0.3, 0.6])
    laws = Laws(np.array([0]), weights[None], means[None, :, None], np.square(sds)[None, :, None, None])
    w = noise_level(999)

    def F(x: float, w: float) -> float:
        return float(weights @ norm.cdf((x - means) / np.hypot(sds, w)))

    start = np.sqrt(1 + w**2) * np.random.default_rng(2).standard_normal((40, 1))
    exact = np.array([brentq(lambda x, a=a: F(x, 0) - F(a, w), -30, 30) for a in start[:, 0]])
    fine, coarse = (
        Diffused(laws, s).sample(np.zeros(40, int), np.random.default_rng(2))[:, 0] for s in (1000, 20)
    )
    assert close(fine, exact, DDIM_1000)
    assert not close(coarse, exact, DDIM_1000)


def test_diffused_is_a_sampler_of_its_laws(rng: np.random.Generator) -> None:
    """Labels may have gaps and come unsorted; none gives none."""
    laws = replace(mixtures(rng), means=np.array([[[-50.0] * 4] * 2, [[50.0] * 4] * 2]))
    sampler = Diffused(laws, 20)
    x = sampler.sample(np.array([8, 3, 8]), rng)
    assert x.shape == (3, 4)
    assert (np.sign(x[:, 0]) == [1, -1, 1]).all()
    assert sampler.sample(np.array([], int), rng).shape == (0, 4)


@pytest.mark.parametrize("noised", [False, True])
def test_a_latent_belongs_to_its_sample(noised: bool, rng: np.random.Generator) -> None:
    """To the last bit, whatever samples are beside it; another seed moves noised latents alone."""
    laws, _ = two_subspaces(37, 2, 0.1)
    Q = np.linalg.qr(rng.standard_normal((37, 37)))[0]  # along the coordinates every product would be exact
    laws = replace(laws, covariances=Q @ laws.covariances @ Q.T)
    x = laws.sample(np.repeat([0, 1], 700), rng)
    encoder = PosteriorMean(laws, 120, noised).fit(x)
    h = encoder.transform(x)
    for a, b in ((0, 1), (0, 3), (701, 702), (701, 706)):
        assert (encoder.transform(x[a:b]) == h[a:b]).all()
    assert (clone(encoder).fit(x[:1]).transform(x) == h).all()
    assert (PosteriorMean(laws, 120, noised, random_state=1).fit(x).transform(x) != h).any() == noised
    assert close(h, posterior_mean(laws, x, noise_level(120))) != noised


def test_noise_of_latents_is_standard_and_paired(rng: np.random.Generator) -> None:
    """Of one Gaussian h is linear: e can be read off, and is the same at two timesteps."""
    laws = Laws(np.array([0]), np.ones((1, 1)), np.zeros((1, 1, 2)), np.eye(2)[None, None])
    x = rng.standard_normal((20_000, 2))

    def e(t: int) -> np.ndarray:
        w = noise_level(t)
        return ((1 + w**2) * PosteriorMean(laws, t, noised=True).fit(x).transform(x) - x) / w

    early, late = e(20), e(400)
    assert close(early, late, FLOAT64, 100)
    for power, moment in ((1, 0.0), (2, 1.0)):
        assert_exact(lambda g, size, p=power: g.choice(early[:, 0], size) ** p, moment, rng, 20_000, 0.5)
    rows = np.arange(19_999)
    neighbours = lambda g, size: (early[:-1, 0] * early[1:, 0])[g.choice(rows, size)]  # noqa: E731
    assert_exact(neighbours, 0.0, rng, 20_000, 0.5)


@pytest.mark.parametrize("t", [30, 150, 500])
def test_csnr_is_that_of_theory(t: int, rng: np.random.Generator) -> None:
    """Noised latents of both classes; the control is clean x, fed as if it had that noise."""
    dim, rank, floor, w = 12, 2, 0.15, noise_level(t)
    laws, frames = two_subspaces(dim, rank, floor)
    labels, denoiser = np.repeat([0, 1], 2000), Denoiser(laws)

    def csnr(rng: np.random.Generator, size: int, noised: float = 1.0) -> np.ndarray:
        draws = (laws.sample(labels, rng) for _ in range(size))
        noisy = (x + noised * w * rng.standard_normal(x.shape) for x in draws)
        return np.array([csnr_of(denoiser.posterior_mean(x, w), frames, labels) for x in noisy])

    control = float(csnr(rng, 8, noised=0.0).mean())
    assert_asymptotic(csnr, float(timestep.csnr(w, dim, rank, floor)), BIAS_POOL, rng, 100, control)


def test_csnr_by_hand() -> None:
    frames = np.eye(2)[:, :, None]
    h = np.array([[3.0, 1.0], [1.0, 1.0], [2.0, 4.0]])
    assert csnr_of(h, frames, [4, 4, 7]) == (9 + 1 + 16) / (1 + 1 + 4)
    assert csnr_of(h, frames, [7, 7, 4]) == (1 + 1 + 4) / (9 + 1 + 16)


@pytest.mark.parametrize("noised", [False, True])
def test_latent_curve_measures_the_encoder(noised: bool, rng: np.random.Generator) -> None:
    laws, frames = two_subspaces(16, 2, 0.1)
    labels = np.repeat([0, 1], 50)
    x = laws.sample(labels, rng)
    rows = latent_curve(laws, x, labels, frames, [60, 300], noised, random_state=4)
    for row in rows:
        h = PosteriorMean(laws, int(row["timestep"]), noised, random_state=4).fit_transform(x)
        measured = [csnr_of(h, frames, labels), ole(h, labels), normalised_ole(h, labels)]
        assert close([row["csnr"], row["ole"], row["ole_normalised"]], measured, FLOAT64, 100)
        assert close(row["mean_norm"], np.linalg.norm(h, axis=1).mean())
        assert row["w"] == noise_level(int(row["timestep"]))
    assert not close(rows[0]["ole"], rows[1]["ole"], FLOAT64, 100)  # control: another timestep


def test_latent_curve_has_the_u(rng: np.random.Generator) -> None:
    """Both ends of CSNR lie below, and of OLEn above, the middle; a floor that needs no averaging shows none."""
    for floor, u in ((0.1, True), (3.0, False)):
        laws, frames = two_subspaces(16, 2, floor)
        labels = np.repeat([0, 1], 400)
        x = laws.sample(labels, rng)
        rows = latent_curve(laws, x, labels, frames, [0, 80, 900], noised=True)
        csnr, olen = (np.array([row[key] for row in rows]) for key in ("csnr", "ole_normalised"))
        assert (csnr[1] > 1.2 * max(csnr[0], csnr[2])) == u
        assert (olen[1] < min(olen[0], olen[2]) / 1.2) == u
        assert (np.diff([row["mean_norm"] for row in rows]) < 0).all()
        assert min(row["ole"] for row in rows) >= -ROUNDING


ONE = Laws(np.array([0]), np.ones((1, 1)), np.zeros((1, 1, 2)), np.eye(2)[None, None])
BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: noise_level(1000), ValueError, r"timestep must lie in 0..999, found 1000"),
    (lambda: noise_level(-1), ValueError, r"timestep must lie in 0..999, found -1"),
    (lambda: noise_level(1.5), TypeError, "timestep must be an integer"),  # type: ignore[arg-type]
    (lambda: Denoiser(replace(ONE, sphere=2)), ValueError, "laws must be normal in every direction"),
    (
        lambda: Denoiser(replace(ONE, covariances=-ONE.covariances)),
        ValueError,
        "laws must have covariances without negative eigenvalues, found -1",
    ),
    (lambda: posterior_mean(ONE, np.zeros((1, 3)), 1.0), ValueError, "x_w has 3 features, laws have 2"),
    (lambda: posterior_mean(ONE, np.full((1, 2), np.nan), 1.0), ValueError, "x_w has 2 NaN"),
    (lambda: posterior_mean(ONE, np.zeros((1, 2)), 0.0), ValueError, "w must be a positive number, found 0"),
    (lambda: posterior_mean(ONE, np.zeros((1, 2)), np.nan), ValueError, "w must be a positive number"),
    (lambda: posterior_mean(ONE, np.zeros((1, 2)), 1.0, [4]), ValueError, "labels has labels never seen"),
    (lambda: posterior_mean(ONE, np.zeros((1, 2)), 1.0, [0, 0]), ValueError, "labels has 2 labels"),
    (lambda: Diffused(ONE, 0), ValueError, r"steps must lie in 1..1000, found 0"),
    (lambda: Diffused(ONE, 1001), ValueError, r"steps must lie in 1..1000, found 1001"),
    (lambda: Diffused(replace(ONE, sphere=2), 5), ValueError, "laws must be normal"),
    (
        lambda: Diffused(ONE, 5).sample(np.array([0, 9]), np.random.default_rng(0)),
        ValueError,
        r"labels has labels never seen in fit: \[9\]",
    ),
    (
        lambda: Diffused(mixtures(np.random.default_rng(0)), 5).sampled_laws(),
        ValueError,
        "laws must have one component a class",
    ),
    (lambda: PosteriorMean(ONE, 1000).fit(np.zeros((1, 2))), ValueError, "timestep must lie"),
    (lambda: PosteriorMean(ONE, 5).fit(np.zeros((1, 3))), ValueError, "x has 3 features, laws have 2"),
    (
        lambda: PosteriorMean(ONE, 5, random_state=-1).fit(np.zeros((1, 2))),
        ValueError,
        "random_state must be 0 or more, found -1",
    ),
    (lambda: PosteriorMean(ONE, 5).transform(np.zeros((1, 2))), ValueError, "not fitted"),
    (lambda: csnr_of(np.zeros((2, 2)), np.ones((2, 2, 1)), [0, 0]), ValueError, "frames must be"),
    (lambda: csnr_of(np.zeros((2, 2)), np.ones((2, 2)), [0, 1]), ValueError, "frames must be"),
]


@pytest.mark.parametrize(("call", "error", "match"), BAD)
def test_bad_input_is_refused_by_name(call: Callable[[], Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()
