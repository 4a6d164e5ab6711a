"""How far is a pool of samples from the real distribution?

Every metric is a function of two sets of features, real reference and generated, in one named feature space; each
has a floor, the same number for real data against real data at the same n (a run's record holds both).
  Frechet distance   |m_1 - m_2|^2 + tr(S_1 + S_2 - 2 (S_1 S_2)^{1/2}); "in feature space X", never "FID".
  precision, recall  Kynkaanniemi et al., NeurIPS 2019: share of one set inside the other's k-NN balls.
  coverage           Naeem et al., ICML 2020: share of reference balls that hold a generated sample.
"""

import numpy as np
from sklearn.metrics import pairwise_distances_chunked
from sklearn.neighbors import NearestNeighbors

__all__ = ["frechet_distance", "neighbour_metrics", "class_retention", "within_class_variance"]


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Frechet distance of the Gaussians fitted to the rows of `a` (n, p) and `b` (m, p), in squared units of x.

    tr (S_1 S_2)^{1/2} is the sum of the square roots of the eigenvalues of S_1^{1/2} S_2 S_1^{1/2}.
    """
    S_1, S_2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    w, V = np.linalg.eigh(S_1)
    root = V * np.sqrt(np.clip(w, 0.0, None))  # S_1 = root @ root.T
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root.T @ S_2 @ root), 0.0, None)).sum()
    shift = a.mean(axis=0) - b.mean(axis=0)
    return float(shift @ shift + np.trace(S_1) + np.trace(S_2) - 2.0 * cross)


def radii(x: np.ndarray, k: int) -> np.ndarray:
    """Distance (n,) of each row of `x` to its k-th nearest other row."""
    return NearestNeighbors(n_neighbors=k).fit(x).kneighbors()[0][:, -1]


def in_any_ball(points: np.ndarray, centres: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """For each of `points` (n, p): does it lie in a ball around any of `centres` (m, p)? In bounded memory."""
    blocks = pairwise_distances_chunked(points, centres, reduce_func=lambda D, _: (radius >= D).any(axis=1))
    return np.concatenate(list(blocks))


def neighbour_metrics(reference: np.ndarray, made: np.ndarray, k: int = 5) -> dict[str, float]:
    """k-NN precision, recall and coverage of the rows of `made` (m, p) against those of `reference` (n, p)."""
    ball_r, ball_m = radii(reference, k), radii(made, k)
    nearest = NearestNeighbors(n_neighbors=1).fit(made).kneighbors(reference)[0][:, 0]
    return {
        "precision": float(in_any_ball(made, reference, ball_r).mean()),
        "recall": float(in_any_ball(reference, made, ball_m).mean()),
        "coverage": float((nearest <= ball_r).mean()),
    }


def class_retention(reference: np.ndarray, shown: np.ndarray) -> list[float]:
    """Of each class of the `reference` labels, in label order: its share among the labels `shown` over its fair share.

    1 everywhere: every class is shown as often as in reality; 0: the class is gone.
    """
    classes, counts = np.unique(reference, return_counts=True)
    return [float(np.mean(shown == c) / (n / len(reference))) for c, n in zip(classes, counts, strict=True)]


def within_class_variance(x: np.ndarray, y: np.ndarray) -> float:
    """Mean over classes of the trace of the class covariance of the features `x` (n, p)."""
    return float(np.mean([x[y == c].var(axis=0, ddof=1).sum() for c in np.unique(y)]))
