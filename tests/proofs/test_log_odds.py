"""The law of the log-odds of two noisy subspaces (theory.confidence, theory.subspaces), proved step by step."""

import sympy as sy

from tests.proofs.symbolic import half_angle, is_zero, plane, projector_zero, refuted

s, h, t, u, z, k = sy.symbols("s h t u z k", positive=True)
rho = sy.symbols("rho_1:4", positive=True)
KAPPA = 1 / (2 * s**2 * (1 + s**2))
COS, SIN = half_angle(h)
RHO = SIN**2 / (s**2 * (1 + s**2))


def covariances():
    return [P + s**2 * sy.eye(2) for P in plane(h)]


def log_mgf(t, rho):
    return -sum(sy.log(1 - x * t * (1 + t)) for x in rho) / 2


def test_inverse_and_determinant_of_the_covariance():
    """S = P + s^2 has S^{-1} = (1 - P/(1+s^2))/s^2 in every dimension, and det = (1+s^2)^r s^{2(d-r)}.

    1. (P + s^2)(1 - P/(1+s^2)) = s^2 modulo P^2 = P (Woodbury).
    2. (P - 1)P = 0: S has the eigenvalues 1 + s^2 on the span and s^2 off it. In a plane, r = 1, d = 2:
    """
    P = sy.Symbol("P")
    assert projector_zero((P + s**2) * (1 - P / (1 + s**2)) - s**2, P)
    assert not projector_zero((P + s**2) * (1 - P / s**2) - s**2, P)
    for S in covariances():
        assert is_zero(S.det() - (1 + s**2) * s**2)
        assert refuted(S.det() - (1 + s**2) ** 2)


def test_log_odds_are_a_difference_of_energies():
    """Z = log p1/p0 = kappa(|U_1^T x|^2 - |U_0^T x|^2), kappa = 1/(2 s^2(1+s^2)).

    Equal determinants leave Z = x^T (S_0^{-1} - S_1^{-1}) x / 2; the inverses are affine in the projectors, so the
    difference is (P_1 - P_0)/(s^2(1+s^2)), whatever the dimension and whether or not P_0 and P_1 commute.
    """
    P_0, P_1 = sy.symbols("P_0 P_1", commutative=False)

    def inverse(P):
        return (1 - P / (1 + s**2)) / s**2

    gap = (inverse(P_0) - inverse(P_1)) / 2
    assert is_zero(sy.expand(gap).coeff(P_1) - KAPPA)
    assert is_zero(sy.expand(gap).coeff(P_0) + KAPPA)
    assert is_zero(gap - KAPPA * (P_1 - P_0))
    (S_0, S_1), (Q_0, Q_1) = covariances(), plane(h)
    assert is_zero((S_0.inv() - S_1.inv()) / 2 - KAPPA * (Q_1 - Q_0))
    assert refuted((S_0.inv() - S_1.inv()) / 2 - (Q_1 - Q_0) / (2 * s**2))


def test_whitened_eigenvalues():
    """K = S_1^{1/2}(S_0^{-1} - S_1^{-1})S_1^{1/2} has the eigenvalues (rho +- sqrt(rho^2 + 4 rho))/2 in each plane.

    1. S_1^{1/2} = sqrt(1+s^2) P_1 + s(1 - P_1) in every dimension, its square being S_1: K is similar to
       S_0^{-1} S_1 - 1.
    2. Trace rho and determinant -rho.
    3. These are sum and product of the two values named.
    """
    P, (S_0, S_1) = sy.Symbol("P"), covariances()
    assert projector_zero((sy.sqrt(1 + s**2) * P + s * (1 - P)) ** 2 - (P + s**2), P)
    K = S_0.inv() * S_1 - sy.eye(2)
    assert is_zero(K.trace() - RHO)
    assert refuted(K.trace() - SIN**2 / s**2)
    assert is_zero(K.det() + RHO)
    x = rho[0]
    values = [(x + sign * sy.sqrt(x**2 + 4 * x)) / 2 for sign in (1, -1)]
    assert is_zero(sum(values) - x)
    assert is_zero(values[0] * values[1] + x)


