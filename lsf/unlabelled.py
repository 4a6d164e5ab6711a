"""Which samples of a pool to keep when nobody knows their labels?

`UnlabelledRatioFilter`: the density ratio of trusted real data to the pool (`lsf.density_ratio`), all of one class,

    s(h) = log p_real(h) / p_pool(h) + constant = w . [z, z^2] + b.

`SubspaceFilter`: subspaces that the real latents lie near stand in for labels. They are found by thresholding
(Heckel and Bolcskei, "Robust subspace clustering via thresholding", 2015): two latents are joined where one is among
the q nearest directions of the other, sign left out, with weight

    exp(-2 arccos |<h_i, h_j>| / (|h_i| |h_j|)),      h centred,

and the graph is cut into k parts by the first k eigenvectors of its normalised Laplacian (Ng, Jordan and Weiss, 2002):
k given, or where an eigenvalue exceeds the one before most, as a ratio: the parts' own modes spread the larger ones,
so that differences mislead. Then LSF as ever on the energies
|U_c' h|^2 in the k subspaces, a sample's label being its most probable part:

    s(x) = max_c log softmax_c(W e(x) + b).

The ratio sees what is unlike reality; its scores depend on the pool. Confidence of a part belongs to a sample and sees
what lies between subspaces, or in none; it does not see a sample too far out in one, nor what a wrong label would be.
Time and memory of the clusters: m^2 d and 8 m^2 bytes for m real samples, so some ten thousand.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.linalg import eigh
from scipy.sparse.csgraph import laplacian
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.cluster import KMeans

from lsf import checks
from lsf.density_ratio import DensityRatioFilter
from lsf.encoders import EnergyFeatures, as_encoder
from lsf.filter import PAPER, LatentSpaceFilter, encoded
from lsf.report import Report, report

__all__ = ["UnlabelledRatioFilter", "SubspaceFilter", "affinity", "spectrum", "widest_gap"]

ROUNDING = 1e-14
"""Of an eigenvalue of a normalised Laplacian, which lie in [0, 2]."""


class UnlabelledRatioFilter(TransformerMixin, BaseEstimator):
    """Keeps what is most real-like, by the log density ratio of trusted real data to the pool, without labels.

    Parameters: `encoder`, `C` as in `DensityRatioFilter`. Fitted: `ratio_` (a `DensityRatioFilter` of one class),
    `n_features_in_`.
    """

    def __init__(self, encoder: Any = None, C: float = 1.0) -> None:
        self.encoder = encoder
        self.C = C

    def fit(self, x_real: Any, y: Any = None) -> UnlabelledRatioFilter:
        """Trusted real samples x_real (m, ...), m >= 2, disjoint from every pool to come; y is not used.

        Raises as `DensityRatioFilter.fit`; a fit that raises changes nothing.
        """
        ratio = DensityRatioFilter(self.encoder, C=self.C).fit(x_real, _one_class("x_real", x_real))
        self.ratio_, self.n_features_in_ = ratio, ratio.n_features_in_
        return self

    def transform(self, x: Any) -> np.ndarray:
        """Latents (n, d) of samples x (n, ...); NotFittedError before fit, ValueError on other features than in fit."""
        checks.fitted(self, "ratio_")
        return self.ratio_.transform(x)

    def score_pool(self, x: Any) -> np.ndarray:
        """One score for each sample of the pool x (n, ...), float64; higher is kept first. Errors as `transform`."""
        checks.fitted(self, "ratio_")
        return self.ratio_.score_pool(x, _one_class("x", x))

    def select(self, x: Any, budget: int, rng: Any = None) -> np.ndarray:
        """Sorted indices of the `budget` samples of the pool x (n, ...) that score highest; ties to the lower index.

        rng is taken, as by every filter, and not used. Errors as `score_pool`, or a budget out of range.
        """
        checks.fitted(self, "ratio_")
        return self.ratio_.select(x, _one_class("x", x), budget)

    def report(self, x: Any, kept: Any) -> Report:
        """What keeping the indices `kept` of the pool x (n, ...) did, all of one class 0; see `lsf.report.report`."""
        checks.fitted(self, "ratio_")
        return report(self.ratio_, x, _one_class("x", x), kept)


class SubspaceFilter(TransformerMixin, BaseEstimator):
    """LSF whose labels are the subspaces that real latents lie near.

    Parameters: `n_subspaces` (k >= 2; None: chosen, at most `max_subspaces`), `rank` of each subspace, `neighbours` q
    (None: the square root of m, rounded up, at least 3), `encoder`, `rule` as in `LatentSpaceFilter`, `random_state`
    (integer, Generator or None) for the start of the clusters, held-out data and the draws of a rule.

    Fitted: `encoder_`, `mean_` (d,) of the real latents, `labels_` (m,) from 0 to k - 1, `n_subspaces_`, `filter_`
    (a `LatentSpaceFilter` on centred latents), `n_features_in_`.
    """

    def __init__(
        self,
        n_subspaces: int | None = None,
        rank: int = 1,
        encoder: Any = None,
        rule: Any = PAPER,
        neighbours: int | None = None,
        max_subspaces: int = 20,
        random_state: Any = None,
    ) -> None:
        self.n_subspaces = n_subspaces
        self.rank = rank
        self.encoder = encoder
        self.rule = rule
        self.neighbours = neighbours
        self.max_subspaces = max_subspaces
        self.random_state = random_state

    def fit(self, x_real: Any, y: Any = None) -> SubspaceFilter:
        """Real samples x_real (m, ...); y is not used.

        Raises ValueError on NaN, infinite or overflowing values, numbers of subspaces or neighbours out of range, or
        a subspace with fewer samples or features than `rank`; TypeError if encoder, rule or random_state are of no
        known kind. A fit that raises changes nothing.
        """
        x = checks.finite("x_real", x_real)
        most, q = self._most(len(x)), self._neighbours(len(x))
        encoder = clone(as_encoder(self.encoder)).fit(x)
        h = encoded(encoder, x).astype(np.float64)
        mean = h.mean(axis=0)
        values, vectors = spectrum(affinity(h - mean, q), most)
        k = widest_gap(values) if self.n_subspaces is None else most
        labels = self._parts(vectors[:, :k])
        labelled = LatentSpaceFilter(EnergyFeatures(self.rank), self.rule, self.random_state).fit(
            h - mean, labels
        )
        self.encoder_, self.mean_, self.labels_, self.filter_ = encoder, mean, labels, labelled
        self.n_subspaces_, self.n_features_in_ = k, checks.features_of(x)
        return self

    def transform(self, x: Any) -> np.ndarray:
        """Centred latents (n, d) of samples x (n, ...); NotFittedError before fit, ValueError on other features."""
        checks.fitted(self, "filter_")
        samples = checks.as_in_fit("x", checks.samples("x", x), self.n_features_in_)
        return encoded(self.encoder_, samples).astype(np.float64) - self.mean_

    def predict(self, x: Any) -> np.ndarray:
        """The most probable subspace (n,), from 0 to k - 1, of samples x (n, ...); errors as `transform`."""
        return self.predict_proba(x).argmax(axis=1)

    def predict_proba(self, x: Any) -> np.ndarray:
        """Probabilities (n, k) of the subspaces; errors as `transform`."""
        h = self.transform(x)
        return self.filter_.predict_proba(h)

    def score_samples(self, x: Any) -> np.ndarray:
        """Log-confidence (n,) of the most probable subspace, float64, at most 0; higher is kept first.

        A score belongs to a sample: its neighbours do not change it. Errors as `transform`.
        """
        h = self.transform(x)
        return self.filter_.score_samples(h, self._likely(h))

    def select(self, x: Any, budget: int, rng: Any = None) -> np.ndarray:
        """Sorted indices of the `budget` samples of the pool x (n, ...) that the rule keeps, by subspace where the rule
        goes by class; rng and errors as `LatentSpaceFilter.select`.
        """
        h = self.transform(x)
        return self.filter_.select(h, self._likely(h), budget, rng)

    def report(self, x: Any, kept: Any, real: Any = None) -> Report:
        """What keeping the indices `kept` of the pool x (n, ...) did, classes being subspaces; `lsf.report.report`.

        real: held-out real samples (r, ...). The probe's accuracy there is not told: the labels are its own.
        """
        h = self.transform(x)
        held = None if real is None else self.transform(real)
        told = report(
            self.filter_, h, self._likely(h), kept, None if held is None else (held, self._likely(held))
        )
        return replace(told, accuracy=None, n_real=None, chance=None)

    def _likely(self, h: np.ndarray) -> np.ndarray:
        return self.filter_.predict_proba(h).argmax(axis=1)

    def _most(self, count: int) -> int:
        """The number of subspaces, or the most there may be, of `count` real samples."""
        if count < 4:
            raise ValueError(f"x_real has n_samples = {count}: subspaces need at least 4")
        given = self.n_subspaces is not None
        name = "n_subspaces" if given else "max_subspaces"
        most = checks.whole(name, getattr(self, name))
        if most < 2 or (given and most >= count):
            raise ValueError(
                f"{name} must be at least 2 and less than {count}, x_real's samples, found {most}"
            )
        return min(most, count - 1)

    def _neighbours(self, count: int) -> int:
        if self.neighbours is None:
            return max(3, math.isqrt(count - 1) + 1)
        q = checks.whole("neighbours", self.neighbours)
        if not 1 <= q < count:
            raise ValueError(
                f"neighbours must be at least 1 and less than {count}, x_real's samples, found {q}"
            )
        return q

    def _parts(self, rows: np.ndarray) -> np.ndarray:
        """Labels (m,) of rows (m, k) of eigenvectors, by k-means on the sphere."""
        if self.random_state is not None:
            checks.generator("random_state", self.random_state)
        start = int(np.random.default_rng(self.random_state).spawn(1)[0].integers(2**31))
        return (
            KMeans(rows.shape[1], n_init=10, random_state=start)
            .fit_predict(directions(rows))
            .astype(np.int64)
        )


def directions(h: np.ndarray) -> np.ndarray:
    """Rows of h (m, d) over their lengths; zero rows stay."""
    lengths = np.linalg.norm(h, axis=1, keepdims=True)
    return h / np.where(lengths > 0, lengths, 1)


def affinity(h: np.ndarray, q: int) -> np.ndarray:
    """Weights (m, m) of the graph that joins each row of h (m, d) with the q < m nearest directions; symmetric."""
    u = directions(h)
    cosines = np.minimum(np.abs(u @ u.T), 1)
    np.fill_diagonal(cosines, -1)
    nearest = np.argpartition(-cosines, q - 1, axis=1)[:, :q]
    joined = np.zeros_like(cosines)
    np.put_along_axis(joined, nearest, np.exp(-2 * np.arccos(np.take_along_axis(cosines, nearest, 1))), 1)
    return joined + joined.T


def spectrum(joined: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The most + 1 smallest eigenvalues, rising, and eigenvectors (m, most + 1) of the normalised Laplacian."""
    return eigh(laplacian(joined, normed=True), subset_by_index=[0, most])


def widest_gap(values: np.ndarray) -> int:
    """The k >= 2 with the largest ratio of the next of the rising eigenvalues to the k-th; rounding counts as 0."""
    logs = np.log(np.maximum(values, ROUNDING))
    return 2 + int(np.diff(logs)[1:].argmax())


def _one_class(name: str, x: Any) -> np.ndarray:
    return np.zeros(len(checks.finite(name, x)), dtype=np.int64)
