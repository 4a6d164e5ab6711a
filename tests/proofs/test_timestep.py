"""Posterior-mean features and the best timestep (theory.timestep), proved step by step."""

import sympy as sy

from tests.proofs.symbolic import is_zero, projector_zero, refuted

w, delta, s, d, r, m = sy.symbols("w delta s d r m", positive=True)
x, y, q, a = sy.symbols("x y q a", positive=True)
SPAN, FLOOR = (1 + delta**2) / (1 + s**2), delta**2 / s**2  # A and B, s^2 = delta^2 + w^2


def test_posterior_mean_of_one_class():
    """D_c = S_c (S_c + w^2)^{-1} is A on the span, B off it: Gaussian conditioning, or Tweedie's x + w^2 grad log p(x).

    1. Modulo P^2 = P, (P + delta^2) = (B + (A - B) P)(P + delta^2 + w^2), in every dimension.
    2. grad log p = -(P + s^2)^{-1} x, s^2 = delta^2 + w^2: 1 - w^2 (1 - P/(1+s^2))/s^2 = B + (A - B) P.
    """
    P = sy.Symbol("P")
    D = FLOOR + (SPAN - FLOOR) * P
    total = {s: sy.sqrt(delta**2 + w**2)}
    assert projector_zero((P + delta**2 - D * (P + s**2)).subs(total), P)
    assert projector_zero((1 - w**2 * (1 - P / (1 + s**2)) / s**2 - D).subs(total), P)
    assert not projector_zero((1 - w**2 * (1 - P / (1 + s**2)) - D).subs(total), P)


def test_signal_and_leak():
    """The terms of CSNR at 90 degrees over class 0, q the posterior of class 1.

    1. h = (1-q) D_0 x + q D_1 x: A - (A-B) q in span U_0, B + (A-B) q in span U_1, B elsewhere.
    2. Log-odds kappa(|P_1 x|^2 - |P_0 x|^2), |P_0 x|^2 = (1+s^2) a, |P_1 x|^2 = s^2 b: b/(2(1+s^2)) - a/(2s^2).
    3. Weighing by a or b gives that chi-square two more degrees (test_selection): the degrees named.
    """
    A, B, b = sy.symbols("A B b", positive=True)
    assert is_zero((1 - q) * A + q * B - (A - (A - B) * q))
    assert is_zero((1 - q) * B + q * A - (B + (A - B) * q))
    kappa = 1 / (2 * s**2 * (1 + s**2))
    assert is_zero(kappa * (s**2 * b - (1 + s**2) * a) - (b / (2 * (1 + s**2)) - a / (2 * s**2)))
    assert refuted(kappa * (s**2 * b - (1 + s**2) * a) - (b / (2 * s**2) - a / (2 * (1 + s**2))))


def test_confused_share_is_the_shortfall():
    """As w -> 0, E_{r,r+2} q^2 ~ a_r w^r, a_r that of 1 - xi = E_{r,r} q ~ a_r rho^{-r/2}: one integral.

    With X of density w^r x^{m-1}/Gamma(m) near 0, m = r/2 (e^{-w^2 x} -> 1), and Y gamma of shape m or m + 1:
    1. e^{-y} sg(y-x) = 1/(e^x + e^y): E_{r,r} q -> w^r/Gamma(m)^2 int int (xy)^{m-1}/(e^x + e^y).
    2. e^{-y} sg(y-x)^2 = e^y/(e^x + e^y)^2 = -d/dy 1/(e^x + e^y).
    3. By parts in y: y^m becomes m y^{m-1}, and m/Gamma(m+1) = 1/Gamma(m): the same integral.
    4. rho = 1/(s^2(1+s^2)) ~ w^{-2} at delta << w << 1, so rho^{-r/2} ~ w^r.
    """
    sigmoid, both = 1 / (1 + sy.exp(x - y)), 1 / (sy.exp(x) + sy.exp(y))
    assert is_zero(sy.exp(-y) * sigmoid - both)
    assert is_zero(sy.exp(-y) * sigmoid**2 + sy.diff(both, y))
    assert refuted(sy.exp(-y) * sigmoid**2 - both)
    assert is_zero(sy.gammasimp(sy.diff(y**m, y) / sy.gamma(m + 1) - y ** (m - 1) / sy.gamma(m)))
    assert sy.limit((1 / (s**2 * (1 + s**2))) * s**2, s, 0) == 1


def test_small_floor_law():
    """w*^{r+4} = 2 delta^4 (d - r)/(r(r+2) a_r): the leak is r a_r w^{r+2} + (d - r) delta^4/w^2, least there.

    1. leak = r s^2 (B^2 + 2B(A-B) E q + (A-B)^2 E q^2) + (d-2r) B^2 s^2: the floor's own part is (d - r) B^2 s^2, not
       d - 2r: B^2 stands in the other class's plane too; and B^2 s^2 = delta^4/s^2.
    2. Derivative zero; there the second derivative is 2 (r+4)(d-r) delta^4/w^4 > 0.
    3. The next term is of relative order delta^2/w^2 = delta^{2r/(r+4)} at w ~ delta^{4/(r+4)}.
    """
    A, B, q_2 = sy.symbols("A B q_2", positive=True)
    leak = r * s**2 * (B**2 + 2 * B * (A - B) * q + (A - B) ** 2 * q_2) + (d - 2 * r) * B**2 * s**2
    alone = leak.subs({q: 0, q_2: 0})
    assert is_zero(alone - (d - r) * B**2 * s**2)
    assert refuted(alone - (d - 2 * r) * B**2 * s**2)
    assert is_zero(FLOOR**2 * s**2 - delta**4 / s**2)
    balance = r * a * w ** (r + 2) + (d - r) * delta**4 / w**2
    law = {a: 2 * delta**4 * (d - r) / (r * (r + 2) * w ** (r + 4))}
    assert is_zero(sy.powsimp(sy.expand(sy.diff(balance, w).subs(law))))
    assert refuted(sy.diff(balance, w).subs(a, 2 * law[a]))
    curvature = 2 * (r + 4) * (d - r) * delta**4 / w**4
    assert is_zero(sy.powsimp(sy.expand(sy.diff(balance, w, 2).subs(law) - curvature)))
    assert is_zero(2 - 2 * 4 / (r + 4) - 2 * r / (r + 4))


def test_without_a_floor_the_dimension_drops_out():
    """delta = 0: B = 0, CSNR = (1+s^2) E_{r+2,r}(1-q)^2/(s^2 E_{r,r+2} q^2). (Not proved: it falls in w.)"""
    assert FLOOR.subs(delta, 0) == 0
    A, p_2, q_2 = sy.symbols("A p_2 q_2", positive=True)
    value = r * (1 + s**2) * A**2 * p_2 / (r * s**2 * A**2 * q_2)
    assert is_zero(value - (1 + s**2) * p_2 / (s**2 * q_2))
    assert refuted(value - p_2 / q_2)
