"""Mechanisms: each does what its formula says, alone and in any combination, and nothing at its default."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm, subspace_angles

from sims.distances import kl, subspaces
from sims.laws import Laws
from sims.mechanisms import NONE, OUTLIER_SCALE, Mechanisms
from tests.tolerances import FLOAT64, Draw, assert_exact, close

D = 5
COMPONENTS = list[tuple[float, np.ndarray, np.ndarray]]


def laws(rng: np.random.Generator, C: int = 3, J: int = 1, d: int = D, sphere: int = 0) -> Laws:
    A = rng.standard_normal((C, J, d, d)) * np.linspace(0.3, 1.5, d)
    S = A @ A.swapaxes(2, 3) / d + 0.01 * np.eye(d)
    weights = rng.dirichlet(np.full(J, 3.0), size=C)
    tau = rng.uniform(0, 0.3, (C, J)) if sphere else 0.0
    return Laws(np.arange(C), weights, rng.standard_normal((C, J, d)), S, sphere, tau)


def planes(rng: np.random.Generator, d: int = D) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((d, d)))[0]


def same(a: Laws, b: Laws) -> bool:
    return all(np.array_equal(value, b.state()[name]) for name, value in a.state().items())


def total(parts: COMPONENTS) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of a mixture, by second moments about 0."""
    mean = np.sum([p * m for p, m, _ in parts], axis=0)
    second = np.sum([p * (S + np.outer(m, m)) for p, m, S in parts], axis=0)
    return mean, second - np.outer(mean, mean)


def squeezed(out: list[COMPONENTS], m: int) -> list[COMPONENTS]:
    """The top m axes of the pooled second moments; beyond them the component's own mean variance."""
    V = np.linalg.svd(sum(p * (S + np.outer(c, c)) for parts in out for p, c, S in parts))[0]
    on, off = V[:, :m], V[:, m:]

    def one(p: float, c: np.ndarray, S: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        floor = np.trace(off.T @ S @ off) / off.shape[1]
        return p, on @ (on.T @ c), on @ (on.T @ S @ on) @ on.T + floor * off @ off.T

    return [[one(*part) for part in parts] for parts in out]


def averaged(out: list[COMPONENTS], a: float) -> list[COMPONENTS]:
    """Component j of every class towards the average of all components j."""
    m = [np.mean([parts[j][1] for parts in out], axis=0) for j in range(len(out[0]))]
    V = [np.mean([parts[j][2] for parts in out], axis=0) for j in range(len(out[0]))]
    return [
        [(p, c + a * (m[j] - c), S + a * (V[j] - S)) for j, (p, c, S) in enumerate(parts)] for parts in out
    ]


def mixed(out: list[COMPONENTS], e: float) -> list[COMPONENTS]:
    """Class c: a share 1 - e of its own, the rest of the others alike."""
    share = e / max(1, len(out) - 1)
    return [
        [(p * (1 - e if b == c else share), m, S) for b, parts in enumerate(out) for p, m, S in parts]
        for c in range(len(out))
    ]


def clouded(parts: COMPONENTS, o: float) -> COMPONENTS:
    """A share o from an isotropic cloud of four times the mean variance."""
    m, S = total(parts)
    cloud = (o, m, 4.0 * np.trace(S) / len(m) * np.eye(len(m)))
    return [*((p * (1 - o), c, V) for p, c, V in parts), cloud]


def by_hand(law: Laws, mech: Mechanisms, frame: np.ndarray) -> list[COMPONENTS]:
    """The docstring's formulas again, component by component, as they act in order."""
    C, J, d = law.means.shape
    out = [[(law.weights[c, j], law.means[c, j], law.covariances[c, j]) for j in range(J)] for c in range(C)]
    if mech.capacity is not None and mech.capacity < d:
        out = squeezed(out, mech.capacity)
    out = [clouded(parts, mech.outliers) for parts in mixed(averaged(out, mech.shrinkage), mech.leakage)]
    pairs = [(frame[:, i], frame[:, i + 1]) for i in range(0, d - 1, 2)]
    R = expm(np.deg2rad(mech.rotation) * sum(np.outer(v, u) - np.outer(u, v) for u, v in pairs))
    T, noise = mech.temperature, mech.floor**2 * np.eye(d)
    return [[(p, R @ m, R @ (T * S + noise) @ R.T) for p, m, S in parts] for parts in out]


def agrees_by_hand(law: Laws, mech: Mechanisms, frame: np.ndarray) -> bool:
    mean, S = mech.apply(law, frame).moments()
    expected = [total(parts) for parts in by_hand(law, mech, frame)]
    return all(
        close(mean[c], m, FLOAT64, 10) and close(S[c], V, FLOAT64, 10) for c, (m, V) in enumerate(expected)
    )


EACH = {
    "capacity": Mechanisms(capacity=3),
    "shrinkage": Mechanisms(shrinkage=0.3),
    "leakage": Mechanisms(leakage=0.2),
    "outliers": Mechanisms(outliers=0.1),
    "temperature": Mechanisms(temperature=0.8),
    "floor": Mechanisms(floor=0.3),
    "rotation": Mechanisms(rotation=7.0),
}


def test_every_switch_is_tested() -> None:
    assert set(EACH) == {field.name for field in fields(Mechanisms)}


@pytest.mark.parametrize("J", [1, 2])
def test_nothing_at_the_defaults(J: int, rng: np.random.Generator) -> None:
    """Bit for bit, and each switch alone does something."""
    law, frame = laws(rng, J=J), planes(rng)
    assert same(NONE.apply(law, frame), law)
    assert same(NONE.apply(law), law)
    for mech in EACH.values():
        assert not np.allclose(mech.apply(law, frame).moments()[1], law.moments()[1])


@pytest.mark.parametrize("J", [1, 2])
@pytest.mark.parametrize("name", EACH)
def test_each_alone(name: str, J: int, rng: np.random.Generator) -> None:
    law, frame = laws(rng, J=J), planes(rng)
    assert agrees_by_hand(law, EACH[name], frame)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    C=st.integers(2, 4),
    J=st.integers(1, 3),
    d=st.integers(2, 6),
    capacity=st.none() | st.integers(1, 7),
    shares=st.tuples(*3 * [st.just(0.0) | st.floats(0.01, 1)]),
    temperature=st.floats(0.05, 5),
    floor=st.just(0.0) | st.floats(0.01, 2),
    rotation=st.floats(-180, 180),
    sphere=st.integers(0, 2),
)
def test_any_combination(
    seed: int,
    C: int,
    J: int,
    d: int,
    capacity: int | None,
    shares: tuple[float, float, float],
    temperature: float,
    floor: float,
    rotation: float,
    sphere: int,
) -> None:
    """Moments as by hand; weights sum to 1; covariances symmetric and positive; a thickness for every component."""
    rng = np.random.default_rng(seed)
    law, frame = laws(rng, C, J, d, sphere), planes(rng, d)
    mech = Mechanisms(capacity, *shares, temperature, floor, rotation)
    assert agrees_by_hand(law, mech, frame)
    out = mech.apply(law, frame)
    assert close(out.weights.sum(axis=1), 1)
    assert (out.weights >= 0).all()
    assert close(out.covariances, out.covariances.swapaxes(2, 3))
    assert np.linalg.eigvalsh(out.covariances).min() > -1e-12 * np.abs(out.covariances).max()
    assert out.weights.shape == out.means.shape[:2] == out.covariances.shape[:2] == out._tau.shape
    assert out.sphere == law.sphere
    assert np.isfinite(out.sample(law.classes, rng)).all()


