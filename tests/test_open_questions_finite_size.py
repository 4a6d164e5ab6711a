"""The map of `ole-falls-with-angle` at finite size: its derivative, its exact values; and the steps of the proofs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaln

from paper_checks.open_questions.finite_size import (
    COLUMNS,
    FALLS,
    RISES,
    UNDECIDED,
    Job,
    Point,
    draw,
    jobs,
    points,
    polar,
    proof,
    quartic,
    row,
    slope,
    summary,
    verdict,
)
from tests.tolerances import (
    FLOAT64,
    INTEGRAL,
    LIMIT,
    NEAR_LIMIT,
    SECOND_DIFFERENCE,
    SLOPE_BY_DIFFERENCE,
    assert_exact,
    at_most,
    close,
)
from theory.ole import exact_ole_rank_one, one_sample_slope

seeds = st.integers(0, 2**32 - 1)


def nuclear(point: Point, seed: int) -> float:
    """Mean nuclear norm of one draw over the eight signs, M built by its definition."""
    d, n, s, angles = point
    rng = np.random.default_rng(seed)
    a, noise = rng.standard_normal((len(angles), 2, n)), s * rng.standard_normal((d, 2, n))
    total = 0.0
    for swap in (False, True):
        for e, f in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            M, b = noise.copy(), a.copy()
            M[0], M[1] = e * M[0], f * M[1]
            if swap:
                M[[0, 1]], b[0, 1] = M[[1, 0]], -b[0, 1]
            for i, theta in enumerate(angles):
                M[2 * i] += np.cos(theta / 2) * b[i]
                M[2 * i + 1] += np.sin(theta / 2) * (b[i] * [[1], [-1]])
            total += np.linalg.svd(M.reshape(d, 2 * n), compute_uv=False).sum() / 8
    return total


@pytest.mark.parametrize(("dim", "rank", "n"), [(2, 1, 1), (2, 1, 3), (5, 2, 2), (7, 3, 4), (8, 1, 2)])
@pytest.mark.parametrize("theta", [0.02, 0.7, 1.5])
def test_the_slope_is_a_derivative(dim, rank, n, theta):
    """Draw by draw: the pathwise derivative against a central difference in the first angle."""
    others = (0.3, 1.2)[: rank - 1]
    point, h = Point(dim, n, 0.4, (theta, *others)), 1e-5
    ahead, behind = (nuclear(point._replace(angles=(theta + k, *others)), 5) for k in (h, -h))
    expected = (ahead - behind) / (2 * h) / np.sin(2 * theta)
    (found,) = draw(point, np.random.default_rng(5), 1, polar)
    assert close(found, expected, SLOPE_BY_DIFFERENCE)


@pytest.mark.parametrize(("theta", "noise"), [(0.5, 0.3), (1.2, 0.1)])
def test_one_sample(rng, theta, noise):
    """Quadrature at n = 1, d = 2 against simulation; the control is twice it."""
    value = one_sample_slope(theta, noise)
    assert close(one_sample_slope(theta, noise, 300), value, FLOAT64)
    assert_exact(
        lambda g, k: draw(Point(2, 1, noise, (theta,)), g, k, polar)[0], value, rng, 10_000, 2 * value
    )


def test_one_sample_without_noise():
    """As s falls to 0 the slope is that of the closed form."""
    theta, h = 1.0, 1e-5
    step = float(exact_ole_rank_one(1, theta - h)) - float(exact_ole_rank_one(1, theta + h))
    assert close(one_sample_slope(theta, 0.02, 700), step / (2 * h) / np.sin(2 * theta), NEAR_LIMIT)


def test_one_sample_in_much_noise():
    """slope x s^3 tends to a constant, whatever the noise."""
    s = np.array([1e3, 1e40, 1e78])
    scaled = one_sample_slope(1.0, s) * s**3
    assert close(scaled / scaled[0], 1, LIMIT)
    assert scaled[0] > 0


@pytest.mark.parametrize(
    "bad", [{"angle": 0.0}, {"angle": 2.0}, {"angle": np.pi / 2}, {"noise": 0.0}, {"nodes": 0}]
)
def test_one_sample_refuses(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        one_sample_slope(**{"angle": 1.0, "noise": 1.0, **bad})


@pytest.mark.parametrize("point", [Point(5, 2, 0.5, (0.4, 1.1)), Point(4, 3, 1.0, (1.5,))])
def test_the_control_is_known(rng, point):
    assert_exact(lambda g, k: draw(point, g, k, quartic)[0], -2 * point.n**2, rng, 20_000, 2 * point.n**2)


def test_verdicts():
    assert [verdict(x) for x in ((2, 1, 3), (-2, -3, -1), (0, -1, 1))] == [RISES, FALLS, UNDECIDED]
    point = Point(3, 3, 0.3, (0.7,))
    right, swapped = slope(point, np.random.default_rng(1), 10, polar, lambda M: -polar(M))
    assert (verdict(right), verdict(swapped)) == (RISES, FALLS)
    assert close(right[0], -swapped[0])


def test_the_map_covers_its_domain():
    every = points(0)
    assert len(every) >= 2000
    assert {(p.dim, p.rank, p.n) for p in every} == {
        (d, r, n) for r in (1, 2, 3) for d in range(2 * r, 9) for n in range(1, 9)
    }
    assert all(0.05 <= p.noise <= 2 and min(p.angles) > 0 and max(p.angles) < np.pi / 2 for p in every)
    assert sum(not proof(p.dim, p.rank, p.n) for p in every) >= 500


def test_where_proofs_end():
    assert proof(4, 1, 8) == "d >= 2r+2"
    assert proof(5, 2, 2) == "d >= 2n+1"
    assert proof(2, 1, 1) == "n = 1"
    assert proof(2, 1, 8) == "d = 2"
    assert [proof(*x) for x in ((3, 1, 2), (4, 2, 2), (5, 2, 3), (7, 3, 4))] == [""] * 4


def test_a_row_depends_on_its_seed_and_number_alone():
    job = jobs(0, 100)[3]
    first, again = row(job), row(Job(*job))
    assert first == again
    assert tuple(first) == COLUMNS
    assert row(job._replace(seed=1))["slope"] != first["slope"]
    assert "control: 1 falls" in summary([first])


def spd(rng, p):
    L = rng.standard_normal((p, p))
    return L @ L.T + 0.1 * np.eye(p)


@given(seeds, st.integers(1, 5))
@settings(max_examples=30)
def test_step_kernel(seed, p):
    """log det(A + gg' + hh') is a sum of a function of g, one of h and log(1 - rho^2): the kernel of the proof."""
    rng = np.random.default_rng(seed)
    A, (g, h) = spd(rng, p), rng.standard_normal((2, p))
    gg, hh, gh = (x @ np.linalg.solve(A, y) for x, y in ((g, g), (h, h), (g, h)))
    rho2 = gh**2 / ((1 + gg) * (1 + hh))
    left = np.linalg.slogdet(A + np.outer(g, g) + np.outer(h, h))[1]
    right = np.linalg.slogdet(A)[1] + np.log1p(gg) + np.log1p(hh) + np.log1p(-rho2)
    assert close(left, right, FLOAT64, 1e3)


@given(seeds, st.floats(0.3, 1.5))
@settings(max_examples=20)
def test_step_laplace(seed, s):
    """E[e^{-g'Zg} q(g)] = -2 s^4 tr(E Z (I + 2 s^2 Z)^{-1}) det(I + 2 s^2 Z)^{-1/2}, by Gauss-Hermite quadrature."""
    rng = np.random.default_rng(seed)
    Z, E = 0.2 * spd(rng, 2) / s**2, rng.standard_normal((2, 2))
    Z, E = Z / max(1, np.trace(Z) * s**2), E + E.T
    t, w = np.polynomial.hermite_e.hermegauss(80)
    g = s * np.stack(np.meshgrid(t, t), axis=-1)
    q = np.einsum("abi,ij,abj->ab", g, E, g) - s**2 * np.trace(E)
    found = w @ (np.exp(-np.einsum("abi,ij,abj->ab", g, Z, g)) * q) @ w / w.sum() ** 2
    inner = np.eye(2) + 2 * s**2 * Z
    expected = -2 * s**4 * np.trace(E @ Z @ np.linalg.inv(inner)) / np.sqrt(np.linalg.det(inner))
    assert close(found, expected, INTEGRAL)


@pytest.mark.parametrize("B", [0.5, 4.0])
def test_step_second_derivative(B):
    """One column, d = 3: (d/dB)^2 E log(z + chi'^2_3(B)) is E[q(g) q(h) log(z + W' + g^2 + h^2)]/4 < 0."""
    t, w = np.polynomial.hermite_e.hermegauss(60)
    w /= w.sum()
    x, g, h = np.meshgrid(t + np.sqrt(B), t, t, indexing="ij")
    weight = np.einsum("i,j,k->ijk", w, w * (t**2 - 1), w * (t**2 - 1))
    found = (weight * np.log(3 + x**2 + g**2 + h**2)).sum() / 4

    def mixture(B):
        """E log(3 + chi'^2_3(B)), by its Poisson mixture."""
        y = np.square(np.linspace(0, 12, 4001)[1:])
        k = np.arange(80)[:, None]
        log = -B / 2 + k * np.log(B / 2) - gammaln(k + 1) - gammaln(k + 1.5) - (k + 1.5) * np.log(2)
        density = np.exp(log + (k + 1) * np.log(y) - y / 2).sum(axis=0)
        return (density * np.log(3 + y)).sum() / density.sum()

    second = (mixture(B + 0.05) - 2 * mixture(B) + mixture(B - 0.05)) / 0.05**2
    assert found < 0
    assert close(found / second, 1, SECOND_DIFFERENCE)


@given(st.floats(0.1, 5), st.floats(0.1, 5), seeds)
@settings(max_examples=50)
def test_step_one_sample(p, q, seed):
    """H(u) = mean of h((Au +- C)^2) falls on [0, 1], h(t) = sqrt(p^2 + q^2 + 2 sqrt(p^2 q^2 - t)), A + |C| <= p q."""
    share = np.random.default_rng(seed).uniform()
    A, C, u = share * p * q, (1 - share) * p * q, np.linspace(0, 1, 101)
    room = [np.sqrt(np.maximum((p * q) ** 2 - (A * u + e * C) ** 2, 0)) for e in (1, -1)]
    H = sum(np.sqrt(p**2 + q**2 + 2 * x) for x in room) / 2
    assert at_most(H[1:], H[:-1], 100)


@given(seeds, st.floats(0, np.pi))
@settings(max_examples=30)
def test_step_two_dimensions(seed, delta):
    """det(A_0 + R A_1 R') = det A_0 + det A_1 + tr A_0 tr A_1 - tr(A_0 R A_1 R'), the last affine in cos 2 delta."""
    rng = np.random.default_rng(seed)
    a, b = np.sort(rng.gamma(1, size=(2, 2)))[:, ::-1]
    R = np.array([[np.cos(delta), -np.sin(delta)], [np.sin(delta), np.cos(delta)]])
    overlap = (a.sum() * b.sum() + (a[0] - a[1]) * (b[0] - b[1]) * np.cos(2 * delta)) / 2
    found = np.linalg.det(np.diag(a) + R @ np.diag(b) @ R.T)
    assert close(found, a.prod() + b.prod() + a.sum() * b.sum() - overlap, FLOAT64, 100)


def log_det(B, A, nodes=22):
    """E log det(A + X'X), X 2 x 2 white of mean T with T'T = B, by Gauss-Hermite quadrature."""
    t, w = np.polynomial.hermite_e.hermegauss(nodes)
    w /= w.sum()
    lam, V = np.linalg.eigh(B)
    T = (V * np.sqrt(lam)).T
    x, X, y, Y = (
        (T[i, j] + t).reshape([-1 if k == 2 * i + j else 1 for k in range(4)]) for i in (0, 1) for j in (0, 1)
    )
    det = (A[0, 0] + x**2 + y**2) * (A[1, 1] + X**2 + Y**2) - (A[0, 1] + x * X + y * Y) ** 2
    return np.einsum("abcd,a,b,c,d->", np.log(det), w, w, w, w)


def test_the_conjecture_is_not_refuted(rng):
    """Two rows, two columns, full noncentrality: second differences of E log det(A + X'X) along random directions."""
    for _ in range(15):
        A, B, E = rng.uniform(0.8, 4) * np.eye(2) + spd(rng, 2), spd(rng, 2), spd(rng, 2) - spd(rng, 2)
        E *= 0.5 * np.linalg.eigvalsh(B)[0] / np.abs(np.linalg.eigvalsh(E)).max()
        ahead, here, behind = (log_det(B + k * E, A) for k in (1, 0, -1))
        assert ahead + behind - 2 * here < 0
        assert (ahead + behind - 2 * here) + 2 * np.trace(E @ E) > 0  # the control, a convex term added
