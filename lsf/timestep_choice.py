"""At which timestep do latents tell the classes of real data apart?

    t* = argmin_t  -1/m sum_i log xi_t(h_t(x_i), y_i),

the log-loss, on m real samples held out, of a probe fitted on the others. Not the accuracy: the loss is the mean of
the very number that the filter ranks by and a proper score (Gneiting and Raftery, "Strictly Proper Scoring Rules,
Prediction, and Estimation", 2007), while the accuracy moves in steps of 1/m and ties where classes separate well.
Both are told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lsf import checks
from lsf.filter import held_out
from lsf.probe import Probe
from lsf.reading import Reading

__all__ = ["CANDIDATES", "Trial", "trials", "whole_timesteps"]

CANDIDATES = (10, 50, 100, 200, 300, 500, 700)
"""Of the usual 1,000 timesteps: where latents tell classes apart best lies, as a rule, in the first half."""


class Trial(NamedTuple):
    """A timestep, and log-loss (nats) and accuracy of its probe on held-out samples."""

    timestep: int
    log_loss: float
    accuracy: float


def trials(readings: Sequence[Reading], images: np.ndarray, y: Any, rng: np.random.Generator) -> list[Trial]:
    """A trial for each reading, of one timestep each, on one stratified split of images (n, C, H, W), labels y (n,).

    Raises ValueError if y is None, of another length, or without two classes of two samples.
    """
    if y is None:
        raise ValueError(
            "timesteps=None is chosen by a probe and needs y, labels of x: give them, or timesteps"
        )
    labels = checks.labels_for("y", y, len(images), "x")
    classes, sizes = np.unique(labels, return_counts=True)
    if len(classes) < 2 or sizes.min() < 2:
        found = dict(zip(classes.tolist(), sizes.tolist(), strict=True))
        raise ValueError(
            f"timesteps=None needs y with two samples or more of each of two classes or more, found {found}"
        )
    z, out = readings[0].encoded(images), held_out(labels, rng)
    return [_trial(reading.timesteps[0], reading.latents(z)[0], labels, out) for reading in readings]


def whole_timesteps(name: str, values: Any, alphas_cumprod: Any = None) -> tuple[int, ...]:
    """`values` as timesteps; ValueError unless they are whole numbers, in the range of alphas_cumprod if given."""
    steps = np.atleast_1d(np.asarray(values))
    if steps.ndim > 1 or not len(steps) or not np.issubdtype(steps.dtype, np.integer) or steps.min() < 0:
        raise ValueError(f"{name} must be whole numbers, at least one, not negative; found {values}")
    if alphas_cumprod is not None and steps.max() >= len(alphas_cumprod):
        raise ValueError(f"{name} reach {steps.max()}, alphas_cumprod has {len(alphas_cumprod)}")
    return tuple(int(t) for t in steps)


def _trial(t: int, h: np.ndarray, y: np.ndarray, out: np.ndarray) -> Trial:
    rest = np.setdiff1d(np.arange(len(y)), out)
    probe = Probe().fit(h[rest], y[rest])
    said = probe.classes_[probe.logits(h[out]).argmax(axis=1)]
    return Trial(t, float(-probe.log_confidence(h[out], y[out]).mean()), float((said == y[out]).mean()))
