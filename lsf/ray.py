"""How is a pool filtered that lies on many machines? Actors encode and score, and the indices are those of memory.

    kept = select(fitted, dataset, budget, rng, num_gpus=1)        sorted values of the column "index"

`dataset` is a Ray Data dataset with columns of samples, labels and each row's number 0 .. n - 1, whatever order its
rows come in. A score belongs to a sample to the last bit (`lsf.blocks`), so it does not matter which actor meets it
and beside which others; keys are drawn here, by number. Filters that score a pool as a whole get their latents from
the actors, and choose here. Needs ray (extra "scale").

Of n rows and d latents, this process holds 8 bytes of number, 8 of score and the label of a row, and what the rule
takes (`lsf.stream`); for filters of a whole pool 8 n d bytes of latents beside it, beyond `lsf.scratch.MEMORY` in a
temporary file. An actor holds the filter and 4096 rows. GPUs round in other ways than CPUs: indices are those of
memory on the same kind of device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lsf import checks, scratch
from lsf.blocks import BLOCK, Whole
from lsf.filter import encoded
from lsf.latents import AreLatents, Latents

__all__ = ["score_samples", "select"]


def select(fitted: Any, dataset: Any, budget: int, rng: Any = None, **how: Any) -> np.ndarray:
    """Sorted int64 numbers (budget,) of the rows kept: those of `fitted.select` of all rows in the order of numbers.

    `how`: as `score_samples`. Raises ValueError and TypeError as `lsf.stream.select`; ValueError where a column is not
    there, or numbers are not 0 .. n - 1, each once; errors in an actor as Ray raises them.
    """
    number = checks.whole("budget", budget)
    if hasattr(fitted, "select_latents"):
        return fitted.select_latents(_latents(fitted, dataset, **how), number)
    if not hasattr(fitted, "select_scored"):
        raise TypeError(
            f"{type(fitted).__name__} chooses from a pool in memory only: it has no select_scored"
        )
    scores, y = score_samples(fitted, dataset, **how)
    return fitted.select_scored(scores, y, checks.budget_for(number, len(scores)), rng)


def score_samples(fitted: Any, dataset: Any, **how: Any) -> tuple[np.ndarray, np.ndarray]:
    """(scores (n,) float64, labels (n,)) in the order of numbers; arguments by name:

    `x`, `y`, `index`: columns ("x", "y", "index"); `actors` (2): how many, or a pair (least, most); `num_cpus` (1) and
    `num_gpus` (0) of each; `prepare`: called with the filter once in every actor, gives the filter it uses, as
    one whose model has gone to the GPU. Errors as `select`.
    """
    if hasattr(fitted, "score_latents"):
        latents = _latents(fitted, dataset, **how)
        return fitted.score_latents(latents), latents.y
    if not hasattr(fitted, "score_samples"):
        raise TypeError(f"{type(fitted).__name__} gives a sample no score: use lsf.ray.select")
    index, scores, y = zip(*_mapped(_scores, fitted, dataset, **how), strict=True)
    order = _order(np.concatenate(index))
    return np.concatenate(scores)[order], np.concatenate(y)[order]


def _scores(fitted: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return fitted.score_samples(x, y)


def _encode(fitted: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return encoded(fitted.encoder_, x)


def _latents(fitted: Any, dataset: Any, **how: Any) -> Latents:
    checks.fitted(fitted, "classes_")
    index, rows, y = [], scratch.Growing(), []
    for number, h, labels in _mapped(_encode, fitted, dataset, **how):
        index.append(number)
        rows.append(h)
        y.append(labels)
    order, arrived = _order(np.concatenate(index)), rows.array()
    h = scratch.room(arrived.shape)
    for start in range(0, len(order), BLOCK):
        h[start : start + BLOCK] = arrived[order[start : start + BLOCK]]
    return Latents(AreLatents(fitted.classes_), Whole(h, np.concatenate(y)[order]))


def _order(index: np.ndarray) -> np.ndarray:
    """Where each number 0 .. n - 1 stands; ValueError unless each is there once."""
    order = np.argsort(index, kind="stable")
    if not np.issubdtype(index.dtype, np.integer) or not np.array_equal(index[order], np.arange(len(index))):
        raise ValueError(
            f"index must hold each of 0 .. {len(index) - 1} once: number the rows of the dataset"
        )
    return order


def _mapped(
    row_map: Callable[[Any, np.ndarray, np.ndarray], np.ndarray],
    fitted: Any,
    dataset: Any,
    x: str = "x",
    y: str = "y",
    index: str = "index",
    actors: int | tuple[int, int] = 2,
    num_cpus: float = 1,
    num_gpus: float = 0,
    prepare: Callable[[Any], Any] | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(index, result, y) of every batch, as they come."""
    import ray

    if lacking := [name for name in (x, y, index) if name not in dataset.columns()]:
        raise ValueError(f"dataset has no column {lacking}; it has {dataset.columns()}")
    done = dataset.map_batches(
        _Actor,
        fn_constructor_args=(ray.put(fitted), row_map, (x, y, index), prepare),
        batch_size=BLOCK,
        batch_format="numpy",
        concurrency=actors,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
    )
    for batch in done.iter_batches(batch_size=None, batch_format="numpy"):
        yield batch["index"].copy(), batch["result"].copy(), _plain(batch["y"]).copy()


class _Actor:
    """Holds the filter, prepared once, and maps batches."""

    def __init__(self, fitted: Any, row_map: Any, columns: tuple[str, str, str], prepare: Any) -> None:
        import ray

        self.fitted = ray.get(fitted)
        if prepare is not None:
            self.fitted = prepare(self.fitted)
        self.row_map, self.columns = row_map, columns

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        x, y, index = (batch[name] for name in self.columns)
        return {"index": index, "result": self.row_map(self.fitted, x, _plain(y)), "y": y}


def _plain(labels: np.ndarray) -> np.ndarray:
    """Words come as objects."""
    return labels.astype(np.str_) if labels.dtype == object else labels
