"""Which statements about confidence and OLE does one point refute, to the last bit?

A violation is one point where a statement's left side certainly exceeds its right side: both are balls that
contain the true value (theory.enclosures). REFUTED has one for every statement of theory.counterexamples:

    literal-theorem-2     xi against sg(r sin^2 theta)/(2 s^2 (s^2+1))
    one-sided-divergence  xi against sg(KL(P1||P0)), P1 = N(0, 1), P0 = N(0, sigma^2)
    natural-multiclass    xi_C against 1/(1 + (C-1) e^{-r/(2 s^2 (1+s^2))})
    largest-posterior     1 - Bayes error against sg(rho/2)
    theorem-1             C1 - C2 phi(theta) against E OLE                     (one line a class, s = 0)
    phi-monotone          C1 - C2 phi at a wide angle against the same at a narrower one
    theorem-1-informative 0 against C1 - C2 phi, at every angle from one on

Needs python-flint (extra `certify`); a float argument stands for that exact binary number. Source: Theorems 1
and 2 of 'Stabilizing Self-Consuming Diffusion Models with Latent Space Filtering' (AAAI-26), as reported in
secondary notes; formulas and counterexamples: own derivation.
"""

from collections.abc import Callable
from dataclasses import dataclass

from theory.checks import positive, right_angles, whole
from theory.enclosures import (
    BITS,
    arb,  # flint by way of there, where its absence is explained
    cosine,
    ctx,
    enclose_chi_mean,
    enclose_error,
    enclose_largest_posterior,
    enclose_multiclass,
    enclose_ole_rank_one,
    enclose_scale_confidence,
    theorem2_shortfall,
)

__all__ = [
    "REFUTED",
    "Violation",
    "enclose_violation_literal",
    "enclose_violation_one_sided",
    "enclose_violation_multiclass",
    "enclose_violation_largest_posterior",
    "enclose_violation_theorem1",
    "enclose_violation_phi",
    "enclose_violation_informative",
]


@dataclass(frozen=True)
class Violation:
    """Refuted: the statement `claim`, of the form left <= right, at one point."""

    claim: str
    left: arb
    right: arb

    @property
    def excess(self) -> arb:
        """left - right: above zero, certainly."""
        return self.left - self.right


def _certain(claim: str, left: arb, right: arb) -> Violation:
    violation = Violation(claim, left, right)
    with ctx.workprec(BITS):
        if violation.excess > 0:
            return violation
    raise ArithmeticError(f"no certain violation of {claim}: {left}, {right}")


def enclose_violation_literal(theta: float = 0.05, noise: float = 1.0, rank: int = 1) -> Violation:
    """xi > sg(r sin^2 theta)/(2 s^2 (1+s^2)): Theorem 2 as printed, the factor outside the sigmoid, is false.

    The right side even falls below 1/2 <= xi as s grows. Own derivation.

    Raises
    ------
    ArithmeticError
        if the point is no violation (small noise: the right side exceeds 1)
    ValueError
        if `theta` is not in [0, pi/2], `noise` not above zero, or `rank` not a whole number from 1
    """
    r = int(whole("rank", rank))
    right_angles(theta, "theta")
    positive("noise", noise)
    with ctx.workprec(BITS):
        s_2, sin_2 = arb(noise) ** 2, arb(theta).sin() ** 2
        xi = 1 - enclose_error(sin_2 / (s_2 * (1 + s_2)), r)
        literal = (1 - theorem2_shortfall(r, sin_2)) / (2 * s_2 * (1 + s_2))
        return _certain("xi <= sg(r sin^2 theta) / (2 s^2 (1+s^2))", xi, literal)


def enclose_violation_one_sided(scale: float = 1.5) -> Violation:
    """xi > sg(KL(P1||P0)), P1 = N(0, 1) and P0 = N(0, sigma^2): one divergence does not bound the confidence.

    It fails for sigma from 1 to 2.2 or so; the mean of both divergences never does (theory.counterexamples).
    Own derivation.

    Raises
    ------
    ArithmeticError
        if the point is no violation (sigma <= 1, or much wider)
    ValueError
        if `scale` is not above zero
    """
    xi = enclose_scale_confidence(scale)
    with ctx.workprec(BITS):
        sigma = arb(scale)
        divergence = (1 / sigma**2 - 1) / 2 + sigma.log()
        return _certain("xi <= sg(KL(P1||P0))", xi, 1 - theorem2_shortfall(1, divergence))


def enclose_violation_multiclass(classes: int = 3, noise: float = 2.0) -> Violation:
    """xi_C > 1/(1 + (C-1) e^{-D}), D = r/(2 s^2 (1+s^2)), r = 2: Theorem 2 does not extend to C classes so.

    D is the Kullback-Leibler divergence of two classes; C = 2 gives Theorem 2 at 90 degrees. Own derivation.

    Raises
    ------
    ArithmeticError
        if the point is no violation (C = 2: Theorem 2)
    ValueError
        as `enclose_multiclass`
    """
    xi = enclose_multiclass(classes, noise)
    with ctx.workprec(BITS):
        s_2 = arb(noise) ** 2
        bound = 1 / (1 + (int(classes) - 1) * (-1 / (s_2 * (1 + s_2))).exp())
        return _certain("xi_C <= 1/(1 + (C-1) exp(-r/(2 s^2 (1+s^2))))", xi, bound)


