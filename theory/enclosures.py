"""Which statements about confidence and OLE does one point refute, to the last bit?

    1 - xi = int_0^inf sech(pi u) (1 + rho(1/4+u^2))^{-r/2} du          (r equal rho; theory.confidence),
    the middle part by ball arithmetic, the rest as sech(pi u) <= 2 e^{-pi u}: [0, (2/pi) e^{-pi T} P(T)].

Every number is a ball that contains the true value (FLINT's acb.integral: all roundings and the truncation
are inside). A violation is one point where a statement's left side certainly exceeds its right side.

Needs python-flint (extra `certify`); a float argument stands for that exact binary number. Source: Theorems 1
and 2 of 'Stabilizing Self-Consuming Diffusion Models with Latent Space Filtering' (AAAI-26), as reported in
secondary notes; formulas and counterexamples: own derivation.
"""

from dataclasses import dataclass

from theory.checks import positive, right_angles, whole

try:
    from flint import acb, arb, ctx
except ImportError as missing:
    raise ImportError(
        "theory.certificates and theory.enclosures need python-flint: "
        "install the extra `certify`, pip install -e '.[certify]'"
    ) from missing

__all__ = [
    "Violation",
    "enclose_error",
    "enclose_multiclass",
    "enclose_violation_literal",
    "enclose_violation_multiclass",
    "enclose_violation_theorem1",
    "theorem2_shortfall",
    "order1_shortfall",
]

BITS = 64


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


def enclose_error(rho: float | arb, rank: int) -> arb:
    """A ball around 1 - xi = int_0^inf sech(pi u) (1 + rho(1/4+u^2))^{-r/2} du; relative radius below 1e-15.

    `rank` = r equal rho. A ball `rho` gives a ball that covers 1 - xi at each of its points, by monotonicity.

    Raises
    ------
    ValueError
        if `rho` is not finite or not certainly >= 0, or `rank` is not a whole number from 1
    """
    ball, r = arb(rho), int(whole("rank", rank))
    if not (ball.is_finite() and ball.lower() >= 0):
        raise ValueError(f"rho is {rho}: give a finite number that is certainly zero or more")
    with ctx.workprec(BITS):
        if ball.is_exact():
            return _error(ball, r)
        return _error(ball.upper(), r).union(_error(ball.lower(), r))


def _error(rho: arb, r: int) -> arb:
    """1 - xi at one exact rho."""
    T, scale = 20, order1_shortfall(r, rho / 2)  # 1 - xi >= scale: sets the size of what may be neglected

    def integrand(u: acb, analytic: bool) -> acb:
        return (acb.pi() * u).sech() * (1 + rho * (u * u + 0.25)).rsqrt(analytic=analytic) ** r

    inner = acb.integral(integrand, 0, T, abs_tol=scale.mid() * arb(2) ** -BITS).real
    rest = 2 / arb.pi() * (-arb.pi() * T).exp() * (1 + rho * (arb(T) ** 2 + 0.25)).rsqrt() ** r
    return inner + arb(0).union(rest)


def theorem2_shortfall(r: int, x: arb) -> arb:
    """1 - sg(r x)."""
    return 1 / (1 + (r * x).exp())


def order1_shortfall(r: int, x: arb) -> arb:
    """(1/2)(1+x)^{-r/2}."""
    return (1 + x).rsqrt() ** r / 2


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
        return _certain(Violation("xi <= sg(r sin^2 theta) / (2 s^2 (1+s^2))", xi, literal))


def enclose_multiclass(classes: int, noise: float) -> arb:
    """A ball around xi_C, the expected confidence among C = `classes` orthogonal planes (r = 2).

        xi_C = int_0^inf -F'(t) M(t)^{C-1} dt,
        F = E e^{-t L_1} = s^2 E_{1+s^2}(t),   F' = -s^2 E_{s^2}(t),
        M = E e^{-t L_0} = (1+s^2) E_{2+s^2}(t),   E_p the exponential integral.

    r = 2 makes L_1 = exp(chi^2_2/(2 s^2)) and L_0 Pareto, of exponents s^2 and 1+s^2. The ends:

        (1-F(h)) [M(h)^{C-1}, 1]   and   F(T) [0, M(T)^{C-1}],

    F and M being monotone. Radius below 1e-11 for s >= 1, up to 1e-5 at s = 0.2 (the first end). Own
    derivation.

    Raises
    ------
    ValueError
        if `classes` is not a whole number from 2, or `noise` not above zero
    """
    C = int(whole("classes", classes, 2))
    positive("noise", noise)
    with ctx.workprec(BITS):
        s_2, h, T = arb(noise) ** 2, arb(2) ** -20, arb(20)

        def M(t: acb) -> acb:
            return (1 + s_2) * t.expint(2 + s_2)

        def F(t: acb) -> acb:
            return s_2 * t.expint(1 + s_2)

        def integrand(t: acb, analytic: bool) -> acb:
            if not t.real > 0:  # E_p is cut along the negative axis
                return acb("nan")
            return s_2 * t.expint(s_2) * M(t) ** (C - 1)

        middle = acb.integral(integrand, h, T).real
        head = (1 - F(acb(h)).real) * (M(acb(h)).real ** (C - 1)).union(1)
        return head + middle + F(acb(T)).real * (M(acb(T)).real ** (C - 1)).union(0)


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
        return _certain(Violation("xi_C <= 1/(1 + (C-1) exp(-r/(2 s^2 (1+s^2))))", xi, bound))


def enclose_violation_theorem1() -> Violation:
    """C1 - C2 phi = 2 sqrt(2/pi) - sqrt 2 > 0 = E OLE at n = 1, r = 1, theta = 90 degrees, s = 0.

    Theorem 1 as reconstructed in theory.ole: C1 = 2 E|N(0,1)|, C2 phi = sqrt(2n(2n-1)) = sqrt 2; one column a
    class, the columns orthogonal: ||M||_* is the sum of their norms, so OLE = 0 exactly. Own derivation.
    """
    with ctx.workprec(BITS):
        bound = 2 * (2 / arb.pi()).sqrt() - arb(2).sqrt()
        return _certain(Violation("C1 - C2 phi(theta) <= E OLE", bound, arb(0)))


def _certain(violation: Violation) -> Violation:
    with ctx.workprec(BITS):
        if violation.excess > 0:
            return violation
    raise ArithmeticError(f"no certain violation of {violation.claim}: {violation.left}, {violation.right}")
