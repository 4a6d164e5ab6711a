"""Gaussian refit loops and what turns classes (theory.gaussian_loop, theory.alignment), proved step by step."""

import sympy as sy

from tests.proofs.symbolic import half_angle, is_zero, plane, refuted

a, n, m, v, x, h, L, e = sy.symbols("a n m v x h L e", positive=True)
lam, t = sy.symbols("lam t", positive=True)
j, K = sy.symbols("j K", positive=True, integer=True)


def test_fitted_variance_shrinks_by_one_part_in_n():
    """E Sigma_k = (1 - 1/n) E Sigma_{k-1}, divisor n: the fit is x^T H x/n, H = 1 - J/n, J all ones, J^2 = n J.

    H^2 = H: x^T H x is Sigma_{k-1} chi^2 with tr H degrees of freedom; tr 1 = tr J = n make that n - 1.
    """
    J = sy.Symbol("J")
    H = 1 - J / n
    assert is_zero(sy.rem(sy.expand(H**2 - H), J**2 - n * J, J))
    trace = sum(weight * n for weight in sy.Poly(H, J).coeffs())
    assert is_zero(trace / n - (1 - 1 / n))
    assert refuted(trace / n - 1)


def test_lyapunov_exponents():
    """log det Sigma grows by sum_j [psi((n-j)/2) + log(2/n)] a generation.

    n Sigma_k = R W R^T with Sigma_{k-1} = R R^T, W Wishart of n - 1 degrees.
    1. W = B B^T, B triangular with B_jj^2 ~ chi^2_{n-j} (Bartlett): det W = prod B_jj^2. For d = 2 its mean agrees
       with that of W_11 W_22 - W_12^2, which is (n-1)^2 - (n-1).
    2. E (chi^2_m)^t = 2^t Gamma(m/2+t)/Gamma(m/2), by the density y^{m/2-1} e^{-y/2}/(2^{m/2} Gamma(m/2)) with y^t;
       its derivative at t = 0 is E log chi^2_m = psi(m/2) + log 2.
    """
    b_1, b_2 = sy.symbols("b_1 b_2", positive=True)
    B = sy.Matrix([[b_1, 0], [x, b_2]])
    assert is_zero((B * B.T).det() - b_1**2 * b_2**2)
    assert is_zero((n - 1) * (n - 2) - ((n - 1) ** 2 - (n - 1)))
    assert refuted((n - 1) ** 2 - ((n - 1) ** 2 - (n - 1)))
    moment = 2**t * sy.gamma(m / 2 + t) / sy.gamma(m / 2)
    density = lambda degrees: 1 / (2 ** (degrees / 2) * sy.gamma(degrees / 2))  # noqa: E731
    assert is_zero(
        sy.powsimp(density(m) / density(m + 2 * t) - moment)
    )  # y^t f_m is the moment times f_{m+2t}
    assert is_zero(sy.diff(moment, t).subs(t, 0) - sy.polygamma(0, m / 2) - sy.log(2))
    assert refuted(sy.diff(moment, t).subs(t, 0) - sy.polygamma(0, m) - sy.log(2))


def test_fresh_data_drift():
    """a n of n points real: stationary E mean^2 = 1/(n a(2-a) + 1 - a), units of Sigma_0.

    1. mean' = a (real mean) + (1-a) (other mean): E mean'^2 = a^2/(an) + (1-a)^2 (m + v/((1-a)n)), v = E Sigma.
    2. The pool's second moment is a + (1-a)(m + v), and the fit keeps it: m + v = 1 when stationary.
    """
    step = a**2 / (a * n) + (1 - a) ** 2 * (m + v / ((1 - a) * n))
    assert is_zero(step - (a / n + (1 - a) ** 2 * m + (1 - a) * v / n))
    assert sy.solve(sy.Eq(m + v, a + (1 - a) * (m + v)), v) == [1 - m]
    stationary = sy.solve(sy.Eq(m, step.subs(v, 1 - m)), m)[0]
    assert is_zero(stationary - 1 / (n * a * (2 - a) + 1 - a))
    forgetful = sy.solve(sy.Eq(m, step.subs(v, 1)), m)[0]  # forgets that the variance has shrunk
    assert refuted(forgetful - 1 / (n * a * (2 - a) + 1 - a))