def enclose_violation_largest_posterior(rho: float = 0.01) -> Violation:
    """1 - Bayes error > sg(rho/2), r = 1: Theorem 2 does not bound the confidence of the decided label.

    1/2 + sqrt(rho)/(2 pi) against 1/2 + rho/8 as rho -> 0. Own derivation.

    Raises
    ------
    ArithmeticError
        if the point is no violation (rho = 0, or rho above 2 or so)
    ValueError
        if `rho` is negative or not finite
    """
    largest = enclose_largest_posterior(rho)
    with ctx.workprec(BITS):
        bound = 1 - theorem2_shortfall(1, arb(rho) / 2)
        return _certain("E max(p, 1-p) <= sg(rho/2)", largest, bound)


def _subtracted(n: int, rank: int, c: arb) -> arb:
    """C2 phi = sqrt r [sqrt(2n) sqrt(r c) + sqrt(2n(2n-1)) sqrt(1-c)], c = cos theta."""
    return (rank * 2 * n * arb(1)).sqrt() * ((rank * c).sqrt() + ((2 * n - 1) * (1 - c)).sqrt())


def enclose_violation_theorem1(n: int = 1, cos: float = 0.0) -> Violation:
    """C1 - C2 phi > E OLE, n columns on each of two lines (r = 1, s = 0): Theorem 1 as reconstructed in theory.ole.

    At n = 1 and 90 degrees 2 sqrt(2/pi) - sqrt 2 > 0 = E OLE: one column a class, the columns orthogonal, and
    ||M||_* is the sum of their norms. Own derivation.

    Raises
    ------
    ArithmeticError
        if the point is no violation (every n >= 2)
    ValueError
        if `n` is not a whole number from 1, or `cos` is not in [0, 1]
    """
    ole = enclose_ole_rank_one(n, cos)
    with ctx.workprec(BITS):
        bound = 2 * enclose_chi_mean(n) - _subtracted(int(n), 1, cosine(cos))
        return _certain("C1 - C2 phi(theta) <= E OLE", bound, ole)


def enclose_violation_phi(n: int = 1, rank: int = 1, wide: float = 0.0, narrow: float = 0.5) -> Violation:
    """C1 - C2 phi is larger at the wide angle of cosine `wide` than at the narrower one of cosine `narrow`.

    So the bound of Theorem 1 does not rise as the subspaces align: phi falls with the angle only where
    cos theta >= l/(l+2n-1). C1 falls out: compared are -C2 phi. Own derivation.

    Raises
    ------
    ArithmeticError
        if the points are no violation (both within that range)
    ValueError
        if `n` or `rank` is not a whole number from 1, a cosine not in [0, 1], or wide >= narrow
    """
    N, r = int(whole("n", n)), int(whole("rank", rank))
    c_wide, c_narrow = cosine(wide), cosine(narrow)
    if wide >= narrow:
        raise ValueError(f"wide is {wide} but narrow {narrow}: the wider angle has the smaller cosine")
    with ctx.workprec(BITS):
        left, right = (-_subtracted(N, r, c) for c in (c_wide, c_narrow))
        return _certain("C1 - C2 phi(wide) <= C1 - C2 phi(narrow)", left, right)


def white_norm_above(n: int, rank: int) -> arb:
    """E||G_{r x n}||_* <= p sqrt N min(1, 1 - (p+1)/(8N) + (p^2+3p+4)/(16N^2)), p = min(r, n), N = max(r, n).

    sqrt(1+y) <= 1 + y/2 - y^2/8 + y^3/16 for y >= -1 (the fourth derivative is negative), at the eigenvalues 1 + y
    of G G^T/N, and the moments of a Wishart matrix: E tr y = 0, E tr y^2 = p(p+1)/N, E tr y^3 = p(p^2+3p+4)/N^2;
    or 1, by Jensen. Own derivation.
    """
    p, N = min(n, rank), arb(max(n, rank))
    with ctx.workprec(BITS):
        share = 1 - (p + 1) / (8 * N) + (p**2 + 3 * p + 4) / (16 * N**2)
        return p * N.sqrt() * share.min(1)


def enclose_violation_informative(n: int = 100, rank: int = 4, theta: float = 0.0873) -> Violation:
    """0 > C1 - C2 phi at EVERY angle from theta to 90 degrees: there Theorem 1 says less than OLE >= 0.

    `right` has the greatest value on its upper side: C1 = 2 E||G_{r x n}||_* from above, and phi, concave in the
    cosine, is least at one of the two ends. From 4.69 degrees at r = 4, 7.28 at r = 10 (n = 100). Own derivation.

    Raises
    ------
    ArithmeticError
        if not certain (a narrower angle, or n so small that the bound is above zero at 90 degrees)
    ValueError
        if `n` or `rank` is not a whole number from 1, or `theta` not in [0, pi/2]
    """
    N, r = int(whole("n", n)), int(whole("rank", rank))
    right_angles(theta, "theta")
    with ctx.workprec(BITS):
        ends = (_subtracted(N, r, c) for c in (arb(theta).cos().max(0), arb(0)))
        highest = 2 * white_norm_above(N, r) - min(ends, key=lambda ball: ball.lower())
        return _certain("0 <= C1 - C2 phi(theta)", arb(0), highest)


REFUTED: dict[str, Callable[[], Violation]] = {
    "literal-theorem-2": enclose_violation_literal,
    "one-sided-divergence": enclose_violation_one_sided,
    "natural-multiclass": enclose_violation_multiclass,
    "largest-posterior": enclose_violation_largest_posterior,
    "theorem-1": enclose_violation_theorem1,
    "phi-monotone": enclose_violation_phi,
    "theorem-1-informative": enclose_violation_informative,
}
"""By id of theory.counterexamples: the violation at the point named there."""
