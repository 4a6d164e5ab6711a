"""The law of the log-odds and the expansions of confidence, against samples that never saw a formula."""

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.integrate import quad
from scipy.special import expit, gamma, kv
from scipy.stats import multivariate_normal, norm

from paper_checks.agreement import against, all_hold
from paper_checks.simulated import QUARTER, Draw, frames_at, log_odds, sampled_confidence
from paper_checks.statistics import FAILS, HOLDS
from sims.lowrank import TwoSubspaces
from tests.tolerances import CONTROL, EXPONENT_SHARP, STANDARD_ERRORS, Estimate, close
from theory import confidence

LAWS = [(TwoSubspaces(9, 3, 0.4, 0.5), (0.2, 0.9, 1.5)), (TwoSubspaces(4, 1, 1.0, 0.6), (1.0,))]
"""The model, and the principal angles its frames are given here: unequal ones too."""

U, T = 0.7, -0.5  # where the characteristic and the moment generating function are compared


def drawn(truth: TwoSubspaces, angles: tuple[float, ...], f: Callable[[np.ndarray], np.ndarray]) -> Draw:
    """f(Z) of samples of class 1."""
    return lambda rng, size: f(log_odds(truth, size, rng, frames=frames_at(angles, truth.dim, rng)))


def rho_of(truth: TwoSubspaces, angles: tuple[float, ...]) -> np.ndarray:
    """sin^2 theta_i / (s^2 (1 + s^2))."""
    return np.sin(angles) ** 2 / (truth.noise**2 * (1 + truth.noise**2))


def transform(t: complex, rho: np.ndarray) -> complex:
    """E e^{tZ} = prod (1 - rho_i t(1+t))^{-1/2}."""
    return complex(np.exp(-0.5 * np.log(1 - rho * t * (1 + t) + 0j).sum()))


def test_log_odds_are_those_of_the_densities(rng: np.random.Generator) -> None:
    """kappa (|U_1' x|^2 - |U_0' x|^2), which the checks use, is log p_1/p_0 of the two normal densities."""
    truth, angles = LAWS[0]
    frames = frames_at(angles, truth.dim, rng)
    x = truth.draw(frames, 50, rng).x[50:]
    S = [u @ u.T + truth.noise**2 * np.eye(truth.dim) for u in frames]
    p = [multivariate_normal(np.zeros(truth.dim), s).logpdf(x) for s in S]
    energy = [np.square(x @ u).sum(axis=1) for u in frames]
    kappa = 1 / (2 * truth.noise**2 * (1 + truth.noise**2))
    assert close(p[1] - p[0], kappa * (energy[1] - energy[0]), condition=100)
    assert not close(p[1] - p[0], 2 * kappa * (energy[1] - energy[0]), condition=100)


def squared_from(mean: float, z: np.ndarray) -> np.ndarray:
    """(z - mean)^2."""
    return np.square(z - mean)