def test_pooled_spectrum():
    """(S_0 + S_1)/2 has the eigenvalues (1 +- cos theta_i)/2 + s^2, and s^2 (d - 2r times): r = 2, d = 5 in full."""
    angles = sy.symbols("h_1:3", positive=True)
    U_0, U_1 = sy.zeros(5, 2), sy.zeros(5, 2)
    for i, g in enumerate(angles):
        U_0[i, i] = 1
        U_1[i, i], U_1[2 + i, i] = half_angle(g)
    mean = (U_0 * U_0.T + U_1 * U_1.T) / 2 + s**2 * sy.eye(5)
    cosines = [half_angle(g)[0] for g in angles]
    left = (t * sy.eye(5) - mean).det(method="berkowitz")
    right = (t - s**2) * sy.prod((t - s**2 - (1 + e * c) / 2) for c in cosines for e in (1, -1))
    assert sy.cancel(left - right) == 0
    wrong = (t - s**2) * sy.prod((t - s**2 - (1 + e * c**2) / 2) for c in cosines for e in (1, -1))
    assert refuted(left - wrong)


def test_mgf_is_a_product():
    """Under class 1 Z = sum of (l_+ a - |l_-| b)/2, a and b ~ chi^2_1: E e^{tZ} = prod (1 - rho_i t(1+t))^{-1/2}.

    1. E e^{c x^2/2} = (1 - c)^{-1/2} for x ~ N(0,1): y = x sqrt(1-c) turns the exponent into -y^2/2.
    2. (1 - t l_+)(1 - t l_-) = 1 - t tr + t^2 det = 1 - rho t - rho t^2.
    """
    c, x = sy.symbols("c x", positive=True)
    assert is_zero((c * x**2 - x**2) / 2 + (x * sy.sqrt(1 - c)) ** 2 / 2)
    r = rho[0]
    l_plus, l_minus = [(r + sign * sy.sqrt(r**2 + 4 * r)) / 2 for sign in (1, -1)]
    product = (1 - t * l_plus) * (1 - t * l_minus)
    assert is_zero(product - (1 - r * t * (1 + t)))
    assert refuted(product - (1 - r * t))


def test_mean_and_variance():
    """E Z = KL(P1||P0) = sum rho_i/2 and Var Z = sum(rho_i + rho_i^2/2): derivatives of log E e^{tZ} at 0.

    The divergence itself, (tr S_0^{-1} S_1 - d)/2 with equal determinants, is rho/2 a plane; so is the other direction.
    """
    first, second = (sy.diff(log_mgf(t, rho), t, n).subs(t, 0) for n in (1, 2))
    assert is_zero(first - sum(x / 2 for x in rho))
    assert is_zero(second - sum(x + x**2 / 2 for x in rho))
    assert refuted(second - sum(x + x**2 for x in rho))
    S_0, S_1 = covariances()
    for one, other in ((S_0, S_1), (S_1, S_0)):
        assert is_zero(((one.inv() * other).trace() - 2) / 2 - RHO / 2)
    assert refuted(((S_0.inv() * S_1).trace() - 2) / 2 - RHO)


def test_variance_gamma():
    """Z | V ~ N(V/2, V), V = sum rho_i chi^2_1, has the same MGF.

    1. E e^{tZ} given V is e^{V t(1+t)/2}: complete the square.
    2. E e^{c x^2/2} = (1-c)^{-1/2} (above) with c = rho_i t(1+t) gives the product.
    """
    V = sy.Symbol("V", positive=True)
    exponent = t * z - (z - V / 2) ** 2 / (2 * V)
    centred = V * t * (1 + t) / 2 - (z - V / 2 - V * t) ** 2 / (2 * V)
    assert is_zero(exponent - centred)
    assert refuted(exponent - centred + V * t / 2)


