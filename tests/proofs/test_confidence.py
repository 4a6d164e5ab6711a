"""Exact confidence, its expansions and its bounds (theory.confidence, theory.counterexamples), proved step by step.

Notation: P(u) = prod (1 + rho_i(1/4+u^2))^{-1/2}, the transform of the even g in p1 = e^{z/2} g; U ~ sech(pi u) du.
"""

import pytest
import sympy as sy

from tests.proofs.symbolic import is_zero, refuted

z, u, rho, r, b = sy.symbols("z u rho r b", positive=True)
HALF, QUARTER = sy.Rational(1, 2), sy.Rational(1, 4)


def sech_moment(n):
    """E U^n from E e^{xU} = sec(x/2)."""
    return 0 if n % 2 else sy.Abs(sy.euler(n)) / 2**n


def mean(polynomial):
    """E of a polynomial in u."""
    return sum(c * sech_moment(n) for (n,), c in sy.Poly(polynomial, u).terms())


def test_confidence_is_an_integral_against_sech():
    """E_1 sg(Z) = 1 - int g(z)/(2 cosh(z/2)) dz: 1 - sg(z) = sg(-z), and e^{z/2} sg(-z) = 1/(2 cosh(z/2))."""
    short = sy.exp(z / 2) / (1 + sy.exp(z))
    assert is_zero((short - 1 / (2 * sy.cosh(z / 2))).rewrite(sy.exp))
    wrong = sy.exp(z / 2) / (1 + sy.exp(-z))
    assert refuted(wrong - 1 / (2 * sy.cosh(z / 2)))


def test_transform_of_sech_by_residues():
    """int e^{iuz}/(2 cosh(z/2)) dz = pi sech(pi u); so xi = 1 - int_0^inf sech(pi u) P(u) du (Parseval).

    1. f(z) = e^{iuz}/(2 cosh(z/2)) has f(z + 2 pi i) = -e^{-2 pi u} f(z), one pole in the strip, at pi i.
    2. Round the strip (1 + e^{-2 pi u}) F = 2 pi i Res: solve for F.
    3. Parseval: int g/(2 cosh) dz = (1/2 pi) int P pi sech(pi u) du over the line = int_0^inf sech(pi u) P du.
    """
    f = sy.exp(sy.I * u * z) / (2 * sy.cosh(z / 2))
    shifted = f.subs(z, z + 2 * sy.pi * sy.I)
    assert is_zero((shifted + sy.exp(-2 * sy.pi * u) * f).rewrite(sy.exp))
    assert refuted(shifted - sy.exp(-2 * sy.pi * u) * f)
    pole = {z: sy.pi * sy.I}
    assert sy.cosh(z / 2).subs(pole) == 0
    residue = sy.exp(sy.I * u * z).subs(pole) / sy.diff(2 * sy.cosh(z / 2), z).subs(pole)
    F = 2 * sy.pi * sy.I * residue / (1 + sy.exp(-2 * sy.pi * u))
    assert is_zero((F - sy.pi * sy.sech(sy.pi * u)).rewrite(sy.exp))
    assert refuted(F - sy.pi * sy.sech(sy.pi * u / 2))


def test_bayes_error_is_an_integral_over_a_quarter_circle():
    """error = int_0^inf e^{-z/2} g dz = (1/pi) int_0^{pi/2} P((tan p)/2) dp.

    1. int_0^inf e^{-z/2} cos(uz) dz = (1/2)/(1/4+u^2): an antiderivative, zero at infinity.
    2. g(z) = (1/pi) int_0^inf P cos(uz) du; u = (tan p)/2 makes (1/2)/(1/4+u^2) du = dp.
    """
    wave = sy.exp(-z / 2) * sy.cos(u * z)
    primitive = sy.exp(-z / 2) * (u * sy.sin(u * z) - sy.cos(u * z) / 2) / (QUARTER + u**2)
    assert is_zero(sy.diff(primitive, z) - wave)
    assert is_zero(-primitive.subs(z, 0) - HALF / (QUARTER + u**2))
    p = sy.Symbol("p", positive=True)
    at = sy.tan(p) / 2
    assert is_zero(HALF / (QUARTER + at**2) * sy.diff(at, p) - 1)
    assert refuted(HALF / (QUARTER + at**2) * sy.diff(at, p) - HALF)


