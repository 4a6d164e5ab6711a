"""Does the fitted two-subspace model find what made the samples, and predict what theory/ says where both can?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from paper_checks.simulated import frames_at
from paper_checks.statistics import FAILS, HOLDS
from paper_checks.test_two_subspace import judged
from paper_checks.two_subspace import Tail, TwoSubspaceModel, fit, jackknife, keep_top, predicted_ole
from sims.lowrank import TwoSubspaces
from tests.tolerances import CONTROL, FITTED, JACKKNIFE, TAIL, Estimate, agrees_within_bias, close
from theory.alignment import pca_overlap
from theory.ole import expected_ole, normalised_ole
from theory.probe import probe_confidence
from theory.selection import kept_moments, runaway
from theory.subspaces import class_covariance, frames

ANGLES = (1.0, 1.3)


def sample(
    rng: np.random.Generator, dim: int = 40, n: int = 80, noise: float = 0.5, scale: float = 2.0
) -> tuple[np.ndarray, np.ndarray]:
    """n samples a class of a model with two unequal angles, where sampling turns frames by much."""
    U = frames_at(ANGLES, dim, rng)
    pool = TwoSubspaces(dim, 2, 1.0, noise).draw(U, n, rng)
    return scale * pool.x, pool.y


def exact(angles: tuple[float, ...], noise: float, dim: int, scale: float = 1.0) -> TwoSubspaceModel:
    """The model that an infinite sample would give."""
    F = np.stack(frames(angles, dim))
    return TwoSubspaceModel(F, np.asarray(angles), noise, scale, np.ones(2))


# --- the fit ---


def numbers(model: TwoSubspaceModel) -> np.ndarray:
    """Mean squared cosine, floor and scale squared."""
    return np.array(
        [np.square(np.cos(model.angles)).mean(), (model.scale * model.noise) ** 2, model.scale**2]
    )


def uncorrected(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The same, straight from the eigenvectors and eigenvalues."""
    w, V = np.linalg.eigh(np.stack([x[y == c].T @ x[y == c] / np.sum(y == c) for c in (0, 1)]))
    floor = w[:, :-2].mean()
    cosines = np.linalg.svd(V[0, :, -2:].T @ V[1, :, -2:], compute_uv=False)
    return np.array([np.square(cosines).mean(), floor, w[:, -2:].mean() - floor])


def test_fit_undoes_what_sampling_moved(rng: np.random.Generator) -> None:
    """At d = 40, n = 80, noise .5; the control, the plain estimates, is rejected for each number."""
    drawn = [sample(rng) for _ in range(400)]
    true = np.array([np.square(np.cos(ANGLES)).mean(), 1.0, 4.0])
    found, plain = (
        np.array([of(*xy) for xy in drawn]) for of in (lambda x, y: numbers(fit(x, y, 2)), uncorrected)
    )
    error, missed = (a.std(axis=0, ddof=1) / 20 for a in (found, plain))
    for i, value in enumerate(true):
        assert agrees_within_bias(Estimate(found[:, i].mean(), error[i]), value, FITTED), (
            i,
            found[:, i].mean(),
        )
        assert abs(plain[:, i].mean() - value) > FITTED * value + CONTROL * missed[i], (i, plain[:, i].mean())


def test_covariances_are_unbiased(rng: np.random.Generator) -> None:
    """Along the true frame and off it; control: frames taken at their word, a^2 (F F' + s^2 I)."""
    U = frames_at(ANGLES, 40, rng)
    truth = TwoSubspaces(40, 2, 1.0, 0.5)
    models = []
    for _ in range(200):
        pool = truth.draw(U, 80, rng)
        models.append(fit(pool.x, pool.y, 2))
    S = np.array([m.covariances[0] for m in models])
    F = np.array([m.frames[0] for m in models])
    word = F @ F.swapaxes(1, 2) + 0.25 * np.eye(40)
    for of, accepted in ((S, True), (word, False)):
        along = np.einsum("ar,nab,br->n", U[0], of, U[0]) / 2
        e = Estimate(float(along.mean()), float(along.std(ddof=1) / np.sqrt(200)))
        assert agrees_within_bias(e, 1.25, FITTED) == accepted, e
    assert np.linalg.eigvalsh(S).min() > 0


