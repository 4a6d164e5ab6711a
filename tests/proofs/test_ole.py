"""OLE and its bounds (theory.ole, theory.nuclear_norm): the scalar and algebraic steps, each to exact zero."""

import pytest
import sympy as sy

from tests.proofs.symbolic import half_angle, is_zero, refuted

a, b, c, k, l, n, s, w, z, h = sy.symbols("a b c k l n s w z h", positive=True)  # noqa: E741
root = sy.sqrt


def test_gram_matrix_is_affine_in_the_cosines():
    """s = 0: ||M||_* is a function of M^T M, affine in c = (cos theta_i), and its law is even in each c_i.

    1. M = [U_0 G_0, U_1 G_1], U_0^T U_1 = diag(c): the blocks G_0^T G_0, G_0^T diag(c) G_1, G_1^T G_1.
    2. Changing the sign of row i of G_1 (same law) changes c_i into -c_i: E||M||_* is even in c_i.
    3. A -> tr sqrt A is concave, so E||M||_* is concave and even in c_i: it falls in |c_i|, OLE rises in it.
    Here r = 2, n = 2, frames in five dimensions.
    """
    angles = sy.symbols("h_1:3", positive=True)
    G_0, G_1 = (sy.Matrix(2, 2, sy.symbols(f"{name}_1:5")) for name in "xy")
    U_0, U_1 = sy.zeros(5, 2), sy.zeros(5, 2)
    for i, g in enumerate(angles):
        U_0[i, i] = 1
        U_1[i, i], U_1[2 + i, i] = half_angle(g)
    c_1, c_2 = cosines = sy.symbols("c_1:3")
    across = G_0.T * sy.diag(*cosines) * G_1
    assert all(is_zero(sy.diff(across, one, other)) for one in cosines for other in cosines)
    assert is_zero(across.subs(c_1, -c_1) - G_0.T * sy.diag(c_1, c_2) * sy.diag(-1, 1) * G_1)
    M = (U_0 * G_0).row_join(U_1 * G_1)
    values = {x: half_angle(g)[0] for x, g in zip(cosines, angles, strict=True)}
    gram = sy.Matrix(
        sy.BlockMatrix([[G_0.T * G_0, across.subs(values)], [across.subs(values).T, G_1.T * G_1]])
    )
    assert is_zero(M.T * M - gram)
    outer = (M * M.T)[0, 0].subs(angles[0], root((1 - c_1) / (1 + c_1)))
    assert refuted(sy.diff(outer, c_1, 2))  # M M^T is not affine


def test_trace_of_a_root_is_at_most_its_diagonal():
    """tr sqrt A <= sum_j sqrt(u_j^T A u_j) in any orthonormal basis.

    1. u_j^T A u_j = sum_k W_jk lambda_k, W_jk = (u_j . v_k)^2 doubly stochastic.
    2. sqrt is concave: (w a + (1-w) b) - (w sqrt a + (1-w) sqrt b)^2 = w(1-w)(sqrt a - sqrt b)^2 >= 0.
    3. Sum over j: the columns of W sum to 1. In two dimensions directly: the squares of both sides differ through
       the products, (wa + (1-w)b)((1-w)a + wb) - ab = w(1-w)(a-b)^2.
    """
    one, other = w * a + (1 - w) * b, (1 - w) * a + w * b
    assert is_zero(one - (w * root(a) + (1 - w) * root(b)) ** 2 - w * (1 - w) * (root(a) - root(b)) ** 2)
    assert is_zero(one + other - a - b)
    assert is_zero(one * other - a * b - w * (1 - w) * (a - b) ** 2)
    assert refuted(one * other - a * b)
    cos, sin = half_angle(h)
    u = sy.Matrix([cos, sin])
    assert is_zero((u.T * sy.diag(a, b) * u)[0] - one.subs(w, cos**2))


def test_subtracted_part_falls_as_angles_close():
    """y(c) = sqrt(1+c+2s^2) + sqrt(1-c+2s^2): y^2 = 2(1+2s^2) + 2 sqrt((1+2s^2)^2 - c^2), y' < 0 for c > 0.

    The mean of u_j^T M M^T u_j is n times an eigenvalue of S_0 + S_1, twice (1 +- c)/2 + s^2.
    """
    up, down = 1 + c + 2 * s**2, 1 - c + 2 * s**2
    assert is_zero(2 * ((1 + c) / 2 + s**2) - up)
    assert is_zero((root(up) + root(down)) ** 2 - 2 * (1 + 2 * s**2) - 2 * root(up) * root(down))
    assert is_zero(up * down - ((1 + 2 * s**2) ** 2 - c**2))
    assert refuted(up * down - ((1 + s**2) ** 2 - c**2))
    slope = sy.diff(root(up) + root(down), c)
    assert is_zero(slope + (up - down) / (2 * root(up) * root(down) * (root(up) + root(down))))
    assert is_zero(up - down - 2 * c)


