"""Do the figures of theory draw the formulas' own numbers, without records, and mark what they say they mark?"""

from pathlib import Path

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from figures import kept_moments, log_odds, ole_bounds, refit_loops, style, turning, u_shape
from figures.__main__ import FIGURES, draw
from figures.records import Shelf
from tests.test_figures import lines
from tests.tolerances import CONFIDENCE, FLOAT32, NEAR_LIMIT, close
from theory import alignment, gaussian_loop, selection, timestep
from theory.confidence import log_odds_density
from theory.ole import corrected_bound, exact_ole_rank_one, theorem1_bound

THEORY = ("log-odds", "ole-bounds", "refit-loops", "turning", "kept-moments", "u-shape")


@pytest.fixture(scope="module")
def drawn() -> dict[str, Figure]:
    """Each figure, drawn once."""
    with rc_context(style.RC):
        return {name: FIGURES[name].draw({}) for name in THEORY}


@pytest.mark.parametrize("name", THEORY)
def test_panels_are_named_and_captioned(name: str, drawn: dict[str, Figure]) -> None:
    figure = drawn[name]
    assert FIGURES[name].WORLDS == ()
    assert "simulation" in figure.texts[1].get_text(), "the caption says that nothing is simulated"
    for ax in figure.axes:
        assert ax.get_title()
        assert ax.get_ylabel() or ax.get_subplotspec().colspan.start  # type: ignore[union-attr]
        assert all(np.isfinite(np.asarray(line.get_ydata(), dtype=float)).all() for line in ax.get_lines())


def test_a_file_of_theory_is_small_and_looks_the_same(tmp_path: Path) -> None:
    draw("refit-loops", Shelf(tmp_path), tmp_path)
    file = tmp_path / "refit-loops.png"
    with rc_context(style.RC):
        FIGURES["refit-loops"].draw({}).savefig(tmp_path / "full.png")
    assert file.stat().st_size < 200_000
    with Image.open(file) as small, Image.open(tmp_path / "full.png") as full:
        a, b = (np.asarray(i.convert("RGB"), dtype=float) for i in (small, full))
    assert np.abs(a - b).mean() < 1, "of 255 grey levels"
    assert np.abs(255 - b).mean() > 4, "a blank page would pass as well"


def test_log_odds(drawn: dict[str, Figure]) -> None:
    a, _, c = drawn["log-odds"].axes
    line = next(x for x in a.get_lines() if x.get_label() == "ρ = 3")
    z = np.asarray(line.get_xdata(), dtype=float)
    assert close(lines(a, "ρ = 3")[0], log_odds_density(z, np.full((z.size, 2), 3.0)))
    assert np.float32(1 / (1 + np.exp(-(log_odds.SATURATED + 1e-6)))) == 1
    assert np.float32(1 / (1 + np.exp(-(log_odds.SATURATED - 1e-6)))) < 1
    for label, share in zip(("r = 10", "r = 1"), (0.0, 0.1), strict=True):
        saturated = lines(c, label)[0]
        assert saturated[0] > share
        assert (np.diff(saturated) < FLOAT32).all(), "more noise, fewer ties"


@pytest.mark.parametrize(("rank", "noise"), [(1, 0.1), (4, 0.1), (10, 0.4)])
def test_saturated_share_is_the_quantile_of_the_kept(rank: int, noise: float) -> None:
    """Two ways to the same tail: keep the share, and the threshold must be 25 ln 2."""
    share = float(log_odds.saturated(rank, np.array([noise]))[0])
    threshold = selection.kept_moments(np.pi / 2, noise, rank, share)[0]
    assert close(threshold, log_odds.SATURATED, FLOAT32)
    assert not close(
        selection.kept_moments(np.pi / 2, noise, rank, 0.99 * share)[0], log_odds.SATURATED, FLOAT32
    )


def test_ole_bounds(drawn: dict[str, Figure]) -> None:
    for ax, setting in zip(drawn["ole-bounds"].axes, ole_bounds.SETTINGS, strict=True):
        angles = np.repeat(np.radians(ole_bounds.DEGREES)[:, None], setting.r, axis=1)
        (exact,), (proved,) = lines(ax, "E OLE"), lines(ax, "corrected bound, proved")
        assert (proved <= exact).all()
        assert close(proved, corrected_bound(setting.d, setting.n, angles, setting.s, rigorous=True))
        paper = lines(ax, "Theorem 1, reconstructed")
        assert bool(paper) == (setting.s == 0)
        if setting.n == 1:
            assert close(exact, exact_ole_rank_one(1, angles[:, 0]))
            assert close(paper[0], theorem1_bound(1, angles))
            assert (paper[0] > exact)[-1], "the violation is drawn"
            assert (paper[0] > exact)[ole_bounds.DEGREES < 85].sum() == 0, "and nowhere but near 90 degrees"


