"""Shrunk herding (theory.herding, theory.energy), proved step by step."""

import sympy as sy

from tests.proofs.symbolic import flat, is_zero, refuted

s, delta, sigma, lam, u, e, V, t, n, N, m = sy.symbols("s delta sigma lam u e V t n N m", positive=True)


def test_energy_distance_of_points():
    """-d, doubly centred, is an inner product: of two points a, b and any base o, |a - b|^2 = 2 d(a, b)."""
    oa, ob, ab = sy.symbols("oa ob ab", positive=True)
    k = lambda x, y, xy: x + y - xy  # noqa: E731
    assert is_zero(k(oa, oa, 0) + k(ob, ob, 0) - 2 * k(oa, ob, ab) - 2 * ab)
    assert refuted(k(oa, oa, 0) + k(ob, ob, 0) - k(oa, ob, ab) - 2 * ab)


def test_sampling_error():
    """E_T E(T, truth) = 2 Delta - (1 - 1/m) Delta - Delta = Delta/m, the m equal pairs of T being at distance 0."""
    Delta, across, within = sy.symbols("Delta across within", positive=True)
    among = (1 - 1 / m) * Delta
    assert is_zero(2 * Delta - among - Delta - Delta / m)
    drift = 2 * across - within - Delta  # E(P, truth)
    assert is_zero(2 * across - within - among - (drift + Delta / m))  # E_T E(P, T)
    assert refuted(2 * across - within - Delta - (drift + Delta / m))


def test_best_share():
    """(1-s)^2 delta + s^2 sigma less its value at s* is (delta + sigma)(s - s*)^2; the value is below both ends."""
    risk = (1 - s) ** 2 * delta + s**2 * sigma
    best, least = delta / (delta + sigma), delta * sigma / (delta + sigma)
    assert is_zero(risk - least - (delta + sigma) * (s - best) ** 2)
    assert is_zero(delta - least - delta**2 / (delta + sigma))
    assert is_zero(sigma - least - sigma**2 / (delta + sigma))
    assert refuted(risk - least - delta * (s - best) ** 2)


def test_stein_identity():
    """div of -c Cov X/|X|^2 is -c (trace - 2 l_X)/|X|^2, l_X = X.Cov X/|X|^2, here in three dimensions.

    So the risk is trace + E[2 div + c^2/|X|^2]; c = trace = sigma: the change is -sigma (sigma - 4 l_X)/u.
    """
    X, l = sy.symbols("x_0:3"), sy.symbols("l_0:3", positive=True)  # noqa: E741
    square = sum(x**2 for x in X)
    trace, along = sum(l), sum(a * x**2 for a, x in zip(l, X, strict=True)) / square
    c = sy.Symbol("c", positive=True)
    div = sum(a * sy.diff(-c * x / square, x) for a, x in zip(l, X, strict=True))
    assert is_zero(div + c * (trace - 2 * along) / square)
    change = (2 * div + c**2 / square).subs(c, trace)
    assert is_zero(change + trace * (trace - 4 * along) / square)
    assert refuted((change + trace * (trace - 2 * along) / square).subs(dict(zip(X, (1, 2, 3), strict=True))))


def test_inside_the_ball():
    """s = 0 there, the change is -X: 2 div(-Cov X) + |X|^2 = u - 2 sigma."""
    X, l = sy.symbols("x_0:3"), sy.symbols("l_0:3", positive=True)  # noqa: E741
    div = sum(a * sy.diff(-x, x) for a, x in zip(l, X, strict=True))
    square = sum(x**2 for x in X)
    assert is_zero(2 * div + square - (square - 2 * sum(l)))


def test_signs_of_a_normal():
    """Given |X_i| the odds of the signs are e^{2 x theta/l}: the mean is x tanh(x theta/l), of the sign of theta."""
    x, theta, l = sy.symbols("x theta l", positive=True)  # noqa: E741
    density = lambda z: sy.exp(-((z - theta) ** 2) / (2 * l))  # noqa: E731
    odds = sy.simplify(density(x) / density(-x))
    assert is_zero(sy.simplify(odds - sy.exp(2 * x * theta / l)))
    mean = x * (odds - 1) / (odds + 1)
    assert is_zero(sy.simplify((mean - x * sy.tanh(x * theta / l)).rewrite(sy.exp)))


def test_price_of_the_share():
    """sigma - sigma (sigma - 4 lam)/(delta + sigma) is (delta + 4 lam) sigma/(delta + sigma), <= sigma for D >= 4."""
    bound = (delta + 4 * lam) * sigma / (delta + sigma)
    assert is_zero(sigma - sigma * (sigma - 4 * lam) / (delta + sigma) - bound)
    assert is_zero(bound - delta * sigma / (delta + sigma) - 4 * lam * sigma / (delta + sigma))
    assert is_zero(sigma - bound - sigma * (sigma - 4 * lam) / (delta + sigma))
    assert refuted(sigma - sigma * (sigma - 2 * lam) / (delta + sigma) - bound)