def test_fit_knows_no_units_and_no_axes(rng: np.random.Generator) -> None:
    x, y = sample(rng)
    R = np.linalg.qr(rng.standard_normal((40, 40)))[0]
    a, b = fit(x, y, 2), fit(7 * x @ R, np.where(y == 0, "cat", "dog"), 2)
    assert close([*b.angles, b.noise, b.scale / 7], [*a.angles, a.noise, a.scale], condition=100)
    assert close(b.covariances, 49 * R.T @ a.covariances @ R, condition=1e4)
    assert not close(fit(7 * x, y, 2).scale, a.scale)


def test_latents_of_any_shape_are_flattened(rng: np.random.Generator) -> None:
    x, y = sample(rng)
    assert close(fit(x.reshape(-1, 2, 4, 5), y, 2).angles, fit(x, y, 2).angles)


def test_squared_cosines_shrink_towards_chance(rng: np.random.Generator) -> None:
    """E cos^2 of fitted frames - r/d = b^2 (cos^2 - r/d), b from the measured overlap with the truth, at d = 6, r = 2;
    control: shrinkage towards 0, c2^2 cos^2."""
    U = np.stack(frames((0.3, 0.8), 6))
    x = TwoSubspaces(6, 2, 1.0, 0.8)
    F = np.array([fitted_frames(x.draw(U, 30, rng).x) for _ in range(2000)])
    c2 = np.square(np.einsum("car,ncaq->ncrq", U, F)).sum(axis=(2, 3)).mean() / 2
    seen = np.square(np.einsum("nar,naq->nrq", F[:, 0], F[:, 1])).sum(axis=(1, 2)) / 2
    found = Estimate(float(seen.mean()), float(seen.std(ddof=1) / np.sqrt(2000)))
    b, cos_2 = (c2 - 1 / 3) / (2 / 3), np.square(np.cos([0.3, 0.8])).mean()
    assert agrees_within_bias(found, 1 / 3 + b**2 * (cos_2 - 1 / 3), FITTED)
    assert abs(found.mean - c2**2 * cos_2) > CONTROL * found.error


def fitted_frames(x: np.ndarray) -> np.ndarray:
    """(2, d, 2) of two classes of 30."""
    return np.linalg.eigh(np.stack([x[:30].T @ x[:30], x[30:].T @ x[30:]]))[1][:, :, -2:]


def test_shrinkage_is_that_of_the_overlap(rng: np.random.Generator) -> None:
    """b + (1 - b) r/d = c2, for each class by its own number of samples."""
    x, y = sample(rng)
    model = fit(x[20:], y[20:], 2)
    c2 = model.shrink + (1 - model.shrink) * 2 / 40
    assert close(c2, pca_overlap(40, [60, 80], model.noise))
    assert not close(model.shrink, pca_overlap(40, [60, 80], model.noise))


def of_spectrum(top: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """100 samples of each of two classes in 4 dimensions, eigenvalues of the second moments exactly top, top, 1, 1."""
    roots = 10 * np.sqrt([top, top, 1, 1])
    Q, R = (np.linalg.qr(rng.standard_normal((2, m, 4)))[0] for m in (100, 4))
    return np.concatenate((Q * roots) @ R), np.repeat([0, 1], 100)


def test_fit_refuses_what_hides_its_subspaces(rng: np.random.Generator) -> None:
    """At the edge of what noise alone does; where the overlap is chance; and, the control, beyond."""
    with pytest.raises(ValueError, match=r"eigenvalues 1\.3 and 1 are noise alone"):
        fit(*of_spectrum(1.3, rng), 2)
    with pytest.raises(ValueError, match="noise 2 at 100 samples in 4 dimensions hides them"):
        fit(*of_spectrum(1.5, rng), 2)
    assert fit(*of_spectrum(2.0, rng), 2).shrink.min() > 0.8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x, np.zeros(len(y), int), 2), "y must hold two classes, found 1"),
        (lambda x, y: (x, np.arange(len(y)) % 3, 2), "y must hold two classes, found 3"),
        (lambda x, y: (x, y, 0), "rank must lie in 1..20"),
        (lambda x, y: (x, y, 21), "rank must lie in 1..20"),
        (lambda x, y: (x[[0, 1, 2, -3, -2, -1]], y[[0, 1, 2, -3, -2, -1]], 3), "more than rank = 3"),
        (lambda x, y: (np.full_like(x, np.nan), y, 2), "x"),
        (lambda x, y: (x[1:], y, 2), "y"),
        (lambda x, y: (np.random.default_rng(0).standard_normal(x.shape), y, 2), "x must show its subspaces"),
    ],
)
def test_fit_refuses(
    change: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, int]],
    message: str,
    rng: np.random.Generator,
) -> None:
    with pytest.raises(ValueError, match=message):
        fit(*change(*sample(rng)))


