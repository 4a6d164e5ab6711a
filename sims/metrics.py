"""How far is a pool of samples from the real distribution?

Every metric is a function of two sets of features, real reference (n, p) and generated (m, p), in one named feature
space; each has a floor, the same number for real data against real data at the same n (a run's record holds both).
  Frechet distance   |m_1 - m_2|^2 + tr(S_1 + S_2 - 2 (S_1 S_2)^{1/2}); "in feature space X", never "FID".
  kernel distance    squared maximum mean discrepancy, kernel (x.y/p + 1)^3, unbiased: Binkowski et al., ICLR 2018.
  precision, recall  Kynkaanniemi et al., NeurIPS 2019: share of one set inside the other's k-NN balls.
  density, coverage  Naeem et al., ICML 2020: reference balls around a generated sample, over k; share of reference
                     balls that hold a generated sample.
  nearest distance   to the nearest training image, over that of unseen real images: 1 is new, 0 a copy.
All pairs are taken once, in blocks: about 24 (n + m) p bytes and 0.1 GB, whatever n m is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.utils import gen_batches

from lsf import checks

__all__ = [
    "space_metrics", "frechet_distance", "kernel_distance", "neighbour_metrics", "nearest_distance", "class_retention",
    "within_class_variance", "Within", "within",
]  # fmt: skip

BLOCK = 2**21  # pairs of samples at a time: 16 MiB a matrix, and five of these at once
ROUNDING = (
    1e-13  # of a squared distance over the largest squared length: a tie up to this lies inside the ball
)


def rows_of(name: str, x: np.ndarray, least: int, like: np.ndarray | None = None) -> np.ndarray:
    """`x` as finite float64 rows (n, p), n at least `least`, in the feature space of `like`, or a ValueError."""
    x = checks.flat(name, x).astype(np.float64, copy=False)
    if len(x) < least:
        raise ValueError(f"{name} has {len(x)} samples: at least {least} are needed")
    if like is not None and x.shape[1] != like.shape[1]:
        raise ValueError(
            f"{name} has {x.shape[1]} features, not {like.shape[1]}: take both sets in one space"
        )
    return x


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Frechet distance of the Gaussians fitted to the rows of `a` (n, p) and `b` (m, p), in squared units of x.

    With A, B the centred rows over sqrt(n - 1), sqrt(m - 1), S_1 = A'A and S_2 = B'B, and
    tr (S_1 S_2)^{1/2} = |A B'|_* (both are the sum of square roots of the eigenvalues of A B' B A'). A set with n > p
    is replaced by the triangle of its QR decomposition, so that the cost is (n + m) p min(n, m, p).

    With n <= p the fitted covariance has rank n - 1: the distance is that of two flat Gaussians, finite and exact, but
    its floor is high (two such sets of one law lie in different hyperplanes). Compare it at equal n only.
    """
    a = rows_of("a", a, 2)
    b = rows_of("b", b, 2, like=a)
    A, B = half_covariance(a), half_covariance(b)
    cross = np.linalg.svdvals(A @ B.T).sum()
    shift = a.mean(axis=0) - b.mean(axis=0)
    return float(shift @ shift + np.square(A).sum() + np.square(B).sum() - 2.0 * cross)


def half_covariance(x: np.ndarray) -> np.ndarray:
    """A (min(n, p), p) with A'A the sample covariance of the rows of `x` (n, p)."""
    A = (x - x.mean(axis=0)) / np.sqrt(len(x) - 1)
    return np.asarray(np.linalg.qr(A, mode="r")) if len(A) > A.shape[1] else A


@dataclass(frozen=True)
class Within:
    """What one set says of itself: squared distance (n,) of each row to its k-th nearest other row, and the mean
    kernel of two different rows."""

    k: int
    squared_radius: np.ndarray
    kernel: float


def within(x: np.ndarray, k: int = 5) -> Within:
    """The radii of the k-NN balls of the rows of `x` (n, p), n > k, and their mean kernel. To be kept and given to
    `space_metrics` where one reference meets many sets."""
    x = rows_of("x", x, k + 1)
    radius, kernel = np.empty(len(x)), 0.0
    for rows, D2, K in pairs(x, x):
        for matrix, itself in ((D2, np.inf), (K, 0.0)):
            np.fill_diagonal(matrix[:, rows], itself)
        radius[rows] = np.partition(D2, k - 1, axis=1)[:, k - 1]
        kernel += K.sum()
    return Within(k, radius, kernel / (len(x) * (len(x) - 1)))


