"""scikit-learn's estimator checks, on every estimator of lsf; what does not apply, with the reason, in one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from lsf import (
    DensityRatioFilter,
    EnergyFeatures,
    FlattenedPCA,
    LatentSpaceFilter,
    Probe,
    RankSumFilter,
    ShrunkHerdFilter,
    SubspaceFilter,
    TrimHerdFilter,
    UnlabelledRatioFilter,
)
from tests.tolerances import close

WITH_LABELS = (LatentSpaceFilter, DensityRatioFilter, RankSumFilter, TrimHerdFilter, ShrunkHerdFilter)
ESTIMATORS = [Probe(), *(kind() for kind in WITH_LABELS), EnergyFeatures(), FlattenedPCA()]
ESTIMATORS += [UnlabelledRatioFilter(), SubspaceFilter()]
ALL = tuple(type(estimator) for estimator in ESTIMATORS)

DOES_NOT_APPLY: list[tuple[str, tuple[type, ...], str]] = [
    ("check_fit1d", ALL, "a 1-D array is one feature, as it is everywhere in lsf: latents may be one number"),
    ("check_fit2d_predict1d", ALL, "the same: refused for its number of features, in other words"),
    ("check_n_features_in_after_fitting", ALL, "other features are refused, in words that name our argument"),
    ("check_estimators_empty_data_messages", ALL, "no samples or features: refused, in words that name it"),
    ("check_complex_data", ALL, "complex numbers are refused with a TypeError: wrong is the type"),
    ("check_dtype_object", ALL, "arrays of objects are refused: what they hold would be guessed"),
    (
        "check_fit_score_takes_y",
        WITH_LABELS,
        "fit names real data x_real, y_real, apart from the pool's x, y",
    ),
    ("check_methods_sample_order_invariance", (LatentSpaceFilter,), "a score is of a sample and its label"),
    ("check_methods_subset_invariance", (LatentSpaceFilter,), "the same; lsf.testing asks more of scores"),
    ("check_supervised_y_2d", (Probe,), "a column of labels is refused: one label a sample, not guessed"),
]


def expected_failed_checks(estimator: Any) -> dict[str, str]:
    return {check: reason for check, of, reason in DOES_NOT_APPLY if isinstance(estimator, of)}


# pytest's xfail is strict here: a row of the table that holds no longer is red
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failed_checks)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.parametrize("prototype", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_parameters_and_fitted_attributes(prototype: Any, rng: np.random.Generator) -> None:
    """Images too; a clone has the parameters and none of what fit learned; what fit learned ends in _."""
    y = np.arange(30) % 3
    x = rng.standard_normal((30, 1, 2, 2)) + y[:, None, None, None]
    fitted = clone(prototype).set_params(**prototype.get_params(deep=False)).fit(x, y)
    assert fitted.n_features_in_ == 4
    learned = set(vars(fitted)) - set(prototype.get_params(deep=False))
    assert learned
    assert all(name.endswith("_") and not name.startswith("_") for name in learned)
    assert not learned & set(vars(clone(fitted)))


@pytest.mark.parametrize("classes", [2, 4])
def test_probabilities_are_those_of_the_score(classes: int, rng: np.random.Generator) -> None:
    y = 3 * (np.arange(80) % classes) - 1
    x = rng.standard_normal((80, 5)) + np.eye(classes, 5)[np.arange(80) % classes]
    fitted = LatentSpaceFilter().fit(x, y)
    p = fitted.predict_proba(x)
    assert close(p.sum(axis=1), np.ones(80))
    own = np.searchsorted(fitted.classes_, y)
    assert close(np.log(p[np.arange(80), own]), fitted.score_samples(x, y), condition=100)
    assert np.array_equal(fitted.probe_.predict(x), fitted.classes_[p.argmax(axis=1)])
    assert np.array_equal(p[:1], fitted.predict_proba(x[:1])), "a sample alone has the same bits"
    assert fitted.probe_.score(x, y) > 1 / classes


@pytest.mark.parametrize("prototype", ESTIMATORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("labels", [None, np.arange(20) / 3], ids=["missing", "fractions"])
def test_what_is_no_label_is_refused(prototype: Any, labels: Any, rng: np.random.Generator) -> None:
    if isinstance(prototype, FlattenedPCA | UnlabelledRatioFilter | SubspaceFilter):
        return  # these need none
    with pytest.raises(ValueError, match=r"y.* (is missing|must be class labels)"):
        clone(prototype).fit(rng.standard_normal((20, 2)), labels)
