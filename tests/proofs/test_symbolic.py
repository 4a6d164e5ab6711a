"""The two judges of every proof: `is_zero` never calls a wrong formula zero, `refuted` never calls a true one wrong."""

import pytest
import sympy as sy

from tests.proofs.symbolic import flat, half_angle, is_zero, plane, projector_zero, refuted

x, y, P = sy.symbols("x y P", positive=True)
TRUE = [
    (x + y) ** 2 - x**2 - 2 * x * y - y**2,
    1 / x - 1 / y - (y - x) / (x * y),
    sy.sqrt(x + 2 * sy.sqrt(x) * y + y**2) ** 2 - (sy.sqrt(x) + y) ** 2,
    (sy.sin(x) ** 2 + sy.cos(x) ** 2) - 1,
    sy.Matrix([x * (1 + y) - x - x * y, 0]),
]
WRONG = [
    (x + y) ** 2 - x**2 - y**2,
    1 / x - 1 / y - (x - y) / (x * y),
    sy.sqrt(x + y) - sy.sqrt(x) - sy.sqrt(y),
    x * sy.Rational(1, 10**4),
    sy.Matrix([0, x]),
]


@pytest.mark.parametrize("expression", TRUE, ids=str)
def test_true_formulas_are_zero_and_not_refuted(expression):
    assert is_zero(expression)
    assert not refuted(expression)


@pytest.mark.parametrize("expression", WRONG, ids=str)
def test_wrong_formulas_are_refuted_and_not_zero(expression):
    assert not is_zero(expression)
    assert refuted(expression)


def test_projectors_and_angles():
    assert projector_zero(P**3 - P, P)
    assert not projector_zero(P**2 - 2 * P, P)
    cos, sin = half_angle(x)
    assert is_zero(cos**2 + sin**2 - 1)
    assert all(is_zero(Q**2 - Q) for Q in plane(x))
    assert is_zero(flat(sy.log(x * y)) - sy.log(x) - sy.log(y))