def test_theorem1_needs_a_third():
    """sqrt2 (sqrt c + sqrt(1-c)) >= sqrt(1+c) + sqrt(1-c) iff c >= 1/3, for 0 <= c < 1.

    With sqrt2 sqrt c + 2 sqrt(1-c) on the left it holds always.
    1. Both sides are positive; the squares differ by 2 sqrt(1-c) (2 sqrt c - sqrt(1+c)).
    2. That has the sign of 4c - (1+c) = 3c - 1.
    3. The second: sqrt2 sqrt c + sqrt(1-c) >= sqrt(1+c), the squares differing by 2 sqrt(2c(1-c)).
    """
    y = root(1 - c)
    left, right = root(2) * (root(c) + y), root(1 + c) + y
    assert is_zero(left**2 - right**2 - 2 * y * (2 * root(c) - root(1 + c)))
    assert is_zero((2 * root(c) - root(1 + c)) * (2 * root(c) + root(1 + c)) - (3 * c - 1))
    assert is_zero((left - right).subs(c, sy.Rational(1, 3)))
    assert refuted((left - right).subs(c, sy.Rational(1, 2)))
    assert is_zero((root(2) * root(c) + y) ** 2 - (1 + c) - 2 * root(2) * root(c) * y)


def phi(c):
    """Theorem 1's phi as a function of c = cos theta."""
    return root(2 * n) * root(l * c) + root(2 * n * (2 * n - 1)) * root(1 - c)


def test_theorem1_reconstructed_where_it_is_true():
    """C2 phi, C2 = sqrt r, l = r, against the rigorous sqrt n r (sqrt(1+c) + sqrt(1-c)) or 2n sqrt r.

    1. C2 phi/(sqrt n r) = sqrt2 sqrt c + sqrt(2(2n-1)/r) sqrt(1-c): at 2n-1 = r the left side of the step above, at
       2n-1 = 2r that of its second half; it rises in n.
    2. The range c >= r/(r+2n-1) is within c >= 1/3 where 2n-1 <= 2r: 3r - (r+2n-1) = 2r - (2n-1).
    3. r >= 2n: phi is concave in c; C2 phi is r sqrt(2n) at c = 1, sqrt(2nr(r+2n-1)) at the range's end. Their
       squares less (2n sqrt r)^2 are 2nr(r-2n) and 2nr(r-1).
    """
    scaled = root(2) * root(c) + root(2 * (2 * n - 1) / l) * root(1 - c)
    assert is_zero(
        ((root(l) * phi(c) / (root(n) * l) - scaled) * root(l)).subs(n, (1 + b**2) / 2)
    )  # b^2 = 2n - 1
    assert is_zero(scaled.subs(n, (l + 1) / 2) - root(2) * (root(c) + root(1 - c)))
    assert is_zero(scaled.subs(n, (2 * l + 1) / 2) - (root(2) * root(c) + 2 * root(1 - c)))
    end = l / (l + 2 * n - 1)
    assert is_zero(end - sy.Rational(1, 3) - (2 * l - (2 * n - 1)) / (3 * (l + 2 * n - 1)))
    assert is_zero(l * phi(1) ** 2 - 4 * n**2 * l - 2 * n * l * (l - 2 * n))
    m = l + 2 * n - 1
    at_end = root(2 * n) * (
        l / root(m) + (2 * n - 1) / root(m)
    )  # phi(end): sqrt(l end) = l/sqrt m, and so on
    assert is_zero(l * end - (l / root(m)) ** 2)
    assert is_zero((2 * n - 1) * (1 - end) - ((2 * n - 1) / root(m)) ** 2)
    assert is_zero(l * at_end**2 - 4 * n**2 * l - 2 * n * l * (l - 1))
    assert refuted(l * at_end**2 - 4 * n**2 * l - 2 * n * l * (l - 2 * n))


def test_phi_is_not_monotone():
    """phi falls with theta exactly where cos theta >= l/(l+2n-1), and rises without bound in slope at 90 degrees.

    dphi/dc <= 0 iff sqrt l/sqrt c <= sqrt(2n-1)/sqrt(1-c), iff l(1-c) <= (2n-1)c. At c -> 0 the slope is +oo.
    """
    slope = sy.diff(phi(c), c)
    m = 2 * n - 1
    assert is_zero(
        (slope - root(n / 2) * (root(l) / root(c) - root(m) / root(1 - c))).subs(n, (1 + b**2) / 2)
    )
    sign = l * (1 - c) - m * c
    assert is_zero((root(l * (1 - c)) - root(m * c)) * (root(l * (1 - c)) + root(m * c)) - sign)
    assert is_zero(sign.subs(c, l / (l + m)))
    assert refuted(sign.subs(c, l / (l + 2 * n)))
    assert is_zero(sign.subs(c, 0) - l)
    assert sy.limit(slope.subs({l: 1, n: 1}), c, 0) == sy.oo


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_ole_is_between_zero_and_its_ceiling(classes):
    """0 <= OLE <= (1 - 1/sqrt C) sum ||M_c||_*, any matrices, C classes.

    1. Below: ||.||_* is subadditive.
    2. Above: M M^T = sum A_c, A_c = M_c M_c^T. sqrt is operator concave: sqrt(mean A_c) >= mean sqrt A_c, and traces
       give ||M||_* >= (1/sqrt C) sum ||M_c||_*. Scalars: mean x_c^2 - (mean x_c)^2 = (1/C^2) sum_{i<j} (x_i - x_j)^2.
    3. Equal A_c attain it, orthogonal column spaces of M_c attain 0.
    """
    x = sy.symbols(f"x_1:{classes + 1}", positive=True)
    pairs = sum((x[i] - x[j]) ** 2 for i in range(classes) for j in range(i))
    gap = sum(y**2 for y in x) / classes - (sum(x) / classes) ** 2
    assert is_zero(gap - pairs / classes**2)
    assert refuted(gap - pairs / classes)
    M = sy.Matrix([[a] * classes])  # the same single column for every class
    assert is_zero(classes * a - root((M * M.T)[0]) - (1 - 1 / root(classes)) * classes * a)


