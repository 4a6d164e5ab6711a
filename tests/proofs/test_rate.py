"""The rate of B3 at r = 1, s = 0: both expansions in 1/n, coefficient by coefficient, to exact zero.

1. Exact value. With sech t = e^{-x}: int sech^n t f dt = int_0^inf e^{-nx} f (1 - e^{-2x})^{-1/2} dx, and Watson's
   lemma gives the expansion, uniformly in sigma = sin theta, sqrt(1 + sigma e^{-x}) being smooth; E chi_n by Stirling.
2. D and delta. sqrt(N - df) and log(1 - ..) are power series in 1/N that converge for N > 2 p >= 2 df; term by term
   int_0^inf k^{-1/2} (p^2+k)^{-a} (q^2+k)^{-b} dk is a derivative of pi/(p q (p + q)).
3. h_+, h_- = p^2, q^2 have p + q = sqrt(1 + sigma), p q = sigma/2.
4. All vanish at sigma = 1, so the relative errors stay finite there: (1 - z) is divided out, z^2 = (1 + sigma)/2.
"""

import sympy as sy

from tests.proofs.symbolic import is_zero, refuted

p, q, x, e, z, X, Y = sy.symbols("p q x e z X Y", positive=True)
ORDER = 2
half = sy.Rational(1, 2)


def watson(f):
    """sqrt(n/pi) int_0^inf e^{-nx} x^{-1/2} f(x) dx as a polynomial in e = 1/n."""
    series = sy.series(f, x, 0, ORDER + 1).removeO()
    return sum(series.coeff(x, k) * sy.rf(half, k) * e**k for k in range(ORDER + 1))


def chi(inverse):
    """E chi_m/sqrt m = 1 - 1/(4m) + 1/(32 m^2) + ..., inverse = 1/m."""
    return 1 - inverse / 4 + inverse**2 / 32


def integral(poly):
    """int k^{-1/2} poly(1/(p^2+k), 1/(q^2+k)) dk."""
    total = 0
    for (a, b), c in sy.Poly(sy.expand(poly), X, Y).terms():
        f = sy.pi / (p * q * (p + q)) if a and b else sy.pi / p if a else sy.pi / q
        for i in range(1, a):
            f = -sy.diff(f, p) / (2 * p * i)
        for i in range(1, b):
            f = -sy.diff(f, q) / (2 * q * i)
        total += c * f
    return sy.together(total)


def equivalent(df):
    """Coefficients of N^{1/2 - j} in D, by parts: int sqrt k df^j (-df') = int df^{j+1}/(2 (j+1) sqrt k)."""
    terms = range(ORDER + 1)
    return [integral(df ** (j + 1)) * sy.binomial(half, j) * (-1) ** j / ((j + 1) * sy.pi) for j in terms]


def correction(df, df_2, g):
    """Coefficients of N^{1/2 - j} in delta; g is N times that of theory.finite_size."""
    logs = -sum((df_2 * e) ** k / k + (g * e) ** k / k for k in range(1, ORDER + 1))
    root = sum(sy.binomial(-half, j) * (-df * e) ** j for j in range(ORDER + 1))
    full = sy.expand((1 - df_2 * e) * logs * root)
    return [integral(full.coeff(e, j)) / (4 * sy.pi) if j else 0 for j in range(ORDER + 1)]


def in_z(f):
    """p, q = (z +- sqrt(1 - z^2))/sqrt2: then p + q = sqrt2 z, 2 p q = 2 z^2 - 1, p^2 + q^2 = 1."""
    root = sy.sqrt(1 - z**2)
    return sy.simplify(sy.sympify(f).subs({p: (z + root) / sy.sqrt(2), q: (z - root) / sy.sqrt(2)}))


