"""Do the figures draw the records' own numbers, each in its policy's colour, and say so when there is nothing to draw?

The run folders are synthetic, written through the loops' own code, with numbers that follow from policy, generation
and seed; one test runs a real loop.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from figures import confidence_bound, samples, style
from figures.__main__ import FIGURES, main
from figures.records import MissingRecords, Shelf, World, ole_at
from lsf.pool import Pool
from paper_checks.register import RERUN
from sims.images import digits
from sims.loop import run, run_path
from sims.presets import evidence_preset, preset
from sims.record import RunFolder, digest, run_settings
from tests.tolerances import close
from theory.confidence import expected_confidence, shortfall, theorem2_bound
from theory.selection import runaway

ALL = tuple(style.LOOKS)
WORLDS = ("gaussian", "low-rank", "digits-weak", "digits-strong", "runaway")


def value(policy: str | None, k: int, seed: int, salt: int = 0) -> float:
    """A number of its own for every policy, generation and seed, above zero; generation 0 has no policy."""
    place = 0 if policy is None else 1 + ALL.index(policy)
    return 1 + 0.1 * salt + 0.3 * place + 0.17 * k + 0.01 * (seed % 1000) ** 2


def metrics(policy: str | None, k: int, seed: int, row: Any) -> dict[str, Any]:
    """All metrics of a generation."""
    v = value(policy, k, seed)
    share = v / 10
    one = {
        "n": 20,
        "n_reference": 30,
        "frechet": v,
        "precision": share,
        "recall": 0.9 * share,
        "accuracy": 1 - share,
    }
    two = {
        "coverage": share,
        "variance_ratio": v / 2,
        "log_odds": 3 - v,
        "confidence": share,
        "retention": [1.0],
    }
    return {**one, **two, "ole": oles(v, row)}


def oles(v: float, row: Any) -> list[dict[str, Any]]:
    """A row for each convention: raw = v (1 + t/1000), normalised = v/10."""
    if not hasattr(row.world, "ole_timesteps"):
        return [{"latent": "coordinates", "raw": v, "normalised": v / 10}]
    return [
        {"timestep": t, "input": mode, "latent": latent, "raw": v * (1 + t / 1000), "normalised": v / 10}
        for mode in ("clean", "noised")
        for t in row.world.ole_timesteps
        for latent in ("flattened", "pooled")
    ]


def made(policy: str | None, k: int) -> Pool:
    """Four samples of each digit, constant images whose value tells policy, generation, class and place."""
    y = np.repeat(np.arange(10), 4)
    place = 0 if policy is None else 1 + ALL.index(policy)
    grey = -1 + 0.02 * np.arange(40) + 0.1 * k + 0.01 * place
    return Pool(np.broadcast_to(grey[:, None, None, None], (40, 1, 8, 8)).astype(np.float32), y, k + 1)


def write(root: Path, name: str, seed: int, last: int | None = None, **settings: Any) -> RunFolder:
    """A run folder of a preset; `last`: stop after that generation; `settings`: other than those of today."""
    row = preset(name)
    pool = digits().train if "digits" in name else Pool(np.zeros((2, 2)), np.arange(2))
    own = {**run_settings(row, seed, pool), **settings}
    folder = RunFolder.create(
        root / f"{name}-seed{seed}-{own['source'][:6]}", own, {"feature_space": "test-space"}
    )
    folder.write_floor(metrics(None, 9, seed, row))
    lines = []
    policies = RERUN if "digits" in name else row.policies
    for policy, k in [(None, 0), *((p, k) for p in policies for k in range(1, row.generations + 1))]:
        if last is not None and k > last:
            continue
        pool = made(policy, k)
        if row.checkpoints:
            folder.save_state(policy, k, pool, {"w": np.zeros(1)})
        kept = {"n": 20, "share_real": value(policy, k, seed, 1) / 10}
        choices = {
            q: {"share_real": value(policy, k, seed, i) / 10}
            for i, q in enumerate(("pool", "global", "class"))
        }
        record = {"policy": policy, "generation": k, "metrics": metrics(policy, k, seed, row)}
        lines.append({**record, "trained_on": kept, "choices": choices, "samples": digest(pool.x, pool.y)})
    folder.write_lines("generations.jsonl", lines)
    return folder


@pytest.fixture(autouse=True)
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written here need not survive a power loss."""
    monkeypatch.setattr("sims.record.sync", lambda path: None)