def test_fresh_data_spread():
    """Known mean: stationary Var Sigma = (2/n)/(1 - (1-a)^2 - 2(1-a)/n).

    Sigma' = (chi^2_{an} + Sigma chi^2_{(1-a)n})/n: given Sigma, mean a + (1-a)Sigma and variance
    (2an + 2(1-a)n Sigma^2)/n^2; E Sigma = 1 and E Sigma^2 = 1 + v.
    """
    step = (1 - a) ** 2 * v + (2 * a * n + 2 * (1 - a) * n * (1 + v)) / n**2
    stationary = sy.solve(sy.Eq(v, step), v)[0]
    assert is_zero(stationary - 2 / n / (1 - (1 - a) ** 2 - 2 * (1 - a) / n))
    assert refuted(stationary - 2 / n / (1 - (1 - a) ** 2))


def test_accumulation_recursion():
    """E Sigma_j = E Sigma_{j-1} (1 - 1/(n j^2)); known mean: E Sigma_j^2 = E Sigma_{j-1}^2 (1 + 2/(n j^2)).

    1. New pool mean ((j-1) M + y)/j, y of mean M and variance v/n (v = Sigma_{j-1}): M moves by (y - M)/j.
    2. The pool's second moment q' = ((j-1) q + E y-block second moment)/j with E of the new block v + M^2 = q: E q = 1.
    3. E Sigma = 1 - E M^2.
    4. Known mean: Sigma' = v ((j-1) + c/n)/j, c ~ chi^2_n of mean n and variance 2n.
    """
    M, y, q, c = sy.symbols("M y q c")
    assert is_zero(((j - 1) * M + y) / j - M - (y - M) / j)
    assert is_zero(((j - 1) * q + q) / j - q)
    E_v, E_M2 = sy.symbols("E_v E_M2")
    new = 1 - (E_M2 + E_v / (n * j**2))
    assert is_zero(new.subs(E_M2, 1 - E_v) - E_v * (1 - 1 / (n * j**2)))
    assert refuted(new.subs(E_M2, 1 - E_v) - E_v * (1 - 1 / (n * j)))
    square = sy.Poly(sy.expand((((j - 1) + c / n) / j) ** 2), c)
    mean_square = sum(w * {0: 1, 1: n, 2: n**2 + 2 * n}[k] for (k,), w in square.terms())
    assert is_zero(mean_square - (1 + 2 / (n * j**2)))


def test_accumulation_limits():
    """prod_j (1 - x^2/j^2) -> sin(pi x)/(pi x): x = 1/sqrt n for the mean, x = i sqrt(2/n) for the spread.

    1. The K-th product is F(K)/(Gamma(1+x)Gamma(1-x)), F = Gamma(K+1+x)Gamma(K+1-x)/Gamma(K+1)^2: right at K = 0, and
       F(K)/F(K-1) = 1 - x^2/K^2.
    2. F -> 1: log Gamma(K+1+x) + log Gamma(K+1-x) - 2 log Gamma(K+1) is a second difference, x^2 psi'(K+1+y) for some
       |y| <= x, and psi' -> 0.
    3. Reflection: Gamma(1+x)Gamma(1-x) = pi x/sin(pi x).
    """

    def F(K):
        return sy.gamma(K + 1 + x) * sy.gamma(K + 1 - x) / sy.gamma(K + 1) ** 2

    assert is_zero(sy.gammasimp(F(K) / F(K - 1)) - (1 - x**2 / K**2))
    assert refuted(sy.gammasimp(F(K) / F(K - 1)) - (1 - x / K**2))
    assert is_zero(F(0) - sy.gamma(1 + x) * sy.gamma(1 - x))
    assert sy.limit(sy.polygamma(1, x), x, sy.oo) == 0
    limit = sy.gammasimp(1 / (sy.gamma(1 + x) * sy.gamma(1 - x)))
    assert is_zero(limit - sy.sin(sy.pi * x) / (sy.pi * x))
    b = sy.Symbol("b", positive=True)  # pi sqrt(2/n)
    assert is_zero((limit.subs(x, sy.I * b / sy.pi) - sy.sinh(b) / b).rewrite(sy.exp))


def test_biased_and_noisy_accumulation():
    """P_K = P_{K-1}(K + lam)/(K + 1) is Gamma(K+1+lam)/(Gamma(1+lam)(K+1)!), like K^{-(1-lam)}.

    With noise v added instead, 1 + v(H_{K+1} - 1). The pool of K blocks gains one of variance lam P (or P + v):
    P' = (K P + new)/(K+1).
    """
    P = sy.Symbol("P")

    def closed(K):
        return sy.gamma(K + 1 + lam) / (sy.gamma(1 + lam) * sy.gamma(K + 2))

    assert is_zero((K * P + lam * P) / (K + 1) - P * (K + lam) / (K + 1))
    ratio = sy.gammasimp(closed(K) / closed(K - 1))
    assert is_zero(ratio - (K + lam) / (K + 1))
    assert refuted(ratio - (K + lam) / (K + 2))
    assert closed(sy.Integer(0)) == 1
    assert sy.limit(K * (1 - (K + lam) / (K + 1)), K, sy.oo) == 1 - lam
    gain = (K * P + P + v) / (K + 1) - P
    assert is_zero(gain - v * sy.expand_func(sy.harmonic(K + 1) - sy.harmonic(K)))