def test_bayes_error_of_one_angle():
    """r = 1: arctan(2/sqrt rho)/pi.

    1. (1 + rho/(4 cos^2 p))^{-1/2} = cos p/sqrt(1 + rho/4 - sin^2 p), an arcsine's derivative in p.
    2. At pi/2 it is arcsin(1/sqrt(1+rho/4)), whose tangent is 2/sqrt rho.
    """
    p, c = sy.symbols("p c", positive=True)
    assert is_zero(1 / (1 + rho / (4 * c**2)) - c**2 / (c**2 + rho / 4))
    slope = sy.diff(sy.asin(sy.sin(p) / sy.sqrt(1 + rho / 4)), p)
    squared = sy.cos(p) ** 2 / (1 + rho / 4 - sy.sin(p) ** 2)
    assert is_zero(slope**2 - squared)
    sine = 1 / sy.sqrt(1 + rho / 4)
    assert is_zero(sine**2 / (1 - sine**2) - 4 / rho)
    assert refuted(sine**2 / (1 - sine**2) - 1 / rho)


@pytest.mark.parametrize("k", range(7))
def test_moments_of_sech_are_euler_numbers(k):
    """E U^{2k} = |E_{2k}|/4^k: 1, 1/4, 5/16, 61/64, ...; from E e^{ixU} = sech(x/2), the residue step at scale pi.

    sec(x/2) cos(x/2) = 1 determines the even moments one by one: every coefficient but the first vanishes.
    """
    x = sy.Symbol("x")
    series = sum(sech_moment(2 * j) * x ** (2 * j) / sy.factorial(2 * j) for j in range(k + 1))
    cosine = sum((-1) ** j * (x / 2) ** (2 * j) / sy.factorial(2 * j) for j in range(k + 1))
    assert sy.Poly(series * cosine, x).coeff_monomial(x ** (2 * k)) == (k == 0)
    wrong = sum(sy.Abs(sy.euler(2 * j)) * x ** (2 * j) / sy.factorial(2 * j) for j in range(k + 1))
    assert k == 0 or sy.Poly(wrong * cosine, x).coeff_monomial(x ** (2 * k)) != 0


def test_total_mass_of_sech():
    """int sech(pi u) du = 1: the antiderivative arctan(sinh(pi u))/pi runs from -1/2 to 1/2."""
    primitive = sy.atan(sy.sinh(sy.pi * u)) / sy.pi
    assert is_zero(sy.simplify(sy.diff(primitive, u) - 1 / sy.cosh(sy.pi * u)))
    assert sy.limit(primitive, u, sy.oo) == HALF


def test_gauss_recurrence_in_general():
    """The monic orthogonal polynomials of U obey p_{n+1} = u p_n - (n^2/4) p_{n-1}, for every n.

    1. Then G(t) = sum p_n t^n/n! solves (1 + t^2/4) G' = (u - t/4) G: G = (1+t^2/4)^{-1/2} exp(2u arctan(t/2)).
       (n^2 p_{n-1} t^n/n! sums to t (tG)'.)
    2. E e^{xU} = sec(x/2), and cos(arctan(t/2) + arctan(v/2)) = (1 - tv/4)/sqrt((1+t^2/4)(1+v^2/4)).
    3. So E G(t)G(v) = 1/(1 - tv/4), a series in tv: E p_n p_m = 0 (n != m), E p_n^2 = n!^2/4^n, beta_n = n^2/4.
    """
    t, v = sy.symbols("t v", positive=True)
    G = (1 + t**2 / 4) ** -HALF * sy.exp(2 * u * sy.atan(t / 2))
    assert is_zero((sy.diff(G, t) - u * G + QUARTER * t * sy.diff(t * G, t)) / G)
    assert refuted((sy.diff(G, t) - u * G + HALF * t * sy.diff(t * G, t)) / G)
    angles = sy.expand_trig(sy.cos(sy.atan(t / 2) + sy.atan(v / 2)))
    roots = (1 + t**2 / 4) ** -HALF * (1 + v**2 / 4) ** -HALF
    assert is_zero(angles / roots - (1 - t * v / 4))
    n = sy.Symbol("n", positive=True, integer=True)
    norm = sy.factorial(n) ** 2 / 4**n
    assert sy.combsimp(norm / norm.subs(n, n - 1)) == n**2 / 4


def test_gauss_recurrence_from_hankel_determinants():
    """beta_k = D_{k+1} D_{k-1}/D_k^2, D_k the Hankel determinant of order k of the moments: k^2/4 for k up to 6."""
    D = [sy.Integer(1)] + [sy.Matrix(k, k, lambda i, j: sech_moment(i + j)).det() for k in range(1, 8)]
    betas = [D[k + 1] * D[k - 1] / D[k] ** 2 for k in range(1, 7)]
    assert betas == [sy.Integer(k) ** 2 / 4 for k in range(1, 7)]
    assert betas != [sy.Integer(k) ** 2 for k in range(1, 7)]


