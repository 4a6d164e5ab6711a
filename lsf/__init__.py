"""Latent space filtering: keep the samples of a pool whose label a probe on real latents is most sure of.

    import numpy as np
    from lsf import LatentSpaceFilter, Matched
    from lsf.ole import ole

    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 200)
    x_real = np.eye(3)[y] + 0.3 * rng.standard_normal((600, 3))
    x_pool = np.eye(3)[y] + 0.6 * rng.standard_normal((600, 3))    # real or generated
    kept = LatentSpaceFilter().fit(x_real, y).select(x_pool, y, budget=300)
    careful = LatentSpaceFilter(rule=Matched(shortfall="fill"), random_state=0).fit(x_real, y)
    kept_too = careful.select(x_pool, y, budget=300)
    print(ole(x_pool, y), ole(x_pool[kept], y[kept]), ole(x_pool[kept_too], y[kept_too]))

Encoders are scikit-learn transformers: `EnergyFeatures`, `FlattenedPCA`, any callable, or
`lsf.diffusion_encoder.DiffusionEncoder` (needs torch) for the middle of a diffusers model, which is the paper's.

`DensityRatioFilter`, `RankSumFilter`, `TrimHerdFilter` and `ShrunkHerdFilter` choose from a pool as a whole, beside
trusted real data. `UnlabelledRatioFilter` and `SubspaceFilter` need no labels. Each tells what it did
(`filter.report(x, y, kept)`), and `lsf.testing.check_filter` tests anyone's filter.
"""

from lsf.density_ratio import DensityRatioFilter, RankSumFilter
from lsf.encoders import EnergyFeatures, FlattenedPCA, as_encoder
from lsf.filter import LatentSpaceFilter
from lsf.herding import TrimHerdFilter
from lsf.pool import Pool, concat
from lsf.probe import Probe
from lsf.rules import Matched, Random, Rule, Threshold, Top
from lsf.shrunk_herding import ShrunkHerdFilter
from lsf.unlabelled import SubspaceFilter, UnlabelledRatioFilter

__all__ = [
    "LatentSpaceFilter",
    "DensityRatioFilter",
    "RankSumFilter",
    "TrimHerdFilter",
    "ShrunkHerdFilter",
    "UnlabelledRatioFilter",
    "SubspaceFilter",
    "Pool",
    "concat",
    "Probe",
    "Rule",
    "Top",
    "Threshold",
    "Matched",
    "Random",
    "EnergyFeatures",
    "FlattenedPCA",
    "as_encoder",
]
