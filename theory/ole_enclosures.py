"""How wrong is the deterministic equivalent of E OLE, and how wrong its first correction, certainly? r = 1, s = 0.

    E OLE = 2 E chi_n - E chi_{2n} int_0^inf sech^n t sqrt(1 + sin theta sech t) dt / int_0^inf sech^n t dt
(theory.ole.exact_ole_rank_one), and for two rows of white noise, rho = 2 sqrt det/tr ~ Beta(n-1, 1) independent of tr ~
chi^2_{2n} (4 det ~ (chi^2_{2n-2})^2, so E rho^x = (n-1)/(n-1+x)):
    E||G_{2 x n}||_* = E sqrt(tr + 2 sqrt det) = E chi_{2n} (n-1) int_0^1 rho^{n-2} sqrt(1 + rho) d rho.
D and delta of theory.nuclear_norm and theory.finite_size in y, k = (y/(1-y))^2, with Q_j = h_j (1-y)^2 + y^2:
    D = (4/pi) int_0^1 y^2 sqrt(N - p + y^2 sum 1/Q_j) sum h_j/Q_j^2 dy,
    delta = (1/2 pi) int_0^1 (N - df_2) log(1 - df_2/N)(1 - g) / (sqrt(N - df) (1-y)^2) dy.

Every number is a ball that contains the true value; p <= N eigenvalues h_j only. Needs python-flint (extra `certify`).
Source: own derivation.
"""

from collections.abc import Callable
from typing import Any

from theory.checks import whole
from theory.enclosures import acb, arb, ctx

__all__ = ["enclose_chi_mean", "enclose_correction", "enclose_equivalent", "enclose_ole", "enclose_white_two"]

BITS = 96
_END = 22  # the ends of delta's integral, y > 1 - 2^-22 (and y < 2^-22 where N = p), are bounded by hand


def _integral(f: Callable[[acb, bool], acb], low: Any, high: Any) -> arb:
    """int f, asked for to 15 digits; the ball says what it got."""
    return acb.integral(f, low, high, rel_tol=arb(2) ** -50, abs_tol=arb(2) ** -50).real


def enclose_chi_mean(degrees: int) -> arb:
    """E chi_m = sqrt2 Gamma((m+1)/2)/Gamma(m/2)."""
    m = arb(int(whole("degrees", degrees)))
    with ctx.workprec(BITS):
        return arb(2).sqrt() * (((m + 1) / 2).lgamma() - (m / 2).lgamma()).exp()


def enclose_ole(n: int, sine: arb) -> arb:
    """E OLE at r = 1, s = 0, sin theta = `sine`; the integral beyond T by sech t <= 2 e^{-t}.

    Raises
    ------
    ValueError
        if `n` is not a whole number from 1
    """
    N = int(whole("n", n))
    with ctx.workprec(BITS):
        T = arb(70) / N + 1

        def integrand(t: acb, analytic: bool) -> acb:
            sech = t.sech()
            return sech**N * (1 + sine * sech).sqrt(analytic=analytic)

        rest = (arb(2).log() * N - N * T).exp() * arb(2).sqrt() / N
        top = _integral(integrand, 0, T) + arb(0).union(rest)
        bottom = (arb.pi().log() / 2 + (arb(N) / 2).lgamma() - (arb(N + 1) / 2).lgamma()).exp() / 2
        return 2 * enclose_chi_mean(N) - enclose_chi_mean(2 * N) * top / bottom


def enclose_white_two(n: int) -> arb:
    """E||G_{2 x n}||_*, exact. Errors of `enclose_ole`."""
    N = int(whole("n", n))
    with ctx.workprec(BITS):
        if N == 1:
            return enclose_chi_mean(2)

        def integrand(rho: acb, analytic: bool) -> acb:
            return rho ** (N - 2) * (1 + rho).sqrt(analytic=analytic)

        return enclose_chi_mean(2 * N) * (N - 1) * _integral(integrand, 0, 1)