def test_small_rho_expansion():
    """xi = 1/2 + r rho/8 - r(r+2) rho^2/32 + 5 r(r+2)(r+4) rho^3/384 + O(rho^4), r equal angles.

    xi = 1 - E(1 + rho W)^{-r/2}/2, W = 1/4 + U^2: the binomial series, with E W, E W^2, E W^3 = 1/2, 1/2, 5/4 from
    the moments of U.
    """
    W = [mean((QUARTER + u**2) ** k) for k in range(4)]
    assert all(
        is_zero(found - value) for found, value in zip(W, (1, HALF, HALF, sy.Rational(5, 4)), strict=True)
    )
    series = sum(sy.ff(-r / 2, k) / sy.factorial(k) * rho**k * W[k] for k in range(4))
    stated = HALF + r * rho / 8 - r * (r + 2) * rho**2 / 32 + 5 * r * (r + 2) * (r + 4) * rho**3 / 384
    assert is_zero(sy.expand_func(1 - series / 2) - stated)
    assert refuted(sy.expand_func(1 - series / 2) - stated.subs(r, r + 1))


def test_large_rho_law():
    """1 - xi ~ a_r rho^{-r/2}, a_r = (1/2) E(1/4+U^2)^{-r/2}; a_2 = 2 log 2, a_4 = 4 log 2 + pi^2/6.

    1. rho^{r/2} (1 + rho w)^{-r/2} = (w + 1/rho)^{-r/2} increases to w^{-r/2} (monotone convergence).
    2. w^{-1}, w^{-2} at w = 1/4 + u^2 are the transforms of e^{-|z|/2}, 2(1+|z|/2)e^{-|z|/2} (test_log_odds, b -> 1/2).
       Against 1/cosh(z/2) over z > 0 their integrals are 2 log 2, by an antiderivative, and
       4 log 2 + 2 eta(2), the series sum (-1)^{n-1} n^{-2} = pi^2/12 integrated term by term.
    """
    w = sy.Symbol("w", positive=True)
    assert is_zero(sy.diff((w + 1 / rho) ** (-r / 2), rho) - r / (2 * rho**2) * (w + 1 / rho) ** (-r / 2 - 1))
    primitive = -2 * sy.log(1 + sy.exp(-z))
    weight = sy.exp(-z / 2) / sy.cosh(z / 2)
    assert is_zero((sy.diff(primitive, z) - weight).rewrite(sy.exp))
    assert refuted(sy.diff(primitive, z) - weight / 2)
    assert sy.limit(primitive, z, sy.oo) - primitive.subs(z, 0) == 2 * sy.log(2)
    n = sy.Symbol("n", positive=True, integer=True)
    term = -sy.exp(-n * z) * (z / n + 1 / n**2)  # of z e^{-nz}
    assert is_zero(sy.diff(term, z) - z * sy.exp(-n * z))
    assert -term.subs(z, 0) == 1 / n**2
    assert 2 * sy.dirichlet_eta(2) == sy.pi**2 / 6


def test_complete_monotonicity():
    """f(v) = (1 + rho(1/4+v))^{-1/2} has (-1)^k f^(k) = (1/2)_k rho^k (1 + rho(1/4+v))^{-1/2-k} > 0, every k.

    By induction: the derivative of the k-th is minus the (k+1)-th. Leibniz gives every product of such factors the
    same signs, so P is completely monotone in v = u^2.
    """
    v, k = sy.symbols("v k", positive=True)

    def derivative(k):
        return sy.gamma(HALF + k) / sy.gamma(HALF) * rho**k * (1 + rho * (QUARTER + v)) ** (-HALF - k)

    slope, following = (
        sy.gammasimp(f / derivative(k)) for f in (sy.diff(derivative(k), v), derivative(k + 1))
    )
    assert is_zero(sy.expand_func(slope + following))
    assert refuted(slope - following)
    assert derivative(0) == (1 + rho * (QUARTER + v)) ** -HALF