def test_refit_loops(drawn: dict[str, Figure]) -> None:
    a, b, c, d = drawn["refit-loops"].axes
    mean, typical = (np.asarray(line.get_ydata(), dtype=float) for line in a.get_lines()[:2])
    assert close(mean, gaussian_loop.expected_variance(500, 200))
    assert close(
        typical[7], np.exp(gaussian_loop.expected_log_det(refit_loops.DIM, 500, 7) / refit_loops.DIM)
    )
    assert (typical[1:] < mean[1:]).all()
    curve, limit = (np.asarray(line.get_ydata(), dtype=float) for line in b.get_lines()[-2:])
    assert close(curve[-1], limit[0], NEAR_LIMIT)
    assert close(limit[0], gaussian_loop.accumulated_variance(5))
    assert close(lines(c, "× 0.5 each fit")[0][-1], gaussian_loop.biased_accumulation(0.5, 1000)[-1])
    assert close(lines(d, "n = 100")[0][-1], gaussian_loop.fresh_data_drift(100, 1.0))


def test_turning(drawn: dict[str, Figure]) -> None:
    a, b, c = drawn["turning"].axes
    eps_c = float(alignment.critical_leakage(turning.DIM, turning.N, turning.NOISE))
    paths = [np.asarray(line.get_ydata(), dtype=float) for line in a.get_lines()]
    assert [path[-1] > path[0] for path in paths] == [True, True, False, False, False]
    near_90 = turning.cosines(0.99 * eps_c, 1, 1.57), turning.cosines(1.01 * eps_c, 1, 1.57)
    assert [path[1] > path[0] for path in near_90] == [False, True], "eps_c is the border at 90 degrees"
    for kind, up in (("leakage", True), ("noise floor", True), ("PCA refit", False)):
        assert (np.diff(lines(b, kind)[0]) > 0).all() == up
    starts = [np.asarray(line.get_ydata(), dtype=float) for line in c.get_lines()]
    assert all(close(path[0], starts[0][0], CONFIDENCE) for path in starts)
    assert all((np.diff(path) < 0).all() for path in starts)


def test_kept_moments(drawn: dict[str, Figure]) -> None:
    a, b, c, d, e, f = drawn["kept-moments"].axes
    for ax in (a, b):
        for own, other in zip(ax.get_lines()[:-1:2], ax.get_lines()[1:-1:2], strict=True):
            assert (np.asarray(own.get_ydata())[:-1] > 1).all()
            assert (np.asarray(other.get_ydata())[:-1] < 1).all()
    q = np.asarray(b.get_lines()[1].get_xdata(), dtype=float)
    flat = q < (1 + 2.0**2) / (1 + 2 * 2.0**2)
    assert close(np.asarray(b.get_lines()[1].get_ydata())[flat], 5 / 9), "m_B = 1/(1 + c), c = s²/(1 + s²)"
    q = np.asarray(c.get_lines()[1].get_xdata(), dtype=float)
    assert close(lines(c, "gap 2.5 s.d.")[0], 100 * np.asarray(selection.kept_minority_share(q)))
    v, share = selection.runaway(0.8, kept_moments.LAST)
    assert close(lines(d, "λ = 0.8")[0], v)
    assert close(lines(e, "λ = 0.8")[0], share)
    lam, growth = f.get_lines()[0].get_data()
    assert close(growth[3], selection.runaway_growth(lam[3]) - 1)


def test_u_shape(drawn: dict[str, Figure]) -> None:
    a, b = drawn["u-shape"].axes
    dots = [line for line in a.get_lines() if line.get_marker() == "o"]
    assert len(dots) == len(u_shape.FLOORS)
    for dot, floor in zip(dots, u_shape.FLOORS, strict=True):
        w, top = (float(x[0]) for x in dot.get_data())
        assert (np.asarray(lines(a, f"δ = {floor:g}")[0]) <= top).all()
        assert close(timestep.csnr(w, u_shape.DIM, u_shape.RANK, floor), top)
        for near in (0.97, 1.03):
            assert timestep.csnr(near * w, u_shape.DIM, u_shape.RANK, floor) < top
    assert (np.diff(lines(a, "δ = 0: no maximum")[0]) < 0).all()
    exact, law = (np.asarray(line.get_ydata(), dtype=float) for line in b.get_lines()[2:4])
    assert close(exact[0], law[0], NEAR_LIMIT)
    assert not close(exact[-1], law[-1], NEAR_LIMIT)