@pytest.fixture(scope="module")
def smoke_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of every world's smoke preset."""
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sims.record.sync", lambda path: None)
        for name in WORLDS:
            for s in (0, 1):
                write(root, f"{name}-smoke", s)
    return root


def drawn(name: str, root: Path, **options: Any) -> tuple[dict[str, World], Figure]:
    """The worlds and the figure of that name."""
    worlds = Shelf(root, **options).worlds(FIGURES[name].WORLDS)
    with rc_context(style.RC):
        return worlds, FIGURES[name].draw(worlds)


def lines(axes: Axes, label: str) -> list[np.ndarray]:
    """The heights of every line with that label."""
    return [
        np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines() if line.get_label() == label
    ]


def mean(read: Callable[[int, int], float], last: int, first: int = 0) -> np.ndarray:
    """Mean over seeds 0 and 1 of read(seed, k), by generation."""
    return np.array([(read(0, k) + read(1, k)) / 2 for k in range(first, last + 1)])


def v(policy: str, k: int, seed: int) -> float:
    """The value of a generation, the shared one at k = 0."""
    return value(policy if k else None, k, seed)


def title(figure: Figure) -> str:
    """The title written above a figure."""
    return figure.texts[0].get_text()


def command(*arguments: str | Path) -> Result:
    """`python -m figures ...` in this process."""
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.mark.slow  # `make evidence` draws them all as well
def test_all_draws_every_figure_and_says_where(smoke_runs: Path, tmp_path: Path) -> None:
    result = command("all", "--runs", smoke_runs, "--records", tmp_path / "none", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    for name in FIGURES:
        file = tmp_path / f"{name}.png"
        assert file.read_bytes().startswith(b"\x89PNG")
        assert f"{name}: {file}" in result.output
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f"{name}.png" for name in FIGURES)


def test_confidence_draws_the_mean_log_odds(smoke_runs: Path) -> None:
    worlds, figure = drawn("confidence", smoke_runs)
    for ax, world in zip(figure.axes, worlds.values(), strict=True):
        for p in world.policies:
            expected = mean(lambda s, k, p=p: 3 - v(p, k, s), world.last)  # type: ignore[misc]
            assert close(lines(ax, style.LOOKS[p].label), [expected])
        assert close(lines(ax, "held-out real data")[0], mean(lambda s, k: 3 - value(None, 9, s), 0)[0])
    control = mean(lambda s, k: 3 - v("SYN", k, s), worlds["gaussian"].last)
    assert not close(lines(figure.axes[0], "ACU-LSF"), [control])


def test_kept_draws_the_excess_over_the_pool(smoke_runs: Path) -> None:
    _, figure = drawn("kept", smoke_runs)
    for i, quota in enumerate(("global", "class"), start=1):
        (line,) = lines(figure.axes[2], f"ACUR's pool, {quota} quota")
        assert close(line, [0.01 * i, 0.01 * i])


def test_filter_bias_draws_theory_beside_simulation(smoke_runs: Path) -> None:
    worlds, figure = drawn("filter-bias", smoke_runs)
    world = worlds["runaway"]
    shrink = preset("runaway").world.generator.shrink  # type: ignore[union-attr]
    variances, shares = runaway(shrink, world.last)
    assert close(lines(figure.axes[0], "top-N, theory"), [variances])
    assert close(lines(figure.axes[1], "top-N, theory"), [shares[1:]])
    simulated = np.exp(mean(lambda s, k: np.log(v("ACU-LSF", k, s) / 2 / shrink), world.last))
    assert close(lines(figure.axes[0], "ACU-LSF, simulated"), [simulated])
    share = mean(lambda s, k: value("ACUR", k, s, 1) / 10, world.last, 1)
    assert close(lines(figure.axes[1], "ACUR, simulated"), [share])


