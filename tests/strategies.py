"""What hypothesis draws: structure (dimensions, angles, noise, sizes), never data; data come from a seed."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

__all__ = ["angle", "angle_sets", "noises", "signals", "shapes", "sizes"]

angle = st.floats(0, np.pi / 2)
noises = st.floats(0.01, 3)
sizes = st.integers(1, 300)


def angle_sets(most: int = 6) -> st.SearchStrategy[np.ndarray]:
    """1 to `most` principal angles."""
    return st.integers(1, most).flatmap(lambda r: arrays(float, r, elements=angle))


def signals(most: int = 6, high: float = 100.0) -> st.SearchStrategy[np.ndarray]:
    """1 to `most` signal-to-noise ratios rho_i in [0, high]."""
    return st.integers(1, most).flatmap(lambda r: arrays(float, r, elements=st.floats(0, high)))


def shapes(most: int = 6) -> st.SearchStrategy[tuple[int, np.ndarray]]:
    """(dim, angles) with room for two subspaces of that rank."""
    return angle_sets(most).flatmap(lambda a: st.tuples(st.integers(2 * a.size, 2 * a.size + 40), st.just(a)))
