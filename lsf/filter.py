"""Which samples of a mixed pool should the next generation be trained on?

Latent space filtering: encode real data with a frozen encoder, fit a probe on their labels once, and keep
from any later pool the samples whose own label the probe is most sure of,

    score(x, y) = log softmax_y(W e(x) + b),      kept = rule(scores, y, budget).

Cai, Wang, Liu and Zhang, "Stabilizing Self-Consuming Diffusion Models with Latent Space Filtering", AAAI-26.
The filter sees samples and labels, never provenance, and a score belongs to a sample: neither its
neighbours nor their number change it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone

from lsf import checks
from lsf.blocks import Whole, one_blas_thread, slices
from lsf.encoders import as_encoder, holding
from lsf.probe import Probe
from lsf.report import FilterMixin
from lsf.rules import Top

__all__ = ["LatentSpaceFilter", "encoded", "held_out"]

PAPER = Top(quota="global")


class LatentSpaceFilter(FilterMixin, BaseEstimator):
    """Encoder + probe + rule.

    Parameters: `encoder` (None: x are latents; a transformer, cloned before it is fitted; a callable),
    `rule` (default: the paper's global top; see `lsf.rules` for what a rule is), `random_state` (integer,
    Generator or None) for the held-out split, and for the draws of a rule where `select` is given no rng.

    Columns of a DataFrame go by their places, as those of an array do; their names are not read.

    Fitted: `encoder_`, `probe_`, `classes_`, `n_features_in_` (numbers a sample), and for a rule with
    `uses_reference` also `held_out_` (indices of the stratified fifth of the real data kept from encoder and probe),
    `reference_` (their scores and labels) and `held_out_right_` (whether the probe finds that label the most
    probable); these None for the other rules.
    """

    def __init__(self, encoder: Any = None, rule: Any = PAPER, random_state: Any = None) -> None:
        self.encoder = encoder
        self.rule = rule
        self.random_state = random_state

    def fit(self, x_real: Any, y_real: Any) -> LatentSpaceFilter:
        """Real samples x_real (n, ...) and their labels y_real (n,).

        Raises ValueError on NaN, infinite or overflowing values, unequal lengths, fewer than two classes, or a
        class too small to be split; TypeError if encoder, rule, labels or random_state are of no known kind.
        A fit that raises changes nothing.
        """
        if isinstance(self.rule, type):
            name = self.rule.__name__
            raise TypeError(f"rule must be an instance, as {name}(), found the class {name}")
        if not callable(self.rule):
            raise TypeError(f"rule must be callable, as lsf.rules.Top(), found {self.rule!r}")
        if self.random_state is not None:
            checks.generator("random_state", self.random_state)
        x = checks.finite("x_real", x_real)
        y = checks.labels_for("y_real", y_real, len(x), "x_real")
        uses_reference = getattr(self.rule, "uses_reference", False)
        out = held_out(y, self._split_generator()) if uses_reference else np.array([], dtype=np.int64)
        rest = np.setdiff1d(np.arange(len(x)), out)
        encoder = clone(as_encoder(self.encoder)).fit(x[rest], y[rest])
        probe = Probe().fit(encoded(encoder, x[rest]), y[rest])
        reference = right = None
        if uses_reference:
            h = encoded(encoder, x[out])
            reference, right = (probe.log_confidence(h, y[out]), y[out]), probe.predict(h) == y[out]
        self.encoder_, self.probe_, self.classes_ = encoder, probe, probe.classes_
        self.held_out_, self.reference_ = (out if uses_reference else None), reference
        self.held_out_right_, self.n_features_in_ = right, checks.features_of(x)
        return self

    def transform(self, x: Any) -> np.ndarray:
        """Latents (n, features) of samples x (n, ...), as the probe sees them; NotFittedError before fit, ValueError
        on other features than in fit.
        """
        checks.fitted(self, "probe_")
        return encoded(self.encoder_, checks.as_in_fit("x", checks.samples("x", x), self.n_features_in_))

    def score_samples(self, x: Any, y: Any) -> np.ndarray:
        """Log-confidence of each sample's own label, (n,) float64, at most 0; higher is kept first.

        Raises NotFittedError before fit; ValueError on NaN or infinite x or latents, latents so large that
        scores overflow, unequal lengths, or a label never seen in fit. Beside x and the scores, memory is that of
        `BLOCK` samples and their latents.
        """
        checks.fitted(self, "probe_")
        checks.known("y", checks.labels_for("y", y, len(checks.samples("x", x)), "x"), self.classes_)
        with holding(self.encoder_):
            return np.concatenate(list(Whole(x, y).map(self._confidence)))

    def predict_proba(self, x: Any) -> np.ndarray:
        """The probe's probabilities (n, C) of the classes, in the order of `classes_`, for samples x (n, ...).

        They saturate: rank by `score_samples`. Errors as `score_samples`.
        """
        h = self.transform(x)
        return self.probe_.predict_proba(h)

    def select(self, x: Any, y: Any, budget: int, rng: Any = None) -> np.ndarray:
        """Sorted indices into the pool x (n, ...), y (n,) of the `budget` samples the rule keeps.

        rng (Generator or integer seed) feeds rules that draw; None stands for `random_state`. Errors as
        `score_samples` and the rule: budget out of range, a class that cannot fill its share.
        """
        checks.fitted(self, "probe_")
        samples = checks.samples("x", x)
        number = checks.budget_for(budget, len(samples))
        return self.select_scored(self.score_samples(samples, y), y, number, rng)

    def select_scored(self, scores: Any, y: Any, budget: int, rng: Any = None) -> np.ndarray:
        """`select` of a pool whose scores (n,) by `score_samples` are known, wherever they were computed."""
        checks.fitted(self, "probe_")
        # a quota is over all classes of fit: one that is absent from the pool must be noticed
        known = {"classes": self.classes_} if getattr(self.rule, "quota", None) == "class" else {}
        source = self.random_state if rng is None else rng
        return self.rule(scores, np.asarray(y), budget, reference=self.reference_, rng=source, **known)

    def _confidence(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Scores of one block. Samples that are latents are looked at only where their scores are not finite."""
        if self.encoder is not None:
            return self.probe_.log_confidence(
                encoded(self.encoder_, checks.as_in_fit("x", x, self.n_features_in_)), y
            )
        try:
            return self.probe_.log_confidence(checks.rows("x", x), y)
        except ValueError:
            checks.finite("x", x)
            raise

    def _split_generator(self) -> np.random.Generator:
        # a child stream, so that the split and the draws of a rule from one seed are independent
        return np.random.default_rng(self.random_state).spawn(1)[0]


