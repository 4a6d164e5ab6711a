"""Within which balls do confidence and OLE certainly lie?

    1 - xi = int_0^inf sech(pi u) (1 + rho(1/4+u^2))^{-r/2} du          (r equal rho; theory.confidence),
    the middle part by ball arithmetic, the rest as sech(pi u) <= 2 e^{-pi u}: [0, (2/pi) e^{-pi T} P(T)].

The same way, an integral and a rigorous rest: the confidence of N(0, 1) against N(0, scale^2), that among C
orthogonal planes; E OLE of two lines without noise, and the largest posterior of two lines, need no rest.
Every number is a ball that contains the true value (FLINT's acb.integral: all roundings and the truncation
are inside).

Needs python-flint (extra `certify`); a float argument stands for that exact binary number. Source: own
derivation.
"""

from theory.checks import non_negative, positive, whole

try:
    from flint import acb, arb, ctx
except ImportError as missing:
    raise ImportError(
        "theory.certificates, theory.enclosures and theory.refutations need python-flint: "
        "install the extra `certify`, pip install -e '.[certify]'"
    ) from missing

__all__ = [
    "enclose_error",
    "enclose_multiclass",
    "enclose_scale_confidence",
    "enclose_largest_posterior",
    "enclose_ole_rank_one",
    "theorem2_shortfall",
    "order1_shortfall",
]

BITS = 64


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


def enclose_scale_confidence(scale: float) -> arb:
    """A ball around xi = E_1 sg(log sigma - (1 - 1/sigma^2) x^2/2), N(0, 1) against N(0, sigma^2), sigma = `scale`.

    2 int_0^T of the even integrand, and beyond it [0, P(|x| > T)] = [0, erfc(T/sqrt 2)], as 0 <= sg <= 1.
    Radius below 1e-15. Own derivation.

    Raises
    ------
    ValueError
        if `scale` is not above zero
    """
    positive("scale", scale)
    with ctx.workprec(BITS):
        sigma, T = arb(scale), arb(10)
        log_sigma, half = sigma.log(), (1 - 1 / sigma**2) / 2

        def integrand(x: acb, analytic: bool) -> acb:
            return (-x * x / 2).exp() / (1 + (half * x * x - log_sigma).exp())

        inner = acb.integral(integrand, 0, T).real * (2 / arb.pi()).sqrt()
        return inner + arb(0).union((T / arb(2).sqrt()).erfc())


def enclose_largest_posterior(rho: float) -> arb:
    """A ball around E max(p, 1-p) = 1 - Bayes error = 1/2 + arctan(sqrt(rho)/2)/pi of two lines (r = 1).

    ValueError if `rho` is negative or not finite. Own derivation (theory.confidence.bayes_error at r = 1).
    """
    non_negative("rho", rho)
    with ctx.workprec(BITS):
        return arb(0.5) + (arb(rho).sqrt() / 2).atan() / arb.pi()


def enclose_chi_mean(degrees: int) -> arb:
    """A ball around E chi_m = sqrt 2 Gamma((m+1)/2)/Gamma(m/2), m = `degrees`."""
    m = arb(int(whole("degrees", degrees)))
    with ctx.workprec(BITS):
        return arb(2).sqrt() * ((m + 1) / 2).gamma() / (m / 2).gamma()


def enclose_ole_rank_one(n: int, cos: float) -> arb:
    """A ball around E OLE of n columns a class on two lines without noise, `cos` the cosine of their angle.

        2 E chi_n - E chi_2n int_0^pi sin^{n-1} p sqrt(1 + sin(theta) sin p) dp / int_0^pi sin^{n-1} p dp

    (theory.ole.exact_ole_rank_one). The cosine, not the angle: 90 degrees is no float, its cosine is. Own
    derivation.

    Raises
    ------
    ValueError
        if `n` is not a whole number from 1, or `cos` is not in [0, 1]
    """
    count, c = int(whole("n", n)), cosine(cos)
    with ctx.workprec(BITS):
        sin = (1 - c**2).sqrt()

        def both(p: acb, analytic: bool) -> acb:
            return p.sin() ** (count - 1) * (1 + sin * p.sin()).sqrt(analytic=analytic)

        def weight(p: acb, analytic: bool) -> acb:
            return p.sin() ** (count - 1)

        share = acb.integral(both, 0, arb.pi()).real / acb.integral(weight, 0, arb.pi()).real
        return 2 * enclose_chi_mean(count) - enclose_chi_mean(2 * count) * share


def cosine(cos: float) -> arb:
    """An exact ball; ValueError unless 0 <= cos <= 1."""
    if not 0 <= cos <= 1:
        raise ValueError(f"cos is {cos}: give the cosine of an angle within [0, 90] degrees")
    return arb(cos)