def enclose_equivalent(eigenvalues: tuple[arb, ...], n: int) -> arb:
    """D for p eigenvalues > 0 and n >= p columns.

    Raises
    ------
    ValueError
        if there are more eigenvalues than columns
    """
    h, N = eigenvalues, _enough(eigenvalues, n)

    def integrand(y: acb, analytic: bool) -> acb:
        Q, y_2 = _Q(h, y), y * y
        slope = sum((x / q**2 for x, q in zip(h, Q, strict=True)), acb(0))
        if len(h) == N:
            return y * y_2 * sum((1 / q for q in Q), acb(0)).sqrt(analytic=analytic) * slope
        return y_2 * (N - len(h) + y_2 * sum((1 / q for q in Q), acb(0))).sqrt(analytic=analytic) * slope

    with ctx.workprec(BITS):
        return 4 / arb.pi() * _integral(integrand, 0, 1)


def enclose_correction(eigenvalues: tuple[arb, ...], n: int, sine: arb | None = None) -> arb:
    """delta, eigenvalues <= 1; for two classes (n counts both) those of their mean, and sin theta. Errors as above."""
    h, N = eigenvalues, _enough(eigenvalues, n)
    sin_2 = arb(0) if sine is None else sine**2
    full = len(h) == N

    def integrand(y: acb, analytic: bool) -> acb:
        Q, y_2, x_2 = _Q(h, y), y * y, (1 - y) ** 2
        A = sum(((2 * x * x_2 + y_2) / q**2 for x, q in zip(h, Q, strict=True)), acb(0))
        B = sum((1 / q for q in Q), acb(0))
        slope = N - len(h) + y_2 * A  # N - df_2, without cancellation at y = 0
        root = y * B.sqrt(analytic=analytic) if full else (N - len(h) + y_2 * B).sqrt(analytic=analytic)
        inside = slope / N  # (1 - df_2/N)(1 - g); two eigenvalues have 4 h_1 h_2 = sin^2, h_1 + h_2 = 1
        if full and not sin_2.is_zero():
            inside = inside * y_2 * (x_2 + y_2) / (Q[0] * Q[1])
        elif not sin_2.is_zero():
            inside = inside * (1 - sin_2 * x_2**2 / (2 * N * Q[0] * Q[1]))
        gap = inside.log(analytic=analytic)
        return slope * gap / (root * x_2)

    with ctx.workprec(BITS):
        end = arb(2) ** -_END
        # y > 1 - end: df_2/N and g below 2 (1-y)^4, |log(1-z)| <= 2z
        last = arb(0).union(-16 * (len(h) ** 2 + sin_2) * N * end**3)
        if not full:
            return (_integral(integrand, 0, 1 - end) + last) / (2 * arb.pi())
        return (_integral(integrand, end, 1 - end) + _start(h, sin_2, end) + last) / (2 * arb.pi())


def _start(h: tuple[arb, ...], sin_2: arb, end: arb) -> arb:
    """int_0^end of the same for N = p, with x = y/(1-y), k = x^2: logarithms of k appear.

    N - df_2 = k A, N - df = k B, 1 - g = k C, with A = sum (2h+k)/(h+k)^2, B = sum 1/(h+k) and C = (1+k)/prod(h+k),
    all falling in k; h_1 + h_2 = 1.
    """
    x = end / (1 - end)
    k = arb(0).union(x**2)
    A, B = sum(((2 * y + k) / (y + k) ** 2 for y in h), arb(0)), sum((1 / (y + k) for y in h), arb(0))
    rest = (A / len(h)).log()
    if not sin_2.is_zero():
        rest += ((1 + k) / ((h[0] + k) * (h[1] + k))).log()
    logs = 2 if sin_2.is_zero() else 4
    return A / B.sqrt() * x**2 / 2 * (logs * (x.log() - 0.5) + rest)


def _Q(h: tuple[arb, ...], y: acb) -> list[acb]:
    return [x * (1 - y) ** 2 + y * y for x in h]


def _enough(h: tuple[arb, ...], n: int) -> int:
    N = int(whole("n", n))
    if len(h) > N:
        raise ValueError(f"n is {N} but there are {len(h)} eigenvalues: give at least as many columns")
    return N