def test_any_pool():
    """u > sigma: (1-s)^2 u = sigma^2/u = sigma - sigma (u - sigma)/u <= sigma. And (a + b)^2 <= 2 a^2 + 2 b^2."""
    share = 1 - sigma / u
    assert is_zero((1 - share) ** 2 * u - (sigma - sigma * (u - sigma) / u))
    a, b = sy.symbols("a b", positive=True)
    assert is_zero(2 * a**2 + 2 * b**2 - (a + b) ** 2 - (a - b) ** 2)


def test_herding_step():
    """a = t r + sqrt t v, r = sqrt e, v = sqrt V: the step is below its claim by 2 r v (t+1)(sqrt(t+1) - sqrt t).

    sum_w |t (herd - Q) + x - Q|^2 = a^2 + 2 t <herd - Q, w - Q> + V + e, the spread of w about its mean being V.
    """
    r, v = sy.symbols("r v", positive=True)
    a = t * r + sy.sqrt(t) * v
    step = a**2 + 2 * a * r + r**2 + v**2
    claim = ((t + 1) * r + sy.sqrt(t + 1) * v) ** 2
    assert is_zero(sy.expand(claim - step) - sy.expand(2 * r * v * (t + 1) * (sy.sqrt(t + 1) - sy.sqrt(t))))
    x, w = sy.symbols("x_0:3"), sy.symbols("w_0:2", positive=True)
    w = [*w, 1 - sum(w)]
    q = sy.Symbol("q")
    mean = sum(p * y for p, y in zip(w, x, strict=True))
    about = sum(p * (y - q) ** 2 for p, y in zip(w, x, strict=True))
    spread = sum(p * (y - mean) ** 2 for p, y in zip(w, x, strict=True))
    assert is_zero(about - spread - (mean - q) ** 2)
    assert refuted(about - spread)


def test_herding_once():
    """b_t = (n V/2)(1 - r (r-1)/(n (n-1))), r = n - t, solves b_{t+1} = (1 - 2/r) b_t + n V/r; b_N/N^2 is the bound."""
    b = lambda k: n * V / 2 * (1 - (n - k) * (n - k - 1) / (n * (n - 1)))  # noqa: E731
    r = n - t
    assert is_zero(b(t + 1) - (1 - 2 / r) * b(t) - n * V / r)
    assert is_zero(b(0))
    assert is_zero(b(N) / N**2 - V * (2 * n - N - 1) / (2 * N * (n - 1)))
    assert refuted(b(N) / N**2 - V * (n - N) / (N * (n - 1)))  # random choice's mean


def test_scale():
    """2 sqrt(2 + eta) - sqrt(2 (1 + eta)) - sqrt 2 = sqrt 2 eta^2/16 + ...; a move of a normal: E|N(a, 2)|."""
    eta, a = sy.symbols("eta a", positive=True)
    gap = 2 * sy.sqrt(2 + eta) - sy.sqrt(2 * (1 + eta)) - sy.sqrt(2)
    assert is_zero(sy.series(gap, eta, 0, 3).removeO() - sy.sqrt(2) * eta**2 / 16)
    z = sy.Symbol("z", real=True)
    density = sy.exp(-(z**2) / 4) / sy.sqrt(4 * sy.pi)
    mean = 2 * sy.exp(-(a**2) / 4) / sy.sqrt(sy.pi) + a * sy.erf(a / 2)
    assert is_zero(sy.integrate(2 * z * density, (z, 0, sy.oo)) - mean.subs(a, 0))
    assert is_zero(sy.diff(mean, a).subs(a, 0))
    assert is_zero(sy.diff(mean, a, 2) - 2 * density.subs(z, a))  # |.|'' is twice a point mass
    Delta = 2 / sy.sqrt(sy.pi)
    assert is_zero(sy.series(2 * mean - 2 * Delta, a, 0, 3).removeO() - Delta * a**2 / 2)


def test_rayleigh_quotient():
    """(1 - 1/d) E 1/|x - y| over E|x - y|, kappa_d = sqrt 2 Gamma((d+1)/2)/Gamma(d/2): 1/(2d)."""
    d = 2 * sy.Symbol("k", positive=True) + 1
    ratio = 2 * sy.gamma((d + 1) / 2) / sy.gamma((d - 1) / 2)  # E|z| over E 1/|z|
    assert is_zero(sy.gammasimp(ratio) - (d - 1))
    quotient = (1 - 1 / d) / (2 * (d - 1))  # |x - y| = sqrt 2 |z|
    assert is_zero(quotient - 1 / (2 * d))


def test_shrunk_step():
    """Random choice (s = 0): v_k the pool's variance; the limit's equation at s = 1 is p = lam."""
    p = sy.Symbol("p", positive=True)
    limit = lam * ((1 - s) * p + s) - p
    assert is_zero(limit.subs(s, 1) - (lam - p))
    assert is_zero(flat(limit.subs(s, 0)) - p * (lam - 1))
