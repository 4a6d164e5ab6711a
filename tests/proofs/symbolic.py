"""How does a proof run? As an expression that simplifies to EXACTLY zero, beside a plausible wrong one that cannot.

`is_zero` is the proof: algebra alone, no number is ever rounded. `refuted` is its control: at a rational point the
wrong expression has a value whose sign and leading digits are certain. A wrong formula is not merely one that sympy
fails to simplify.

Angles enter by h = tan(theta/2), which makes cos and sin rational: theta in [0, pi/2] is h in [0, 1]. The classes
enter by their projectors P_c = U_c U_c^T, of which only P^2 = P is used: so a proof holds in every dimension.
"""

from itertools import count

import sympy as sy

__all__ = ["is_zero", "refuted", "half_angle", "plane", "projector_zero", "flat"]

Matrix = sy.MatrixBase


def is_zero(expression: sy.Expr | Matrix) -> bool:
    """Simplifies to exactly 0 (every entry of a matrix), by the cheapest of four means that does it."""
    if isinstance(expression, Matrix):
        return all(is_zero(entry) for entry in expression)
    for step in (sy.expand, sy.cancel, sy.radsimp, sy.simplify):
        expression = step(expression)
        if expression == 0:
            return True
    return False


def refuted(expression: sy.Expr | Matrix) -> bool:
    """Not zero (some entry) where each symbol takes its own rational value: k/(k + 6), k = 1, 2, ..."""
    if isinstance(expression, Matrix):
        return any(refuted(entry) for entry in expression)
    symbols = sorted(sy.sympify(expression).free_symbols, key=str)
    values = dict(zip(symbols, (sy.Rational(k, k + 6) for k in count(1)), strict=False))
    return abs(sy.sympify(expression).subs(values).evalf(10)) > sy.Rational(1, 10**6)


def half_angle(h: sy.Expr) -> tuple[sy.Expr, sy.Expr]:
    """(cos theta, sin theta) for h = tan(theta/2)."""
    return (1 - h**2) / (1 + h**2), 2 * h / (1 + h**2)


def plane(h: sy.Expr) -> tuple[Matrix, Matrix]:
    """(P_0, P_1) in the plane of one principal pair."""
    own = [sy.Matrix([1, 0]), sy.Matrix(half_angle(h))]
    return own[0] * own[0].T, own[1] * own[1].T


def projector_zero(expression: sy.Expr, P: sy.Symbol) -> bool:
    """Zero as a polynomial in a projector: its remainder modulo P^2 - P is."""
    numerator = sy.fraction(sy.together(expression))[0]
    return is_zero(sy.rem(sy.expand(numerator), P**2 - P, P))


def flat(expression: sy.Expr) -> sy.Expr:
    """Powers and logarithms of positive symbols written out, so that equal ones cancel."""
    return sy.expand(sy.expand_log(sy.powsimp(sy.expand(expression)), force=True))