def test_jackknife_gives_the_scatter(rng: np.random.Generator) -> None:
    """Of noise, scale and confidence, at angles far from the ends; control: the scatter at four times the sample."""

    def of(m: TwoSubspaceModel) -> list[float]:
        return [m.noise, m.scale, m.confidence]

    drawn = [sample(rng, dim=8, n=200, noise=0.8) for _ in range(150)]
    value, error = map(np.array, zip(*(jackknife(x, y, 2, of, groups=10) for x, y in drawn), strict=True))
    scatter, claimed = value.std(axis=0, ddof=1), np.sqrt(np.square(error).mean(axis=0))
    assert (np.abs(claimed / scatter - 1) < JACKKNIFE).all(), claimed / scatter
    assert (np.abs(claimed / (scatter / 2) - 1) > JACKKNIFE).all()


# --- predictions ---


def test_predictions_are_those_of_theory() -> None:
    model = exact(ANGLES, 0.3, 9, scale=2.0)
    drifted = replace(model, noise=0.5)
    scaled = model.probe * 4  # samples twice as large, seen by a probe of unit scale
    assert close(
        replace(drifted, scale=1.0).probe_confidence(scaled),
        probe_confidence(ANGLES, 0.3, 0.5),
        condition=100,
    )
    assert close(model.probe_confidence(model.probe), model.confidence, condition=100)
    assert not close(drifted.probe_confidence(model.probe), model.confidence, condition=100)
    ole, normalised = predicted_ole([model, drifted], 50)
    for i, s in enumerate((0.3, 0.5)):
        assert close(ole[i], 2 * expected_ole(9, 50, ANGLES, s))
        assert close(normalised[i], normalised_ole(9, 50, ANGLES, s))


# --- the tail of a quadratic form ---


@pytest.mark.parametrize("t", [0.0, 0.3, 2.0, 15.0])
@pytest.mark.parametrize(
    ("m", "P"),
    [
        ([2.0, 2.0], lambda t: np.exp(-t / 2)),
        ([3.0, 3.0, -0.5, -0.5], lambda t: 3 / 3.5 * np.exp(-t / 3)),
        ([1.5, 0.0], lambda t: stats.chi2.sf(2 * t / 1.5, 1)),
        ([1.0] * 6, lambda t: stats.gamma.sf(t, 3)),
        ([2.0, 2.0, 0.5, 0.5], lambda t: (2 * np.exp(-t / 2) - 0.5 * np.exp(-2 * t)) / 1.5),
    ],
)
def test_tail_in_closed_form(m: list[float], P: Callable[[float], float], t: float) -> None:
    assert close(Tail(np.array(m))(t), P(t), TAIL)
    assert not close(Tail(1.01 * np.array(m))(t + 0.01), P(t), TAIL)


def test_tail_thrice_is_the_moment(rng: np.random.Generator) -> None:
    """m = (1, 1): e^-t (1 + t) for each. Other numbers: E g_j^2 1(z > t) of a million draws."""
    assert close(Tail(np.ones(2)).thrice(0.7), np.exp(-0.7) * 1.7, TAIL)
    m = np.array([2.0, 0.7, -0.3, -1.0])
    g = np.square(rng.standard_normal((100, 10_000, 4)))
    over = (g * (g @ m / 2 > 1.0)[..., None]).mean(axis=1)
    mean, error = over.mean(axis=0), over.std(axis=0, ddof=1) / 10
    assert (np.abs(mean - Tail(m).thrice(1.0)) <= 5 * error).all()
    assert (np.abs(mean - Tail(m)(1.0)) > CONTROL * error).any()


