"""How sure is a probe, trained on real latents, of a sample's own label?

    z = W (h - mean) / scale + b,      log xi(h, y) = -log(1 + sum_{c != y} exp(z_c - z_y)),

the log-confidence of a softmax regression (the paper's score). Probabilities saturate: at good separation
most of them are exactly 1 in float32, and their ranking is lost. The log of 1 + a small number keeps it,
down to differences of 745 nats; `log_odds` has no limit. A score belongs to a sample: it never depends on
the samples beside it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import log_softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from lsf import checks
from lsf.blocks import one_blas_thread, slices

__all__ = ["Probe"]

TILE = 256
"""Rows that are made float64, and multiplied while they are in the cache; a divisor of `lsf.blocks.BLOCK`."""


class Probe(ClassifierMixin, BaseEstimator):
    """Standardised softmax regression with an L2 penalty 1 / (2 C) on the weights, fitted by L-BFGS.

    Parameters: `C`, inverse penalty; `max_iter`, after which scikit-learn warns that the fit has not
    converged. Fitted: `classes_` (sorted), `n_features_in_`, `n_iter_`, `scaler_`, `regression_`.
    """

    def __init__(self, C: float = 1.0, max_iter: int = 2000) -> None:
        self.C = C
        self.max_iter = max_iter

    def fit(self, h: Any, y: Any) -> Probe:
        """Latents h (n, ...) of real data and their labels y (n,).

        Raises ValueError on NaN or infinite latents, latents too large for their variance to be a float64,
        unequal lengths, or fewer than two classes.
        """
        rows = checks.flat("h", h).astype(np.float64)
        labels = checks.labels_for("y", y, len(rows), "h")
        classes = checks.classes_of("y", labels)
        if len(classes) < 2:
            raise ValueError(f"y must have at least two classes, found 1 class: {classes.tolist()}")
        scaler = _scaler(rows)
        regression = LogisticRegression(C=self.C, max_iter=self.max_iter).fit(scaler.transform(rows), labels)
        self.classes_, self.scaler_, self.regression_ = classes, scaler, regression
        self.n_features_in_, self.n_iter_ = rows.shape[1], int(regression.n_iter_.max())
        return self

    def predict(self, h: Any) -> np.ndarray:
        """The most probable class (n,) of latents h (n, ...), of two equally probable the first; errors as `logits`."""
        best = self.logits(h).argmax(axis=1)
        return self.classes_[best]

    def predict_proba(self, h: Any) -> np.ndarray:
        """Probabilities (n, C) of the classes in the order of `classes_`, which sum to 1; errors as `logits`.

        They saturate: rank by `log_odds` or `log_confidence`.
        """
        return np.exp(self.predict_log_proba(h))

    def predict_log_proba(self, h: Any) -> np.ndarray:
        """Logs (n, C) of the probabilities of the classes in the order of `classes_`; errors as `logits`."""
        return log_softmax(self.logits(h), axis=1)

    def logits(self, h: Any) -> np.ndarray:
        """z (n, C) in float64, columns in the order of `classes_`; two classes have logits 0 and z.

        Raises NotFittedError before fit; ValueError on bad latents, or logits that overflow.
        """
        checks.fitted(self, "regression_")
        rows = checks.as_in_fit("h", checks.rows("h", h), self.n_features_in_)
        with np.errstate(over="ignore", invalid="ignore"):
            # no number that is not finite gets through a product: h itself is looked at where one did not
            return _not_overflown(self._logits(rows), rows)

    def log_odds(self, h: Any, y: Any) -> np.ndarray:
        """log(xi / (1 - xi)) = -log sum_{c != y} exp(z_c - z_y), (n,) float64; never saturates.

        Raises NotFittedError before fit; ValueError on bad latents, unequal lengths, or a label never seen
        in fit.
        """
        z = self.logits(h)
        labels = checks.labels_for("y", y, len(z), "h")
        own = np.arange(len(z)), checks.known("y", labels, self.classes_)
        with np.errstate(over="ignore"):
            differences = _not_overflown(z - z[own][:, None], h)
        differences[own] = -np.inf
        # by hand: scipy's logsumexp takes as long as the product itself
        most = differences.max(axis=1)
        return -most - np.log(np.exp(differences - most[:, None]).sum(axis=1))

    def log_confidence(self, h: Any, y: Any) -> np.ndarray:
        """log xi(h, y) = -log1p(exp(-log_odds)), (n,) float64, at most 0; errors as `log_odds`."""
        return -np.logaddexp(0.0, -self.log_odds(h, y))

    def _logits(self, rows: np.ndarray) -> np.ndarray:
        """z = V h + b - V mean, V = W / scale: float64 products of exactly `TILE` rows, the last padded by zeros."""
        V = self.regression_.coef_ / self.scaler_.scale_
        z, tile, product = (
            np.empty((len(V), len(rows))),
            np.empty((TILE, rows.shape[1])),
            np.empty((len(V), TILE)),
        )
        with one_blas_thread():
            for part in slices(len(rows), TILE):
                count = len(rows[part])
                tile[:count], tile[count:] = rows[part], 0
                z[:, part] = np.matmul(V, tile.T, out=product)[:, :count]
        z += (self.regression_.intercept_ - V @ self.scaler_.mean_)[:, None]
        return (np.concatenate([np.zeros_like(z), z]) if len(z) == 1 else z).T


def _scaler(rows: np.ndarray) -> StandardScaler:
    with np.errstate(over="ignore", invalid="ignore"):
        scaler = StandardScaler().fit(rows)
    if not (np.isfinite(scaler.mean_).all() and np.isfinite(scaler.scale_).all()):
        raise ValueError("h (the latents of x_real) is so large that its variance overflows: rescale x_real")
    return scaler


def _not_overflown(z: np.ndarray, h: Any) -> np.ndarray:
    """z (n, C), if it is finite; an error that names the first sample for which it is not, and why."""
    if np.isfinite(z).all():
        return z
    checks.finite("h", h)
    bad = ~np.isfinite(z).all(axis=1)
    what = f"h (the latents of x) is so large that the scores of {int(bad.sum())} samples overflow"
    raise checks.Unusable(what, int(np.argmax(bad)), "rescale x, or leave such samples out")