def test_log_odds_law(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Mean, variance, moment generating and characteristic function, density; value: E Z over sum rho_i / 2.

    Controls: a mean without its half, a generating function without the t^2, and the normal law N(V/2, V) of the
    same mean, whose variance is twice it.
    """
    verdicts = []
    for truth, angles in LAWS:
        rho = rho_of(truth, angles)
        mean, variance = rho.sum() / 2, (rho + rho**2 / 2).sum()
        phi, normal = transform(1j * U, rho), np.exp(1j * U * mean - U**2 * mean)
        parts: list[tuple[Callable[[np.ndarray], np.ndarray], float, float]] = [
            (lambda z: z, mean, 2 * mean),
            (partial(squared_from, mean), variance, 2 * mean),
            (lambda z: np.exp(T * z), transform(T, rho).real, float(np.prod(1 - rho * T) ** -0.5)),
            (lambda z: np.cos(U * z), phi.real, normal.real),
            (lambda z: np.sin(U * z), phi.imag, normal.imag),
        ]
        found = [against(drawn(truth, angles, f), v, rng, 200_000, control) for f, v, control in parts]
        first = found[0][1]
        verdicts += [*(verdict for verdict, _ in found), density_agrees(truth, angles, rng)]
    around = Estimate(first.mean / mean, first.error / mean)
    conclude("log-odds-law", all_hold(verdicts), around.mean, around=around, world="low-rank")


def density_agrees(truth: TwoSubspaces, angles: tuple[float, ...], rng: np.random.Generator) -> str:
    """Shares of bins on either side of 0 against the integrated density; the normal law of the same mean and
    variance is rejected."""
    rho = rho_of(truth, angles)
    z = drawn(truth, angles, lambda z: z)(rng, 200_000)
    edges = np.quantile(z[:1000], np.linspace(0.02, 0.98, 13))
    low, high = edges[:-1], edges[1:]
    seen = np.histogram(z[1000:], edges)[0] / (len(z) - 1000)
    x, weights = np.polynomial.legendre.leggauss(40)
    nodes = (low + high)[:, None] / 2 + (high - low)[:, None] / 2 * x
    share = (high - low) / 2 * (np.asarray(confidence.log_odds_density(nodes, rho)) @ weights)
    mean, spread = rho.sum() / 2, np.sqrt((rho + rho**2 / 2).sum())
    off_normal = np.abs(seen - np.diff(norm(mean, spread).cdf(edges)))
    error = np.sqrt(share * (1 - share) / (len(z) - 1000))
    regular = low * high > 0  # the density of one angle is singular at 0
    assert (off_normal / error)[regular].max() > CONTROL, "the control, a normal law, was accepted"
    return HOLDS if (np.abs(seen - share) / error)[regular].max() <= STANDARD_ERRORS else FAILS


def rate(x: np.ndarray, remainder: np.ndarray) -> float:
    """Slope of log |remainder| on log x."""
    return float(np.polyfit(np.log(x), np.log(np.abs(remainder)), 1)[0])


def limit_constant(rank: int) -> float:
    """a_r = (1/2) E (1/4 + U^2)^{-r/2}, U ~ sech(pi u), by quadrature."""
    # half the line: twice it, times 1/2
    return quad(lambda u: (0.25 + u * u) ** (-rank / 2) / np.cosh(np.pi * u), 0, 12, epsabs=1e-13)[0]


def test_confidence_expansions(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Rates of both remainders, and both laws against samples; value: the largest distance of a slope from its rate.

    Small rho: 1/2 + r rho/8 - r(r+2) rho^2/32 + 5 r(r+2)(r+4) rho^3/384, whose remainders after each term have rates
    2, 3 and 4 (the cubic term is ours: E(1/4 + U^2)^3 = 5/4). Large rho: (1 - xi) rho^{r/2}/a_r - 1 of rate -1.
    Control: r(r+1) in place of r(r+2) leaves rate 2.
    """
    small, large = np.geomspace(1e-3, 1e-2, 7), np.geomspace(1e4, 1e6, 7)
    off, verdicts = [], []
    for r in (1, 2, 4):
        xi = np.asarray(confidence.expected_confidence(np.repeat(small[:, None], r, axis=1)))
        terms = (r / 8, -r * (r + 2) / 32, 5 * r * (r + 2) * (r + 4) / 384)
        series = 0.5 + np.cumsum([c * small ** (k + 1) for k, c in enumerate(terms)], axis=0)
        off += [abs(rate(small, xi - s) - k) for s, k in zip(series, (2, 3, 4), strict=True)]
        wrong = series[0] - r * (r + 1) * small**2 / 32
        assert abs(rate(small, xi - wrong) - 3) > 5 * EXPONENT_SHARP, "the control was accepted"
        missing = np.asarray(confidence.shortfall(np.repeat(large[:, None], r, axis=1)))
        off.append(abs(rate(large, missing * large ** (r / 2) / limit_constant(r) - 1) + 1))
        verdicts += [*sampled_expansions(r, terms, rng), off[-1] <= EXPONENT_SHARP]
    verdicts.append(max(off) <= EXPONENT_SHARP)
    conclude("confidence-expansions", all_hold(verdicts), max(off), world="low-rank")


def sampled_expansions(r: int, terms: tuple[float, ...], rng: np.random.Generator) -> list[str]:
    """Samples at small rho against the series (control: its first term alone), at large rho against the power law.

    Stated bias: the next term, which bounds the remainder, since (1 + x)^{-r/2} has an alternating series; with
    1/4 + U^2 >= 1/4 it is at most 2 r/rho of the power law. E Z = r rho/2 is taken out: only what is new is sampled.
    """
    rho = 0.05
    series = 0.5 + sum(c * rho ** (k + 1) for k, c in enumerate(terms))
    fourth = 6.5 * r * (r + 2) * (r + 4) * (r + 6) / 768 * rho**4  # E(1/4 + U^2)^4 = 6.5
    weak = TwoSubspaces(2 * r, r, QUARTER, noise_at(rho))

    def steadied(g: np.random.Generator, size: int) -> np.ndarray:
        z = log_odds(weak, size, g)
        return expit(z) - (z - r * rho / 2) / 4

    first, _ = against(steadied, series, rng, 400_000, 0.5 + terms[0] * rho, fourth / series)
    rho = 400.0 if r < 4 else 60.0  # at r = 4 errors are rare
    law = limit_constant(r) * rho ** (-r / 2)
    strong = sampled_confidence(TwoSubspaces(2 * r, r, QUARTER, noise_at(rho)))
    second, _ = against(lambda g, size: 1 - strong(g, size), law, rng, 400_000, 2 * law, 2 * r / rho)
    return [first, second]


def noise_at(rho: float) -> float:
    """s of s^2 (1 + s^2) = 1/rho: the noise that gives rho at 90 degrees."""
    return float(np.sqrt((np.sqrt(1 + 4 / rho) - 1) / 2))


def test_density_of_equal_angles_is_a_bessel_function() -> None:
    """Equal rho_i, r = 2: an asymmetric Laplace law; the control is b^2 = 1/4 + 2/rho."""
    z = np.array([-3.0, -0.2, 0.5, 4.0])
    found = confidence.log_odds_density(z, [3.0, 3.0, 3.0])

    def bessel(b: float) -> np.ndarray:
        scale = 3.0**-1.5 / (np.sqrt(np.pi) * gamma(1.5))
        return np.exp(z / 2) * scale * np.abs(z) / (2 * b) * kv(1, b * np.abs(z))

    assert close(found, bessel(np.sqrt(0.25 + 1 / 3)))
    assert not close(found, bessel(np.sqrt(0.25 + 2 / 3)))
