"""Analytic worlds: true laws by their geometry, refits by direct formulas, and every bad setting refused by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.linalg import subspace_angles
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA

from lsf.pool import Pool
from sims.analytic import WORLDS, ClassFit, Model, World, world
from sims.distances import subspaces
from sims.exact_score import Diffused
from sims.laws import Laws
from sims.mechanisms import Mechanisms
from tests.tolerances import ANGLE, CURVED, EM, THICKNESS, assert_asymptotic, assert_exact, close

PLAIN = World(dim=6, rank=2, noise=0.5, angles=60.0)
MODES = WORLDS["minority"]


def points(law: Laws, n: int, rng: np.random.Generator) -> Pool:
    y = np.repeat(law.classes, n)
    return Pool(law.sample(y, rng), y, 0)


def fitted(setting: World, n: int, rng: np.random.Generator) -> tuple[Laws, Pool, Model]:
    """Truth, n points a class, and the model of them."""
    law = setting.truth(int(rng.integers(2**31)))
    pool = points(law, n, rng)
    return law, pool, ClassFit(setting, law).fit(pool, rng)


# --- the truth ---


@pytest.mark.parametrize("separation", [0.0, 2.0])
@pytest.mark.parametrize("angles", [0.0, 33.0, 90.0, (0.0, 20.0, 75.0), (90.0, 45.0, 1e-3)])
@pytest.mark.parametrize("C", [2, 3, 4])
def test_every_two_classes_have_the_chosen_angles(C: int, angles: Any, separation: float, seed: int) -> None:
    """All C (C - 1)/2 pairs, in the frames and in the axes of the covariances."""
    setting = World(18, 3, 0.1, angles, classes=C, separation=separation)
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((18, setting.columns)))[0]
    chosen = np.sort(np.deg2rad(np.broadcast_to(angles, 3)))[::-1]
    for U in (setting.frames(Q), subspaces(setting.truth(seed).covariances[:, 0], 3)):
        assert close(U.swapaxes(1, 2) @ U, np.broadcast_to(np.eye(3), (C, 3, 3)))
        for a in range(C):
            for b in range(a):
                found = subspace_angles(U[a], U[b])
                assert np.abs(found - chosen).max() < ANGLE
                assert np.abs(found - chosen - 0.01).max() > ANGLE  # control


@pytest.mark.parametrize("noise", [0.1, 2.0])
def test_covariance_is_one_on_the_subspace_and_noise_everywhere(noise: float, seed: int) -> None:
    law = World(9, 2, noise, 40.0, classes=3).truth(seed)
    w = np.linalg.eigvalsh(law.covariances[:, 0])
    assert close(w[:, :7], noise**2)
    assert close(w[:, 7:], 1 + noise**2)
    assert not law.means.any()
    assert law.weights.tolist() == [[1.0]] * 3
    assert (law.classes.tolist(), law.sphere) == ([0, 1, 2], 0)


@pytest.mark.parametrize("C", [1, 2, 3, 4])
def test_class_means_are_corners_of_a_simplex(C: int, seed: int) -> None:
    """`separation` from the centre 0, all equally far apart, and off the subspaces."""
    law = World(16, 2, 0.3, 60.0, classes=C, separation=1.5).truth(seed)
    m = law.means[:, 0]
    assert close(np.linalg.norm(m, axis=1), 1.5)
    assert C == 1 or close(m.sum(axis=0), 0)
    assert close(pdist(m), 1.5 * np.sqrt(2 * C / max(1, C - 1)))
    U = subspaces(law.covariances[:, 0], 2)
    assert close(np.einsum("bd,cdr->bcr", m, U), 0)


def test_minority_has_its_place_and_share(seed: int, rng: np.random.Generator) -> None:
    """`shift` nearer to the centre, on the way to it; a tenth of the samples, of the same covariance."""
    law = MODES.truth(seed)
    major, minor = law.means[:, 0], law.means[:, 1]
    assert close(np.linalg.norm(major - minor, axis=1), 2.5)
    assert close(np.linalg.norm(minor, axis=1), 0.5)
    assert close(minor, major / 6)
    assert np.array_equal(law.covariances[:, 0], law.covariances[:, 1])
    assert close(law.weights, [[0.9, 0.1]] * 2)
    u = (minor[1] - major[1]) / 2.5

    def along(g: np.random.Generator, size: int) -> np.ndarray:
        return (law.sample(np.ones(size, int), g) - major[1]) @ u

    assert_exact(along, 0.1 * 2.5, rng, 20_000, control=0.15 * 2.5)


def test_sphere_of_the_rank(seed: int) -> None:
    curved = replace(WORLDS["curved"], thickness=0.2)
    assert (curved.truth(seed).sphere, curved.truth(seed).thickness) == (2, 0.2)
    assert replace(curved, shape="normal").truth(seed).sphere == 0


def test_frames_are_drawn_anew_and_uniformly_by_the_seed(seed: int, rng: np.random.Generator) -> None:
    """The same seed, the same truth; over seeds no direction is preferred: E S = (r/d + s^2) I."""
    a, again, b = (PLAIN.truth(s) for s in (seed, seed, seed + 1))
    assert np.array_equal(a.covariances, again.covariances)
    assert not np.allclose(a.covariances, b.covariances)

    def corner(g: np.random.Generator, size: int) -> np.ndarray:
        return np.stack([PLAIN.truth(int(s)).covariances[:, 0, 0, 0] for s in g.integers(2**31, size=size)])

    assert_exact(corner, 2 / 6 + 0.25, rng, 1000, control=2 / 6 + 0.5)


# --- refits ---


def test_full_fit_is_maximum_likelihood(rng: np.random.Generator) -> None:
    _, pool, model = fitted(replace(PLAIN, separation=1.0), 20, rng)
    for c in range(2):
        x = pool.x[pool.y == c]
        assert close(model.fitted.means[c, 0], x.mean(axis=0))
        assert close(model.fitted.covariances[c, 0], np.cov(x.T, bias=True))
        assert not close(model.fitted.covariances[c, 0], np.cov(x.T))  # control


def test_unbiased_fit_has_its_divisor(rng: np.random.Generator) -> None:
    _, pool, model = fitted(replace(PLAIN, unbiased=True), 20, rng)
    x = pool.x[pool.y == 1]
    assert close(model.fitted.covariances[1, 0], np.cov(x.T))


@pytest.mark.parametrize("fit", ["full", "ppca"])
def test_known_means_are_not_fitted(fit: str, rng: np.random.Generator) -> None:
    """Means of truth; second moments about them, over n."""
    law, pool, model = fitted(replace(PLAIN, separation=1.0, known_mean=True, fit=fit), 20, rng)
    for c in range(2):
        x = pool.x[pool.y == c] - law.means[c, 0]
        assert np.array_equal(model.fitted.means[c, 0], law.means[c, 0])
        trace = np.trace(model.fitted.covariances[c, 0])
        assert close(trace, np.square(x).sum() / 20)
        assert not close(trace, np.square(x - x.mean(axis=0)).sum() / 20)  # control


@pytest.mark.parametrize("n", [4, 30])
def test_ppca_is_that_of_scikit_learn(n: int, rng: np.random.Generator) -> None:
    """With divisor n - 1, as there; 4 points too, which leave all but 3 axes empty."""
    _, pool, model = fitted(replace(PLAIN, fit="ppca", unbiased=True), n, rng)
    for c in range(2):
        x = pool.x[pool.y == c]
        spectrum = np.linalg.eigvalsh(np.cov(x.T))
        S = PCA(2).fit(x).get_covariance() if n > 6 else None
        assert S is None or close(model.fitted.covariances[c, 0], S)
        assert close(np.linalg.eigvalsh(model.fitted.covariances[c, 0])[:4], spectrum[:4].mean())
        assert close(np.linalg.eigvalsh(model.fitted.covariances[c, 0])[4:], spectrum[4:])
        assert not close(spectrum[:4], spectrum[:4].mean())  # control: the sample has no floor


def test_ppca_is_the_likeliest_of_its_family(rng: np.random.Generator) -> None:
    """log det S + tr S^-1 S_n rises whenever frame, variances or floor are changed."""
    _, pool, model = fitted(replace(PLAIN, fit="ppca", rank=2), 40, rng)
    x, S = pool.x[pool.y == 0], model.fitted.covariances[0, 0]
    sample = np.cov(x.T, bias=True)
    w, V = np.linalg.eigh(S)

    def loss(w: np.ndarray, V: np.ndarray) -> float:
        return float(np.log(w).sum() + np.trace((V / w) @ V.T @ sample))

    for _ in range(20):
        turned = np.linalg.qr(V + 0.05 * rng.standard_normal(V.shape))[0]
        top, floor = w[-2:] * np.exp(0.1 * rng.standard_normal(2)), w[0] * np.exp(0.1 * rng.standard_normal())
        assert loss(w, turned) > loss(w, V)
        assert loss(np.append(np.full(4, floor), top), V) > loss(w, V)


def test_pca_keeps_axes_alone(rng: np.random.Generator) -> None:
    """The spectrum is the truth's, whatever the sample's."""
    _, pool, model = fitted(replace(PLAIN, fit="pca"), 20, rng)
    S = model.fitted.covariances[:, 0]
    assert close(np.linalg.eigvalsh(S), np.array([[0.25] * 4 + [1.25] * 2] * 2))
    for c in range(2):
        sample = np.cov(pool.x[pool.y == c].T, bias=True)
        assert close(subspace_angles(subspaces(S, 2)[c], np.linalg.eigh(sample)[1][:, -2:]), 0, ANGLE)


@pytest.mark.parametrize(("fit", "top"), [("pca", 1.25), ("ppca", None), ("full", None)])
def test_fits_of_every_axis(fit: str, top: float | None, rng: np.random.Generator) -> None:
    """rank = dim: nothing is left for a floor; pca still resets the spectrum."""
    _, pool, model = fitted(World(3, 3, 0.5, classes=1, fit=fit), 20, rng)
    sample = np.cov(pool.x.T, bias=True)
    assert close(model.fitted.covariances[0, 0], sample if top is None else top * np.eye(3))


def test_em_finds_the_modes(rng: np.random.Generator) -> None:
    """Modes too far apart to be taken for one another: EM gives the moments of each mode's own samples, from a start
    that is off as well. scikit-learn adds 1e-6 to every variance."""
    setting = replace(MODES, shift=14.0, separation=15.0)
    law, pool, model = fitted(setting, 500, rng)
    off = replace(law, weights=np.full((2, 2), 0.5), means=law.means + 0.5, covariances=2 * law.covariances)
    mode = np.linalg.norm(pool.x[:, None] - law.means[pool.y], axis=2).argmin(axis=1)
    for found in (model, ClassFit(setting, law).fit(pool, rng, start=Model(off, off))):
        for c, j in np.ndindex(2, 2):
            x = pool.x[(pool.y == c) & (mode == j)]
            assert close(found.fitted.weights[c, j], len(x) / 500, EM)
            assert close(found.fitted.means[c, j], x.mean(axis=0), EM)
            assert close(found.fitted.covariances[c, j], np.cov(x.T, bias=True) + 1e-6 * np.eye(6), EM)
            assert not close(found.fitted.covariances[c, j], np.cov(x.T), EM)  # control


def test_em_keeps_the_samples_mean(rng: np.random.Generator) -> None:
    """Where modes overlap: a property of every step of EM."""
    _, pool, model = fitted(MODES, 200, rng)
    assert close(model.fitted.moments()[0], [pool.x[pool.y == c].mean(axis=0) for c in (0, 1)])
    assert not close(model.fitted.means[:, 0], [pool.x[pool.y == c].mean(axis=0) for c in (0, 1)])


def test_em_starts_from_the_last_model(rng: np.random.Generator) -> None:
    """25 steps at most: another start, another fit; without one, from the truth."""
    law, pool, model = fitted(MODES, 60, rng)
    swapped = replace(law, means=law.means[:, ::-1], weights=law.weights[:, ::-1])
    generator = ClassFit(MODES, law)
    again = generator.fit(pool, rng, start=Model(law, swapped))
    assert np.array_equal(again.fitted.means, model.fitted.means)
    other = generator.fit(pool, rng, start=Model(swapped, law))
    assert close(other.fitted.means[:, ::-1], model.fitted.means, 1.0)
    assert (other.fitted.weights[:, 1] > 0.5).all()


@pytest.mark.parametrize("fit", ["ppca", "full"])
@pytest.mark.parametrize(("tau", "known_mean"), [(0.05, False), (0.05, True), (0.2, False)])
def test_thickness_is_found_but_for_what_a_fit_of_n_points_adds(
    tau: float, known_mean: bool, fit: str, rng: np.random.Generator
) -> None:
    """tau^2 + (1/q + (q-1)/(2 (q+2)))/n: of the mean's error 1/q, of the axes' the rest (first order, q = 3)."""
    q, n = 3, 400
    setting = World(8, q, 0.15, shape="sphere", thickness=tau, fit=fit, known_mean=known_mean)
    added = ((0 if known_mean else 1 / q) + (q - 1) / (2 * (q + 2))) / n

    def square(g: np.random.Generator, size: int) -> np.ndarray:
        return np.stack([np.square(fitted(setting, n, g)[2].fitted.thickness) for _ in range(size)])

    control = tau**2 if tau == 0.05 else 2 * tau**2
    assert_asymptotic(square, tau**2 + added, THICKNESS, rng, 200, control)


def test_thickness_of_a_normal_law(rng: np.random.Generator) -> None:
    setting = World(8, 3, 0.15, shape="sphere")
    law = setting.truth(0)
    pool = points(replace(law, sphere=0), 4000, rng)
    assert close(ClassFit(setting, law).fit(pool, rng).fitted.thickness, np.sqrt(3 * np.pi / 8 - 1), CURVED)


def test_curved_refit_is_sampled_as_a_curve(rng: np.random.Generator) -> None:
    """The next generation keeps radius and thickness: it does not fill the ring."""
    law, pool, model = fitted(WORLDS["curved"], 2000, rng)
    made = points(model.law, 2000, rng)
    U = subspaces(law.covariances[:, 0], 2)
    for c in range(2):
        radii = [np.linalg.norm(p.x[p.y == c] @ U[c], axis=1) for p in (pool, made)]
        assert close(radii[1].mean(), radii[0].mean(), CURVED)
        assert np.quantile(radii[1], 0.01) > 0.6 * radii[0].mean()


@pytest.mark.parametrize("mechanism", [Mechanisms(), Mechanisms(temperature=0.7, leakage=0.2)])
def test_score_steps_draw_the_sampler_s_own_law(mechanism: Mechanisms, rng: np.random.Generator) -> None:
    """Diffused(fitted).sampled_laws, then the mechanisms; the fitted laws stay what was fitted."""
    setting = replace(PLAIN, separation=1.0, score_steps=25)
    law = setting.truth(1)
    pool = points(law, 30, rng)
    model = ClassFit(setting, law, mechanism).fit(pool, rng)
    direct = ClassFit(replace(setting, score_steps=None), law).fit(pool, rng)
    expected = mechanism.apply(Diffused(direct.fitted, 25).sampled_laws())
    for name, value in expected.state().items():
        assert np.array_equal(model.law.state()[name], value)
    assert np.array_equal(model.fitted.covariances, direct.fitted.covariances)
    assert not np.allclose(model.law.moments()[1], mechanism.apply(direct.fitted).moments()[1])  # control


def test_few_score_steps_contract(rng: np.random.Generator) -> None:
    """And the steps themselves, taken by the denoiser, have the law that stands for them."""
    setting = replace(PLAIN, score_steps=10)
    _, _, model = fitted(setting, 50, rng)
    variance, fit = (
        np.trace(m, axis1=1, axis2=2) for m in (model.law.moments()[1], model.fitted.moments()[1])
    )
    assert (variance < 0.97 * fit).all()
    walker = Diffused(model.fitted, 10)

    def square(g: np.random.Generator, size: int) -> np.ndarray:
        return np.square(walker.sample(np.zeros(size, int), g) - model.law.means[0, 0]).sum(axis=1)

    assert_exact(square, variance[0], rng, 10_000, control=fit[0])


@pytest.mark.parametrize("name", WORLDS)
def test_fit_draws_nothing_and_state_is_what_was_fitted(name: str, rng: np.random.Generator) -> None:
    setting = WORLDS[name]
    law = setting.truth(2)
    pool = points(law, 40, rng)
    models = [ClassFit(setting, law).fit(pool, np.random.default_rng(s)) for s in (0, 1)]
    for key, value in models[0].state().items():
        assert np.array_equal(value, models[1].state()[key])
        assert np.array_equal(value, models[0].fitted.state()[key])
    x = models[0].sample(np.array([1, 0, 1]), np.random.default_rng(3))
    assert np.array_equal(x, models[1].law.sample(np.array([1, 0, 1]), np.random.default_rng(3)))


@pytest.mark.parametrize(("setting", "least"), [(PLAIN, 8), (replace(PLAIN, fit="ppca"), 4), (MODES, 8)])
def test_a_class_that_is_too_small_is_refused(setting: World, least: int, rng: np.random.Generator) -> None:
    law = setting.truth(0)
    pool = points(law, least, rng)
    assert setting.least == least
    ClassFit(setting, law).fit(pool, rng)
    with pytest.raises(ValueError, match=f"class 1 has {least - 1} samples, a fit needs {least}"):
        ClassFit(setting, law).fit(pool.take(np.arange(2 * least - 1)), rng)


@pytest.mark.parametrize("name", ["means", "curved", "minority"])
@pytest.mark.parametrize("left", [0, 3])
def test_a_starved_class_stays_as_the_last_model_had_it(
    name: str, left: int, rng: np.random.Generator
) -> None:
    """The others are refitted; a pool with enough of it brings the class back."""
    setting = WORLDS[name]
    law = setting.truth(0)
    generator = ClassFit(setting, law, Mechanisms(temperature=0.5))
    start, pool = generator.fit(points(law, 50, rng), rng), points(law, 50, rng)
    starved = generator.fit(pool.take(np.arange((setting.classes - 1) * 50 + left)), rng, start=start)
    full = generator.fit(pool, rng, start=start)
    for key in ("weights", "means", "covariances", "thickness"):
        found = starved.fitted.state()[key]
        assert np.array_equal(found[-1], start.fitted.state()[key][-1])
        assert np.array_equal(found[:-1], full.fitted.state()[key][:-1])
    assert not np.allclose(full.fitted.covariances[-1], start.fitted.covariances[-1])
    assert close(starved.law.covariances, 0.5 * starved.fitted.covariances)


# --- refusals ---


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"dim": 0}, "dim"),
        ({"dim": 3}, "dim must be at least 4"),  # two planes that meet nowhere
        ({"dim": 5, "separation": 1.0}, "dim must be at least 6"),
        ({"classes": 4}, "dim must be at least 8"),
        ({"rank": 0}, "rank"),
        ({"rank": 7}, "rank must be at most dim"),
        ({"classes": 0}, "classes"),
        ({"noise": 0.0}, "noise"),
        ({"noise": -1.0}, "noise"),
        ({"noise": np.nan}, "noise"),
        ({"noise": np.inf}, "noise"),
        ({"angles": -0.1}, "angles must lie"),
        ({"angles": 90.1}, "angles must lie"),
        ({"angles": (30.0, 91.0)}, "angles must lie"),
        ({"angles": np.nan}, "angles must lie"),
        ({"angles": (30.0, 40.0, 50.0)}, "angles must be one number or rank"),
        ({"angles": ()}, "angles must be one number or rank"),
        ({"fit": "PCA"}, "fit must be one of full, ppca, pca"),
        ({"shape": "torus"}, "shape must be one of normal, sphere"),
        ({"separation": -1.0}, "separation"),
        ({"separation": np.nan}, "separation"),
        ({"minority": 0.5, "separation": 1.0, "shift": 1.0}, "minority must be a share"),
        ({"minority": -0.1, "separation": 1.0, "shift": 1.0}, "minority must be a share"),
        ({"minority": np.nan, "separation": 1.0, "shift": 1.0}, "minority must be a share"),
        ({"minority": 0.1, "shift": 1.0}, "minority needs separation"),
        ({"minority": 0.1, "separation": 1.0}, "shift must be a distance, above 0"),
        ({"shift": -1.0}, "shift"),
        ({"shift": np.nan}, "shift"),
        ({"minority": 0.1, "separation": 1.0, "shift": 1.0, "known_mean": True}, "known_mean must be False"),
        ({"minority": 0.1, "separation": 1.0, "shift": 1.0, "unbiased": True}, "unbiased must be False"),
        ({"shape": "sphere", "rank": 1, "angles": 60.0}, "shape 'sphere' needs rank >= 2"),
        (
            {"shape": "sphere", "minority": 0.1, "separation": 1.0, "shift": 1.0},
            "shape 'sphere' needs rank >= 2 and minority 0",
        ),
        ({"thickness": 1.0}, "thickness"),
        ({"thickness": -0.1}, "thickness"),
        ({"thickness": np.nan}, "thickness"),
        ({"unbiased": True, "known_mean": True}, "unbiased must be False with known_mean"),
        ({"score_steps": 1}, "score_steps must lie in 2..1000"),
        ({"score_steps": 1001}, "score_steps must lie in 2..1000"),
        ({"score_steps": 40, "shape": "sphere"}, "score_steps needs one normal mode"),
        (
            {"score_steps": 40, "minority": 0.1, "separation": 1.0, "shift": 1.0},
            "score_steps needs one normal mode",
        ),
        ({"timestep": -1}, "timestep must lie in 0..999"),
        ({"timestep": 1000}, "timestep must lie in 0..999"),
        ({"timestep": 100, "shape": "sphere"}, "timestep needs shape 'normal'"),
    ],
    ids=str,
)
def test_bad_settings_are_refused_by_name(change: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}"):
        replace(PLAIN, **change)


@pytest.mark.parametrize("name", ["dim", "rank", "classes", "score_steps", "timestep"])
@pytest.mark.parametrize("value", [2.0, "2", True])
def test_whole_numbers_are_asked_for_by_name(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^{name} must be an integer"):
        replace(PLAIN, **{name: value})


@pytest.mark.parametrize(
    "change",
    [
        {"dim": 4},
        {"angles": 0.0},
        {"angles": (0.0, 90.0)},
        {"separation": 1.0},
        {"classes": 1, "rank": 6},
        {"shape": "sphere", "thickness": 0.0},
        {"score_steps": 2},
        {"score_steps": 1000, "timestep": 999, "separation": 1.0},
        {"minority": 0.49, "separation": 1.0, "shift": 1.0, "timestep": 0},
    ],
    ids=str,
)
def test_control_the_ends_of_the_ranges_are_accepted(change: dict[str, Any]) -> None:
    law = replace(PLAIN, **change).truth(0)
    assert np.linalg.eigvalsh(law.moments()[1]).min() > 0


def test_unknown_world_is_refused_and_the_known_are_listed() -> None:
    with pytest.raises(ValueError, match=r"world must be one of gaussian, .*diffusion, found 'flat'"):
        world("flat")
    assert all(world(name) is row for name, row in WORLDS.items())
    assert len(set(WORLDS.values())) == len(WORLDS)


@pytest.mark.parametrize("angles", ["75", ("60", "75"), None])
def test_angles_that_are_no_numbers_are_refused(angles: Any) -> None:
    with pytest.raises(TypeError, match=r"^angles"):
        replace(PLAIN, angles=angles)