def test_order_matters_and_is_the_stated_one(rng: np.random.Generator) -> None:
    """Temperature before the floor; outliers measured before they are cooled; rotation last."""
    law, frame = laws(rng), planes(rng)
    both = Mechanisms(temperature=0.5, floor=0.4).apply(law)
    assert close(both.covariances, 0.5 * law.covariances + 0.16 * np.eye(D))
    turned = Mechanisms(capacity=2, rotation=30).apply(law, frame)
    after = Mechanisms(rotation=30).apply(Mechanisms(capacity=2).apply(law), frame)
    before = Mechanisms(capacity=2).apply(Mechanisms(rotation=30).apply(law, frame))
    assert same(turned, after)
    assert close(
        turned.covariances, before.covariances, FLOAT64, 10
    )  # rotation is the same for all: it commutes
    cold = Mechanisms(temperature=0.5, outliers=0.2).apply(law)
    assert close(cold.moments()[1], 0.5 * Mechanisms(outliers=0.2).apply(law).moments()[1])


# --- leakage ---


@pytest.mark.parametrize("C", [2, 4])
def test_leaked_share_of_samples_of_other_classes(C: int, rng: np.random.Generator) -> None:
    """A share e in all, alike from every other class; not e (C-1)/C, which a draw from all classes would give."""
    law = replace(laws(rng, C), means=1000.0 * np.arange(C)[:, None, None] * np.ones((C, 1, D)))
    leaked = Mechanisms(leakage=0.3).apply(law)

    def of(g: np.random.Generator, size: int) -> np.ndarray:
        return np.rint(leaked.sample(np.full(size, 1), g).mean(axis=1) / 1000)

    assert_exact(lambda g, k: of(g, k) != 1, 0.3, rng, 40_000, control=0.3 * (C - 1) / C)
    if C > 2:
        assert_exact(lambda g, k: of(g, k) == 3, 0.1, rng, 40_000, control=0.3 / C)


