"""What did a filter do to a pool, and may its scores be trusted?

    spread_c = tr Cov(kept samples of class c) / tr Cov(pool samples of class c)      in latents; below 1: narrowed
    z = sum_c (n_c mean a - A_c) / sqrt(sum_c m_c n_c var a / (m_c + n_c)),      a_r = -log(r / (m_c + n_c + 1))

A_c sums a over the pool's n_c scores of class c, ranked 1, 2, ... upwards among them and the m_c held-out real ones
(ties share their mean a; var with N - 1): a rank test, class by class, in which low scores weigh most (Savage, 1956),
for the low end is what a filter removes. Three warnings, each by a rule:

- a class is absent from the pool, or starved: kept less than half of what random choice and equal shares would both
  give it, and so little that random choice gives it with probability below LEVEL / C (hypergeometric);
- the probe is no better than chance: the 95% interval of its accuracy on held-out real data (Clopper and Pearson,
  1934) reaches down to the share of the largest class, which a constant guess has, and not up to half-way from there to
  1. Where it reaches both, the data are too few to tell, which `unchecked` says;
- pool scores lie above those of held-out real data: P(Z > z) < LEVEL. Such a pool has fewer low scores than reality,
  so nothing to remove: a generator that contracts its classes, or makes only what a filter would keep. Keeping the
  most confident narrows it further. A sound pool (its law that of real data) draws this warning about once in
  1 / LEVEL; `Top` narrows that one too, which `spread` shows.

Held-out means: seen neither by the fit nor by the pool. Samples of the fit in the pool score high for being known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import binomtest, hypergeom, norm
from sklearn.base import TransformerMixin
from sklearn.utils import Tags

from lsf import checks
from lsf.blocks import Blocks, Whole
from lsf.spread import Spread

__all__ = [
    "Report",
    "FilterMixin",
    "report",
    "told",
    "chosen",
    "HeldOut",
    "above_real",
    "LEVEL",
    "PROBABILITIES",
]

LEVEL = 1e-3
"""How often the first and the last of the warnings may come by chance alone."""
PROBABILITIES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, eq=False)
class Report:
    """What a filter did; `print` it. One entry a class (C,) of `in_pool`, `kept` (counts) and `spread`.

    - quantiles: of "real" (held out), "pool" and "kept" scores at `PROBABILITIES`; those that are known.
    - spread: tr Cov kept / tr Cov pool in latents; NaN where a class has fewer than two kept, or no spread.
    - accuracy: (value, low, high) of the probe on `n_real` samples of held-out real data, 95%; chance: the largest
      class's share there.
    - above: probability that a sound pool has as few low scores as this one.
    - warnings, by the rules above; unchecked: what could not be looked at, and why.

    `accuracy`, `n_real`, `chance` and `above` are None where they are not known.
    """

    classes: np.ndarray
    in_pool: np.ndarray
    kept: np.ndarray
    quantiles: dict[str, np.ndarray]
    spread: np.ndarray
    accuracy: tuple[float, float, float] | None
    n_real: int | None
    chance: float | None
    above: float | None
    warnings: tuple[str, ...]
    unchecked: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"kept {self.kept.sum()} of {self.in_pool.sum()} samples"
        yield f"{'class':>12} {'pool':>9} {'kept':>9} {'share':>7}  spread kept/pool"
        for c, n, k, spread in zip(self.classes, self.in_pool, self.kept, self.spread, strict=True):
            yield f"{c!s:>12} {n:9d} {k:9d} {k / max(n, 1):7.1%}  {'-' if np.isnan(spread) else f'{spread:.3g}'}"
        if self.quantiles:
            yield f"{'score at':>12} " + " ".join(f"{p:>9.0%}" for p in PROBABILITIES)
        for name, values in self.quantiles.items():
            yield f"{name:>12} " + " ".join(f"{value:9.3g}" for value in values)
        if self.accuracy is not None:
            value, low, high = self.accuracy
            yield f"probe on {self.n_real} held-out real data: {value:.1%} right (95%: {low:.1%} to {high:.1%})"
            yield f"a constant guess: {self.chance:.1%}"
        if self.above is not None:
            yield f"a sound pool has as few low scores as this one with probability {self.above:.2g}"
        yield from (f"warning: {text}" for text in self.warnings)
        yield from (f"not checked: {text}" for text in self.unchecked)


class FilterMixin(TransformerMixin):
    """What every filter of labelled pools is: a transformer that needs labels in fit, with a `report`."""

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def report(self, x: Any, y: Any, kept: Any, real: Any = None) -> Report:
        """What keeping the indices `kept` of the pool x (n, ...), y (n,) did; see `lsf.report.report`."""
        return report(self, x, y, kept, real)


def report(fitted: Any, x: Any, y: Any, kept: Any, real: Any = None) -> Report:
    """What the fitted filter did when it kept the indices `kept` of the pool x (n, ...), y (n,).

    `real`: (x, y) of held-out real data. None: what the filter held out itself, which it does for rules that compare
    with real data; without either, and for filters whose scores compare with the pool, the report says what is
    not checked. Scores are those of `score_samples`, or else of `score_pool`; latents those of `transform`.

    Raises NotFittedError before fit; TypeError if `kept` are no integers; ValueError if they are not indices of the
    pool, each at most once and at least one, on a label never seen in fit, and as the filter does on a bad x.
    """
    checks.fitted(fitted, "classes_")
    samples = checks.finite("x", x)
    labels = checks.labels_for("y", y, len(samples), "x")
    own = checks.known("y", labels, fitted.classes_)
    which = chosen(kept, len(samples))
    scores, known = _scores(fitted, samples, labels), _held_out(fitted, real)
    is_kept = np.zeros(len(samples), dtype=bool)
    is_kept[which] = True
    pool, of_kept = Spread(len(fitted.classes_)), Spread(len(fitted.classes_))
    start = 0
    for part, _ in Whole(samples, labels):
        h, k, here = (
            fitted.transform(part),
            own[start : start + len(part)],
            is_kept[start : start + len(part)],
        )
        pool.add(h, k)
        of_kept.add(h[here], k[here])
        start += len(part)
    return told(fitted, own, which, scores, known, pool, of_kept)


def told(
    fitted: Any,
    own: np.ndarray,
    kept: np.ndarray,
    scores: np.ndarray | None,
    known: HeldOut | None,
    pool: Spread,
    of_kept: Spread,
) -> Report:
    """`report` of a pool of which one has the places `own` (n,) of its labels, scores (n,) if any, and two `Spread`."""
    classes = fitted.classes_
    in_pool, n_kept = (np.bincount(k, minlength=len(classes)) for k in (own, own[kept]))
    above = None
    if known is not None and scores is not None:
        above = above_real(known.scores, known.y, scores, classes[own])
    accuracy, chance = (None, None) if known is None else _accuracy(known.right, known.y)
    by_name = {"real": None if known is None else known.scores, "pool": scores}
    by_name["kept"] = None if scores is None else scores[kept]
    return Report(
        classes=classes,
        in_pool=in_pool,
        kept=n_kept,
        quantiles={name: np.quantile(s, PROBABILITIES) for name, s in by_name.items() if s is not None},
        spread=of_kept.over(pool),
        accuracy=accuracy,
        n_real=None if known is None else len(known.y),
        chance=chance,
        above=above,
        warnings=(*_starved(classes, in_pool, n_kept), *_no_better(accuracy, chance), *_too_high(above)),
        unchecked=tuple(_unchecked(fitted, known, accuracy, chance)),
    )


class HeldOut(NamedTuple):
    """Held-out real data as the filter sees them: scores, labels, and whether the probe is right, (m,) each."""

    scores: np.ndarray
    y: np.ndarray
    right: np.ndarray

    @classmethod
    def of(cls, fitted: Any, real: Blocks | None) -> HeldOut | None:
        """From blocks of them, or what the filter held out itself; None where there are none, or no `score_samples`."""
        if not hasattr(fitted, "score_samples"):
            return None
        if real is None:
            reference = getattr(fitted, "reference_", None)
            return None if reference is None else cls(reference[0], reference[1], fitted.held_out_right_)
        parts = real.map(lambda x, y: (fitted.score_samples(x, y), y.copy(), _right(fitted, x, y)))
        scores, y, right = (np.concatenate(part) for part in zip(*parts, strict=True))
        return cls(scores, y, right)


def above_real(real: np.ndarray, y_real: np.ndarray, scores: np.ndarray, y: np.ndarray) -> float:
    """P(Z > z): how probable it is that a sound pool has as few low scores as this one.

    real (m,), y_real (m,): held-out scores and labels; scores (n,), y (n,): the pool's. Normal approximation; 1 where
    no class has both.
    """
    shift = variance = 0.0
    for c in np.intersect1d(y_real, y):
        m, n = (y_real == c).sum(), (y == c).sum()
        a = _savage(np.concatenate([real[y_real == c], scores[y == c]]))
        shift += n * a.mean() - a[m:].sum()
        variance += m * n / (m + n) * a.var(ddof=1)
    return float(norm.sf(shift / np.sqrt(variance))) if variance > 0 else 1.0


def _savage(values: np.ndarray) -> np.ndarray:
    """-log(r / (N + 1)) of each value (N,), r its rank from below; ties share their mean."""
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    a = -np.log(np.arange(1, len(values) + 1) / (len(values) + 1))
    return (np.add.reduceat(a, np.cumsum(counts) - counts) / counts)[where]


def chosen(kept: Any, count: int) -> np.ndarray:
    """`kept` as indices into a pool of `count` samples; errors as `report`."""
    which = np.asarray(kept)
    if not np.issubdtype(which.dtype, np.integer):
        raise TypeError(f"kept must be indices of the pool, as select gives them, found dtype {which.dtype}")
    if which.ndim != 1 or not len(which) or which.min() < 0 or which.max() >= count:
        raise ValueError(f"kept must be indices, at least one, from 0 to {count - 1}: as select gives them")
    if len(np.unique(which)) < len(which):
        raise ValueError("kept has an index twice: give each sample once")
    return which


def _scores(fitted: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    score = getattr(fitted, "score_samples", None) or getattr(fitted, "score_pool", None)
    return None if score is None else score(x, y)


def _held_out(fitted: Any, real: Any) -> HeldOut | None:
    if real is None or not hasattr(fitted, "score_samples"):
        return HeldOut.of(fitted, None)
    try:
        x, y = real
    except (TypeError, ValueError):
        raise TypeError("real must be a pair (x, y) of held-out real data") from None
    samples = checks.finite("real x", x)
    return HeldOut.of(fitted, Whole(samples, checks.labels_for("real y", y, len(samples), "real x")))


def _right(fitted: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return fitted.classes_[fitted.predict_proba(x).argmax(axis=1)] == y


def _accuracy(right: np.ndarray, y: np.ndarray) -> tuple[tuple[float, float, float], float]:
    k, n = int(right.sum()), len(right)
    interval = binomtest(k, n).proportion_ci(0.95, "exact")
    return (k / n, interval.low, interval.high), np.unique(y, return_counts=True)[1].max() / n


def _starved(classes: np.ndarray, in_pool: np.ndarray, kept: np.ndarray) -> Iterator[str]:
    n, N, C = in_pool.sum(), kept.sum(), len(classes)
    for c, n_c, N_c in zip(classes, in_pool, kept, strict=True):
        fair = min(N * n_c / n, N / C)
        if n_c == 0:
            yield f"class {c} is absent from the pool"
        elif N_c < fair / 2 and hypergeom.cdf(N_c, n, n_c, N) < LEVEL / C:
            yield f"class {c} is starved: {N_c} kept, where its fair share is {fair:.0f}; quota='class' gives it that"


def _no_better(accuracy: tuple[float, float, float] | None, chance: float | None) -> Iterator[str]:
    if _at_chance(accuracy, chance) and not _untold(accuracy, chance):
        assert accuracy is not None
        yield (
            f"the probe is no better than chance: {accuracy[0]:.1%} right on held-out real data, at most "
            f"{accuracy[2]:.1%}, where a constant guess has {chance:.1%}; its scores say little of labels"
        )


def _at_chance(accuracy: tuple[float, float, float] | None, chance: float | None) -> bool:
    return accuracy is not None and chance is not None and accuracy[1] <= chance


def _untold(accuracy: tuple[float, float, float] | None, chance: float | None) -> bool:
    """Could it also be half-way from chance to 1?"""
    return accuracy is not None and chance is not None and accuracy[2] >= (1 + chance) / 2


def _too_high(above: float | None) -> Iterator[str]:
    if above is not None and above < LEVEL:
        yield (
            f"pool scores lie above those of held-out real data (p = {above:.1g}): the pool is easier than reality, or "
            "holds samples of the fit; keeping the most confident narrows it further, Matched() does not"
        )


def _unchecked(
    fitted: Any, known: Any, accuracy: tuple[float, float, float] | None, chance: float | None
) -> Iterator[str]:
    if not hasattr(fitted, "score_samples"):
        yield "the probe, and the pool against real data: this filter's scores, if any, compare with the pool"
    elif known is None:
        yield "the probe, and the pool against real data: give real=(x, y), held out from fit and pool"
    elif _at_chance(accuracy, chance) and _untold(accuracy, chance):
        yield f"whether the probe is better than chance: {len(known.y)} held-out real data are too few to tell"
