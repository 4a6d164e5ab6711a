"""How far are sampled laws from the truth, and in which directions? Closed forms, from the moments of the laws.

For each class, N(m, S) against the true N(m_0, S_0) (curved or mixed laws are taken by their moments):

    KL(N_0 || N) = (tr(S^-1 S_0) - d + |m - m_0|^2_{S^-1} + log det S - log det S_0) / 2            nats
    Bures^2 = |m - m_0|^2 + tr S + tr S_0 - 2 tr (S_0^{1/2} S S_0^{1/2})^{1/2}                       squared units of x
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy.linalg import orthogonal_procrustes

from sims.gaussian import psd_root
from sims.laws import Laws

__all__ = ["kl", "bures", "law_measures", "subspaces", "energies", "aligned_cosine"]


def kl(m_0: np.ndarray, S_0: np.ndarray, m: np.ndarray, S: np.ndarray) -> float:
    """KL(N(m_0, S_0) || N(m, S)) in nats; infinite where S is singular and S_0 is not."""
    try:
        L = np.linalg.cholesky(S)
    except np.linalg.LinAlgError:
        return float("inf")
    W = np.linalg.solve(L, np.column_stack([np.linalg.cholesky(S_0), m - m_0]))
    dets = np.log(np.diag(L)).sum() - np.linalg.slogdet(S_0)[1] / 2
    return float(np.square(W).sum() / 2 - len(S) / 2 + dets)


def bures(m_0: np.ndarray, S_0: np.ndarray, m: np.ndarray, S: np.ndarray) -> float:
    """Squared 2-Wasserstein distance of N(m_0, S_0) and N(m, S)."""
    R = psd_root(S_0)
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(R.T @ S @ R), 0.0, None)).sum()
    return float(np.square(m - m_0).sum() + np.trace(S) + np.trace(S_0) - 2 * cross)


def subspaces(S: np.ndarray, rank: int) -> np.ndarray:
    """Top `rank` principal axes (C, d, r) of covariances (C, d, d)."""
    return np.linalg.eigh(S)[1][:, :, -rank:]


def energies(
    m: np.ndarray, S: np.ndarray, m_0: np.ndarray, S_0: np.ndarray, U: np.ndarray
) -> dict[str, float]:
    """E |P (x - m_0)|^2 over its true value, averaged over classes: P onto the class's true subspace ("own"), onto what
    the other classes' add to it ("other"), and off all of them ("off"; NaN where nothing is left)."""
    found: dict[str, list[float]] = {"energy_own": [], "energy_other": [], "energy_off": []}
    every = _span(np.concatenate(list(U), axis=1))
    for c, own in enumerate(U):
        second = S[c] + np.outer(m[c] - m_0[c], m[c] - m_0[c])
        P = own @ own.T
        A = every @ every.T
        for name, Q in (("own", P), ("other", A - P), ("off", np.eye(len(P)) - A)):
            true = np.trace(Q @ S_0[c])
            found[f"energy_{name}"].append(
                float(np.trace(Q @ second) / true) if np.trace(Q) > 0.5 else np.nan
            )
    return {name: float(np.mean(values)) for name, values in found.items()}


def _span(U: np.ndarray) -> np.ndarray:
    """An orthonormal basis of the columns."""
    left, s, _ = np.linalg.svd(U, full_matrices=False)
    return left[:, s > 1e-8 * s[0]]


def mean_cosine(U: np.ndarray, pairs: Sequence[tuple[int, int]]) -> float:
    """Mean cosine of the principal angles over pairs of frames (C, d, r)."""
    return float(np.mean([np.linalg.svd(U[a].T @ U[b], compute_uv=False) for a, b in pairs]))


def aligned_cosine(fitted: Laws, truth: Laws, rank: int) -> float:
    """tr(F_a' F_b)/r over pairs of classes, F_c the top-`rank` frame of fitted class c turned within itself closest to
    the true one (orthogonal Procrustes): a signed cosine, of order r/d on average for random subspaces (the true cosine
    times the square of what they share with the true ones); NaN for one class.
    """
    U, V = subspaces(truth.moments()[1], rank), subspaces(fitted.moments()[1], rank)
    # the axes of equal eigenvalues have no order: bring the true frames to one that is common to the classes
    U = np.stack([u @ orthogonal_procrustes(u, U[0])[0] for u in U])
    F = np.stack([v @ orthogonal_procrustes(v, u)[0] for u, v in zip(U, V, strict=True)])
    pairs = list(combinations(range(len(F)), 2))
    return float(np.mean([np.trace(F[a].T @ F[b]) / rank for a, b in pairs])) if pairs else float("nan")


def law_measures(law: Laws, truth: Laws, rank: int) -> dict[str, float]:
    """Everything that a law's moments say: distances, energies, mean cosine between the classes' top-`rank` subspaces
    (NaN for one class), and mean squared cosine between each and the true one (`kept_subspace`)."""
    m, S = law.moments()
    m_0, S_0 = truth.moments()
    classes = range(len(m))
    # within modes: the moments of a mixture may be longest between its modes
    U, V = (subspaces(np.einsum("cj,cjab->cab", L.weights, L.covariances), rank) for L in (truth, law))
    pairs = list(combinations(classes, 2))
    return {
        "kl": float(np.mean([kl(m_0[c], S_0[c], m[c], S[c]) for c in classes])),
        "bures": float(np.mean([bures(m_0[c], S_0[c], m[c], S[c]) for c in classes])),
        **energies(m, S, m_0, S_0, U),
        "cosine": mean_cosine(V, pairs) if pairs else float("nan"),
        "kept_subspace": float(np.square(U.swapaxes(1, 2) @ V).sum(axis=(1, 2)).mean() / rank),
    }
