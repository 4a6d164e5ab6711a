"""Bad input: each a clear error that names the argument and what was found, and nothing half-done."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from lsf import (
    EnergyFeatures,
    FlattenedPCA,
    LatentSpaceFilter,
    Matched,
    Pool,
    Probe,
    Random,
    Threshold,
    Top,
    concat,
)
from lsf.ole import normalised_ole, ole

Y = np.repeat([0, 1], 10)
X = np.random.default_rng(0).standard_normal((20, 3)) + 3 * Y[:, None]


def _with(value: float) -> np.ndarray:
    bad = X.copy()
    bad[7, 1] = value
    return bad


HUGE = np.where(np.arange(20)[:, None] == 7, 1.7e308, X)
FITTED = LatentSpaceFilter().fit(X, Y)
MATCHED = LatentSpaceFilter(rule=Matched(), random_state=0).fit(X, Y)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "call",
    [
        lambda x: LatentSpaceFilter().fit(x, Y),
        lambda x: FITTED.score_samples(x, Y),
        lambda x: FITTED.select(x, Y, 3),
        lambda x: FITTED.transform(x),
        lambda x: Probe().fit(x, Y),
        lambda x: FITTED.probe_.log_confidence(x, Y),
        lambda x: EnergyFeatures(1).fit(x, Y),
        lambda x: ole(x, Y),
        lambda x: Pool(x, Y),
        lambda x: Top()(x[:, 1], Y, 3),
    ],
)
def test_not_finite(call: Any, value: float) -> None:
    with pytest.raises(ValueError, match="1 NaN or infinite values, the first in sample 7"):
        call(_with(value))


def test_encoder_that_gives_nan() -> None:
    with pytest.raises(ValueError, match="latents has"), np.errstate(invalid="ignore"):
        LatentSpaceFilter(np.sqrt).fit(X, Y)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: LatentSpaceFilter().fit(X, Y[:-1]), "y_real has 19 labels, but x_real has 20"),
        (lambda: FITTED.score_samples(X, Y[:-1]), "y has 19 labels, but x has 20"),
        (lambda: FITTED.select(X, Y[:-1], 3), "y has 19 labels, but x has 20"),
        (lambda: ole(X, Y[:-1]), "labels has 19 labels, but latents has 20"),
        (lambda: Pool(X, Y[:-1]), "y has 19 labels, but x has 20"),
        (lambda: Pool(X, Y, np.zeros(3, int)), "born has 3 labels, but x has 20"),
        (lambda: Pool(X, Y, -1), "born must be 0"),
        (lambda: concat([]), "pools must hold"),
        (lambda: concat([Pool(X, Y), Pool(X[:, :2], Y)]), "one sample shape"),
        (lambda: Top()(X[:, 0], Y[:-1], 3), "y has 19 labels, but scores has 20"),
        (lambda: Top()(X, Y, 3), "scores must be one number a sample"),
        (
            lambda: FITTED.score_samples(X, np.full(20, 5)),
            r"y has labels never seen in fit: \[5\]; seen: \[0, 1\]",
        ),
        (lambda: FITTED.score_samples(X[:, :2], Y), "2 features, fit saw 3"),
        (lambda: FITTED.select(X, Y, 21), "budget is 21, but the pool has only 20"),
        (lambda: FITTED.select(X, Y, 0), "budget must be positive, found 0"),
        (lambda: FITTED.select(X, Y, -3), "budget must be positive, found -3"),
        (lambda: LatentSpaceFilter().fit(X, np.zeros(20, int)), "at least two classes"),
        (lambda: LatentSpaceFilter(rule=Matched()).fit(X[9:], Y[9:]), "one sample of class 0"),
        (
            lambda: LatentSpaceFilter(rule=Top("class")).fit(X, Y).select(X[:10], Y[:10], 4),
            "class 1 has 0 samples",
        ),
        (lambda: LatentSpaceFilter().fit(X * 1e200, Y), "variance overflows: rescale x_real"),
        (lambda: FITTED.score_samples(np.sign(X) * 1.7e308, Y), r"latents of x\) is so large"),
        (lambda: FITTED.select(HUGE, Y, 3), "1 samples overflow, the first in sample 7: rescale x"),
        (lambda: EnergyFeatures(4).fit(X, Y), "rank is 4, but class 0 has 10 samples of 3 features"),
        (lambda: Top("classwise"), "quota must be one of"),
        (lambda: Top(shortfall="ignore"), "shortfall must be one of"),
        (lambda: Threshold(quantile=2), r"quantile must lie in \[0, 1\], found 2"),
        (lambda: Matched(bins=0), "bins must be at least 1"),
        (lambda: Random()(X[:, 0], Y, 3), "needs rng"),
        (lambda: Random()(X[:, 0], Y, 3, rng=-1), "rng must not be negative, found -1"),
        (lambda: LatentSpaceFilter(random_state=-1).fit(X, Y), "random_state must not be negative"),
        (lambda: Matched()(X[:, 0], Y, 3, rng=0), "needs reference"),
        (
            lambda: Matched(bins=1)(X[:, 0], Y, 3, reference=(X[:5, 0], Y[:5]), rng=0),
            "reference has no sample of class 1",
        ),
        (lambda: normalised_ole(np.zeros((4, 2)), [0, 0, 1, 1]), "latents are all 0"),
        (lambda: ole(np.zeros((0, 2)), []), "at least one number"),
    ],
)
def test_value_error(call: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        call()


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: FITTED.select(X, Y, 2.5), "budget must be an integer, found 2.5"),
        (lambda: FITTED.select(X, Y, True), "budget must be an integer, found True"),
        (lambda: LatentSpaceFilter(rule="top").fit(X, Y), "rule must be callable"),
        (lambda: LatentSpaceFilter(rule=Top).fit(X, Y), r"rule must be an instance, as Top\(\)"),
        (lambda: LatentSpaceFilter(random_state="a").fit(X, Y), "random_state must be a numpy Generator"),
        (
            lambda: LatentSpaceFilter().fit(X, [None] * 10 + [1] * 10),
            "y_real .* dtype object with NoneType, int",
        ),
        (lambda: LatentSpaceFilter().fit(X, Y.astype(object)), "y_real must be integers or strings"),
        (lambda: FITTED.score_samples(X, [None] * 20), "y must be integers or strings"),
        (lambda: Top()(X[:, 0], [0] * 19 + [None], 3), "y must be integers or strings"),
        (lambda: Matched(bins=2.5), "bins must be an integer, found 2.5"),
        (lambda: LatentSpaceFilter(encoder=3).fit(X, Y), "encoder must be None, a transformer or a callable"),
        (lambda: LatentSpaceFilter(encoder=FlattenedPCA).fit(X, Y), "found the class FlattenedPCA"),
        (lambda: ole(X + 1j, Y), "latents must be real, found dtype complex128"),
        (lambda: FITTED.score_samples(X + 1j, Y), "x must be real, found dtype complex128"),
        (lambda: Pool(X, Y + 0.5), "y must be integers, found dtype float64"),
        (lambda: Random()(X[:, 0], Y, 3, rng="seed"), "rng must be a numpy Generator"),
        (lambda: Matched()(X[:, 0], Y, 3, reference=X[:, 0], rng=0), "reference must be a pair"),
    ],
)
def test_type_error(call: Any, match: str) -> None:
    with pytest.raises(TypeError, match=match):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: LatentSpaceFilter().score_samples(X, Y),
        lambda: LatentSpaceFilter().select(X, Y, 3),
        lambda: LatentSpaceFilter().transform(X),
        lambda: clone(FITTED).select(X, Y, 3),
        lambda: Probe().log_odds(X, Y),
        lambda: EnergyFeatures(1).transform(X),
        lambda: FlattenedPCA(1).transform(X),
    ],
)
def test_before_fit(call: Any) -> None:
    with pytest.raises(NotFittedError):
        call()


def test_fit_that_raises_leaves_the_filter_as_it_was() -> None:
    fresh = LatentSpaceFilter()
    with pytest.raises(ValueError, match="two classes"):
        fresh.fit(X, np.zeros(20, int))
    assert vars(fresh).keys() == {"encoder", "rule", "random_state"}


def test_absent_class_is_filled_on_request() -> None:
    fitted = LatentSpaceFilter(rule=Top("class", "fill")).fit(X, Y)
    assert len(fitted.select(X[:10], Y[:10], 4)) == 4


def test_scores_of_longdouble_are_float64() -> None:
    scores = FITTED.score_samples(X.astype(np.longdouble), Y)
    assert scores.dtype == np.float64
    np.testing.assert_array_equal(scores, FITTED.score_samples(X, Y))


def test_strings_as_objects_are_labels() -> None:
    words = np.array(["no", "yes"])[Y]
    fitted = LatentSpaceFilter().fit(X, words.astype(object))
    np.testing.assert_array_equal(fitted.score_samples(X, words), FITTED.score_samples(X, Y))