def test_rank_one_in_closed_form():
    """r = 1, s = 0: ||M||_*^2 = a^2 + b^2 + 2ab sin theta, a, b ~ chi_n; in polar form R^2 (1 + sin psi sin theta).

    1. (sigma_1 + sigma_2)^2 = tr + 2 sqrt det of M M^T = a^2 u_0 u_0^T + b^2 u_1 u_1^T.
    2. a = R cos(psi/2), b = R sin(psi/2): the density (ab)^{n-1} e^{-R^2/2} times the Jacobian R/2 splits into a
       chi_{2n} and sin^{n-1} psi.
    3. sin psi = sech t: |d psi/dt| = sech t, so sin^{n-1} psi d psi = sech^n t dt.
    """
    cos, sin = half_angle(h)
    u_0, u_1 = sy.Matrix([1, 0]), sy.Matrix([cos, sin])
    S = a**2 * u_0 * u_0.T + b**2 * u_1 * u_1.T
    assert is_zero(S.trace() - a**2 - b**2)
    assert is_zero(S.det() - (a * b * sin) ** 2)
    assert refuted(S.det() - (a * b * cos) ** 2)
    R, psi, t = sy.symbols("R psi t", positive=True)
    A, B = R * sy.cos(psi / 2), R * sy.sin(psi / 2)
    assert is_zero(
        sy.expand_trig(A**2 + B**2 + 2 * A * B * sin)
        - R**2 * (1 + 2 * sy.sin(psi / 2) * sy.cos(psi / 2) * sin)
    )
    assert is_zero(sy.Matrix([A, B]).jacobian([R, psi]).det() - R / 2)
    assert is_zero(2 * sy.sin(psi / 2) * sy.cos(psi / 2) - sy.sin(psi))
    assert is_zero((sy.sech(t) ** 2 + sy.tanh(t) ** 2 - 1).rewrite(sy.exp))  # cos psi = tanh t
    assert is_zero(
        (sy.diff(sy.tanh(t), t) - sy.sech(t) * sy.sech(t)).rewrite(sy.exp)
    )  # -sin psi psi' = sech^2


def test_rigorous_lower_bound_on_a_nuclear_norm():
    """||A||_* >= sum |A_jj|: tr(D A) <= ||A||_* for every diagonal D of signs.

    Triangular 2 x 2: the squares of both sides differ by x^2, x the entry off the diagonal.
    """
    x = sy.Symbol("x", positive=True)
    A = sy.Matrix([[a, 0], [x, b]])
    squared = (A * A.T).trace() + 2 * a * b  # (sigma_1 + sigma_2)^2, det A = ab
    assert is_zero((A * A.T).det() - (a * b) ** 2)
    assert is_zero(squared - (a + b) ** 2 - x**2)
    assert refuted(squared - (a + b) ** 2)


def test_deterministic_equivalent_by_parts():
    """sqrt l = (1/pi) int_0^inf l/(l+z) dz/sqrt z; z = k(N - df(k)) has dz/dk = N - df_2(k).

    1. 2 sqrt l arctan(sqrt(z/l)) is the antiderivative: from 0 to pi sqrt l.
    2. By parts, (1/pi) int df dz/sqrt z = (2/pi) int sqrt z (-d df/dk) dk, -d df/dk = sum sigma/(sigma+k)^2: the
       integral of theory.nuclear_norm.
    """
    primitive = 2 * root(l) * sy.atan(root(z / l))
    assert is_zero(sy.diff(primitive, z) - l / ((l + z) * root(z)))
    assert sy.limit(primitive.subs(l, 4), z, sy.oo) == 2 * sy.pi
    sigma, N = sy.symbols("sigma_1:4", positive=True), sy.Symbol("N")
    df = sum(x / (x + k) for x in sigma)
    assert is_zero(sy.diff(k * (N - df), k) - (N - sum((x / (x + k)) ** 2 for x in sigma)))
    assert refuted(sy.diff(k * (N - df), k) - (N - df))
    assert is_zero(sy.diff(df, k) + sum(x / (x + k) ** 2 for x in sigma))
    y = sy.Function("y", positive=True)(k)
    f = sy.Function("f")(k)
    assert is_zero(sy.diff(2 * root(y) * f, k) - f * sy.diff(y, k) / root(y) - 2 * root(y) * sy.diff(f, k))
