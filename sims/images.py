"""Which real images does a loop start from, and which does it never see?

A data set is split once, by class, into three disjoint parts:
  train        what generation 0 and the REAL control are trained on, and what the filter's probe is fitted on,
  classifiers  what the feature space and the judge of labels are trained on,
  reference    what distances, precision and recall are measured against.
The split does not depend on a run's seed; the ids go into the record.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from sklearn.datasets import load_digits

from lsf.pool import Pool

__all__ = ["Split", "digits", "split_by_class"]

SPLIT_SEED = 20261124  # one split for every run of this project


@dataclass(frozen=True)
class Split:
    """Three disjoint pools of real images and, for each, the ids of its images in the data set."""

    train: Pool
    classifiers: Pool
    reference: Pool
    ids: dict[str, list[int]]


def split_by_class(x: np.ndarray, y: np.ndarray, per_class: dict[str, int]) -> Split:
    """Split images `x` (n, channels, height, width) with labels `y` (n,) into equal numbers of each class.

    `per_class` gives the images a class for "train" and "reference"; what is left goes to the classifiers.
    """
    rng = np.random.default_rng(SPLIT_SEED)
    parts: dict[str, list[int]] = {"train": [], "reference": [], "classifiers": []}
    for c in np.unique(y):
        order = rng.permutation(np.flatnonzero(y == c))
        cuts = np.cumsum([per_class["train"], per_class["reference"]])
        for name, part in zip(parts, np.split(order, cuts), strict=True):
            parts[name].extend(part.tolist())
    ids = {name: sorted(members) for name, members in parts.items()}
    pools = {name: Pool(x[members], y[members], 0) for name, members in ids.items()}
    return Split(**pools, ids=ids)


@cache
def digits() -> Split:
    """scikit-learn's 1,797 real handwritten digits, 8x8, scaled from 0..16 to [-1, 1] as (n, 1, 8, 8) float32.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI (1998); ships with scikit-learn.
    """
    data = load_digits()
    x = (data.images / 8.0 - 1.0).astype(np.float32)[:, None]
    return split_by_class(x, data.target, {"train": 80, "reference": 50})
