"""How far may a number be off? The only place with a tolerance, and the rules of Monte Carlo comparison.

Sizes: sympy identities are exact; mpmath at 50 digits 1e-30; float64 1e-10 times a stated condition number;
float32 1e-5. A bound may be missed by rounding only. Monte Carlo against an EXACT value: more than 5 standard
errors off is repeated once with a fresh stream and 4 times the samples, and is red only if both fail;
standard errors from at least 100 independent batches. Against an ASYMPTOTIC value: |difference| <= stated
relative bias + 5 standard errors. Every control is shifted by at least 12 standard errors and must be
rejected: a test that cannot fail is no test.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

__all__ = [
    "MP", "FLOAT64", "FLOAT32", "ROUNDING", "CONFIDENCE", "INTEGRAL", "STANDARD_ERRORS", "CONTROL", "BATCHES",
    "Estimate", "Draw", "close", "at_most", "estimate", "agrees", "agrees_within_bias",
    "assert_exact", "assert_asymptotic",
]  # fmt: skip

MP = 1e-30  # mpmath at 50 digits
FLOAT64 = 1e-10  # times a condition number
FLOAT32 = 1e-5
ROUNDING = 1e-14  # by how much, relatively, rounding may break an exact inequality
CONFIDENCE = 1e-11  # expected confidence: absolute, rho <= 100, r <= 64
INTEGRAL = 1e-8  # deterministic equivalent against its own integral: relative
STANDARD_ERRORS = 5
CONTROL = 12
BATCHES = 100

Draw = Callable[[np.random.Generator, int], np.ndarray]
"""`draw(rng, size)`: `size` independent values whose mean is the thing tested, on the first axis."""


class Estimate(NamedTuple):
    """A mean and its standard error, from independent batches."""

    mean: float
    error: float


def close(value: object, target: object, tolerance: float = FLOAT64, condition: float = 1.0) -> bool:
    """|value - target| <= tolerance * condition * max(1, |target|), everywhere; never true of a NaN."""
    a, b = np.asarray(value, dtype=float), np.asarray(target, dtype=float)
    return bool((np.abs(a - b) <= tolerance * condition * np.maximum(1, np.abs(b))).all())


def at_most(value: object, bound: object, scale: float = 1.0) -> bool:
    """value <= bound, up to rounding of numbers of size `scale`."""
    return bool((np.asarray(value) <= np.asarray(bound) + ROUNDING * scale).all())


def estimate(draw: Draw, rng: np.random.Generator, samples: int, batches: int = BATCHES) -> Estimate:
    """The mean of about `samples` draws and its standard error over at least 100 batches."""
    if batches < BATCHES:
        raise ValueError(f"batches is {batches}: the rules of this file ask for at least {BATCHES}")
    size = max(1, -(-samples // batches))
    means = np.array([np.mean(draw(rng, size)) for _ in range(batches)])
    return Estimate(float(means.mean()), float(means.std(ddof=1) / np.sqrt(batches)))


def agrees(found: Estimate, value: float) -> bool:
    """Within 5 standard errors of an exact value."""
    return abs(found.mean - value) <= STANDARD_ERRORS * found.error


def agrees_within_bias(found: Estimate, value: float, bias: float) -> bool:
    """Within a stated relative bias + 5 standard errors of an asymptotic value."""
    return abs(found.mean - value) <= bias * abs(value) + STANDARD_ERRORS * found.error


def assert_exact(draw: Draw, value: float, rng: np.random.Generator, samples: int, control: float) -> None:
    """Monte Carlo agrees with the exact `value`, and rejects the wrong value `control`.

    `control` should be what a likely mistake gives. It is checked to lie 12 standard errors away, so that a
    test too weak to see the mistake is red as well.
    """
    found = estimate(draw, rng, samples)
    if not agrees(found, value):
        found = estimate(draw, rng, 4 * samples)
    assert agrees(found, value), f"{found.mean} +- {found.error} against the exact {value}"
    assert abs(control - value) >= CONTROL * found.error, f"control {control} is too near: {found.error} s.e."
    assert not agrees(found, control), f"{found.mean} +- {found.error} accepts the control {control}"


def assert_asymptotic(
    draw: Draw, value: float, bias: float, rng: np.random.Generator, samples: int, control: float
) -> None:
    """Monte Carlo agrees with the asymptotic `value` within the relative `bias`, and rejects `control`."""
    found = estimate(draw, rng, samples)
    assert agrees_within_bias(found, value, bias), (
        f"{found.mean} +- {found.error} against {value}, bias {bias}"
    )
    gap = abs(control - value) - bias * (abs(value) + abs(control))
    assert gap >= CONTROL * found.error, f"control {control} is too near: {found.error} s.e., bias {bias}"
    assert not agrees_within_bias(found, control, bias), f"{found.mean} accepts the control {control}"


# of theory: asymptotic values, each beside the relative bias it may have
BIAS_OLE = 0.005  # deterministic equivalent, dim and n from about 30 on
BIAS_NORMALISED = 0.01  # the same, of normalised OLE: a ratio of two such values
BIAS_FIRST_ORDER = {20: 0.001, 8: 0.005, 6: 0.01}  # with its correction, by n
BIAS_QUANTILE = 0.01  # batches of 2000 that use their own quantile as threshold
BIAS_POOL = 0.002  # pools of 4000 against the infinite sample
BIAS_LEAKAGE = 0.01  # deterministic equivalent at dim 24, n 40
BIAS_OVERLAP = 0.03  # PCA overlap at dim 100, n 60
TRIANGULAR_SLACK = 0.003  # what the deterministic equivalent may lack to a rigorous bound, of dim sqrt(n)
LIMIT = 1e-4  # a limit approached like 1/K, at K = 1e5 or beyond
NEAR_LIMIT = 1e-2  # a limit approached from afar
EXPONENT = 0.1  # half-width of an exponent read from exact values, the next order showing
EXPONENT_SHARP = 0.05  # the same where the next order is far
NEXT_ORDER = 0.05  # relative size of the next order at n = 10
LAW = 0.02  # small-floor law at floor 0.01, dim 64
LAW_SMALL = 2e-4  # small-floor law at floor 1e-4, r = 4
ORDER_40 = 2e-3  # width of the confidence bounds of order 40 at rho <= 5, r <= 4
POINT = 1e-6  # a distribution of width 1e-7 against the point it stands for
VIOLATION = 1e-4  # a refutation is far more than rounding


def as_printed(value: float, text: str) -> bool:
    """`value` rounds to the number printed: half a unit of its last digit."""
    return abs(value - float(text)) <= 0.5 * 10.0 ** -len(text.partition(".")[2]) * (1 + ROUNDING)


# of lsf
GRAM = 1e-6  # nuclear norms by Gram matrices, over the sum of singular values: each may lose sqrt(eps)
FALSE_ALARM = 1e-7  # level of a distribution test of kept scores against real ones
__all__ += ["GRAM", "FALSE_ALARM"]

# of paper_checks: simulators want some noise, the statements none; and the stated biases of asymptotic values
NOISELESS = 1e-6  # relative, of nuclear norms of latents with noise 1e-9 (Gram matrices lose half the digits)
__all__ += ["NOISELESS"]

# of sims.denoising: relative bias of a variance
BIAS_SOLVER = 0.05  # 200 solver steps by the exact noise of data of variance 0.3
LEFT = (
    0.03  # of the share of a variance that few steps leave: two digits on the page, and 5 s.e. of 1e5 pixels
)
__all__ += ["BIAS_SOLVER", "LEFT"]

# of the bounds for many classes
FEASIBLE = 1e-6  # how far, relatively, a search may end from the divergence it was asked for, to be counted
__all__ += ["FEASIBLE"]

# of paper_checks on mechanisms: stated relative biases
SHARED_COSINE = 0.02  # mean cosine re-estimated from 600 samples a class
BIAS_CROSSOVER = 0.06  # factor of the cosine about eps_c at dim 64, n 100: sampling mixes the two spikes
__all__ += ["SHARED_COSINE", "BIAS_CROSSOVER"]
BIAS_LAW = {64: 0.02, 4: 0.11}  # small-floor law at floor .01, r = 2, by dim
U_DEPTH = 0.05  # how deep a U must be, relatively, to be called one: the margin of ole-u-shape
__all__ += ["BIAS_LAW", "U_DEPTH"]
KEEPS_TRUTH = (
    0.15  # how far a rule may move the variance in six generations and still be said to keep the truth
)
__all__ += ["KEEPS_TRUTH"]

# of the rate of the deterministic equivalent
CONSTANT = 0.03  # a leading constant read at n = 256, the next order showing
SLOPE = 0.03  # a rate fitted from n = 16 to 1024
__all__ += ["CONSTANT", "SLOPE"]

# of the open questions: the map of finite sizes
SLOPE_BY_DIFFERENCE = 1e-6  # a central difference of step 1e-5, over sin 2 theta >= 0.04
SECOND_DIFFERENCE = 0.01  # a second difference of step 0.05, relative
__all__ += ["SLOPE_BY_DIFFERENCE", "SECOND_DIFFERENCE"]

# of the exact-score world
CENTRAL_DIFFERENCE = 1e-6  # a slope by central differences of step 1e-4, and of log densities of size 10
DDIM_1000 = 0.04  # what 1000 steps of DDIM still lack of a variance of .01, relative; less of larger ones
__all__ += ["CENTRAL_DIFFERENCE", "DDIM_1000"]

# of selection to trusted moments
LINEAR_PROGRAM = 1e-6  # the solver's own feasibility, of features of size 1
GRID = 1e-4  # a law on a grid of 0.02 standard deviations against the density
KEPT_VARIANCE = 0.01  # relative, of what 200 rows keep against the infinite sample
KEPT_LAW = 0.3  # the least share that a hundred times as many generations takes off KL(truth|kept)
KEPT_PART = 0.02  # relative, of 500 rows a class, noise .05, against the infinite sample without noise
__all__ += ["LINEAR_PROGRAM", "GRID", "KEPT_VARIANCE", "KEPT_LAW", "KEPT_PART"]

# of the fitted two-subspace model
BIAS_FITTED = 0.05  # of what it predicts from 200 samples a class in 8 or 12 dimensions: of order d/n
FITTED = 0.01  # its own bias at d = 40, n = 80, noise .5: spiked-model corrections are asymptotic
JACKKNIFE = 0.2  # standard errors by jackknife against the scatter of 150 samples
TAIL = 1e-10  # a tail probability by contour against closed forms, absolute
__all__ += ["BIAS_FITTED", "FITTED", "JACKKNIFE", "TAIL"]

# of shrunk herding
SHRUNK_VARIANCE = (
    0.1  # relative, kept by 200 rows in two dimensions with s estimated, against the recursion in s*
)
__all__ += ["SHRUNK_VARIANCE"]

# of the analytic worlds
ANGLE = 1e-7  # radians: a cosine of 1 - 1e-16
EM = 1e-5  # modes 10 standard deviations apart: what one sample still weighs in the other's
THICKNESS = (
    0.03  # relative bias of a squared thickness to first order, of 400 samples with noise off the sphere
)
ENGINES = 1e-8  # level of each distribution test of drawn loops against law-exact ones: 18 of them a run
CURVED = 0.05  # radii and thickness of 2000 samples or more
SHARE = 0.2  # of real samples in a random 200 of 400 or more: 7 standard errors
RETENTION = 0.2  # of a tenth of 10,000 samples over that of 20,000: 5 standard errors
LEAST_MODE = 0.35  # the same of the smaller of two halves of that tenth
__all__ += ["ANGLE", "EM", "THICKNESS", "ENGINES", "CURVED", "SHARE", "RETENTION", "LEAST_MODE"]

# of the records of the maps
RERUN = 1e-5  # a cell run again, relatively: sums in another order, over six generations
__all__ += ["RERUN"]

# of diffusion encoders
HALF = 0.05  # bfloat16 has eight bits
__all__ += ["HALF"]
