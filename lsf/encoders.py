"""Which numbers stand for a sample before a linear probe sees it?

An encoder is any scikit-learn transformer (`fit(x, y)`, `transform(x)`) that treats samples one by one; a
plain callable is wrapped, and None takes the samples themselves as latents. The middle of a diffusion model, which
is the paper's, is `lsf.diffusion_encoder.DiffusionEncoder`: a module of its own, since it needs torch.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import Tags

from lsf import checks
from lsf.blocks import in_blocks

__all__ = ["as_encoder", "holding", "EnergyFeatures", "FlattenedPCA", "flatten"]


def as_encoder(encoder: Any) -> Any:
    """An unfitted transformer from None (identity), a transformer (itself) or a callable (wrapped).

    Raises TypeError for anything else, a class in place of an instance included.
    """
    if encoder is None:
        return FunctionTransformer(flatten)
    if isinstance(encoder, type):
        raise TypeError(f"encoder must be an instance, found the class {encoder.__name__}")
    if hasattr(encoder, "transform") and hasattr(encoder, "fit"):
        return encoder
    if callable(encoder):
        return FunctionTransformer(encoder)
    raise TypeError(f"encoder must be None, a transformer or a callable, found {type(encoder).__name__}")


def holding(encoder: Any) -> AbstractContextManager[None]:
    """Within it an encoder may hold what it would make anew for every block, as copies of weights: its `holding()`."""
    return encoder.holding() if hasattr(encoder, "holding") else nullcontext()


def flatten(x: Any) -> np.ndarray:
    """(n, ...) to (n, features)."""
    return checks.flat("x", x)


class FlattenedPCA(TransformerMixin, BaseEstimator):
    """Principal components of flattened samples, centred and exact.

    Parameter: `n_components`, at most the samples and features of fit; None: as many as there can be. Fitted: `pca_`,
    scikit-learn's, `n_features_in_`.
    """

    def __init__(self, n_components: int | None = None) -> None:
        self.n_components = n_components

    def fit(self, x: Any, y: Any = None) -> FlattenedPCA:
        """x (n, ...) flattened; y is not used. Raises ValueError on NaN or infinite x, or too few samples."""
        self.pca_ = PCA(self.n_components, svd_solver="full").fit(flatten(x).astype(np.float64))
        self.n_features_in_ = self.pca_.n_features_in_
        return self

    def transform(self, x: Any) -> np.ndarray:
        """(n, n_components) in the units of x; raises ValueError if x has other features than in fit."""
        checks.fitted(self, "pca_")
        return in_blocks(self.pca_.transform, checks.as_in_fit("x", flatten(x), self.n_features_in_))


class EnergyFeatures(TransformerMixin, BaseEstimator):
    """|U_c' x|^2 for every class c: what a linear probe needs where all class means are zero.

    For zero-mean classes N(0, U_c U_c' + s^2 I) the log-odds are linear in these energies, and a linear
    probe on x itself has no power. U_c (features, rank) spans the top principal directions of class c,
    uncentred.

    Parameter: `rank`, the dimension of the class subspaces. Fitted: `classes_`, `n_features_in_`, `frames_`
    (C, features, rank).
    """

    def __init__(self, rank: int = 1) -> None:
        self.rank = rank

    def fit(self, x: Any, y: Any) -> EnergyFeatures:
        """x (n, ...) flattened, y (n,). Raises ValueError if a class has fewer samples or features than
        `rank`.
        """
        rows = checks.flat("x", x).astype(np.float64)
        labels = checks.labels_for("y", y, len(rows), "x")
        classes = checks.classes_of("y", labels)
        frames = np.stack([self._frame(rows[labels == c], c) for c in classes])
        self.classes_, self.frames_, self.n_features_in_ = classes, frames, rows.shape[1]
        return self

    def transform(self, x: Any) -> np.ndarray:
        """(n, C) energies in the squared units of x, classes in label order."""
        checks.fitted(self, "frames_")
        return in_blocks(self._energies, checks.as_in_fit("x", checks.flat("x", x), self.n_features_in_))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def _frame(self, rows: np.ndarray, c: Any) -> np.ndarray:
        if not 1 <= self.rank <= min(rows.shape):
            n, p = rows.shape
            raise ValueError(f"rank is {self.rank}, but class {c} has {n} samples of {p} features")
        return np.linalg.svd(rows, full_matrices=False)[2][: self.rank].T

    def _energies(self, rows: np.ndarray) -> np.ndarray:
        return np.stack([((rows @ frame) ** 2).sum(axis=1) for frame in self.frames_], axis=1)
