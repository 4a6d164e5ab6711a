"""Laws of OLE, each a function of (ole, latents, labels, seed) that raises AssertionError where it is broken.

`ole(latents, labels)` is any function with samples as rows. The sum of class nuclear norms, by a plain SVD,
is the scale of what rounding may do.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.tolerances import GRAM, ROUNDING

__all__ = ["LAWS", "LAWS_OF_NORMALISED", "class_norms"]

Ole = Callable[[np.ndarray, np.ndarray], float]


def class_norms(latents: np.ndarray, labels: np.ndarray) -> float:
    """sum_c ||M_c||_*, written apart from the library."""
    return sum(np.linalg.norm(latents[labels == c], "nuc") for c in np.unique(labels))


def _turned(latents: np.ndarray, seed: int) -> np.ndarray:
    features = latents.shape[1]
    return latents @ np.linalg.qr(np.random.default_rng(seed).standard_normal((features, features)))[0]


def agrees_with_svd(ole: Ole, latents: np.ndarray, labels: np.ndarray, seed: int) -> None:
    scale = class_norms(latents, labels)
    assert abs(ole(latents, labels) - (scale - np.linalg.norm(latents, "nuc"))) <= GRAM * scale


def invariant_under_rotation(ole: Ole, latents: np.ndarray, labels: np.ndarray, seed: int) -> None:
    scale = class_norms(latents, labels)
    assert abs(ole(_turned(latents, seed), labels) - ole(latents, labels)) <= GRAM * scale


def invariant_under_order(ole: Ole, latents: np.ndarray, labels: np.ndarray, seed: int) -> None:
    """Neither the order of samples nor the names of classes matter."""
    p = np.random.default_rng(seed).permutation(len(labels))
    change = ole(latents[p], 7 - 2 * labels[p]) - ole(latents, labels)
    assert abs(change) <= GRAM * class_norms(latents, labels)


def linear_in_scale(ole: Ole, latents: np.ndarray, labels: np.ndarray, seed: int) -> None:
    for factor in (-3.0, 1e-6, 1e6):
        change = ole(factor * latents, labels) - abs(factor) * ole(latents, labels)
        assert abs(change) <= abs(factor) * GRAM * class_norms(latents, labels)


def within_bounds(ole: Ole, latents: np.ndarray, labels: np.ndarray, seed: int) -> None:
    """0 <= OLE <= (1 - 1/sqrt C) sum_c ||M_c||_*."""
    scale = class_norms(latents, labels)
    most = (1 - 1 / np.sqrt(len(np.unique(labels)))) * scale
    assert -GRAM * scale <= ole(latents, labels) <= most + GRAM * scale


def normalised_is_free_of_scale(ole: Ole, latents: np.ndarray, labels: np.ndarray, seed: int) -> None:
    for factor in (-3.0, 1e-6, 1e6):
        assert abs(ole(factor * latents, labels) - ole(latents, labels)) <= GRAM


def normalised_is_within_bounds(ole: Ole, latents: np.ndarray, labels: np.ndarray, seed: int) -> None:
    """0 <= OLEn <= 1 - 1/sqrt C, the upper end reached by equal classes."""
    most = 1 - 1 / np.sqrt(len(np.unique(labels)))
    assert -GRAM <= ole(latents, labels) <= most + GRAM
    copies = np.concatenate([latents, latents])
    twice = np.repeat([0, 1], len(latents))
    assert abs(ole(copies, twice) - (1 - 1 / np.sqrt(2))) <= GRAM + ROUNDING


LAWS = (agrees_with_svd, invariant_under_rotation, invariant_under_order, linear_in_scale, within_bounds)
LAWS_OF_NORMALISED = (
    invariant_under_rotation,
    invariant_under_order,
    normalised_is_free_of_scale,
    normalised_is_within_bounds,
)