def test_tails_of_rows_do_not_meet(rng: np.random.Generator) -> None:
    """Blocks of very different variance on one contour."""
    m = np.array([[1.0, 1.0, -0.1, -0.1], [40.0, 40.0, -3.0, -3.0], [0.02, 0.02, -5.0, -5.0]])
    for t in (0.0, 1.0, 60.0):
        assert close(Tail(m)(t), m[:, 0] / (m[:, 0] - m[:, 2]) * np.exp(-t / m[:, 0]), TAIL)


# --- what is kept ---


@pytest.mark.parametrize("rank", [1, 2, 4])
@pytest.mark.parametrize("share", [0.05, 0.25, 0.6])
def test_one_block_keeps_the_moments_of_theory(rank: int, share: float) -> None:
    theta, s, d = 1.1, 0.4, 2 * rank + 1
    S_0, S_1 = (class_covariance(U, s) for U in frames(np.full(rank, theta), d))
    w, V = np.linalg.eigh(S_1)
    R = (V * np.sqrt(w)) @ V.T
    E = np.linalg.eigh(R @ (np.linalg.inv(S_0) - np.linalg.inv(S_1)) @ R)[1]
    parts, M = keep_top(np.linalg.inv(S_0) - np.linalg.inv(S_1), [S_1], share)
    white = np.diag(E.T @ np.linalg.solve(R, np.linalg.solve(R, M).T) @ E)
    _, m_A, m_B = kept_moments(theta, s, rank, share)
    assert close(parts, [1.0])
    assert close(white, np.repeat([m_B, 1.0, m_A], [rank, 1, rank]), 1e-9)
    assert not close(white, np.ones(d), 1e-9)


def test_share_of_real_data_is_that_of_the_runaway() -> None:
    """Noise .001, right angles, rank 2: blocks of variance 1, lam v_0, lam v_1, ...; to the order of the noise."""
    v, share = runaway(0.8, 4)
    U = np.stack(frames(np.full(2, np.pi / 2), 4))
    Q = U[1] @ U[1].T - U[0] @ U[0].T
    blocks = [p * U[1] @ U[1].T + 1e-6 * np.eye(4) for p in (1.0, *(0.8 * v[:4]))]
    for k in range(1, 5):
        parts, M = keep_top(Q, blocks[: k + 1], 1 / (k + 1))
        assert close(parts[0], share[k], 1e-5)
        assert close(np.trace(U[1].T @ M @ U[1]) / 2, v[k], 1e-5)
        assert not close(parts[0], 1 / (k + 1), 1e-5)


def test_keep_top_refuses() -> None:
    S = np.eye(4)
    Q = np.diag([1.0, 1.0, -1.0, -1.0])
    for share in (0.0, 1.0, -0.1):
        with pytest.raises(ValueError, match="share must lie in"):
            keep_top(Q, [S], share)
    with pytest.raises(ValueError, match=r"share must be at most 0\.5"):
        keep_top(Q, [S], 0.6)


# --- the rule of the rows ---


def test_rows_hold_fail_or_have_no_power(rng: np.random.Generator) -> None:
    name = "two-subspace-model-syn [raw OLE, leakage]"
    predicted = 10 + rng.standard_normal((100, 3, 1))

    def verdict(shift: float, control: float = 5.0) -> str:
        observed = predicted * (1 + shift * np.array([0, 0, 1])[:, None]) + 0.1 * rng.standard_normal(
            (100, 3, 1)
        )
        triple = observed, predicted, predicted[:, -1:] - control
        return judged(name, "gaussian", triple, slice(0, 1), range(100), False).verdict

    assert verdict(0.02) == HOLDS
    assert verdict(0.08) == FAILS
    assert verdict(-0.08) == FAILS
    with pytest.raises(AssertionError, match="accepts the control"):
        verdict(0.0, control=0.1)
