"""In which space are images compared, and who judges their labels?

Two classifiers, trained once on a split that neither the generators nor the reference see:
  the feature space is the last hidden layer of a small perceptron (Frechet distance "in digit-classifier features"),
  the judge is a support vector machine: another family, so that it shares no blind spot by construction.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from lsf.pool import Pool

__all__ = ["ClassifierFeatures", "Judge", "Identity"]


def flat(x: np.ndarray) -> np.ndarray:
    """Images (n, ...) as rows (n, p), float64."""
    return x.reshape(len(x), -1).astype(np.float64)


@dataclass(frozen=True)
class Identity:
    """The analytic worlds' feature space: the coordinates themselves."""

    name: str = "coordinates"

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return flat(x)


class ClassifierFeatures:
    """f(x) = relu(W_2 relu(W_1 x + b_1) + b_2): the last hidden layer of a perceptron trained on `pool`."""

    def __init__(self, pool: Pool, width: int = 32, random_state: int = 0) -> None:
        self.name = f"digit-classifier-{width}"
        self.network = MLPClassifier((64, width), alpha=1e-2, max_iter=400, random_state=random_state)
        self.network.fit(flat(pool.x), pool.y)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        h = flat(x)
        for W, b in zip(self.network.coefs_[:-1], self.network.intercepts_[:-1], strict=True):
            h = np.maximum(h @ W + b, 0.0)
        return h

    def accuracy(self, pool: Pool) -> float:
        """Share of `pool` whose label the perceptron gives."""
        return float(self.network.score(flat(pool.x), pool.y))


class Judge:
    """Says which label a sample shows: a classifier of another family than the feature space, trained on `pool`.

    "support vectors" (Gaussian kernel) for images; "quadratic" (Bayes' rule for Gaussians) for analytic worlds.
    """

    def __init__(self, pool: Pool, kind: str = "support vectors") -> None:
        machine = SVC(C=10.0) if kind == "support vectors" else QuadraticDiscriminantAnalysis()
        self.machine = machine.fit(flat(pool.x), pool.y)

    def labels(self, x: np.ndarray) -> np.ndarray:
        """The label (n,) that each sample shows."""
        return self.machine.predict(flat(x))

    def accuracy(self, pool: Pool) -> float:
        """Conditional accuracy: share of `pool` that shows the label it was made for."""
        return float(np.mean(self.labels(pool.x) == pool.y))