def test_leakage_is_pooled_shrinkage_in_its_moments_only(rng: np.random.Generator) -> None:
    """Means 0: shrinkage a = e C/(C-1) has the covariances of leakage e; its law is another (fourth moments)."""
    C, e = 3, 0.2
    a = e * C / (C - 1)
    law = replace(laws(rng, C), means=np.zeros((C, 1, D)))
    leaked, pooled = Mechanisms(leakage=e).apply(law), Mechanisms(shrinkage=a).apply(law)
    assert close(leaked.moments()[1], pooled.moments()[1])
    assert not close(leaked.moments()[1], Mechanisms(shrinkage=e).apply(law).moments()[1])  # control
    spread = replace(law, covariances=law.covariances * np.array([1.0, 9.0, 16.0])[:, None, None, None])
    leaked, pooled = Mechanisms(leakage=e).apply(spread), Mechanisms(shrinkage=a).apply(spread)
    share, v = np.array([1 - e, e / 2, e / 2]), spread.covariances[:, 0, -1, -1]
    of_mixture, of_normal = 3 * share @ v**2, 3 * (share @ v) ** 2

    def fourth(one: Laws) -> Draw:
        return lambda g, size: one.sample(np.zeros(size, int), g)[:, -1] ** 4

    assert_exact(fourth(leaked), of_mixture, rng, 400_000, control=of_normal)
    assert_exact(fourth(pooled), of_normal, rng, 400_000, control=of_mixture)


def test_leakage_and_shrinkage_differ_where_means_do(rng: np.random.Generator) -> None:
    law = laws(rng)
    leaked, pooled = Mechanisms(leakage=0.2).apply(law), Mechanisms(shrinkage=0.3).apply(law)
    assert close(leaked.moments()[0], pooled.moments()[0])
    assert np.trace(leaked.moments()[1] - pooled.moments()[1], axis1=1, axis2=2).min() > 0.1


def test_complete_shrinkage_makes_all_classes_one(rng: np.random.Generator) -> None:
    one = Mechanisms(shrinkage=1.0).apply(laws(rng, J=2))
    assert close(one.means, one.means[:1])
    assert close(one.covariances, one.covariances[:1])


# --- outliers ---


def test_outliers_are_a_broad_cloud_of_their_share(rng: np.random.Generator) -> None:
    """In 1 - o of the samples nothing changes; the others have `OUTLIER_SCALE` times the class's mean variance."""
    law = laws(rng)
    out = Mechanisms(outliers=0.15).apply(law)
    mean, S = law.moments()
    assert OUTLIER_SCALE == 4
    assert close(out.weights, np.tile([0.85, 0.15], (3, 1)))
    assert np.array_equal(out.covariances[:, :1], law.covariances)
    assert close(out.means[:, 1], mean)
    assert close(out.covariances[:, 1], 4 * np.trace(S, axis1=1, axis2=2)[:, None, None] / D * np.eye(D))


# --- capacity ---


@pytest.mark.parametrize("m", [D, D + 1, 100])
def test_capacity_of_the_whole_space_is_none(m: int, rng: np.random.Generator) -> None:
    law = laws(rng, J=2)
    assert same(Mechanisms(capacity=m).apply(law), law)


def three_planes(rng: np.random.Generator, noise: float = 0.1) -> Laws:
    """Three orthogonal planes in 8 dimensions, with isotropic noise."""
    U = planes(rng, 8)[:, :6].reshape(8, 3, 2).swapaxes(0, 1)
    S = np.array([3.0, 2.0, 1.0])[:, None, None] * U @ U.swapaxes(1, 2) + noise**2 * np.eye(8)
    return Laws(np.arange(3), np.ones((3, 1)), np.zeros((3, 1, 8)), S[:, None])


def test_capacity_below_the_classes_ranks_loses_one(rng: np.random.Generator) -> None:
    """6 axes hold 3 planes; 4 hold the two of the largest variance, and the third class is left a round floor."""
    law = three_planes(rng)
    assert close(Mechanisms(capacity=6).apply(law).covariances, law.covariances)
    S = Mechanisms(capacity=4).apply(law).covariances[:, 0]
    assert close(S[:2], law.covariances[:2, 0])
    assert close(np.linalg.eigvalsh(S[2]), [0.01] * 4 + [0.51] * 4)  # (2 * 1.01 + 2 * 0.01) / 4
    assert close(np.trace(S, axis1=1, axis2=2), np.trace(law.covariances[:, 0], axis1=1, axis2=2))


