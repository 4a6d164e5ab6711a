"""Selection to trusted moments (theory.calibration), proved step by step."""

import sympy as sy

from tests.proofs.symbolic import flat, is_zero, refuted

eps, theta, v, w, x, k, lam, t = sy.symbols("epsilon theta v w x k lam t", positive=True)


def law(name, letters=3):
    """A law of positive symbols, its last letter fixed by the sum."""
    free = sy.symbols(f"{name}_0:{letters - 1}", positive=True)
    return [*free, 1 - sum(free)]


def kl(a, b):
    return sum(u * (sy.log(u) - sy.log(o)) for u, o in zip(a, b, strict=True))


def test_pythagoras():
    """d/d eps KL(q + eps(r - q) || p) at 0 is KL(r||p) - KL(r||q) - KL(q||p).

    r in E, E convex: q + eps (r - q) is in E, and KL is least at eps = 0: the slope is not negative.
    """
    r, q, p = law("r"), law("q"), law("p")
    path = [b + eps * (a - b) for a, b in zip(r, q, strict=True)]
    slope = sy.diff(kl(path, p), eps).subs(eps, 0)
    assert is_zero(sy.expand(slope - (kl(r, p) - kl(r, q) - kl(q, p))))
    assert refuted(sy.expand(slope - (kl(p, r) - kl(q, r) - kl(q, p))))  # the other direction


def test_set_is_convex_and_holds_the_truth():
    """A pool with N real rows of n is (N/n) r + the rest, so r <= (n/N) p; mixtures under a cap are under it."""
    share, rest, a, b = sy.symbols("share rest a b", positive=True)
    pool = share * w + rest
    assert is_zero(pool / share - w - rest / share)  # cap less the truth: not negative
    cap = sy.Symbol("cap", positive=True)
    mixed = cap - (eps * (cap - a) + (1 - eps) * (cap - b))
    assert is_zero(mixed - (eps * a + (1 - eps) * b))


def test_clipped_tilt_is_stationary():
    """Between 0 and the cap: d/du (u log u - (a + theta phi + 1) u) = 0 at u = e^{a + theta phi}."""
    a, phi, u = sy.symbols("a phi u", positive=True)
    slope = sy.diff(u * sy.log(u) - (a + theta * phi + 1) * u, u)
    assert is_zero(flat(slope.subs(u, sy.exp(a + theta * phi))))
    assert refuted(slope.subs(u, sy.exp(-a - theta * phi)))


def test_any_clipped_tilt():
    """log(q/p) = a + theta phi - cut, cut >= 0 and 0 off the cap.

    sum (r - q) log(q/p) = theta (m_r - m_q) - sum (r - q) cut, m the means of phi. Where cut > 0 q is at the cap: there
    r - q <= 0 and the last term, with its sign, is not negative.
    """
    r, q = law("r"), law("q")
    a, phi, cut = sy.Symbol("a"), sy.symbols("phi_0:3"), sy.symbols("cut_0:3")
    slope = sum((u - o) * (a + theta * f - c) for u, o, f, c in zip(r, q, phi, cut, strict=True))
    moments = theta * sum((u - o) * f for u, o, f in zip(r, q, phi, strict=True))
    assert is_zero(slope - moments + sum((u - o) * c for u, o, c in zip(r, q, cut, strict=True)))
    assert refuted(slope - moments)


def test_real_rows():
    """r = 1/m on m real rows, q_i = pi_i/N, p = 1/n: KL(r||p) - KL(r||q) = log(n/N) + mean log pi over the real rows.

    So the inequality is mean log pi >= log(N/n) + KL(q||p): the geometric mean, below the arithmetic one.
    """
    N, n, m = sy.symbols("N n m", positive=True)
    pi = sy.symbols("pi_0:4", positive=True)
    rows = [flat(sy.log(1 / m) - sy.log(1 / n)) - flat(sy.log(1 / m) - sy.log(u / N)) for u in pi]
    gain = sum(rows) / 4  # m = 4 rows of weight 1/m
    mean_log = sum(sy.log(u) for u in pi) / 4
    assert is_zero(sy.expand(gain - (sy.log(n) - sy.log(N) + mean_log)))
    assert refuted(sy.expand(gain - (sy.log(N) - sy.log(n) + mean_log)))


