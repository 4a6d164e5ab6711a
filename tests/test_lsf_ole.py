"""OLE keeps its laws on full-rank, low-rank, tall and wide latents; each law rejects a wrong OLE."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsf.ole import normalised_ole, nuclear_norms, ole
from tests import lsf_ole_laws as laws
from tests.tolerances import FLOAT64, GRAM, close

Case = tuple[np.ndarray, np.ndarray, int]


def _case(classes: int, rank: int, extra: int, per_class: int, noise: float, seed: int) -> Case:
    """Classes in random subspaces of a space of rank + extra features; uneven classes, in no order."""
    rng = np.random.default_rng(seed)
    features = rank + extra
    sizes = per_class + rng.integers(0, 3, size=classes)
    labels = rng.permutation(np.repeat(np.arange(classes), sizes))
    frames = rng.standard_normal((classes, rank, features))
    latents = np.einsum("nr,nrp->np", rng.standard_normal((len(labels), rank)), frames[labels])
    return latents + noise * rng.standard_normal(latents.shape), labels, seed


cases = st.builds(
    _case,
    classes=st.integers(1, 5),
    rank=st.integers(1, 4),
    extra=st.integers(0, 40),
    per_class=st.integers(1, 12),
    noise=st.sampled_from([0.0, 1e-3, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)


def _name(value: Any) -> str:
    return getattr(value, "__name__", repr(value))


@pytest.mark.parametrize("law", laws.LAWS, ids=_name)
@settings(max_examples=60)
@given(case=cases)
def test_ole(law: Callable[..., None], case: Case) -> None:
    law(ole, *case)


@pytest.mark.parametrize("law", laws.LAWS_OF_NORMALISED, ids=_name)
@settings(max_examples=60)
@given(case=cases)
def test_normalised_ole(law: Callable[..., None], case: Case) -> None:
    law(normalised_ole, *case)


@pytest.mark.parametrize("features", [5, 80])
def test_to_rounding_where_well_conditioned(features: int, rng: np.random.Generator) -> None:
    """A Gram matrix loses the square of the condition number, no more."""
    latents, labels = rng.standard_normal((60, features)), np.repeat([0, 1, 2], 20)
    singular = np.linalg.svd(latents, compute_uv=False)
    by_class, total = nuclear_norms(latents, labels)
    expected = [np.linalg.norm(latents[labels == c], "nuc") for c in range(3)]
    assert close(
        np.append(by_class, total),
        np.append(expected, singular.sum()),
        FLOAT64,
        (singular[0] / singular[-1]) ** 2,
    )


def test_orthogonal_is_zero_and_equal_is_the_most() -> None:
    one = np.diag([3.0, 2.0, 1.0])
    labels = np.repeat([0, 1], 3)
    orthogonal = np.block([[one, np.zeros((3, 3))], [np.zeros((3, 3)), one]])
    assert abs(ole(orthogonal, labels)) <= GRAM
    assert abs(normalised_ole(np.vstack([one, one]), labels) - (1 - 1 / np.sqrt(2))) <= GRAM


def test_many_empty_directions_add_nothing(rng: np.random.Generator) -> None:
    """Rank 4 in 400 features: the rounding of 396 zero eigenvalues must not pile up as square roots."""
    latents = rng.standard_normal((500, 4)) @ rng.standard_normal((4, 400))
    exact = np.linalg.svd(latents, compute_uv=False)[:4].sum()
    assert close(nuclear_norms(latents, np.arange(500) % 2)[1], exact)
    piled = np.sqrt(np.linalg.eigvalsh(latents.T @ latents).clip(0)).sum()
    assert not close(piled, exact), "control: clipping at 0 alone"


def test_float32_and_images_are_taken_as_they_are(rng: np.random.Generator) -> None:
    images = rng.standard_normal((30, 2, 3, 3)).astype(np.float32)
    labels = np.arange(30) % 3
    laws.agrees_with_svd(lambda m, y: ole(images, y), images.reshape(30, -1).astype(np.float64), labels, 0)


@pytest.mark.parametrize("features", [5, 80])
@pytest.mark.parametrize("exponent", [-700, 700])
def test_any_scale(features: int, exponent: int, rng: np.random.Generator) -> None:
    """Squares of 2^700 and 2^-700 are beyond float64; the result is not, and no bit changes."""
    latents, labels = rng.standard_normal((30, features)), np.arange(30) % 3
    scaled = np.ldexp(latents, exponent)
    assert ole(scaled, labels) == np.ldexp(ole(latents, labels), exponent)
    assert normalised_ole(scaled, labels) == normalised_ole(latents, labels)
    np.testing.assert_array_equal(
        nuclear_norms(scaled, labels)[0], np.ldexp(nuclear_norms(latents, labels)[0], exponent)
    )


# --- wrong OLEs, one a law ---


def _entrywise(latents: np.ndarray, labels: np.ndarray) -> float:
    """Sums of column norms in place of singular values: turns with the axes."""
    return sum(np.linalg.norm(latents[labels == c], axis=0).sum() for c in np.unique(labels)) - float(
        np.linalg.norm(latents, axis=0).sum()
    )


def _eigenvalues(latents: np.ndarray, labels: np.ndarray) -> float:
    """Eigenvalues in place of singular values: quadratic in scale."""
    return sum(np.linalg.norm(latents[labels == c], 2) ** 2 for c in np.unique(labels)) - float(
        np.linalg.norm(latents, 2) ** 2
    )


def _first_class_only(latents: np.ndarray, labels: np.ndarray) -> float:
    return float(np.linalg.norm(latents[labels == labels[0]], "nuc") - np.linalg.norm(latents, "nuc"))


def _halves(latents: np.ndarray, labels: np.ndarray) -> float:
    """Takes the samples for sorted."""
    return ole(latents, np.repeat([0, 1], [len(labels) // 2, len(labels) - len(labels) // 2]))


def _float32(latents: np.ndarray, labels: np.ndarray) -> float:
    """Gram matrices in float32: wrong where latents are nearly of low rank."""
    grams = [latents[labels == c].astype(np.float32) for c in np.unique(labels)]
    norms = [np.sqrt(np.abs(np.linalg.eigvalsh(m.T @ m))).sum() for m in [*grams, latents.astype(np.float32)]]
    return float(sum(norms[:-1]) - norms[-1])


CONTROLS = [
    (laws.agrees_with_svd, _float32),
    (laws.agrees_with_svd, normalised_ole),
    (laws.invariant_under_rotation, _entrywise),
    (laws.invariant_under_order, _halves),
    (laws.linear_in_scale, _eigenvalues),
    (laws.linear_in_scale, normalised_ole),
    (laws.within_bounds, _first_class_only),
    (laws.normalised_is_free_of_scale, ole),
    (laws.normalised_is_within_bounds, ole),
]


@pytest.mark.parametrize(("law", "wrong"), CONTROLS, ids=_name)
def test_law_rejects(law: Callable[..., None], wrong: Callable[..., float], seed: int) -> None:
    case = _case(classes=3, rank=2, extra=6, per_class=12, noise=1e-3, seed=seed)
    with pytest.raises(AssertionError):
        law(wrong, *case)
