"""Which filters can a policy put behind "accumulate", and what are they made from?

One table for image loops and analytic worlds, name -> filter of a `Kit`:
  ACU-LSF...    the probe's confidence under a rule of lsf.rules (the paper's is the global top)
  ACU-RATIO, ACU-RANKSUM, ACU-HERD, ACU-SHRUNK   filters that compare the pool with trusted real data that is not in it
  ACU-LSF-PIXELS, -PCA, -CLASSIFIER, -IMAGENET   the paper's rule on other features than the diffusion model's latents
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from lsf.density_ratio import DensityRatioFilter, RankSumFilter
from lsf.filter import LatentSpaceFilter
from lsf.herding import TrimHerdFilter
from lsf.pool import Pool
from lsf.rules import Matched, Random, Rule, Threshold, Top
from lsf.shrunk_herding import ShrunkHerdFilter

__all__ = ["Kit", "RULES", "TRUSTING", "OTHER_LATENTS", "FILTERS", "fitted", "Remembered", "Pooled"]


@dataclass(frozen=True, eq=False)
class Kit:
    """What filters are made from: `probed` encodes samples for the probe, `latents` for the filters that compare with
    `trusted` data, `confidence` what of these latents their own probe reads; `other` makes encoders of the ablation
    and of other conventions of a latent, by name. None is the samples themselves. `paper` is the paper's, fitted.

    Filters of confidence are fitted on `train`, as in the paper; the others on `trusted`, which no pool holds.
    """

    paper: LatentSpaceFilter | None
    train: Pool
    trusted: Pool
    probed: Any = None
    latents: Any = None
    confidence: Any = None
    other: dict[str, Callable[[], Any]] = field(default_factory=dict)

    def probe_filter(self, rule: Rule) -> LatentSpaceFilter:
        """The paper's filter under a rule, unfitted."""
        return LatentSpaceFilter(self.probed, rule=rule, random_state=0)


CLASS: dict[str, Any] = {"quota": "class", "shortfall": "fill"}
RULES: dict[str, Rule] = {
    "ACU-LSF": Top(),
    "ACU-LSF-CLASS": Top(**CLASS),
    "ACU-LSF-THRESHOLD": Threshold(shortfall="fill"),
    "ACU-LSF-THRESHOLD-CLASS": Threshold(**CLASS),
    "ACU-LSF-MATCHED": Matched(shortfall="fill"),
    "ACU-LSF-MATCHED-GLOBAL": Matched(quota="global", shortfall="fill"),
    "ACUR-CLASS": Random(**CLASS),
}
"""What becomes of the probe's confidence."""

TRUSTING: dict[str, Callable[[Any], Any]] = {
    "ACU-RATIO": lambda kit: DensityRatioFilter(kit.latents),
    "ACU-RATIO-CLASS": lambda kit: DensityRatioFilter(kit.latents, quota="class"),
    "ACU-RANKSUM": lambda kit: RankSumFilter(kit.latents, kit.confidence),
    "ACU-RANKSUM-CLASS": lambda kit: RankSumFilter(kit.latents, kit.confidence, quota="class"),
    "ACU-HERD": lambda kit: TrimHerdFilter(kit.latents, kit.confidence),
    "ACU-SHRUNK": lambda kit: ShrunkHerdFilter(kit.latents),
}
"""Filters that are fitted on trusted data, unfitted."""

OTHER_LATENTS = {f"ACU-LSF-{name.upper()}": name for name in ("pixels", "pca", "classifier", "imagenet")}
"""The ablation: by policy, the name of the encoder in the place of the diffusion model's."""

FILTERS = (*RULES, *TRUSTING, *OTHER_LATENTS)


def fitted(name: str, kit: Kit) -> Any:
    """The filter of that policy, fitted; ValueError if the world has not what it needs."""
    if name == "ACU-LSF" and kit.paper is not None:
        return kit.paper
    if name in RULES:
        return kit.probe_filter(RULES[name]).fit(kit.train.x, kit.train.y)
    if name in TRUSTING:
        return TRUSTING[name](kit).fit(kit.trusted.x, kit.trusted.y)
    if OTHER_LATENTS[name] not in kit.other:
        raise ValueError(f"policy {name} cannot be run here: the world has no {OTHER_LATENTS[name]} encoder")
    encoder = kit.other[OTHER_LATENTS[name]]()
    return LatentSpaceFilter(encoder, random_state=0).fit(kit.train.x, kit.train.y)


class Remembered(TransformerMixin, BaseEstimator):
    """A frozen encoder that runs once on every sample it ever sees: a pool that grows is not encoded again.

    Clones share the memory, so the encoder must not learn from data. n samples of p float32 features take 4 n p bytes.
    """

    def __init__(self, encoder: Any) -> None:
        self.encoder = encoder
        self._rows: dict[bytes, np.ndarray] = {}

    def __sklearn_clone__(self) -> "Remembered":
        again = type(self)(self.encoder)
        again._rows = self._rows
        return again

    def fit(self, x: Any, y: Any = None) -> "Remembered":
        """Fits the encoder (which learns nothing)."""
        self.encoder_ = self.encoder.fit(x, y)
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """(n, p), as the encoder gives it."""
        keys = [row.tobytes() for row in x]
        new = {key: i for i, key in enumerate(keys) if key not in self._rows}
        if new:
            rows = self.encoder_.transform(x[list(new.values())])
            self._rows.update(zip(new, rows, strict=True))
        return np.stack([self._rows[key] for key in keys])


class Pooled(TransformerMixin, BaseEstimator):
    """Mean over space of flattened latents (n, width * h * w), channel by channel: (n, width)."""

    def __init__(self, width: int) -> None:
        self.width = width

    def fit(self, x: Any, y: Any = None) -> "Pooled":
        """Nothing is learned."""
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """(n, width)."""
        return x.reshape(len(x), self.width, -1).mean(axis=2)

    def __sklearn_is_fitted__(self) -> bool:
        return True