def test_tilted_density_is_even():
    """p1(z) = e^{z/2} g(z) with g even, of Fourier transform P(u) = prod (1 + rho_i(1/4 + u^2))^{-1/2}.

    1. The MGF is the same at t and -1 - t: p1(z) e^{-z/2} has a transform even in t + 1/2. (So p1(-z) = e^{-z} p1(z).)
    2. At t = -1/2 + iu, 1 - rho t(1+t) = 1 + rho(1/4 + u^2).
    3. 1/4 + u^2 = cosh^2(x)/4 with u = sinh(x)/2: where the code integrates.
    """
    factor = 1 - rho[0] * t * (1 + t)
    assert is_zero(factor - factor.subs(t, -1 - t))
    assert refuted(factor - factor.subs(t, 1 - t))
    tilted = factor.subs(t, -sy.Rational(1, 2) + sy.I * u)
    assert is_zero(tilted - (1 + rho[0] * (sy.Rational(1, 4) + u**2)))
    assert refuted(tilted - (1 + rho[0] * u**2))
    assert is_zero((sy.Rational(1, 4) + sy.sinh(z) ** 2 / 4 - sy.cosh(z) ** 2 / 4).rewrite(sy.exp))


def test_equal_rho_closed_densities():
    """All rho_i equal, b^2 = 1/4 + 1/rho: r = 2 is an asymmetric Laplace law, r = 4 the next Bessel K form.

    g = e^{-b|z|}/(2 b rho) and (1 + b|z|) e^{-b|z|}/(4 b^3 rho^2): the cosine transforms, by antiderivatives that
    vanish at infinity, are (1 + rho(1/4+u^2))^{-r/2}; and p1 = e^{z/2} g has mass 1 (r = 2: u = i/2).
    """
    b, r = sy.Symbol("b", positive=True), rho[0]
    wave = sy.exp((-b + sy.I * u) * z)
    m = -b + sy.I * u
    first = wave / m
    second = wave / m + b * (z / m - 1 / m**2) * wave
    assert is_zero(sy.diff(first, z) - wave)
    assert is_zero(sy.diff(second, z) - (1 + b * z) * wave)
    for antiderivative, scale, power in ((first, 2 * b * r, 1), (second, 4 * b**3 * r**2, 2)):
        half = -antiderivative.subs(z, 0)
        transform = (half + half.subs(u, -u)) / scale
        assert is_zero(transform - (r * (b**2 + u**2)) ** -power)
        assert refuted(transform - (r * (b + u**2)) ** -power)
    P = 1 / (1 + r * (sy.Rational(1, 4) + u**2))
    assert is_zero(P - 1 / (r * (sy.Rational(1, 4) + 1 / r + u**2)))
    mass = (1 / (b - sy.Rational(1, 2)) + 1 / (b + sy.Rational(1, 2))) / (2 * b * r)
    assert is_zero(mass.subs(r, 1 / (b**2 - sy.Rational(1, 4))) - 1)


def test_everything_depends_on_rho_which_rises_in_the_angle_and_falls_in_the_noise():
    """rho = sin^2 theta/(s^2(1+s^2)): d rho/d theta = rho 2 cot theta, d rho/ds = -rho (2 + 4 s^2)/(s(1+s^2)).

    Every factor (1 + rho c)^{-1/2}, c > 0, falls in rho: so xi = 1 - int sech P rises in every angle, falls in s.
    """
    theta, c = sy.symbols("theta c", positive=True)
    value = sy.sin(theta) ** 2 / (s**2 * (1 + s**2))
    assert is_zero(sy.diff(value, theta) / value - 2 * sy.cot(theta))
    assert is_zero(sy.diff(value, s) / value + (2 + 4 * s**2) / (s * (1 + s**2)))
    assert refuted(sy.diff(value, s) / value + 2 / s)
    falling = (1 + rho[0] * c) ** -sy.Rational(1, 2)
    assert is_zero(sy.diff(falling, rho[0]) + c / 2 * (1 + rho[0] * c) ** -sy.Rational(3, 2))


