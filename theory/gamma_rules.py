"""How does one average a smooth function of a gamma variable whose scale may be anything from 1e-8 to 1e8?

    E f(X) = int f(X) rate^m X^{m-1} e^{-rate X}/Gamma(m) dX,  X = log(1 + e^v),  dX = sg(v) dv.

Small X on a logarithmic grid, large X on a uniform one: right for functions of X - y that change over a unit
of X (a sigmoid, a Gumbel density), which is what log-odds are fed to. All singularities stay pi away from the
real line in v, so the trapezoidal rule converges exponentially. Own derivation.
"""

import numpy as np
from scipy.special import expit, gammaln

from theory.checks import Array

__all__ = ["gamma_rule", "gamma_top"]


def gamma_top(shape: float, rate: float) -> float:
    """A point beyond which Gamma(shape, rate) has less than 1e-17 of its mass."""
    return float((shape + 9 * np.sqrt(shape) + 42) / rate)


def gamma_rule(shape: float, rate: float, top: float = np.inf) -> tuple[Array, Array]:
    """Nodes X and weights w: sum w f(X) = E f(X), X ~ Gamma(shape, rate), f negligible beyond `top`."""
    step = 0.2 if shape <= 8 else 0.1
    low = -40 / shape - np.log1p(rate)
    high = min(top, gamma_top(shape, rate))
    v = np.arange(low, high + step, step)  # log(e^X - 1) < X
    X = np.logaddexp(0, v)
    log_density = shape * np.log(rate) + (shape - 1) * np.log(X) - rate * X - gammaln(shape)
    return X, step * np.exp(log_density) * expit(v)