def test_leakage_map():
    """Leading eigenvector of S = (1-e) P_1 + e P_0: tan(2 turn) = 2 S_12/(S_11 - S_22) = e sin 2t/(1 - e + e cos 2t).

    Both classes turn by half of it: theta' = theta - atan2(...). At 90 degrees less x, x becomes x/(1 - 2e) to first
    order: leakage turns classes together faster than PCA noise, which multiplies x by c2, once 1 - 2e < c2.
    """
    own, other = sy.Matrix([1, 0]), sy.Matrix(half_angle(h))
    cos, sin = half_angle(h)
    S = (1 - e) * own * own.T + e * other * other.T
    doubled = 2 * S[0, 1] / (S[0, 0] - S[1, 1])
    assert is_zero(doubled - e * 2 * sin * cos / (1 - e + e * (cos**2 - sin**2)))
    assert refuted(doubled - e * sin * cos / (1 - e + e * (cos**2 - sin**2)))
    turn = sy.atan(e * sy.sin(2 * x) / (1 - e - e * sy.cos(2 * x)))  # at 90 degrees less x
    assert is_zero(sy.diff(x + turn, x).subs(x, 0) - 1 / (1 - 2 * e))
    assert refuted(sy.diff(x + turn, x).subs(x, 0) - 1 / (1 - e))


def test_critical_leakage():
    """eps_c solves 1 - 2e = c2(e), and (1 - c2(0))/2 is too low.

    1. c2 = (1 - g/l^2)/(1 + g/l), the spiked model's overlap, falls with the noise 1/l: c2 rises in l.
    2. Leakage leaves the spike l = (1-e)/s^2 at right angles, as if the noise were s/sqrt(1-e): c2(e) < c2(0).
    3. So at e = (1 - c2(0))/2 still c2(e) < c2(0) = 1 - 2e. eps_c is a root of a cubic.
    """
    g, s, u = sy.symbols("g s u", positive=True)  # u = 1/l
    overlap = (1 - g * u**2) / (1 + g * u)
    assert is_zero(sy.diff(overlap, u) + g * (1 + 2 * u + g * u**2) / (1 + g * u) ** 2)
    assert is_zero(overlap.subs(u, s**2) - (1 - g * s**4) / (1 + g * s**2))
    leaked = overlap.subs(u, s**2 / (1 - e))
    assert is_zero(leaked - overlap.subs(u, (s / sy.sqrt(1 - e)) ** 2))
    cubic = 2 * e * (1 - e) ** 2 - g * s**4 - (1 - 2 * e) * (1 - e) * g * s**2
    assert is_zero(leaked - (1 - 2 * e) - cubic / ((1 - e) * (1 - e + g * s**2)))
    assert refuted(cubic.subs(e, (1 - overlap.subs(u, s**2)) / 2))


def test_leaked_covariances():
    """k leaks mix S_1 and S_0 as (1+L)/2 and (1-L)/2, L = (1-2e)^k: (1 +- sqrt(1 - (1-L^2) sin^2))/2 + s^2 in a plane.

    1. One leak multiplies the difference of the classes by 1 - 2e and keeps their sum: the pooled spectrum too.
    2. Trace 1 and determinant (1-L^2) sin^2/4.
    3. A mixture's confidence: (1+L)/2 xi + (1-L)/2 (1-xi) = 1/2 + L(xi - 1/2), class 0 having 1 - xi by symmetry.
    """
    one, other, xi = sy.symbols("one other xi")
    first, second = (1 - e) * one + e * other, (1 - e) * other + e * one
    assert is_zero(first - second - (1 - 2 * e) * (one - other))
    assert is_zero(first + second - one - other)
    P_0, P_1 = plane(h)
    sin = half_angle(h)[1]
    S = (1 + L) / 2 * P_1 + (1 - L) / 2 * P_0
    root = sy.sqrt(1 - (1 - L**2) * sin**2)
    assert is_zero(S.trace() - 1)
    assert is_zero(S.det() - (1 - root**2) / 4)
    assert refuted(S.det() - (1 - L) * sin**2 / 4)
    mixed = (1 + L) / 2 * xi + (1 - L) / 2 * (1 - xi)
    assert is_zero(mixed - sy.Rational(1, 2) - L * (xi - sy.Rational(1, 2)))
