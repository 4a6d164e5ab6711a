"""How far are labelled latents from classes that lie in orthogonal subspaces?

    OLE = sum_c ||M_c||_* - ||M||_*,        OLEn = OLE / sum_c ||M_c||_*,

M_c the latents of class c, M those of all classes, ||.||_* the nuclear norm (the sum of singular values),
which does not care whether samples are rows (here) or columns (the paper). OLE is 0 when class subspaces
are orthogonal, grows as they align, is linear in the scale of the features, and 0 <= OLE <= (1 - 1/sqrt C)
sum_c ||M_c||_*. OLEn is scale-free. Lezama, Qiu, Musé and Sapiro, "OLE: Orthogonal Low-rank Embedding",
CVPR 2018.

Singular values come from float64 Gram matrices on the smaller side: that of M is the sum of those of the classes
when samples outnumber features, and holds them as diagonal blocks when features outnumber samples. Gram matrices add
up, so `Norms` needs one pass over any number of samples: time n d^2, memory of C classes 8 C d (d + max(d, 1024))
bytes at most. An eigenvalue is off by about eps of the largest, a singular value s by eps s_max^2 / s.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lsf import checks
from lsf.blocks import slices

__all__ = ["ole", "normalised_ole", "nuclear_norms", "Norms"]

ROWS = 1024
"""Rows of a class that are held before they go into its Gram matrix; never fewer than features."""


def ole(latents: Any, labels: Any) -> float:
    """sum_c ||M_c||_* - ||M||_*, in the units of the latents.

    latents (n, ...): one sample a row, trailing axes flattened; labels (n,). Raises ValueError on NaN or
    infinite latents, or unequal lengths. Singular values below about sqrt(p eps) of the largest, p the
    smaller side of M, are beneath the rounding of a Gram matrix and count as 0.
    """
    return _norms(latents, labels).ole()


def normalised_ole(latents: Any, labels: Any) -> float:
    """OLE / sum_c ||M_c||_*, in [0, 1 - 1/sqrt C], free of scale; arguments and errors as `ole`.

    Raises ValueError where every latent is 0, for then it is not defined.
    """
    return _norms(latents, labels).normalised_ole()


def nuclear_norms(latents: Any, labels: Any) -> tuple[np.ndarray, float]:
    """(||M_c||_* for each class in label order, ||M||_*); arguments and errors as `ole`."""
    by_class, total, exponent = _norms(latents, labels).scaled()
    return np.ldexp(by_class, exponent), float(np.ldexp(total, exponent))


def _norms(latents: Any, labels: Any) -> Norms:
    m = checks.flat("latents", latents)
    y = checks.labels_for("labels", labels, len(m), "latents")
    norms = Norms()
    for rows in slices(len(m)):
        norms.add(m[rows], y[rows])
    return norms


class Norms:
    """Nuclear norms of latents that come in parts: the same to the last bit, however they are cut.

    Rows are divided by 2^exponent, about their largest entry so far, so that no square leaves float64; a power of two
    changes no bit of what needs no scaling.
    """

    def __init__(self) -> None:
        self._classes: dict[Any, _OneClass] = {}
        self._exponent: int | None = None

    def add(self, latents: np.ndarray, labels: np.ndarray) -> None:
        """latents (b, d), finite numbers, d as before; labels (b,)."""
        self._grow(max(float(latents.max()), -float(latents.min())))
        for c in np.unique(labels):
            m_c = np.ldexp(latents[labels == c].astype(np.float64), -(self._exponent or 0))
            self._classes.setdefault(c.item(), _OneClass(m_c.shape[1])).add(m_c)

    def ole(self) -> float:
        """sum_c ||M_c||_* - ||M||_*, in the units of the latents."""
        by_class, total, exponent = self.scaled()
        return float(np.ldexp(by_class.sum() - total, exponent))

    def normalised_ole(self) -> float:
        """OLE / sum_c ||M_c||_*; ValueError where every latent is 0."""
        by_class, total, _ = self.scaled()
        if not by_class.sum() > 0:
            raise ValueError("latents are all 0: normalised OLE is not defined")
        return float(1 - total / by_class.sum())

    def scaled(self) -> tuple[np.ndarray, float, int]:
        """(||M_c||_* in label order, ||M||_*, exponent), the norms over 2^exponent."""
        classes = [self._classes[c] for c in sorted(self._classes)]
        held = [m_c.held() for m_c in classes]
        if all(m_c.gram is None for m_c in classes) and sum(map(len, held)) < held[0].shape[1]:
            m = np.concatenate(held)
            total = m @ m.T
        else:
            total = np.add.reduce([m_c.whole_gram() for m_c in classes])
        return np.array([m_c.norm() for m_c in classes]), _nuclear(total), self._exponent or 0

    def _grow(self, largest: float) -> None:
        if not largest:
            return
        exponent = int(np.frexp(largest)[1])
        if self._exponent is not None and exponent > self._exponent:
            for m_c in self._classes.values():
                m_c.scale(self._exponent - exponent)
        self._exponent = exponent if self._exponent is None else max(exponent, self._exponent)


class _OneClass:
    """M_c'M_c (d, d) of the rows so far, summed over `rows` at a time, and the rows that are not in it yet."""

    def __init__(self, d: int) -> None:
        self.d, self.rows = d, max(d, ROWS)
        self.gram: np.ndarray | None = None
        self._parts: list[np.ndarray] = []
        self._missing = self.rows

    def add(self, m: np.ndarray) -> None:
        """Rows m (b, d)."""
        while len(m):
            part, m = m[: self._missing], m[self._missing :]
            self._parts.append(part)
            self._missing -= len(part)
            if not self._missing:
                self.gram, self._parts, self._missing = self.whole_gram(), [], self.rows

    def held(self) -> np.ndarray:
        """The rows that are not in the Gram matrix, (k, d)."""
        return np.concatenate([np.empty((0, self.d)), *self._parts])

    def whole_gram(self) -> np.ndarray:
        """M_c'M_c (d, d) of all rows."""
        m = self.held()
        return m.T @ m if self.gram is None else self.gram + m.T @ m

    def norm(self) -> float:
        """||M_c||_*, from the smaller side."""
        m = self.held()
        return _nuclear(m @ m.T if self.gram is None and len(m) < self.d else self.whole_gram())

    def scale(self, exponent: int) -> None:
        """All rows times 2^exponent."""
        self._parts = [np.ldexp(part, exponent) for part in self._parts]
        if self.gram is not None:
            self.gram = np.ldexp(self.gram, 2 * exponent)


def _nuclear(gram: np.ndarray) -> float:
    """The sum of the square roots of the eigenvalues, those beneath the rounding of the matrix taken as 0."""
    eigenvalues = np.linalg.eigvalsh(gram)
    rounding = len(gram) * np.finfo(np.float64).eps * max(float(eigenvalues[-1]), 0.0)
    return float(np.sqrt(eigenvalues[eigenvalues > rounding]).sum())
