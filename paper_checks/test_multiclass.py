"""What is true of ANY classes: two, three or more; simulated Gaussian ones, and posterior laws that a search makes up.

Simulation: a bound is missed beyond 5 standard errors only; a bound too sharp must be refuted by 12.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import expit, log_softmax

from paper_checks.gaussian_classes import posteriors, random_classes, true_label
from paper_checks.hunt import Domain, Interval, Whole, hunt
from paper_checks.statistics import FAILS, HOLDS
from tests.tolerances import CONTROL, FLOAT64, STANDARD_ERRORS, close, estimate
from theory.confidence import multiclass_confidence
from theory.counterexamples import one_sided_bound, scale_confidence
from theory.multiclass import (
    attaining_channel,
    mean_divergence,
    pairwise_bounds,
    sharp_confidence_bound,
    sharp_shortfall,
)

WORLDS = 12  # sets of Gaussian classes a check
SAMPLES = 60_000
Bound = Callable[[float], float]


def excess(classes: int, bound: Bound, sharper: Bound, rng: np.random.Generator) -> float:
    """The largest (xi - bound(J))/s.e. over random Gaussian classes; the control `sharper` is refuted somewhere."""
    above, refuted = [], []
    for _ in range(WORLDS):
        mu, S = random_classes(rng, classes)
        J, found = (
            float(mean_divergence(mu, S)),
            estimate(true_label(posteriors(mu, S), classes), rng, SAMPLES),
        )
        above.append((found.mean - bound(J)) / found.error)
        refuted.append((found.mean - sharper(J)) / found.error > CONTROL)
    assert any(refuted), "the control, an eighth of the divergence, was accepted everywhere"
    return max(above)


def test_universal_bound(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """xi - sigmoid(J) in standard errors, at its largest; and the sharp bound, which no pair exceeds, lies below."""
    worst = excess(2, expit, lambda J: expit(J / 8), rng)
    J = np.geomspace(0.01, 600, 200)
    loss = np.asarray(sharp_shortfall(J, 2)) * (1 + np.exp(J)) - 1
    assert scale_confidence(1.5) > one_sided_bound(1.5), "the control, one divergence, was accepted"
    conclude("universal-bound", HOLDS if worst <= STANDARD_ERRORS and (loss > 0).all() else FAILS, worst)


def test_multiclass_bounds(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """The least slack, in every sample of every class; control: the nearest rival alone is no lower bound."""
    slack, controls = [], []
    for classes in (2, 3, 5, 10):
        log_p, y = posteriors(*random_classes(rng, classes))(rng, 30_000)
        p = np.exp(log_p)
        for label in range(classes):
            own, others = p[y == label, label], np.delete(p[y == label], label, axis=1)
            pairwise = own[:, None] / (own[:, None] + others)
            low, high = map(np.asarray, pairwise_bounds(pairwise))
            slack += [float((own - low).min()), float((high - own).min())]
            controls.append(bool(own.mean() < pairwise.mean(axis=0).min() - FLOAT64))
    assert any(controls), "the control was accepted"
    conclude("multiclass-bounds", HOLDS if min(slack) >= -FLOAT64 else FAILS, min(slack))


def sharp(share: float, J: float, classes: int) -> float:
    """The bound with `share` of its excess over 1/C."""
    return 1 / classes + share * (float(sharp_confidence_bound(J, classes)) - 1 / classes)


LAWS: Domain = {
    "classes": Whole(2, 6),
    "weight": Interval(0.0, 1.0),
    **{f"z_{i}": Interval(-12.0, 12.0) for i in range(4)},
}


def law(classes: int, weight: float, **z: float) -> tuple[float, float]:
    """(J, xi) of a posterior with two atoms, the classes' order averaged over; the last logits are all 0."""
    logits = np.zeros((2, classes))
    logits[:, :2] = np.reshape(list(z.values()), (2, 2))
    log_p = log_softmax(logits, axis=-1)
    w, p = np.array([weight, 1 - weight]), np.exp(log_p)
    return max(float(w @ ((classes * p - 1) * log_p).sum(axis=-1)), 0.0), float(w @ (p**2).sum(axis=-1))


ORTHOGONAL: Domain = {"classes": Whole(2, 12), "rank": Whole(1, 8), "noise": Interval(0.05, 5.0, log=True)}


def orthogonal(classes: int, rank: int, noise: float) -> float:
    return (classes - 1) * rank / (2 * noise**2 * (1 + noise**2))


def of_laws(share: float) -> Callable[..., float]:
    return lambda classes, **point: sharp(share, law(classes, **point)[0], classes)


def of_subspaces(share: float) -> Callable[..., float]:
    return lambda classes, **point: sharp(share, orthogonal(classes, **point), classes)


def hunted(rng: np.random.Generator) -> list[bool]:
    """No law, no orthogonal subspaces above the bound; above 99 and 95% of it there are."""

    def xi(**point: float) -> float:
        return law(**point)[1]  # type: ignore[arg-type]

    few: dict[str, Any] = {
        "points": 120,
        "starts": 2,
        "size": lambda **_: 10.0,
    }  # two quadratures, 1.5e-14 apart
    stands = [
        hunt(of_laws(1.0), xi, LAWS, rng, size=lambda **_: 10.0) is None,
        hunt(of_subspaces(1.0), multiclass_confidence, ORTHOGONAL, rng, **few) is None,
    ]
    assert hunt(of_laws(0.99), xi, LAWS, rng), "the control was not found"
    assert hunt(of_subspaces(0.95), multiclass_confidence, ORTHOGONAL, rng, **few), (
        "the control was not found"
    )
    return stands


def attained(J: float, classes: int) -> bool:
    """Is the channel's J, and its xi, what the bound says? From its two posteriors, a and b."""
    w, omega = map(float, attaining_channel(J, classes))
    N, a = classes - 1, 1 / (1 + (classes - 1) * np.exp(-omega))
    b = a * np.exp(-omega)
    mean_J = w * ((classes * a - 1) * np.log(a) + N * (classes * b - 1) * np.log(b))
    xi = w * (a**2 + N * b**2) + (1 - w) / classes
    return close(mean_J, J) and close(xi, sharp(1.0, J, classes)) and xi > sharp(0.99, J, classes)


def test_sharp_multiclass_bound(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """xi - bound in standard errors, at its largest, C = 3 and 5; beside it the hunts, and the channel that attains."""
    worst = max(
        excess(C, lambda J, C=C: sharp(1.0, J, C), lambda J, C=C: sharp(1.0, J / 8, C), rng)  # type: ignore[misc]
        for C in (3, 5)
    )
    channel = all(attained(J, C) for C in (2, 3, 5, 20) for J in (0.05, 0.5, 2.0, 20.0))
    good = worst <= STANDARD_ERRORS and channel and all(hunted(rng))
    conclude("sharp-multiclass-bound [mean over the classes]", HOLDS if good else FAILS, worst)
