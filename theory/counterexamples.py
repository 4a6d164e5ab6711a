"""Which plausible statements about confidence and OLE are false, and which numbers refute them?

    literal-theorem-2     xi <= sg(r sin^2 theta)/(2 s^2 (s^2+1)):
                          the factor outside the sigmoid, as the notes print it
    one-sided-divergence  xi <= sg(KL(P1||P0)) for classes of unequal covariance
                          (true with the two-sided divergence)
    natural-multiclass    xi_C <= 1/(1 + (C-1) e^{-D}), D = r/(2 s^2 (1+s^2)), for C >= 3 orthogonal subspaces
    largest-posterior     E max(p, 1-p) <= sg(sum_i rho_i/2):
                          confidence of the decided label instead of the true one
    theorem-1             E OLE >= C1 - C2 phi(theta), the reconstruction, at one sample a class and right angles
    phi-monotone          phi falls with theta at every angle,
                          so that Theorem 1's bound rises as the subspaces align
    theorem-1-informative C1 - C2 phi(theta) >= 0:
                          Theorem 1 says more than OLE >= 0, at 5 degrees and beyond

The numbers are float64; theory.refutations encloses each of them, so that every violation is certain. Each
statement has its formula as a function, so that a hunt can look for violations elsewhere. Source: the paper
('Stabilizing Self-Consuming Diffusion Models with Latent Space Filtering', AAAI-26, as reported in secondary
notes) for theorem-1 and literal-theorem-2, their natural extensions for the others; the refutations are our
own derivation.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit

from theory.checks import Real, plain, positive, right_angles, whole
from theory.confidence import bayes_error, expected_confidence, multiclass_confidence, snr, theorem2_bound
from theory.ole import exact_ole_rank_one, theorem1_bound

__all__ = [
    "Counterexample",
    "counterexamples",
    "literal_theorem2",
    "one_sided_bound",
    "two_sided_bound",
    "scale_confidence",
    "natural_multiclass_bound",
    "largest_posterior",
]


class Counterexample(NamedTuple):
    """A false statement `smaller <= larger`, where it fails, and by how much."""

    id: str
    statement: str
    at: str
    smaller: float
    larger: float

    @property
    def violation(self) -> float:
        """smaller - larger: above zero, so the statement is false."""
        return self.smaller - self.larger


def literal_theorem2(rank: Any, angle: Any, noise: Any) -> Real:
    """sg(r sin^2 theta)/(2 s^2 (s^2+1)), Theorem 2 with the factor outside the sigmoid: no bound on xi."""
    r, theta, s = whole("rank", rank), right_angles(angle, "angle"), positive("noise", noise)
    return plain(expit(r * np.sin(theta) ** 2) / (2 * s**2 * (s**2 + 1)))


def scale_confidence(scale: Any) -> Real:
    """xi = E_1 sg(log p1/p0) for P1 = N(0, 1) against P0 = N(0, scale^2), equal priors; accurate to 1e-12.

    Midpoint rule in t, x = min(1, scale) sinh t: the poles of the sigmoid come as near to the real line as the
    smaller scale, in x, but not in t.
    """
    sigma = positive("scale", scale)[..., None]
    a, step = np.minimum(1, sigma), 0.05
    t = np.arange(step / 2, np.log(26 / a.min()), step)  # up to x = 13
    x = a * np.sinh(t)
    Z = np.log(sigma) - (x**2 - (x / sigma) ** 2) / 2
    weight = 2 * step * a * np.cosh(t) / np.sqrt(2 * np.pi)
    return plain((weight * np.exp(-(x**2) / 2) * expit(Z)).sum(axis=-1))


def one_sided_bound(scale: Any) -> Real:
    """sg(KL(P1||P0)), P1 = N(0, 1), P0 = N(0, scale^2): no bound on xi once the covariances differ."""
    sigma = positive("scale", scale)
    return plain(expit((1 / sigma**2 - 1) / 2 + np.log(sigma)))


def two_sided_bound(scale: Any) -> Real:
    """sg((KL(P1||P0) + KL(P0||P1))/2) >= xi: true for any two densities with equal priors (own derivation).

    With Y = tanh^2(Z/2) under the mixture, xi = (1 + E Y)/2 and the mean of the two divergences is E psi(Y),

        psi(y) = 2 sqrt(y) artanh(sqrt y) = 2 sum_k y^k/(2k-1):

    convex, and at least 2 artanh(y) = 2 sum_k y^{2k-1}/(2k-1) term by term. Hence

        E psi(Y) >= psi(E Y) >= 2 artanh(E Y) = logit xi.
    """
    sigma = positive("scale", scale)
    return plain(expit((1 / sigma**2 + sigma**2 - 2) / 4))


def natural_multiclass_bound(classes: Any, rank: Any, noise: Any) -> Real:
    """1/(1 + (C-1) e^{-D}), D = r/(2 s^2 (1+s^2)): Theorem 2's form for C classes; a bound for C = 2 only."""
    C, r, s = whole("classes", classes, 2), whole("rank", rank), positive("noise", noise)
    return plain(expit(r / (2 * s**2 * (1 + s**2)) - np.log(C - 1)))


def largest_posterior(rho: Any) -> Real:
    """E max(p, 1-p) = 1 - Bayes error: the confidence of the decided label, not of the true one.

    It exceeds Theorem 2's bound as rho -> 0, being 1/2 + order sqrt(rho) where the bound is 1/2 + order rho.
    """
    return plain(1 - np.asarray(bayes_error(rho)))


def counterexamples() -> list[Counterexample]:
    """Every false statement of this module with the numbers that refute it."""
    right = np.pi / 2
    return [
        Counterexample(
            "literal-theorem-2",
            "xi <= sg(r sin^2 theta)/(2 s^2 (s^2+1))",
            "r = 1, theta = 0.05, s = 1",
            float(expected_confidence(snr(0.05, 1.0))),
            float(literal_theorem2(1, 0.05, 1.0)),
        ),
        Counterexample(
            "one-sided-divergence",
            "xi <= sg(KL(P1||P0))",
            "P1 = N(0, 1), P0 = N(0, 1.5^2)",
            float(scale_confidence(1.5)),
            float(one_sided_bound(1.5)),
        ),
        Counterexample(
            "natural-multiclass",
            "xi_C <= 1/(1 + (C-1) e^{-D}), D = r/(2 s^2 (1+s^2))",
            "C = 3, r = 2, s = 2",
            float(multiclass_confidence(3, 2, 2.0)),
            float(natural_multiclass_bound(3, 2, 2.0)),
        ),
        Counterexample(
            "largest-posterior",
            "E max(p, 1-p) <= sg(sum rho/2)",
            "r = 1, rho = 0.01",
            float(largest_posterior(0.01)),
            float(theorem2_bound(0.01)),
        ),
        Counterexample(
            "theorem-1",
            "C1 - C2 phi(theta) <= E OLE",
            "n = 1, r = 1, s = 0, theta = pi/2",
            float(theorem1_bound(1, right)),
            float(exact_ole_rank_one(1, right)),
        ),
        Counterexample(
            "phi-monotone",
            "the bound of Theorem 1 at a wide angle <= that at a narrower one",
            "n = 1, r = 1, theta = pi/2 against pi/3",
            float(theorem1_bound(1, right)),
            float(theorem1_bound(1, np.pi / 3)),
        ),
        Counterexample(
            "theorem-1-informative",
            "0 <= C1 - C2 phi(theta)",
            "n = 100, r = 4, theta = 0.0873 (5 degrees)",
            0.0,
            float(theorem1_bound(100, np.full(4, 0.0873))),
        ),
    ]
