"""The sharp bound for C classes, step by step: the proof of theory.multiclass as exact algebra.

1. sum f on the ray p = (a, b, ..., b) is Psi; f'' and f''' have their signs.
3. Psi'' has the sign of K; K' that of a bracket which rises from 3(1 - N^2).
4. The tangency in omega: T, its slope, its value at 2 log N; T = 0 is Psi = y Psi'.
"""

import sympy as sy

from tests.proofs.symbolic import is_zero, refuted

C, N, p, v, y, omega = sy.symbols("C N p v y omega", positive=True)

L = sy.log((1 + N * v) / (1 - v))
BRACKET = (3 - v) / (1 - v) ** 3 - N**2 * (3 + N * v) / (1 + N * v) ** 3
T = sy.exp(omega) + N - 1 - N * sy.exp(-omega) - (N + 1) * omega


def test_f_bends_up_and_its_bend_falls():
    f = (C * p - 1) * sy.log(p)
    assert is_zero(f.diff(p, 2) - (C / p + 1 / p**2))
    assert is_zero(f.diff(p, 3) + C / p**2 + 2 / p**3)
    assert refuted(f.diff(p, 3) + C / p**2 + 1 / p**3)


def test_the_ray():
    a, b = (1 + N * v) / (N + 1), (1 - v) / (N + 1)
    f = ((N + 1) * p - 1) * sy.log(p)
    on_ray, Psi = f.subs(p, a) + N * f.subs(p, b), N * v * (sy.log(a) - sy.log(b))
    assert is_zero(on_ray - Psi)
    assert refuted(on_ray - Psi / 2)
    assert is_zero(a**2 + N * b**2 - (1 + N * v**2) / (N + 1))


def bend(L):
    """K."""
    return v**2 * L.diff(v, 2) + v * L.diff(v) - L


def test_psi_changes_its_bend_once():
    any_L = sy.Function("L")(v)
    second = ((N * v * any_L).diff(v) / (2 * v)).diff(v) / (2 * v)  # d/dy = d/dv / (2v)
    assert is_zero(second - N * bend(any_L) / (4 * v**3))
    assert refuted((second - N * bend(any_L) / (2 * v**3)).subs(any_L, v**2).doit())
    assert is_zero(bend(L).subs(v, 0))
    assert is_zero(bend(any_L).diff(v) - v * (v * any_L.diff(v, 3) + 3 * any_L.diff(v, 2)))
    second, third = (sy.cancel(L.diff(v, order)) for order in (2, 3))
    assert is_zero(v * third + 3 * second - BRACKET)
    assert is_zero(BRACKET.subs(v, 0) - 3 * (1 - N**2))
    slope = (8 - 2 * v) / (1 - v) ** 4 + N**3 * (8 + 2 * N * v) / (1 + N * v) ** 4  # above zero on (0, 1)
    assert is_zero(BRACKET.diff(v) - slope)
    assert refuted(BRACKET.diff(v) - slope * 2)


def test_psi_near_zero():
    series = sy.series(N * v * L, v, 0, 4).removeO().subs(v, sy.sqrt(y))
    stated = N * (N + 1) * (y - (N - 1) / 2 * y ** sy.Rational(3, 2))
    assert is_zero(series - stated)
    assert refuted(series - N * (N + 1) * y)


def test_tangency_has_one_root_between_log_n_and_twice_that():
    assert is_zero(T.diff(omega) - (sy.exp(omega) - 1) * (sy.exp(omega) - N) * sy.exp(-omega))
    assert is_zero(T.subs(omega, 0))
    end = N - 1 / N - 2 * sy.log(N)  # 0 at N = 1, and rising
    assert is_zero(sy.expand_log(T.subs(omega, 2 * sy.log(N))) - (N + 1) * end)
    assert is_zero(end.subs(N, 1))
    assert is_zero(end.diff(N) - (1 - 1 / N) ** 2)
    assert refuted(end.diff(N) - (1 - 1 / N))


def test_tangency_is_where_the_chord_touches():
    """Psi = y Psi' is v dL/dv = L: with E = e^omega and v in terms of omega = L, T = 0."""
    E = sy.symbols("E", positive=True)
    touches = sy.cancel((v * sy.cancel(L.diff(v))).subs(v, (E - 1) / (E + N))) - omega
    T_of_E = T.subs(sy.exp(omega), E).subs(sy.exp(-omega), 1 / E)
    assert is_zero(touches - T_of_E / (N + 1))
    assert refuted(touches - T_of_E)