def test_tilted_component():
    """N(0, v) times e^{theta x^2} is (1 - 2 theta v)^{-1/2} times N(0, v/(1 - 2 theta v))."""

    def density(variance):
        return sy.exp(-(x**2) / (2 * variance)) / sy.sqrt(2 * sy.pi * variance)

    gap = sy.Symbol("gap", positive=True)  # 1 - 2 theta v
    tilt = (1 - gap) / (2 * v)
    log_ratio = flat(sy.log(density(v))) + tilt * x**2 - flat(sy.log(density(v / gap))) + sy.log(gap) / 2
    assert is_zero(sy.expand(log_ratio))
    assert refuted(sy.expand(log_ratio - sy.log(gap)))


def test_clip_recursion():
    """beta = 0: v_j = 1 gives P_k = lam + (1 - lam)/(k + 1); without selection P_k = P_{k-1} (k + lam)/(k + 1)."""
    assert is_zero((1 + lam * k) / (k + 1) - lam - (1 - lam) / (k + 1))
    P = sy.Symbol("P", positive=True)
    blocks = k * P  # k P_{k-1} = 1 + lam sum_{j < k-1} v_j; the newest block adds lam P_{k-1}
    assert is_zero((blocks + lam * P) / (k + 1) - P * (k + lam) / (k + 1))
    assert refuted((blocks + P) / (k + 1) - P * (k + lam) / (k + 1))


def test_limit_of_the_kept_law():
    """The tilt from N(0, lam) to N(0, 1): theta = (1/lam - 1)/2, and what the proof's exponents come to.

    Donsker-Varadhan at f = theta x^2: theta - log lam^{-1/2} = KL(N(0,1) || N(0,lam)). The real block's part of E e^f
    on |x| <= R, R^2 = 2 (1+eps) lam log k, is at most 2 R k^{(1+eps)(1-2 lam) - 1}: below 1 for small eps.
    """
    tilt = (1 / lam - 1) / 2
    assert is_zero(1 / (1 / lam - 2 * tilt) - 1)
    divergence = (1 / lam - 1 + sy.log(lam)) / 2
    assert is_zero(sy.expand(tilt + sy.log(lam) / 2 - divergence))
    R2 = 2 * (1 + eps) * lam * sy.log(k)
    exponent = sy.expand(((tilt - sy.Rational(1, 2)) * R2 - sy.log(k)) / sy.log(k))
    assert is_zero(exponent - ((1 + eps) * (1 - 2 * lam) - 1))
    assert is_zero(exponent.subs(eps, 0) + 2 * lam)  # eps = 0: -2 lam < 0
    assert refuted(exponent - ((1 + eps) * (1 - lam) - 1))
    bulk = 1 / (1 / lam - 1)  # theta = 1/2, the most that a real block of variance 1 bears without a cap
    assert is_zero(bulk - lam / (1 - lam))


def test_neutral_fraction():
    """Blocks of one variance p, the part q kept: v = p (1 + log 1/q), so lam (1 + log 1/q) = 1 at q = e^{1 - 1/lam}."""
    p = sy.Symbol("p", positive=True)
    q = sy.exp(-t / p)
    assert is_zero(q * (t + p) / q - p * (1 + flat(-sy.log(q))))
    neutral = sy.exp(1 - 1 / lam)
    assert is_zero(sy.simplify(lam * (1 - flat(sy.log(neutral))) - 1))
    assert refuted(lam * (1 - flat(sy.log(sy.exp(-1 / lam)))) - 1)
