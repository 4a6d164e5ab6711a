"""What keeping a part of the pool does (theory.selection), proved step by step."""

import sympy as sy

from tests.proofs.symbolic import flat, is_zero, refuted

tau, c, y, t, p, s, r, x, g = sy.symbols("tau c y t p s r x g", positive=True)


def test_weighted_chi_square_has_two_more_degrees():
    """E a f(a) = r E f(a'), a ~ chi^2_r, a' ~ chi^2_{r+2}: y times the density of r is r times that of r + 2.

    So kept second moments are P(Z' > t)/q, with the one chi^2_r replaced (the whitened mean of a/r over the kept).
    """

    def density(r):
        return y ** (r / 2 - 1) * sy.exp(-y / 2) / (2 ** (r / 2) * sy.gamma(r / 2))

    ratio = sy.gammasimp(sy.powsimp(y * density(r) / density(r + 2)))
    assert is_zero(sy.expand_func(ratio) - r)
    assert refuted(sy.expand_func(ratio) - (r + 2))


def test_eigenvalues_at_right_angles():
    """rho = 1/(s^2(1+s^2)): l_A = 1/s^2, |l_B| = 1/(1+s^2), c = s^2/(1+s^2); roots of l^2 - rho l - rho."""
    rho = 1 / (s**2 * (1 + s**2))
    for value in (1 / s**2, -1 / (1 + s**2)):
        assert is_zero(value**2 - rho * value - rho)
    assert refuted((1 / s**2) ** 2 - rho / s**2 + rho)
    assert is_zero(1 / (1 + s**2) / (1 / s**2) - s**2 / (1 + s**2))
    assert is_zero(1 / (1 + s**2 / (1 + s**2)) - (1 + s**2) / (1 + 2 * s**2))


def test_kept_moments_for_rank_two():
    """r = 2, q <= 1/(1+c): m_B = 1/(1+c) and m_A = 1 + ln(1/q) - ln(1+c) + c/(1+c), exactly.

    1. a/2 and b/2 are exponential, kept if a/2 > tau + c b/2, tau >= 0: given y = b/2 with probability e^{-tau-cy} and
       mean a/2 of 1 + tau + cy.
    2. int_0^inf e^{-(1+c)y} (1, y) dy = 1/(1+c), 1/(1+c)^2, by antiderivatives.
    3. q = e^{-tau}/(1+c) gives tau.
    """
    k = 1 + c
    for power, primitive in ((0, -sy.exp(-k * y) / k), (1, -sy.exp(-k * y) * (y / k + 1 / k**2))):
        assert is_zero(sy.expand(sy.diff(primitive, y) - y**power * sy.exp(-k * y)))
        assert is_zero(-primitive.subs(y, 0) - 1 / k ** (1 + power))
    q = sy.exp(-tau) / k
    own = sy.exp(-tau) * ((1 + tau) / k + c / k**2) / q
    other = sy.exp(-tau) / k**2 / q
    assert is_zero(flat(-sy.log(q)) - tau - sy.log(k))
    assert is_zero(own - (1 + flat(-sy.log(q)) - sy.log(k) + c / k))
    assert is_zero(other - 1 / k)
    assert refuted(own - (1 + flat(-sy.log(q))))  # the limit c -> 0


def test_runaway_recursion():
    """r = 2, s -> 0: a block of variance p keeps the share e^{-t/p} and, per point drawn, the moment e^{-t/p}(t + p).

    -e^{-y/p}(y + p) is the antiderivative of y e^{-y/p}/p: half the energy, of mean p, times its density.
    """
    share, moment = -sy.exp(-y / p), -sy.exp(-y / p) * (y + p)
    assert is_zero(sy.diff(share, y) - sy.exp(-y / p) / p)
    assert is_zero(sy.diff(moment, y) - y * sy.exp(-y / p) / p)
    assert refuted(sy.diff(-sy.exp(-y / p) * y, y) - y * sy.exp(-y / p) / p)
    assert sy.limit(moment.subs(p, 1), y, sy.oo) == 0


def test_runaway_growth():
    """In the end p_i = p g^{-i} and t = x p: sum e^{-x g^i} = 1, g = lam sum e^{-x g^i}(x + g^{-i}).

    By the first the second is lam(x + sum g^{-i} e^{-x g^i}). Term by term: what is kept of block i, p being the
    newest block's variance; the next block has lam times the sum, and that is g p.
    """
    i = sy.Symbol("i", positive=True)
    kept = sy.exp(-t / (p * g**-i)) * (t + p * g**-i)
    term = p * sy.exp(-x * g**i) * (x + g**-i)
    assert is_zero(sy.simplify((kept / term).subs(t, x * p)) - 1)
    assert refuted(kept.subs(t, x * p) / p - sy.exp(-x * g**i) * (x + 1))
    weights = sy.symbols("w_0:4", positive=True)  # w_i = e^{-x g^i}: sum 1
    whole = sum(weight * (x + g**-k) for k, weight in enumerate(weights))
    rest = sum(weight * g**-k for k, weight in enumerate(weights))
    assert is_zero((whole - rest - x).subs(weights[0], 1 - sum(weights[1:])))
