"""The density ratio and the rank sum keep the laws that hold for filters of a whole pool, and find what is real."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.special import expit
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from lsf import EnergyFeatures, FlattenedPCA, LatentSpaceFilter, Top, density_ratio, laws
from lsf.density_ratio import ClassScale, DensityRatioFilter, RankSumFilter, ranks_by_class, regress
from lsf.herding import TrimHerdFilter
from tests.tolerances import NEAR_LIMIT, STANDARD_ERRORS, assert_asymptotic, close

Y = np.repeat([0, 1], 10)
X = np.random.default_rng(0).standard_normal((20, 3)) + 3 * Y[:, None]
KINDS = [DensityRatioFilter, RankSumFilter, TrimHerdFilter]
FILTERS = [
    DensityRatioFilter(),
    DensityRatioFilter(np.tanh, quota="class", C=0.1),
    RankSumFilter(),
    RankSumFilter(FlattenedPCA(1), EnergyFeatures(1), quota="global"),
    TrimHerdFilter(),
    TrimHerdFilter(confidence_encoder=EnergyFeatures(1), trim=False),
]
SCORING = FILTERS[:4]
LAWS = (*laws.LAWS_OF_SELECTION, laws.reads_no_provenance, laws.recognises_nothing_of_fit)


def _name(value: Any) -> str:
    return getattr(value, "__name__", repr(value))


# --- laws ---


@pytest.mark.parametrize("prototype", FILTERS, ids=_name)
@pytest.mark.parametrize("law", LAWS, ids=_name)
@settings(max_examples=5)
@given(world=laws.worlds())
def test_selection(law: Any, prototype: Any, world: laws.World) -> None:
    law(lambda: clone(prototype), world)


@pytest.mark.parametrize("prototype", [FILTERS[1], FILTERS[2], *FILTERS[4:]], ids=_name)
@settings(max_examples=5)
@given(world=laws.worlds())
def test_equal_shares(prototype: Any, world: laws.World) -> None:
    laws.equal_shares_by_class(lambda: clone(prototype), world)


@pytest.mark.parametrize("prototype", SCORING, ids=_name)
@settings(max_examples=5)
@given(world=laws.worlds())
def test_scores_order_the_choice(prototype: Any, world: laws.World) -> None:
    make = lambda: clone(prototype)  # noqa: E731
    laws.nested_in_budget(make, world)
    laws.ties_go_to_the_lower_index(make, world)
    if prototype.quota == "global":
        laws.keeps_the_most_confident(make, world)


@pytest.mark.parametrize("prototype", SCORING, ids=_name)
@settings(max_examples=5)
@given(world=laws.worlds())
def test_scores_follow_samples_and_a_repeated_pool(prototype: Any, world: laws.World) -> None:
    fitted = clone(prototype).fit(world.x_real, world.y_real)
    scores = fitted.score_pool(world.x, world.y)
    assert scores.shape == (len(world.x),)
    p = world.rng().permutation(len(world.x))
    assert close(fitted.score_pool(world.x[p], world.y[p]), scores[p], condition=100)
    if isinstance(prototype, DensityRatioFilter):
        again = fitted.score_pool(np.repeat(world.x, 3, axis=0), np.repeat(world.y, 3))
        assert close(again, np.repeat(scores, 3), condition=100)
        assert not close(fitted.score_pool(world.x[::2], world.y[::2]), scores[::2], condition=100)


@pytest.mark.parametrize("prototype", SCORING, ids=_name)
def test_a_score_does_not_belong_to_a_sample(prototype: Any, seed: int) -> None:
    """The law of `LatentSpaceFilter` that these filters give up, as their module says."""
    world = laws.world_from(classes=3, features=3, per_class=15, share=0.5, seed=seed)
    with pytest.raises(AssertionError):
        laws.scores_ignore_neighbours(lambda: clone(prototype), world)


# --- the ratio ---


def test_regression_is_that_of_scikit_learn(rng: np.random.Generator) -> None:
    z, positive = rng.standard_normal((300, 4)), np.arange(300) < 80
    z[~positive] *= 1.7
    weights, f = rng.uniform(0.2, 2, 300), density_ratio.features(z)
    oracle = LogisticRegression(C=0.5, fit_intercept=False, tol=1e-12, solver="newton-cholesky")
    parts = [
        (f[:, rows], np.where(positive, 1, -1)[rows], weights[rows]) for rows in (slice(99), slice(99, 300))
    ]
    w = regress(parts, np.zeros(len(f)), 0.5)
    expected = oracle.fit(f.T, positive, sample_weight=weights).coef_[0]
    assert close(w, expected, condition=100)
    assert not close(regress(parts, np.zeros(len(f)), 0.6), expected, condition=100)
    assert not close(regress(parts[:1], np.zeros(len(f)), 0.5), expected, condition=100)


def test_regression_converges_where_whole_newton_steps_do_not() -> None:
    """Separable data and hardly a penalty: without halving the loss runs to 5e9."""
    f = density_ratio.features(np.array([[0.0], [2.0], [0.0], [-1.0], [0.0], [13.0], [5.0]]))
    positive = np.array([0, 0, 0, 1, 0, 1, 0]) == 1
    s = np.where(positive, 1, -1)
    w = regress([(f, s, 1.0)], np.zeros(len(f)), 1e6)
    assert np.array_equal(w @ f > 0, positive)
    assert close(w / 1e6, f @ (s * expit(-s * (w @ f))), condition=100)  # the gradient vanishes


def test_score_is_the_log_density_ratio(rng: np.random.Generator) -> None:
    """Real N(0, 1), pool N(1/2, 1) of another size: log p_real / p_pool has slope -1/2 in the latent."""

    def slopes(rng: np.random.Generator, size: int) -> np.ndarray:
        return np.array([_slope(rng) for _ in range(size)])

    assert_asymptotic(slopes, -0.5, NEAR_LIMIT, rng, samples=100, control=-1.0)


def _slope(rng: np.random.Generator) -> float:
    real, pool = rng.standard_normal((2000, 1)), rng.standard_normal((5000, 1)) + 0.5
    fitted = DensityRatioFilter().fit(real, np.zeros(2000, int))
    scores = fitted.score_pool(np.vstack([pool, [[0.0], [0.5], [-0.5]]]), np.zeros(5003, int))
    return float(scores[-2] - scores[-1])


def test_scale_is_of_the_class_and_cuts_no_trusted_sample() -> None:
    h = np.array([[0.0, 7.0], [0.0, 7.0], [0.0, 7.0], [100.0, 7.0], [5.0, 0.1], [6.0, 0.3]])
    y, own = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 0, 1, 1])
    z = ClassScale(h, y)(h, own)
    assert close(z[:4, 0], np.array([-1, -1, -1, 3]) / np.sqrt(3))  # Samuelson's bound is met
    assert np.array_equal(z[:4, 1], np.zeros(4))  # constant: centred, not blown up
    assert close(z[4:], [[-1, -1], [1, 1]])
    assert close(ClassScale(h, y)(np.array([[1.7e308, -1.7e308]]), np.array([0])), [[2, -2]])


def test_one_class_is_enough_for_the_ratio() -> None:
    assert len(DensityRatioFilter(quota="class").fit(X, np.zeros(20)).select(X, np.zeros(20), 5)) == 5


def test_wild_pool_is_ranked_without_a_warning(rng: np.random.Generator) -> None:
    for size in (1e3, 1e100, 1e300):
        x = np.vstack([rng.standard_normal((20, 3)), size * rng.standard_normal((80, 3))])
        fitted = DensityRatioFilter().fit(rng.standard_normal((100, 3)), np.zeros(100))
        assert fitted.select(x, np.zeros(100), 20).tolist() == list(range(20))


# --- the rank sum ---


def test_ranks_are_of_the_class_and_ties_share_them() -> None:
    ranks = ranks_by_class(np.array([5.0, -1.0, 7.0, 5.0, 2.0, 9.0]), np.array([0, 1, 0, 0, 1, 2]))
    assert close(ranks, [0.5, 0.5, 1, 0.5, 1, 1])


def test_rank_sum_is_of_its_two_filters(seed: int) -> None:
    world = laws.world_from(classes=3, features=3, per_class=15, share=0.5, seed=seed)
    x_real, y_real, x, y = world.x_real, world.y_real, world.x, world.y
    parts = (
        LatentSpaceFilter().fit(x_real, y_real).score_samples(x, y),
        DensityRatioFilter(C=0.3).fit(x_real, y_real).score_pool(x, y),
    )
    found = RankSumFilter(C=0.3).fit(x_real, y_real).score_pool(x, y)
    assert close(found, sum(ranks_by_class(part, y) for part in parts))
    assert not close(found, 2 * ranks_by_class(parts[0], y))


# --- what they are for ---


def _mixed(rng: np.random.Generator, shift: float, spread: float) -> tuple[Any, Any, Any, Any, np.ndarray]:
    """Trusted data, a pool half real and half off, both of two classes, and which of it is real."""
    d, means = 8, rng.standard_normal((2, 8))
    y_real, y = np.arange(200) % 2, np.arange(800) % 2
    is_real = rng.random(800) < 0.5
    noise = rng.standard_normal((800, d))
    noise[~is_real] = shift + spread * noise[~is_real]
    return means[y_real] + rng.standard_normal((200, d)), y_real, means[y] + noise, y, is_real


def keeps_far_more_real(prototype: Any, rng: np.random.Generator, shift: float, spread: float) -> None:
    """Real data in a quarter that is kept exceed those of a random quarter by 10 standard errors."""
    x_real, y_real, x, y, is_real = _mixed(rng, shift, spread)
    kept = clone(prototype).fit(x_real, y_real).select(x, y, 200)
    by_chance, error = is_real.mean(), np.sqrt(0.25 / 200 * 0.75)
    assert is_real[kept].mean() > by_chance + 2 * STANDARD_ERRORS * error


@pytest.mark.parametrize(("shift", "spread"), [(1.0, 1.0), (0.0, 1.6)])
@pytest.mark.parametrize("quota", ["global", "class"])
def test_ratio_finds_real_data(quota: str, shift: float, spread: float, rng: np.random.Generator) -> None:
    keeps_far_more_real(DensityRatioFilter(quota=quota), rng, shift, spread)


def test_confidence_does_not_and_rank_sum_lies_between(rng: np.random.Generator) -> None:
    x_real, y_real, x, y, is_real = _mixed(rng, 1.0, 1.0)
    by_confidence, by_sum, by_ratio = (
        is_real[f.fit(x_real, y_real).select(x, y, 200)].mean()
        for f in (LatentSpaceFilter(rule=Top("class")), RankSumFilter(), DensityRatioFilter(quota="class"))
    )
    assert by_confidence < by_sum < by_ratio


@pytest.mark.parametrize("prototype", [DensityRatioFilter(), RankSumFilter()], ids=_name)
def test_sound_pool_is_kept_as_by_chance(prototype: Any, rng: np.random.Generator) -> None:
    """The control: where all is real, neither half of it is found."""
    x_real, y_real, x, y, half = _mixed(rng, 0.0, 1.0)
    kept = clone(prototype).fit(x_real, y_real).select(x, y, 200)
    assert abs(half[kept].mean() - half.mean()) < STANDARD_ERRORS * np.sqrt(0.25 / 200 * 0.75)
    with pytest.raises(AssertionError):
        keeps_far_more_real(prototype, rng, 0.0, 1.0)


def test_without_squares_a_wrong_spread_is_not_seen(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(density_ratio, "features", lambda z: np.vstack([np.ones(len(z)), z.T]))
    with pytest.raises(AssertionError):
        keeps_far_more_real(DensityRatioFilter(), rng, 0.0, 1.6)


# --- bad input, of all three ---


def _with(value: float) -> np.ndarray:
    bad = X.copy()
    bad[7, 1] = value
    return bad


BAD = [
    (lambda f: f.fit(_with(np.nan), Y), "x_real has 1 NaN .* in sample 7"),
    (lambda f: f.fit(X, Y[:-1]), "y_real has 19 labels, but x_real has 20"),
    (lambda f: f.fit(X[:11], Y[:11]), "y_real has one sample of class 1"),
    (lambda f: f.fit(X * 1e200, Y), "latents of x_real are so large .* rescale x_real"),
    (lambda f: f.set_params(C=0).fit(X, Y), "C must be positive and finite, found 0"),
    (lambda f: f.set_params(encoder=lambda x: x[:5]).fit(X, Y), "latents has 5 samples, but x has 20"),
    (lambda f: f.fit(X, Y).select(_with(np.inf), Y, 3), "x has 1 NaN or inf"),
    (lambda f: f.fit(X, Y).select(X, Y[:-1], 3), "y has 19 labels, but x has 20"),
    (lambda f: f.fit(X, Y).select(X, Y + 1, 3), r"y has labels never seen in fit: \[2\]"),
    (lambda f: f.fit(X, Y).select(X[:, :2], Y, 3), "2 features, fit saw 3"),
    (lambda f: f.fit(X, Y).select(X, Y, 21), "budget is 21, but the pool has only 20"),
    (lambda f: f.fit(X, Y).select(X, Y, 0), "budget must be positive, found 0"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("call", "match"), BAD)
def test_value_error(call: Any, match: str, kind: Any) -> None:
    with pytest.raises(ValueError, match=match):
        call(kind())


@pytest.mark.parametrize("kind", KINDS)
def test_other_errors(kind: Any) -> None:
    with pytest.raises(TypeError, match="budget must be an integer"):
        kind().fit(X, Y).select(X, Y, 2.5)
    with pytest.raises(TypeError, match="encoder must be None, a transformer or a callable"):
        kind(3).fit(X, Y)
    with pytest.raises(NotFittedError):
        kind().select(X, Y, 3)
    if kind is not TrimHerdFilter:
        with pytest.raises(ValueError, match="quota must be one of"):
            kind(quota="classwise").fit(X, Y)
    if kind is not DensityRatioFilter:
        with pytest.raises(ValueError, match="at least two classes"):
            kind().fit(X, np.zeros(20, int))


@pytest.mark.parametrize("prototype", FILTERS, ids=_name)
def test_clone_and_a_fit_that_raises_changes_nothing(prototype: Any) -> None:
    fitted = clone(prototype).fit(X, Y)
    before, kept = dict(vars(fitted)), fitted.select(X, Y, 7)
    with pytest.raises(ValueError, match="one sample of class"):
        fitted.fit(X[:11], Y[:11])
    assert vars(fitted) == before
    again = clone(fitted)
    assert vars(again).keys() == prototype.get_params(deep=False).keys()
    np.testing.assert_array_equal(again.fit(X, Y).select(X, Y, 7), kept)


@pytest.mark.parametrize("prototype", FILTERS, ids=_name)
def test_words_are_labels_and_absent_classes_are_filled(prototype: Any) -> None:
    words = np.array(["no", "yes"])[Y]
    by_word, by_number = clone(prototype).fit(X, words), clone(prototype).fit(X, Y)
    np.testing.assert_array_equal(by_word.select(X, words, 7), by_number.select(X, Y, 7))
    assert len(by_number.select(X[:11], Y[:11], 9)) == 9
