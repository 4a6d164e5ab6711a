"""What must a generator offer so that the loop can consume its own output?

A Generator learns from a pool and gives a Sampler; the Sampler is the model of one generation, a value that nothing
changes afterwards. All randomness comes in as an argument.
"""

from typing import Any, Protocol

import numpy as np

from lsf.pool import Pool

__all__ = ["Generator", "Learner", "Sampler"]


class Sampler(Protocol):
    """The model of one generation."""

    def sample(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One sample for each of `labels` (n,): an array (n, ...)."""
        ...

    def state(self) -> dict[str, np.ndarray]:
        """The arrays that make this model, by name: what a run folder keeps to resume from."""
        ...


class Learner(Protocol):
    """What a turn of the loop asks of a generator."""

    def fit(self, pool: Pool, rng: np.random.Generator, start: Any = None) -> Any:
        """The model (a Sampler) learned from `pool`; from scratch, or fine-tuned from the model `start`."""
        ...


class Generator(Learner, Protocol):
    """A family of models with its way of training, that a run folder can keep and resume."""

    def restore(self, state: dict[str, np.ndarray]) -> Sampler:
        """The model whose `state()` this is."""
        ...

    def evaluations(self, pool: Pool, first: bool) -> dict[str, int]:
        """What `fit` on `pool` costs: gradient steps, and network evaluations (a training step is three forwards)."""
        ...