def pairs(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Rows of `x`, and their squared distances and kernels (x.y/p + 1)^3 to all rows of `y`, a block at a time.

    Both come of one matrix product, taken about the mean of `y`, where it cancels least.
    """
    origin = y.mean(axis=0)
    u, v = x - origin, y - origin
    uu, vv = np.square(u).sum(axis=1), np.square(v).sum(axis=1)
    lift_x, lift_y = x @ origin, v @ origin
    for rows in gen_batches(len(x), max(1, BLOCK // len(y))):
        G = u[rows] @ v.T
        D2 = np.maximum(uu[rows, None] + vv - 2.0 * G, 0.0)
        G += lift_x[rows, None] + lift_y  # now the product about 0
        G /= x.shape[1]
        G += 1.0
        yield rows, D2, G * G * G


def space_metrics(
    reference: np.ndarray,
    made: np.ndarray,
    labels_reference: np.ndarray,
    labels_made: np.ndarray,
    k: int = 5,
    known: Within | None = None,
) -> dict[str, float]:
    """All numbers of one feature space; `known` is `within(reference, k)`, if it was taken before.

    "variance_ratio" is the within-class variance of `made` over that of `reference`.
    """
    spread = within_class_variance(made, labels_made) / within_class_variance(reference, labels_reference)
    return {
        "frechet": frechet_distance(reference, made),
        **compare(reference, made, k, known),
        "variance_ratio": spread,
    }


def kernel_distance(reference: np.ndarray, made: np.ndarray) -> float:
    """mean k(x, x') + mean k(y, y') - 2 mean k(x, y) over different rows, k(x, y) = (x.y/p + 1)^3, of whole samples.

    Unbiased: 0 in the mean for two samples of one law, at any n, so it may be negative. State n and m beside it: its
    standard error falls with them. ("Kernel inception distance" in Inception features, and only there.)
    """
    return compare(reference, made, k=1)["kernel"]


def neighbour_metrics(reference: np.ndarray, made: np.ndarray, k: int = 5) -> dict[str, float]:
    """k-NN precision, recall, density and coverage of `made` (m, p) against `reference` (n, p), n and m above k.

    Density may exceed 1: of samples in the middle, where many balls overlap. A ball is closed.
    """
    found = compare(reference, made, k)
    return {name: found[name] for name in ("precision", "recall", "density", "coverage")}


def compare(reference: np.ndarray, made: np.ndarray, k: int, known: Within | None = None) -> dict[str, float]:
    """Kernel distance and k-NN metrics, from one pass over the pairs of each two sets."""
    reference = rows_of("reference", reference, k + 1)
    made = rows_of("made", made, k + 1, like=reference)
    real, own = known or within(reference, k), within(made, k)
    if (real.k, len(real.squared_radius)) != (k, len(reference)):
        raise ValueError(
            f"known was taken at k = {real.k} of {len(real.squared_radius)} rows: use within(reference, {k})"
        )
    ball_reference, ball_made = closed(real, reference), closed(own, made)
    recalled, covered = np.zeros((2, len(reference)), dtype=bool)
    precise = balls = 0
    kernel = 0.0
    for rows, D2, K in pairs(made, reference):
        inside = ball_reference >= D2
        precise += inside.any(axis=1).sum()
        balls += inside.sum()
        covered |= inside.any(axis=0)
        recalled |= (ball_made[rows, None] >= D2).any(axis=0)
        kernel += K.sum()
    m = len(made)
    return {
        "kernel": float(real.kernel + own.kernel - 2.0 * kernel / (m * len(reference))),
        "precision": float(precise / m),
        "recall": float(recalled.mean()),
        "density": float(balls / (k * m)),
        "coverage": float(covered.mean()),
    }


def closed(set_: Within, x: np.ndarray) -> np.ndarray:
    """Squared radii of balls around the rows of `x` that hold their border in spite of rounding."""
    return set_.squared_radius + ROUNDING * np.square(x - x.mean(axis=0)).sum(axis=1).max()


def nearest_distance(train: np.ndarray, reference: np.ndarray, made: np.ndarray) -> float:
    """Mean distance of `made` to the nearest row of `train`, over that of `reference`: real, and not in `train`.

    1: no nearer to the training images than unseen real ones are; 0: copies. Rows are pixels or features. ValueError
    if every reference row is in `train`: take another part of the data.
    """
    unseen = to_nearest(train, reference, "reference").mean()
    if unseen == 0.0:
        raise ValueError("reference: every row is a row of train; give real data that the models did not see")
    return float(to_nearest(train, made, "made").mean() / unseen)


def to_nearest(train: np.ndarray, x: np.ndarray, name: str) -> np.ndarray:
    """Distance (n,) of each row of `x` to the nearest row of `train`: the pair found by blocks, its distance exact."""
    train = rows_of("train", train, 1)
    x = rows_of(name, x, 1, like=train)
    nearest = np.concatenate([D2.argmin(axis=1) for _, D2, _ in pairs(x, train)])
    return np.concatenate(
        [np.linalg.norm(x[rows] - train[nearest[rows]], axis=1) for rows in gen_batches(len(x), 1024)]
    )


def class_retention(reference: np.ndarray, shown: np.ndarray) -> list[float]:
    """Of each class of the `reference` labels, in label order: its share among the labels `shown` over its fair share.

    1 everywhere: every class is shown as often as in reality; 0: the class is gone.
    """
    classes, counts = np.unique(reference, return_counts=True)
    return [float(np.mean(shown == c) / (n / len(reference))) for c, n in zip(classes, counts, strict=True)]


def within_class_variance(x: np.ndarray, y: np.ndarray) -> float:
    """Mean over classes of the trace of the class covariance of the features `x` (n, p).

    ValueError where a class has one sample: it has no variance.
    """
    x, y = checks.flat("x", x), checks.labels_for("y", y, len(x), "x")
    classes, counts = np.unique(y, return_counts=True)
    if counts.min() < 2:
        raise ValueError(
            f"y: class {classes[counts.argmin()]} has one sample; its variance needs two or more"
        )
    return float(np.mean([x[y == c].var(axis=0, ddof=1).sum() for c in classes]))
