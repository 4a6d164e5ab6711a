"""How does one root seed give every part of a run its own stream of random numbers?

A stream is a function of the root seed and of a path of names, such as ("SYN", 3, "sample"). So the draws of one
part never depend on how many numbers another part took, runs resume where they stopped, and policies that ask for
the same path are paired. (NumPy SeedSequence: O'Neill's seed_seq design, see numpy.random.SeedSequence.)
"""

import zlib

import numpy as np

__all__ = ["stream", "torch_seed"]


def stream(root: int, *path: str | int) -> np.random.Generator:
    """The generator at `path` under the root seed: the same path, the same numbers, on every machine."""
    key = [part if isinstance(part, int) else zlib.crc32(part.encode()) for part in path]
    # a spawn key, not more entropy: [5] and [5, 0] are one and the same entropy
    return np.random.default_rng(np.random.SeedSequence(root, spawn_key=key))


def torch_seed(rng: np.random.Generator) -> int:
    """A seed for a torch.Generator, drawn from `rng`."""
    return int(rng.integers(2**63 - 1))