def exact_ole():
    """Coefficients of n^{1/2 - j} in E OLE."""
    weight = sy.sqrt(x / (1 - sy.exp(-2 * x)))
    whole = watson(weight * sy.sqrt(1 + (2 * z**2 - 1) * sy.exp(-x))) / watson(weight)
    value = sy.series(2 * chi(e) - sy.sqrt(2) * chi(e / 2) * whole, e, 0, ORDER + 1).removeO()
    return [sy.expand(value).coeff(e, j) for j in range(ORDER + 1)]


def asymptotic_ole():
    """Those of D and of delta: columns n a class, 2n of both."""
    one, df = p**2 * X, p**2 * X + q**2 * Y
    g = 2 * p**2 * q**2 * X * Y  # sin^2 theta = 4 p^2 q^2
    D_1, d_1 = equivalent(one), correction(one, one**2, 0)
    D_2, d_2 = equivalent(df), correction(df, (p**2 * X) ** 2 + (q**2 * Y) ** 2, g)

    def ole(single, both):
        root = sy.sqrt(2)
        return [
            2 * sy.sympify(s).subs(p, 1) - root * in_z(b) / 2**j
            for j, (s, b) in enumerate(zip(single, both, strict=True))
        ]

    return ole(D_1, D_2), ole(d_1, d_2)


def test_the_rate_and_its_constants():
    exact, (D, delta) = exact_ole(), asymptotic_ole()
    assert is_zero(D[0] - exact[0])
    first = (3 + 1 / z) / 16
    second = -(31 + 3 / z + 9 / z**2 + 9 / z**3) / 512
    assert is_zero(D[1] - exact[1] - first * exact[0])
    assert is_zero(D[1] + delta[1] - exact[1])  # the correction takes all of it, at every angle
    assert is_zero(D[2] + delta[2] - exact[2] - second * exact[0])
    assert refuted(D[1] - delta[1] - exact[1])  # of the wrong sign
    assert refuted(D[2] + delta[2] - exact[2])


def test_two_white_rows():
    """E||G_{2 x n}||_*: rho = 2 sqrt det/tr = e^{-x} ~ Beta(n-1, 1); D errs by 1/(8n), then -7/(128 n^2)."""
    root = sy.series(sy.sqrt(1 + sy.exp(-x)), x, 0, ORDER + 1).removeO()
    mean = sum(root.coeff(x, k) * sy.factorial(k) * (e / (1 - e)) ** k for k in range(ORDER + 1))
    value = sy.series(sy.sqrt(2) * chi(e / 2) * mean, e, 0, ORDER + 1).removeO()
    exact = [sy.expand(value).coeff(e, j) for j in range(ORDER + 1)]
    D, delta = equivalent(2 * X), correction(2 * X, 2 * X**2, 0)
    D, delta = ([sy.sympify(c).subs(p, 1) for c in cs] for cs in (D, delta))
    assert is_zero(D[0] - exact[0])
    assert is_zero(D[1] - exact[1] - exact[0] / 8)
    assert is_zero(D[1] + delta[1] - exact[1])
    assert is_zero(D[2] + delta[2] - exact[2] + sy.Rational(7, 128) * exact[0])


def test_the_law_of_two_rows():
    """E rho^v = (n-1)/(n-1+v): 4 det and (chi^2_{2n-2})^2 have equal moments (duplication), tr, rho independent."""
    n, v = sy.symbols("n v", positive=True)
    det = (
        2 ** (2 * v)
        * sy.gamma(n / 2 + v)
        / sy.gamma(n / 2)
        * sy.gamma((n - 1) / 2 + v)
        / sy.gamma((n - 1) / 2)
    )
    square = 2 ** (2 * v) * sy.gamma(n - 1 + 2 * v) / sy.gamma(n - 1)
    ratio = (4**v * det / square).subs({n: 7})
    assert all(is_zero(sy.gammasimp(ratio.subs(v, sy.Rational(k, 2)) - 1)) for k in range(1, 6))
    mean = sy.gamma(n - 1 + v) * sy.gamma(n) / (sy.gamma(n - 1) * sy.gamma(n + v))
    assert is_zero(sy.gammasimp(mean) - (n - 1) / (n - 1 + v))
