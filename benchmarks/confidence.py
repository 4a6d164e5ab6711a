"""How much cheaper is the exact confidence than simulation to the same error?"""

import numpy as np

from benchmarks.timing import Result, fastest
from theory.confidence import expected_confidence

__all__ = ["confidence_vs_monte_carlo"]

ERROR = 1e-6  # both sides are brought to this absolute error; the integral is in fact better than 1e-11
SAMPLES = 200_000


def monte_carlo(rho: float, rank: int, rng: np.random.Generator) -> np.ndarray:
    """Confidences of SAMPLES draws: Z | V ~ N(V/2, V), V = rho chi^2_r."""
    V = rho * rng.chisquare(rank, SAMPLES)
    return 1 / (1 + np.exp(-(V / 2 + np.sqrt(V) * rng.standard_normal(SAMPLES))))


def confidence_vs_monte_carlo() -> Result:
    """Time of Monte Carlo at standard error 1e-6 (scaled by n from a smaller run) over that of the integral."""
    rho, rank, sets = 2.0, 4, 2000
    many = np.full((sets, rank), rho)
    rng = np.random.default_rng(0)
    exact, simulated = fastest(lambda: expected_confidence(many), lambda: monte_carlo(rho, rank, rng))
    error = monte_carlo(rho, rank, rng).std() / np.sqrt(SAMPLES)
    needed = simulated * (error / ERROR) ** 2
    detail = (
        f"{sets / exact:.0f} exact values a second; Monte Carlo of {SAMPLES} draws takes {simulated:.3f} s for "
        f"{error:.1e}, scaled to a standard error of {ERROR:.0e}"
    )
    return Result("confidence-vs-monte-carlo", needed / (exact / sets), detail)