def held_out(y: np.ndarray, rng: np.random.Generator, share: float = 0.2) -> np.ndarray:
    """Sorted indices of a random `share` of every class, at least one sample.

    Raises ValueError if a class has one sample only.
    """
    parts = []
    for c in np.unique(y):
        members = np.flatnonzero(y == c)
        if len(members) < 2:
            raise ValueError(f"y_real has one sample of class {c}: none can be held out for the rule")
        parts.append(rng.permutation(members)[: max(1, round(share * len(members)))])
    return np.sort(np.concatenate(parts))


def encoded(encoder: Any, x: np.ndarray) -> np.ndarray:
    """Latents (n, features) of samples x (n, ...), encoded in blocks of `BLOCK` samples, the last one shorter.

    So an encoder that rounds by the company a sample is in gives the same in memory and in a stream.
    Raises ValueError on NaN or infinite x or latents, or another number of latents than samples.
    """
    parts = []
    with holding(encoder):
        for rows in slices(len(x)):
            with checks.located(rows.start):
                parts.append(_encoded(encoder, checks.finite("x", x[rows])))
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def _encoded(encoder: Any, x: np.ndarray) -> np.ndarray:
    with one_blas_thread():
        latents = checks.flat("latents", encoder.transform(x))
    if len(latents) != len(x):
        raise ValueError(f"latents has {len(latents)} samples, but x has {len(x)}")
    return latents
