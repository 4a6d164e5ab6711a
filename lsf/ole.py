"""How far are labelled latents from classes that lie in orthogonal subspaces?

    OLE = sum_c ||M_c||_* - ||M||_*,        OLEn = OLE / sum_c ||M_c||_*,

M_c the latents of class c, M those of all classes, ||.||_* the nuclear norm (the sum of singular values),
which does not care whether samples are rows (here) or columns (the paper). OLE is 0 when class subspaces
are orthogonal, grows as they align, is linear in the scale of the features, and 0 <= OLE <= (1 - 1/sqrt C)
sum_c ||M_c||_*. OLEn is scale-free. Lezama, Qiu, Musé and Sapiro, "OLE: Orthogonal Low-rank Embedding",
CVPR 2018.

Singular values come from Gram matrices on the smaller side: that of M is the sum of those of the classes
when samples outnumber features, and holds them as diagonal blocks when features outnumber samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lsf import checks

__all__ = ["ole", "normalised_ole", "nuclear_norms"]


def ole(latents: Any, labels: Any) -> float:
    """sum_c ||M_c||_* - ||M||_*, in the units of the latents.

    latents (n, ...): one sample a row, trailing axes flattened; labels (n,). Raises ValueError on NaN or
    infinite latents, or unequal lengths. Singular values below about sqrt(p eps) of the largest, p the
    smaller side of M, are beneath the rounding of a Gram matrix and count as 0.
    """
    by_class, total, exponent = _scaled_norms(latents, labels)
    return float(np.ldexp(by_class.sum() - total, exponent))


def normalised_ole(latents: Any, labels: Any) -> float:
    """OLE / sum_c ||M_c||_*, in [0, 1 - 1/sqrt C], free of scale; arguments and errors as `ole`.

    Raises ValueError where every latent is 0, for then it is not defined.
    """
    by_class, total, _ = _scaled_norms(latents, labels)
    if not by_class.sum() > 0:
        raise ValueError("latents are all 0: normalised OLE is not defined")
    return float(1 - total / by_class.sum())


def nuclear_norms(latents: Any, labels: Any) -> tuple[np.ndarray, float]:
    """(||M_c||_* for each class in label order, ||M||_*); arguments and errors as `ole`."""
    by_class, total, exponent = _scaled_norms(latents, labels)
    return np.ldexp(by_class, exponent), float(np.ldexp(total, exponent))


def _scaled_norms(latents: Any, labels: Any) -> tuple[np.ndarray, float, int]:
    """Norms of the latents over 2^exponent, which is about their largest entry: no square leaves float64.

    A power of two changes no bit of what needs no scaling.
    """
    m = checks.flat("latents", latents).astype(np.float64)
    y = checks.labels_for("labels", labels, len(m), "latents")
    masks = [y == c for c in np.unique(y)]
    exponent = int(np.frexp(np.abs(m).max())[1])
    m = np.ldexp(m, -exponent)
    return *(_wide if m.shape[1] > len(m) else _tall)(m, masks), exponent


def _tall(m: np.ndarray, masks: list[np.ndarray]) -> tuple[np.ndarray, float]:
    """Features no more than samples: M'M = sum_c M_c'M_c."""
    total = np.zeros((m.shape[1], m.shape[1]))
    norms = []
    for mask in masks:
        m_c = m[mask]
        gram = m_c.T @ m_c
        total += gram
        norms.append(_nuclear(gram if m_c.shape[1] <= len(m_c) else m_c @ m_c.T))
    return np.array(norms), _nuclear(total)


def _wide(m: np.ndarray, masks: list[np.ndarray]) -> tuple[np.ndarray, float]:
    """Features outnumber samples: M_c M_c' are diagonal blocks of M M'."""
    gram = m @ m.T
    return np.array([_nuclear(gram[np.ix_(mask, mask)]) for mask in masks]), _nuclear(gram)


def _nuclear(gram: np.ndarray) -> float:
    """The sum of the square roots of the eigenvalues, those beneath the rounding of the matrix taken as 0."""
    eigenvalues = np.linalg.eigvalsh(gram)
    rounding = len(gram) * np.finfo(np.float64).eps * max(float(eigenvalues[-1]), 0.0)
    return float(np.sqrt(eigenvalues[eigenvalues > rounding]).sum())