def test_samples_shows_the_recorded_images_in_their_places(smoke_runs: Path) -> None:
    worlds, figure = drawn("samples", smoke_runs)
    columns = worlds["digits-weak"].last + 2
    images = [np.asarray(ax.get_images()[0].get_array()) for half in figure.subfigs[:1] for ax in half.axes]  # type: ignore[attr-defined]
    syn_2, lsf_2 = images[3], images[2 * columns + 3]
    class_7_place_1 = (slice(7 * 9, 7 * 9 + 8), slice(9, 17))
    sample = 7 * 4 + 1
    assert np.array_equal(syn_2[class_7_place_1], made("SYN", 2).x[sample, 0])
    assert np.array_equal(lsf_2[class_7_place_1], made("ACU-LSF", 2).x[sample, 0])
    assert not np.array_equal(syn_2, lsf_2)
    assert np.array_equal(images[0][:8, :8], digits().train.x[digits().train.y == 0][0, 0])
    assert np.isnan(samples.sheet(made("SYN", 2))[8]).all()  # the row between two classes


def test_confidence_bound_needs_no_records(tmp_path: Path) -> None:
    result = command("confidence-bound", "--runs", tmp_path / "none", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    _, figure = drawn("confidence-bound", tmp_path / "none")
    for r, above, below in zip(confidence_bound.RANKS, figure.axes[:4], figure.axes[4:], strict=True):
        rho = np.repeat(confidence_bound.RHO[:, None], r, axis=1)
        (exact,), (bound,) = lines(above, "exact"), lines(above, "Theorem 2 (upper)")
        assert close(exact, expected_confidence(rho))
        assert close(bound, theorem2_bound(rho))
        assert (exact <= bound).all()
        assert close(np.log(lines(below, "exact")[0]), np.log(shortfall(rho)))


@pytest.mark.parametrize("name", [n for n, module in FIGURES.items() if module.WORLDS])
def test_a_policy_has_one_colour_everywhere(name: str, smoke_runs: Path) -> None:
    looks = {look.label: look.colour for look in style.LOOKS.values()}
    assert len({(look.colour, look.marker, look.hollow) for look in style.LOOKS.values()}) == len(ALL)
    assert len({style.LOOKS[p].colour for p in style.FRONT}) == len(style.FRONT)
    _, figure = drawn(name, smoke_runs)
    found = [(line.get_label(), line.get_color()) for ax in figure.axes for line in ax.get_lines()]
    assert all(looks[label] == colour for label, colour in found if label in looks)


def test_generation_axes_are_integers(smoke_runs: Path) -> None:
    _, figure = drawn("confidence", smoke_runs)
    for ax in figure.axes:
        ticks = ax.get_xticks()
        assert np.array_equal(ticks, np.round(ticks))


def test_interval_is_students() -> None:
    x = np.array([1.0, 2.0, 4.0])
    low, high = stats.t.interval(0.95, 2, loc=x.mean(), scale=stats.sem(x))
    assert close(style.interval(x), (x.mean(), low, high))
    normal = stats.norm.interval(0.95, loc=x.mean(), scale=stats.sem(x))
    assert not close(style.interval(x)[1:], normal)
    assert style.interval(x[:1])[2] == np.inf


def test_axes_hold_every_seed_of_few_whatever_the_interval() -> None:
    ax = Figure().subplots()
    values = np.array([[1.0, 2.0], [1.2, 9.0]])
    style.fit_y(ax, [values])
    low, high = ax.get_ylim()
    assert low < 1.0
    assert 9.0 < high < style.interval(values)[2].max()


def test_missing_records_name_the_command(tmp_path: Path) -> None:
    result = command("kept", "--runs", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "make evidence" in result.output
    assert "python -m sims gaussian --seed 0" in result.output
    assert not (tmp_path / "out").exists()
    smoke = command("kept", "--runs", tmp_path, "--out", tmp_path / "out", "--size", "smoke")
    assert "make evidence SIZE=smoke" in smoke.output
    assert "python -m sims gaussian-smoke --seed 0" in smoke.output


def test_all_draws_what_it_can_and_fails(tmp_path: Path) -> None:
    result = command("all", "--runs", tmp_path / "none", "--records", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 1
    theory = {f"{name}.png" for name, module in FIGURES.items() if not module.WORLDS}
    assert {p.name for p in (tmp_path / "out").iterdir()} == theory
    assert result.output.count("not drawn") == len(FIGURES) - len(theory)


def test_an_unknown_name_lists_those_there_are() -> None:
    result = command("pie-chart")
    assert result.exit_code == 2
    assert all(name in result.output for name in FIGURES)


def test_help_lists_the_figures() -> None:
    result = command("--help")
    assert result.exit_code == 0
    assert all(name in result.output for name in FIGURES)


def test_records_of_another_source_are_put_aside(tmp_path: Path) -> None:
    write(tmp_path, "runaway", 0, source="0" * 16)
    result = command("filter-bias", "--runs", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "runaway-seed0-000000: made with other source" in result.output
    worlds, figure = drawn("filter-bias", tmp_path, any_source=True)
    assert "stale" in title(figure)
    write(tmp_path, "runaway", 1)
    for any_source in (False, True):  # the control: today's records are drawn, and alone
        worlds, figure = drawn("filter-bias", tmp_path, any_source=any_source)
        assert [r.seed for r in worlds["runaway"].runs] == [1]
        assert "stale" not in title(figure)


def test_two_other_sources_are_never_mixed(tmp_path: Path) -> None:
    write(tmp_path, "runaway", 0, source="0" * 16)
    write(tmp_path, "runaway", 1, source="1" * 16)
    shelf = Shelf(tmp_path, any_source=True)
    assert shelf.worlds(["runaway"])["runaway"].n == 1
    assert len(shelf.aside) == 1


def test_unfinished_runs_are_put_aside(tmp_path: Path) -> None:
    write(tmp_path, "runaway", 0, last=3)
    with pytest.raises(MissingRecords, match="unfinished: ACUR, ACU-LSF"):
        Shelf(tmp_path).worlds(["runaway"])
    write(tmp_path, "runaway", 1)
    shelf = Shelf(tmp_path)
    assert [r.seed for r in shelf.worlds(["runaway"])["runaway"].runs] == [1]
    assert list(shelf.aside.values()) == ["unfinished: ACUR, ACU-LSF"]


def test_a_damaged_folder_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path, "runaway", 0)
    (folder.path / "settings.json").write_text("{")
    result = command("filter-bias", "--runs", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "settings.json is damaged" in result.output
    assert "Traceback" not in result.output


def test_full_records_come_before_smoke_ones(tmp_path: Path) -> None:
    write(tmp_path, "runaway-smoke", 0)
    assert "smoke" in title(drawn("filter-bias", tmp_path)[1])
    with pytest.raises(MissingRecords):
        drawn("filter-bias", tmp_path, size="full")
    write(tmp_path, "runaway", 0)
    assert "smoke" not in title(drawn("filter-bias", tmp_path)[1])
    assert "smoke" in title(drawn("filter-bias", tmp_path, size="smoke")[1])


@pytest.mark.parametrize(("size", "place"), [("smoke", "out/smoke/figures"), ("auto", "out/figures")])
def test_smoke_figures_lie_apart(
    size: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "runaway-smoke", 0)
    assert command("filter-bias", "--runs", tmp_path, "--size", size).exit_code == 0
    assert [p.relative_to(tmp_path) for p in tmp_path.rglob("filter-bias.png")] == [
        Path(place, "filter-bias.png")
    ]


def test_full_and_smoke_never_share_a_figure(tmp_path: Path) -> None:
    write(tmp_path, "digits-weak", 0)
    for name in ("digits-weak-smoke", "digits-strong-smoke"):
        write(tmp_path, name, 0)
    worlds, _ = drawn("samples", tmp_path)
    assert all(w.smoke for w in worlds.values())


def test_root_seeds_are_not_mixed(tmp_path: Path) -> None:
    for s in (0, 1, 2001, 2000):
        write(tmp_path, "runaway", s)
    assert [r.seed for r in Shelf(tmp_path).worlds(["runaway"])["runaway"].runs] == [0, 1]
    assert [r.seed for r in Shelf(tmp_path, seed=2).worlds(["runaway"])["runaway"].runs] == [2000, 2001]


def test_ole_at_wants_exactly_one_row() -> None:
    rows = [{"timestep": 1, "raw": 2.0}, {"timestep": 2, "raw": 3.0}]
    assert ole_at(rows, "raw", timestep=2) == 3.0
    for where in ({}, {"timestep": 5}):
        with pytest.raises(ValueError, match="rows of latents"):
            ole_at(rows, "raw", **where)


def test_a_real_run_is_drawn(tmp_path: Path) -> None:
    row = evidence_preset("runaway", smoke=True)
    run(row, 0, run_path(row, 0, tmp_path))
    result = command("filter-bias", "--runs", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "runaway-smoke x 1" in result.output


def test_the_module_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "figures", "confidence-bound", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "confidence-bound.png").exists()