# --- temperature, floor, rotation ---


@pytest.mark.parametrize("T", [0.25, 3.0])
def test_temperature_and_floor_are_exact(T: float, rng: np.random.Generator) -> None:
    law = laws(rng, J=2)
    hot = Mechanisms(temperature=T).apply(law)
    assert np.array_equal(hot.covariances, T * law.covariances)
    assert np.array_equal(hot.means, law.means)
    high = Mechanisms(floor=T).apply(law)
    assert np.array_equal(high.covariances, law.covariances + T**2 * np.eye(D))
    assert np.array_equal(high.weights, law.weights)


def test_floor_is_a_standard_deviation_of_noise(rng: np.random.Generator) -> None:
    law = replace(laws(rng, C=1), covariances=np.zeros((1, 1, D, D)))
    high = Mechanisms(floor=0.5).apply(law)

    def square(g: np.random.Generator, size: int) -> np.ndarray:
        return np.square(high.sample(np.zeros(size, int), g) - law.means[0, 0])

    assert_exact(square, 0.25, rng, 4000, control=0.5)


@pytest.mark.parametrize("d", [4, 5])
def test_rotation_keeps_all_but_the_place(d: int, rng: np.random.Generator) -> None:
    """Spectra, the classes' mutual angles and mutual KL stay; every axis turns by the angle (an odd one stays)."""
    law, frame = laws(rng, d=d), planes(rng, d)
    out = Mechanisms(rotation=10.0).apply(law, frame)
    S, V = law.covariances[:, 0], out.covariances[:, 0]
    assert close(np.linalg.eigvalsh(V), np.linalg.eigvalsh(S))
    for a, b in ((0, 1), (1, 2)):
        angles = [subspace_angles(*subspaces(X, 2)[[a, b]]) for X in (S, V)]
        assert close(angles[0], angles[1], FLOAT64, 100)
        apart = [
            kl(law.means[a, 0], S[a], law.means[b, 0], S[b]),
            kl(out.means[a, 0], V[a], out.means[b, 0], V[b]),
        ]
        assert close(*apart, FLOAT64, 1000)
    assert kl(law.means[0, 0], S[0], out.means[0, 0], V[0]) > 0.01  # from itself it has moved
    for i in range(d):
        point = replace(law, means=np.broadcast_to(frame[:, i], (3, 1, d)))
        cosine = frame[:, i] @ Mechanisms(rotation=10.0).apply(point, frame).means[0, 0]
        assert close(cosine, 1.0 if i == 4 else np.cos(np.deg2rad(10)))


def test_rotations_add_up(rng: np.random.Generator) -> None:
    law, frame = laws(rng), planes(rng)
    twice = Mechanisms(rotation=20.0).apply(Mechanisms(rotation=20.0).apply(law, frame), frame)
    assert close(twice.covariances, Mechanisms(rotation=40.0).apply(law, frame).covariances)
    back = Mechanisms(rotation=-40.0).apply(twice, frame)
    assert close(back.means, law.means)
    assert not close(twice.means, law.means)


# --- refusals ---


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        *[
            ({name: v}, ValueError)
            for name in ("shrinkage", "leakage", "outliers")
            for v in (-0.1, 1.1, np.nan)
        ],
        *[({"temperature": v}, ValueError) for v in (0.0, -1.0, np.inf, np.nan)],
        *[({"floor": v}, ValueError) for v in (-0.1, np.inf, np.nan)],
        *[({"rotation": v}, ValueError) for v in (181.0, -181.0, np.nan)],
        *[({"capacity": v}, ValueError) for v in (0, -3)],
        *[({"capacity": v}, TypeError) for v in (2.0, "2", True)],
    ],
    ids=str,
)
def test_bad_switch_is_refused_by_name(setting: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=f"^{next(iter(setting))} must"):
        Mechanisms(**setting)


def test_what_a_world_cannot_have_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="leakage must be 0 in a world of one class"):
        Mechanisms(leakage=0.1).apply(laws(rng, C=1))
    with pytest.raises(ValueError, match="rotation needs planes"):
        Mechanisms(rotation=1.0).apply(laws(rng))


def test_control_the_ends_of_the_ranges_are_accepted(rng: np.random.Generator) -> None:
    law, frame = laws(rng), planes(rng)
    for mech in (
        Mechanisms(capacity=1, shrinkage=1.0, leakage=1.0, outliers=1.0),
        Mechanisms(rotation=180.0, temperature=1e-9, floor=1e9),
    ):
        assert np.isfinite(mech.apply(law, frame).moments()[1]).all()
