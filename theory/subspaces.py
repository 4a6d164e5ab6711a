"""Which frames have given principal angles, and what do the two-subspace model's covariances look like?

    U_0 = [e_1 ... e_r],   U_1 = [cos theta_i e_i + sin theta_i e_{r+i}],   S_c = U_c U_c^T + s^2 I,
    spec S_c = {1 + s^2 (r times), s^2 (d - r)},
    spec (S_0 + S_1)/2 = {(1 +- cos theta_i)/2 + s^2, s^2 (d - 2r)}.

Source: the class model of Theorem 1 in 'Stabilizing Self-Consuming Diffusion Models with Latent Space
Filtering' (AAAI-26), as reported in secondary notes; the pooled spectrum is our own derivation (P_0 + P_1 has
the eigenvalues 1 +- cos theta_i in the plane of the i-th principal pair); angles by Bjoerck and Golub (1973).
"""

from typing import Any

import numpy as np

from theory.checks import Array, finite, fits, non_negative, right_angles

__all__ = ["frames", "principal_angles", "class_covariance", "class_spectrum", "pooled_spectrum"]


def frames(angles: Any, dim: int) -> tuple[Array, Array]:
    """Two orthonormal frames U_0, U_1 with the principal angles `angles`, each of shape (..., dim, r).

    Deterministic: U_0 = [e_1 ... e_r], column i of U_1 = cos theta_i e_i + sin theta_i e_{r+i}.
    Any other pair with these angles is one rotation of this one (own derivation: the CS decomposition).

    Raises
    ------
    ValueError
        if 2r > dim, or an angle is not in [0, pi/2]
    """
    theta = np.atleast_1d(right_angles(angles))
    r = theta.shape[-1]
    fits(dim, r)
    U_0, U_1 = np.zeros((2, *theta.shape[:-1], int(dim), r))
    i = np.arange(r)
    U_0[..., i, i] = 1
    U_1[..., i, i], U_1[..., r + i, i] = np.cos(theta), np.sin(theta)
    return U_0, U_1


def principal_angles(U: Any, V: Any) -> Array:
    """Principal angles between the column spaces of `U` and `V`, ascending, in radians: shape (..., min(p, q)).

    Cosines are the singular values of Q_U^T Q_V, sines those of (I - Q_U Q_U^T) Q_V; each angle is read from
    whichever of the two is the better conditioned, so that small angles keep 16 digits (Bjoerck and Golub
    1973). `U` (..., d, p) and `V` (..., d, q) need full column rank, not orthonormal columns.

    Raises
    ------
    ValueError
        if the shapes do not match, or the columns of one are linearly dependent
    """
    Q, W = _orthonormal("U", U), _orthonormal("V", V)
    if Q.shape[-2] != W.shape[-2]:
        raise ValueError(f"V has {W.shape[-2]} rows but U has {Q.shape[-2]}: give two frames in one space")
    if Q.shape[-1] < W.shape[-1]:
        Q, W = W, Q
    overlap = np.swapaxes(Q, -1, -2) @ W
    cosines = np.linalg.svd(overlap, compute_uv=False)  # descending: angles ascending
    sines = np.linalg.svd(W - Q @ overlap, compute_uv=False)[..., ::-1]
    small = cosines**2 > 0.5
    return np.where(small, np.arcsin(np.minimum(sines, 1)), np.arccos(np.minimum(cosines, 1)))


def _orthonormal(name: str, frame: Any) -> Array:
    matrix = finite(name, frame)
    if matrix.ndim < 2 or matrix.shape[-1] > matrix.shape[-2]:
        raise ValueError(f"{name} has shape {matrix.shape}: give at least as many rows as columns")
    Q, R = np.linalg.qr(matrix)
    diagonal = np.abs(np.diagonal(R, axis1=-2, axis2=-1))
    if (diagonal <= 1e-12 * diagonal.max(axis=-1, keepdims=True)).any():
        raise ValueError(f"{name} has linearly dependent columns: give a frame of full column rank")
    return Q


def class_covariance(frame: Any, noise: float) -> Array:
    """S_c = U_c U_c^T + s^2 I of shape (..., d, d), for an orthonormal frame (..., d, r); `noise` is s."""
    U = finite("frame", frame)
    s = non_negative("noise", noise)
    return U @ np.swapaxes(U, -1, -2) + s**2 * np.eye(U.shape[-2])


def class_spectrum(dim: Any, rank: int, noise: Any) -> tuple[Array, Array]:
    """Eigenvalues of S_c, (1 + s^2, s^2), and their multiplicities (r, d - r), both on the last axis."""
    d, s = fits(dim, rank), non_negative("noise", noise)
    values = np.stack([1 + s**2, s**2], axis=-1)
    return values, np.stack([np.full_like(d, rank), d - rank], axis=-1)


def pooled_spectrum(dim: Any, angles: Any, noise: Any) -> tuple[Array, Array]:
    """Eigenvalues of (S_0 + S_1)/2, 2r + 1 of them, and their multiplicities, both on the last axis."""
    theta, s = np.atleast_1d(right_angles(angles)), non_negative("noise", noise)[..., None]
    r = theta.shape[-1]
    d = fits(dim, r)[..., None]
    # 1 - cos theta = 2 sin^2(theta/2): exact for small angles
    planes = np.concatenate([np.cos(theta / 2) ** 2, np.sin(theta / 2) ** 2], axis=-1)
    shape = np.broadcast_shapes(planes.shape[:-1], s.shape[:-1])
    floor = np.broadcast_to(s**2, (*shape, 1))
    values = np.concatenate([np.broadcast_to(planes, (*shape, 2 * r)) + floor, floor], axis=-1)
    ones = np.ones((*d.shape[:-1], 2 * r))
    return values, np.concatenate([ones, d - 2 * r], axis=-1)
