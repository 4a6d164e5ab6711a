"""What is the law whose score is that of one Gaussian, extrapolated away from another's?

    s = (1 + w) s_base - w s_aux,   s_i(x) = -P_i (x - m_i):

precisions and precision-weighted means extrapolate alike, P = (1 + w) P_b - w P_a, P m = (1 + w) P_b m_b - w P_a m_a.

This is the law of the extrapolated score of the data, p_b^{1+w} / p_a^w. A diffusion sampler extrapolates at every
noise level on its way, and draws another law: where covariances commute, variances lam_b^{1+w} / lam_a^w in place of
1 / ((1+w)/lam_b - w/lam_a). The two agree to first order in the difference of the models.
"""

import numpy as np

__all__ = ["extrapolated"]


def extrapolated(
    base: tuple[np.ndarray, np.ndarray], aux: tuple[np.ndarray, np.ndarray], w: float, least: float = 0.1
) -> tuple[np.ndarray, np.ndarray]:
    """(m, R) of the law of that score, from (m_b, R_b) and (m_a, R_a): means (d,), roots R R' = S (d, d).

    Where P falls below `least` of P_b (it is no law at all below 0) it is held there: a variance grows at most
    1 / least-fold. Raises ValueError if a covariance is not of full rank.
    """
    for name, (_, root) in (("base", base), ("aux", aux)):
        if np.linalg.matrix_rank(root) < len(root):
            raise ValueError(f"{name} must have a covariance of full rank: its score has no end otherwise")
    (m_b, R), (m_a, R_a) = base, aux
    # in coordinates where the base is standard, x = m_b + R z, the precision of aux is R' S_a^-1 R
    A = np.linalg.solve(R_a, R)
    A = A.T @ A
    p, V = np.linalg.eigh((1 + w) * np.eye(len(R)) - w * A)
    p = np.maximum(p, least)
    shift = np.linalg.solve(R, m_a - m_b)
    z = V @ ((V.T @ (-w * A @ shift)) / p)
    return m_b + R @ z, R @ V / np.sqrt(p)