def test_drifted_data_under_a_fixed_probe():
    """In a plane prod(1 - iu m_j) = 1 - iuT + u^2 D, T = tr Q Sigma, D = -det Q Sigma (theory.probe, theory.alignment).

    Q = 2 kappa (P_1 - P_0), kappa of the ORIGINAL s.
    1. Drifted noise x: T = 2 kappa sin^2, D = (2 kappa)^2 sin^2 x^2(1+x^2).
    2. Leaked covariance (1+L)/2 S_1 + (1-L)/2 S_0: T = 2 kappa L sin^2,
       D = (2 kappa)^2 sin^2((1-L^2)/4 sin^2 + s^2 + s^4).
    """
    x, L = sy.symbols("x L", positive=True)
    P_0, P_1 = plane(h)
    Q, two_kappa = 2 * KAPPA * (P_1 - P_0), 2 * KAPPA
    drifted = (Q * (P_1 + x**2 * sy.eye(2))).applyfunc(sy.cancel)
    leaked = (Q * ((1 + L) / 2 * P_1 + (1 - L) / 2 * P_0 + s**2 * sy.eye(2))).applyfunc(sy.cancel)
    assert is_zero(drifted.trace() - two_kappa * SIN**2)
    assert is_zero(drifted.det() + two_kappa**2 * SIN**2 * x**2 * (1 + x**2))
    assert is_zero(leaked.trace() - two_kappa * L * SIN**2)
    D = two_kappa**2 * SIN**2 * ((1 - L**2) / 4 * SIN**2 + s**2 + s**4)
    assert is_zero(leaked.det() + D)
    assert refuted(leaked.det() + two_kappa**2 * SIN**2 * (s**2 + s**4))
    whole = (sy.eye(2) - sy.I * u * drifted).det() - (1 - sy.I * u * drifted.trace() - u**2 * drifted.det())
    assert is_zero(whole)


def test_confidence_of_any_quadratic_probe():
    """E sg(Z) = 1/2 + int_0^inf Im phi(u)/sinh(pi u) du, phi the product of theory.probe, means included.

    1. f(u) = e^{iuz}/sinh(pi u) has f(u + i) = -e^{-z} f(u) and poles on both edges of the strip, at 0 and i. Half
       residues: (1 + e^{-z}) I = pi i (Res_0 + Res_i), and I = 2i int_0^inf sin(uz)/sinh(pi u) du (principal value).
    2. sg(z) = 1/2 + tanh(z/2)/2.
    3. One factor: with k = i u m, k (x + nu)^2/2 - x^2/2 = -(1-k)(x - k nu/(1-k))^2/2 + k nu^2/(2(1-k)).
    """
    f = sy.exp(sy.I * u * z) / sy.sinh(sy.pi * u)
    assert is_zero((f.subs(u, u + sy.I) + sy.exp(-z) * f).rewrite(sy.exp))
    edges = [sy.exp(sy.I * p * z) / (sy.pi * sy.cosh(sy.pi * p)) for p in (sy.Integer(0), sy.I)]
    integral = sy.pi * sy.I * sum(edges) / (1 + sy.exp(-z)) / (2 * sy.I)
    confidence = sy.Rational(1, 2) + integral
    assert is_zero((confidence - 1 / (1 + sy.exp(-z))).rewrite(sy.exp))
    assert refuted(confidence - integral / 2 - 1 / (1 + sy.exp(-z)))
    x, nu = sy.symbols("x nu", positive=True)
    exponent = k * (x + nu) ** 2 / 2 - x**2 / 2
    squared = -(1 - k) * (x - k * nu / (1 - k)) ** 2 / 2
    assert is_zero(exponent - squared - k * nu**2 / (2 * (1 - k)))
    assert refuted(exponent - squared - k * nu**2 / 2)