def test_sign_of_the_gauss_errors():
    """m nodes in v = u^2: Gauss errs by f^(2m)(c)/(2m)! h, Gauss-Radau (node 0) by f^(2m-1)(c)/(2m-1)! h', h, h' > 0.

    h = E p_{2m}^2 and h' = E p_{2m-1}^2, p_n the polynomials in u (the nodes are their squared roots, as they
    should be for 2m and 2m - 1 symmetric nodes). With the signs above: E P above every Gauss value, below every
    Radau value, so xi <= the former's bound, >= the latter's. Here: exact up to degree 2m - 1 (2m - 2), then off by h.
    """
    for nodes in range(1, 7):
        exact, h = [0] * nodes, rule_errors(nodes, QUARTER)
        assert h[:-1] == exact
        assert h[-1] > 0
        assert nodes < 2 or rule_errors(nodes, HALF)[:-1] != exact  # other nodes are no Gauss rule
    assert sy.solve(polynomials(2, QUARTER)[2], u) == [HALF]  # order 1: P(1/2) and, at the node 0, P(0)


def polynomials(n, beta):
    """p_0 ... p_n by p_{k+1} = u p_k - beta k^2 p_{k-1}."""
    p = [sy.Integer(1), u]
    for k in range(1, n):
        p.append(sy.expand(u * p[k] - beta * k**2 * p[k - 1]))
    return p


def rule_errors(nodes, beta):
    """E u^j less the rule on the roots of p_nodes, j = 0, 2 ... 2 nodes: a rule is exact on remainders."""
    p = polynomials(nodes, beta)[nodes]
    return [mean(u**j - sy.rem(u**j, p, u)) for j in range(0, 2 * nodes + 1, 2)]


def test_theorem2_follows_from_order_one():
    """1 - prod(1+rho_i/2)^{-1/2}/2 <= sg(sum rho_i/2), Theorem 2's bound.

    1. With S = sum rho_i/2 it says 2 prod sqrt(1+rho_i/2) <= 1 + e^S.
    2. 1 + x <= e^x: x - log(1+x) is 0 at 0 and has the slope x/(1+x). So the left side is at most 2 e^{S/2}.
    3. 1 + e^S - 2 e^{S/2} = (e^{S/2} - 1)^2. Equality only at rho = 0.
    """
    S, y, x = sy.symbols("S y x", positive=True)
    gap = (1 - 1 / (2 * y)) - 1 / (1 + sy.exp(-S))  # y for the product of the roots
    assert is_zero(gap - (2 * y - 1 - sy.exp(S)) / (2 * y * (1 + sy.exp(S))))
    assert refuted(gap - (y - 1 - sy.exp(S)) / (2 * y * (1 + sy.exp(S))))
    assert is_zero(sy.diff(x - sy.log(1 + x), x) - x / (1 + x))
    assert (x - sy.log(1 + x)).subs(x, 0) == 0
    assert is_zero(1 + sy.exp(S) - 2 * sy.exp(S / 2) - (sy.exp(S / 2) - 1) ** 2)


def test_universal_bound():
    """Any densities: xi <= sg(mean of both divergences). Y = tanh^2(Z/2) under the mixture:

    1. xi = (1 + E Y)/2: a pair of posteriors p, 1-p has p^2 + (1-p)^2 = (1 + tanh^2)/2.
    2. The mean divergence is E psi(Y): (p - (1-p)) log(p/(1-p)) = tanh(Z/2) Z, psi(y) = 2 sqrt y artanh sqrt y.
    3. psi = 2 sum y^k/(2k-1): coefficients > 0, convex; and term by term at least 2 artanh y = 2 sum y^{2k-1}/(2k-1),
       0 <= y <= 1. Both series are sum x^{2k-2} = 1/(1-x^2) = artanh' x, integrated.
    4. 2 artanh(E Y) = logit xi.
    """
    p = 1 / (1 + sy.exp(-z))
    assert is_zero((p**2 + (1 - p) ** 2 - (1 + sy.tanh(z / 2) ** 2) / 2).rewrite(sy.exp))
    assert is_zero((2 * p - 1 - sy.tanh(z / 2)).rewrite(sy.exp))
    y, k = sy.symbols("y k", positive=True)
    series = sy.series(2 * y * sy.atanh(y), y, 0, 12).removeO().subs(y, sy.sqrt(y))
    for j in range(1, 6):
        assert sy.expand(series).coeff(y, j) == sy.Rational(2, 2 * j - 1) != sy.Rational(2, 2 * j + 1)
    assert is_zero(sy.diff(sy.atanh(y), y) - 1 / (1 - y**2))
    assert is_zero(sy.diff(y ** (2 * k - 1) / (2 * k - 1), y) - y ** (2 * k - 2))
    logit = sy.log((1 + y) / (1 - y))
    assert is_zero(sy.diff(logit - 2 * sy.atanh(y), y))
    assert (logit - 2 * sy.atanh(y)).subs(y, 0) == 0
