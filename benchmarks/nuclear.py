"""How much faster is OLE through float64 Gram matrices than through singular value decompositions?"""

import numpy as np

from benchmarks.timing import Result, fastest
from lsf.ole import ole

__all__ = ["ole_vs_svd"]


def by_svd(latents: np.ndarray, labels: np.ndarray) -> float:
    """sum_c |M_c|_* - |M|_* from singular values."""
    parts = [np.linalg.svd(latents[labels == c], compute_uv=False).sum() for c in np.unique(labels)]
    return float(sum(parts) - np.linalg.svd(latents, compute_uv=False).sum())


def ole_vs_svd() -> Result:
    """10,000 latents of 256 features, 10 classes of rank 8 with noise 1e-3, float64."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 1000)
    frames = rng.standard_normal((10, 8, 256))
    latents = np.einsum("nr,nrp->np", rng.standard_normal((10_000, 8)), frames[labels])
    latents += 1e-3 * rng.standard_normal(latents.shape)
    gram, svd = fastest(lambda: ole(latents, labels), lambda: by_svd(latents, labels), repeats=2)
    off = abs(ole(latents, labels) / by_svd(latents, labels) - 1)
    return Result(
        "ole-vs-svd", svd / gram, f"Gram {gram:.2f} s, SVD {svd:.2f} s, relative difference {off:.0e}"
    )
