"""Do the maps draw the tables' own numbers, beside the theory they name, and refuse tables that are not to be drawn?

The tables are synthetic: written through the sweeps' own code at the place where the smoke sweeps lie, with numbers of
a fixed stream in place of loops. Two small sweeps are real.
"""

import gzip
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from matplotlib import rc_context
from matplotlib.figure import Figure
from scipy import stats

from figures import (
    map_contraction,
    map_leakage,
    map_mechanisms,
    map_rules,
    map_runaway,
    map_timesteps,
    map_u_shape,
    style,
    tables,
)
from figures.__main__ import FIGURES, MAPS, main
from figures.records import MissingRecords
from figures.rules import RULE_LOOKS
from figures.tables import SweepTable, TableShelf
from paper_checks.measures import spearman
from sims.exact_score import noise_level
from sims.sweep import run_cells, sweep_path
from sims.sweeps import RULES, SITUATIONS, SWEEPS, TIMESTEPS, sweep
from sims.tables import Table
from tests.test_figures import lines, title
from tests.tolerances import close
from theory import alignment, selection, timestep
from theory.gaussian_loop import biased_accumulation

POSITIVE = (
    *("share_real", "kl", "energy_own", "ole", "ole_normalised", "log_odds", "retrained_log_odds"),
    *("minority", "aligned_cosine", "csnr"),
)


def rows_of(cell: Any, name: str, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Rows of a cell as its sweep has them, every number from 0.5 to 1.5."""

    def numbers() -> dict[str, float]:
        return {"n": 1.0, **{column: float(rng.uniform(0.5, 1.5)) for column in POSITIVE}}

    if name != "timesteps":
        return [{"generation": k, **numbers()} for k in range(cell.generations + 1)]
    return [
        {"generation": k, "input": given, "timestep": t, **numbers()}
        for k in range(-1, cell.generations + 1)
        for given in ("clean", "noised")
        for t in TIMESTEPS
    ]


def write(root: Path, name: str, smoke: bool = True, cells: Sequence[Any] | None = None) -> Path:
    """The folder of a finished sweep of such rows."""
    row, rng = sweep(name), np.random.default_rng(len(name))
    cells = row.cells(smoke) if cells is None else cells
    path = sweep_path(f"{name}-smoke" if smoke else name, cells, row.run, root)
    table = Table(path, cells, row.run)
    for key, cell in zip(table.keys, cells, strict=True):
        table.add(key, rows_of(cell, name, rng))
    table.write()
    return path


@pytest.fixture(scope="module")
def smoke_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of every sweep that has a map."""
    root = tmp_path_factory.mktemp("runs")
    for name in {name for module in MAPS.values() for name in module.SWEEPS}:
        write(root, name)
    return root


def drawn(name: str, root: Path, **options: Any) -> tuple[dict[str, SweepTable], Figure]:
    """The tables and the map of that name."""
    found = TableShelf(root, **{"size": "smoke", **options}).tables(MAPS[name].SWEEPS)
    with rc_context(style.RC):
        return found, MAPS[name].draw(found)


def command(*arguments: str | Path) -> Result:
    """`python -m figures ...` in this process."""
    return CliRunner().invoke(main, [str(a) for a in arguments])


def where(table: SweepTable, **settings: Any) -> pd.DataFrame:
    """Rows of these settings, found without the code under test."""
    frame = table.rows
    for name, value in settings.items():
        frame = frame[frame[name.replace("__", ".")] == value]
    return frame


# --- which tables ---


def test_maps_draws_every_map_and_says_where(
    smoke_tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(style.RC, "savefig.dpi", 40)
    result = command("maps", "--runs", smoke_tables, "--out", tmp_path, "--size", "smoke")
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f"{name}.png" for name in MAPS)
    assert "map-runaway.png  from runaway-smoke x 3" in result.output
    assert not set(MAPS) & set(FIGURES)


def test_make_runs_every_sweep_that_a_map_needs() -> None:
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    found = re.search(r"^SWEEPS = (.*)$", makefile, flags=re.M)
    assert found
    needed = {name for module in MAPS.values() for name in module.SWEEPS}
    assert sorted(found.group(1).split()) == sorted(needed)
    assert needed <= set(SWEEPS)


def test_missing_tables_name_the_command(tmp_path: Path) -> None:
    result = command("map-rules", "--runs", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "no current, finished table of mechanisms, trusted-size" in result.output
    assert "python -m sims sweep mechanisms\n" in result.output
    assert not (tmp_path / "out").exists()
    smoke = command("map-minority", "--runs", tmp_path, "--out", tmp_path / "out", "--size", "smoke")
    assert "make maps SIZE=smoke" in smoke.output
    assert "python -m sims sweep minority --size smoke" in smoke.output


def test_full_tables_come_before_smoke_ones(tmp_path: Path) -> None:
    write(tmp_path, "runaway")
    assert "smoke" in title(drawn("map-runaway", tmp_path, size="auto")[1])
    with pytest.raises(MissingRecords):
        drawn("map-runaway", tmp_path, size="full")
    write(tmp_path, "runaway", smoke=False)
    assert "smoke" not in title(drawn("map-runaway", tmp_path, size="auto")[1])
    assert "smoke" in title(drawn("map-runaway", tmp_path, size="smoke")[1])


def test_unfinished_and_damaged_tables_are_put_aside(tmp_path: Path) -> None:
    path = write(tmp_path, "runaway")
    file = path / "table.csv.gz"
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    with pytest.raises(MissingRecords, match="is damaged"):
        TableShelf(tmp_path).tables(["runaway"])
    file.unlink()
    with pytest.raises(MissingRecords, match="unfinished: the same command"):
        TableShelf(tmp_path).tables(["runaway"])
    file.write_bytes(whole)
    assert TableShelf(tmp_path).tables(["runaway"])["runaway"].n == 3


def of_another_source(root: Path, monkeypatch: pytest.MonkeyPatch, **kwargs: Any) -> Path:
    with monkeypatch.context() as patch:
        patch.setattr("sims.tables.source_digest", lambda: "0" * 16)
        return write(root, "runaway", **kwargs)


def test_a_table_of_another_source_is_said_to_be_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = of_another_source(tmp_path, monkeypatch)
    with pytest.raises(MissingRecords, match=f"{path.name}: made with other source"):
        drawn("map-runaway", tmp_path)
    _, figure = drawn("map-runaway", tmp_path, any_source=True)
    assert "stale" in title(figure)
    assert "another source" in figure.texts[1].get_text()
    write(tmp_path, "runaway")
    assert "stale" not in title(drawn("map-runaway", tmp_path, any_source=True)[1])


@pytest.mark.parametrize("change", [{"n": 900}, {"trusted": 50}, {"policy": "ACUR"}, {"kept": 0.5}])
def test_a_table_of_other_cells_is_never_drawn(
    change: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = [replace(cell, **change) for cell in sweep("runaway").cells(True)]
    of_another_source(tmp_path, monkeypatch, cells=cells)
    with pytest.raises(MissingRecords):
        TableShelf(tmp_path, any_source=True).tables(["runaway"])


def test_a_missing_seed_is_refused(smoke_tables: Path) -> None:
    table = TableShelf(smoke_tables, "smoke").tables(["minority"])["minority"]
    assert table.by("kl", "policy")["ACUR"].shape == (3, 3)
    short = replace(table, rows=table.rows[table.rows["cell"] != 0])
    with pytest.raises(ValueError, match="minority: 2 of 3 seeds at"):
        short.by("kl", "policy")
    with pytest.raises(KeyError):
        table.by("beauty", "policy")


def test_by_pairs_seeds(smoke_tables: Path) -> None:
    table = TableShelf(smoke_tables, "smoke").tables(["mechanisms"])["mechanisms"]
    by = table.by("kl", "situation", "policy")
    mechanism = SITUATIONS["contraction"][1].temperature
    for i, seed in enumerate((1000, 1001, 1002)):
        own = where(table, mechanisms__temperature=mechanism, policy="ACU", seed=seed)
        assert close(by["contraction", "ACU"][i], own["kl"])
    assert not close(by["contraction", "ACU"][0], by["contraction", "ACU"][1]), "control: another seed"


# --- what they draw ---


def test_runaway_draws_the_variance_kept(smoke_tables: Path) -> None:
    found, figure = drawn("map-runaway", smoke_tables)
    own = where(found["runaway"], mechanisms__temperature=0.8)
    v = np.log(own["energy_own"].to_numpy().reshape(3, -1) / 0.8)
    a, b, _, d = figure.axes
    (dots,) = lines(a, "λ = 0.8")
    theory, share = selection.runaway(0.8, 3)
    assert close(dots, np.exp(v.mean(axis=0)))
    assert not close(dots, 0.8 * np.exp(v.mean(axis=0))), "control: the variance made"
    assert close(np.asarray(a.get_lines()[0].get_ydata()), theory)
    assert close(np.asarray(d.get_lines()[0].get_ydata()), share)
    assert close(lines(b, "λ = 0.8")[0], np.exp(v.mean(axis=0))[1:] / theory[1:])


def test_leakage_growth_and_crossover_by_hand() -> None:
    leakages = np.array([0.0, 0.1, 0.2, 0.3])
    factors = np.array([0.8, 0.9, 1.1, 1.3])
    cosines = np.ones((4, 5, 3)) * factors[:, None, None] ** np.arange(3)
    assert close(map_leakage.growth(cosines), factors)
    assert close(map_leakage.crossover(leakages, factors), 0.15)
    assert close(map_leakage.bootstrap(leakages, cosines), (0.15, 0.15)), "all seeds are alike"
    assert close(
        map_leakage.crossover(leakages, np.array([factors, factors - 1, factors + 1])), [0.15, 0.3, 0]
    )
    noisy = cosines + 0.1 * np.random.default_rng(1).standard_normal(cosines.shape)
    low, high = map_leakage.bootstrap(leakages, noisy)
    assert low < float(map_leakage.crossover(leakages, map_leakage.growth(noisy))) < high


def test_leakage_draws_theory_and_table(smoke_tables: Path) -> None:
    found, figure = drawn("map-leakage", smoke_tables)
    a, b = figure.axes
    (line,) = (x for x in a.get_lines() if x.get_label() == "predicted, at 90°")
    n, eps = line.get_data()
    world = found["leakage-size"].cells[0].world
    assert close(eps, alignment.critical_leakage(world.dim, n, world.noise))
    own = where(found["leakage-size"], cell__n=800, mechanisms__leakage=0.2).groupby("generation")
    mean = own["aligned_cosine"].mean()
    assert close(lines(b, "n = 400")[0][1], np.sqrt(mean[2] / mean[0]))


def test_iterated_leakage_meets_the_linearised_one_at_right_angles() -> None:
    eps = float(alignment.critical_leakage(64, 100, 0.6))
    near = map_leakage.predicted_growth(64, 100, 0.6, np.pi / 2 - 1e-5, np.array([eps, 1.2 * eps]), 2)
    assert close(near[0], 1)
    assert near[1] > 1.01, "control"


def test_contraction_draws_its_difference_and_boundary(smoke_tables: Path) -> None:
    found, figure = drawn("map-contraction", smoke_tables)
    D = map_contraction.differences(found["contraction-kept"])
    for (q, lam), values in D.items():
        v = [
            where(found["contraction-kept"], kept=q, mechanisms__temperature=lam, policy=p, generation=2)[
                "energy_own"
            ]
            for p in ("ACU-LSF-CLASS", "ACUR-CLASS")
        ]
        top, random = (np.log((1 / x.to_numpy() - 1 + np.log(x.to_numpy())) / 2) for x in v)
        assert close(values[:, 2], top - random)
        words = [t.get_text().strip("()") for t in figure.axes[1].texts if t.get_position() == (lam, q)]
        assert words == [f"{(top - random).mean():.1f}"]
    made, kept = figure.axes[1].get_lines()
    lam = np.asarray(made.get_xdata(), dtype=float)
    assert close(made.get_ydata(), selection.boundary_fraction(lam, 2, made=True))
    assert not close(made.get_ydata(), kept.get_ydata())


def test_rules_draws_regret_and_marks() -> None:
    rng = np.random.default_rng(0)
    level = {rule: 1.0 + i for i, rule in enumerate(RULES)} | {"ORACLE": 0.5, "ACUR": 3.0, "ACU-HERD": 3.0}
    kls = {rule: np.exp(v + 0.01 * rng.standard_normal(30)) for rule, v in level.items()}
    kls["ACU-HERD"] = kls["ACUR"] * np.exp(np.tile([0.1, -0.1], 15))
    regret, marks = map_rules.regrets(kls), map_rules.against_random(kls)
    assert regret["ACU-LSF"] == min(regret[rule] for rule in RULES) == 0
    assert regret["ORACLE"] < 0, "outside the contest"
    assert close(regret["ACU-SHRUNK"], np.log(kls["ACU-SHRUNK"]).mean() - np.log(kls["ACU-LSF"]).mean())
    assert (marks["ACU-LSF"], marks["ACU-SHRUNK"], marks["ACU-HERD"]) == (-1, 1, 0)


def test_rules_writes_the_table(smoke_tables: Path) -> None:
    found, figure = drawn("map-rules", smoke_tables)
    kls = map_rules.last_kl(found["mechanisms"])["sound"]
    own = where(found["mechanisms"], mechanisms__temperature=1.0, policy="ACU-HERD", generation=2)
    assert close(kls["ACU-HERD"], own["kl"])
    texts = {t.get_position(): t.get_text() for t in figure.subfigs[0].axes[0].texts}  # type: ignore[attr-defined]
    column = map_rules.SHOWN.index("ACU-HERD")
    assert texts[column, 0].startswith(f"{map_rules.regrets(kls)['ACU-HERD']:.2f} ")
    below = figure.subfigs[1].axes[0]  # type: ignore[attr-defined]
    trusted = {
        p: np.log(where(found["trusted-size"], trusted=100, policy=p, generation=2)["kl"].to_numpy()[:3])
        for p in ("ACU-SHRUNK", "ACUR")
    }  # the first three rows are of the first situation
    difference = (trusted["ACU-SHRUNK"] - trusted["ACUR"]).mean()
    assert close(lines(below, RULE_LOOKS["ACU-SHRUNK"].label)[0][1], difference)


def test_minority_draws_means(smoke_tables: Path) -> None:
    found, figure = drawn("map-minority", smoke_tables)
    for policy in ("ACU-LSF", "ORACLE"):
        mean = where(found["minority"], policy=policy).groupby("generation")["minority"].mean()
        assert close(lines(figure.axes[0], RULE_LOOKS[policy].label), [mean])
    assert set(RULE_LOOKS) == {*RULES, "ORACLE"}
    looks = [(look.colour, look.marker) for look in RULE_LOOKS.values()]
    assert len({colour for colour, _ in looks}) == len(looks)


def test_tracking_is_that_of_the_claim() -> None:
    rng = np.random.default_rng(2)
    ole, kl = rng.standard_normal((2, 5, 4, 3))  # policies, seeds, generations
    for s, z in enumerate(map_mechanisms.tracking(ole, kl)):
        assert close(np.tanh(z), np.mean([spearman(ole[:, s, k], kl[:, s, k]) for k in (1, 2)]))
    same, against, none = (map_mechanisms.tracking(ole, x) for x in (ole**3, -ole, np.ones_like(ole)))
    assert close(same, np.arctanh(1 - 6 / (5 * 24 * 2)))
    assert close(against, -same)
    assert (none == 0).all()


def test_mechanisms_marks_what_rises_and_falls(smoke_tables: Path) -> None:
    table = TableShelf(smoke_tables, "smoke").tables(["mechanisms"])["mechanisms"]
    rows = table.rows.copy()
    syn = (rows["policy"] == "SYN") & (rows["mechanisms.temperature"] == 1)
    rows.loc[syn, "ole"] = 1.0 + rows["generation"] + 0.01 * (rows["seed"] - 1000)
    rows.loc[syn, "log_odds"] = (
        5.0 - rows["generation"] - 0.01 * (rows["seed"] - 1000) ** 2 * rows["generation"]
    )
    with rc_context(style.RC):
        figure = map_mechanisms.draw({"mechanisms": replace(table, rows=rows)})
    pattern = figure.axes[len(map_mechanisms.READINGS)]
    marks = [(float(x[0]), round(float(y[0]))) for x, y in (line.get_data() for line in pattern.get_lines())]
    assert (0.0, 0) in marks
    changes = map_mechanisms.changes(replace(table, rows=rows))
    assert close(changes["log_odds"]["sound", "SYN"], [-2, -2.02, -2.08])
    assert close(changes["ole"]["sound", "SYN"], np.log([3, 3.01, 3.02]) - np.log([1, 1.01, 1.02]))
    both = [(name, p) for name, p in changes["ole"] if all(
        tables.signs(s * changes[c][name, p]) == 1 for c, s in (("ole", 1), ("log_odds", -1)))]  # fmt: skip
    assert len([x for x, _ in marks if x == 0]) == len(both)


def test_by_generation_starts_at_no_change(smoke_tables: Path) -> None:
    found, figure = drawn("map-mechanisms-by-generation", smoke_tables)
    own = where(found["mechanisms"], mechanisms__temperature=1.0, policy="SYN")
    path = own["ole_normalised"].to_numpy().reshape(3, -1)
    assert close(lines(figure.axes[2], "SYN")[0], (path - path[:, :1]).mean(axis=0))


def test_timesteps_draws_theory_beside_real_data(smoke_tables: Path) -> None:
    found, figure = drawn("map-timesteps", smoke_tables)
    ax, world = figure.axes[0], found["timesteps"].cells[0].world
    (theory,) = lines(ax, "theory, real data")
    w = [noise_level(t) for t in TIMESTEPS]
    assert close(theory, timestep.csnr(w, world.dim, world.rank, world.noise))
    own = where(found["timesteps"], mechanisms__floor=0.0, input="noised", generation=-1)
    logs = np.log(own["csnr"].to_numpy().reshape(3, -1))
    assert close(lines(ax, "real data"), [np.exp(logs.mean(axis=0))])


def test_depth_of_a_u_and_of_none() -> None:
    t = np.array([1, 2, 4, 8])
    u = np.array([3.0, 2.0, 1.0, 2.5]) * np.linspace(1, 2, 6)[:, None]
    assert close(map_u_shape.depth(u), 1.5)
    assert (map_u_shape.lowest(t, u) == 4).all()
    assert (map_u_shape.depth(u[:, ::-1] * [1, 1, 1, 0.1]) < 0).all(), "control: it falls to the end"
    one_off = u.copy()
    one_off[0] = [3.0, 0.1, 1.0, 2.5]
    assert close(map_u_shape.depth(one_off), 1.5), "half of the seeds choose, the others are measured"


def test_u_shape_draws_depths(smoke_tables: Path) -> None:
    found, figure = drawn("map-u-shape", smoke_tables)
    values = map_timesteps.curves(found["timesteps"], "ole_normalised")["no mechanism", "noised"]
    assert close(lines(figure.axes[3], "no mechanism")[0][0], map_u_shape.depth(values[:, 0]).mean())


def test_interval_of_paired_logs() -> None:
    a, b = np.exp([[1.0], [2.0], [4.0]]), np.ones((3, 1))
    low = np.mean([1, 2, 4]) - stats.t.ppf(0.975, 2) * np.std([1, 2, 4], ddof=1) / np.sqrt(3)
    assert tables.signs(tables.paired(a, b))[0] == (1 if low > 0 else 0)
    assert tables.signs(tables.paired(a, b) + 10)[0] == 1
    assert tables.signs(tables.paired(b, a) - 10)[0] == -1


# --- two real sweeps ---


def real(root: Path, name: str) -> SweepTable:
    """The smoke sweep itself, one process."""
    row = sweep(name)
    cells = row.cells(True)
    run_cells(cells, sweep_path(f"{name}-smoke", cells, row.run, root), processes=1, run=row.run)
    return TableShelf(root, size="smoke").tables([name])[name]


def test_simulated_contraction_falls_on_the_side_that_theory_has(tmp_path: Path) -> None:
    D = map_contraction.differences(real(tmp_path, "contraction-kept"))
    for (q, lam), values in D.items():
        nearer = selection.top_beats_random(lam, q, 2, made=True)[1:]
        assert ((values[:, 1:] < 0) == nearer).all(), (q, lam)
    assert {bool(selection.top_beats_random(lam, q, 2, made=True)[2]) for q, lam in D} == {False, True}


def test_simulated_runaway_is_the_recursion_within_noise(tmp_path: Path) -> None:
    (v,) = map_runaway.variances(real(tmp_path, "runaway")).values()
    theory = selection.runaway(0.8, v.shape[1] - 1)[0]
    random = np.asarray(biased_accumulation(0.8, v.shape[1] - 1))
    off = np.abs(np.log(v[:, -1] / theory[-1]))
    assert (off < 0.25).all()
    assert (np.abs(np.log(v[:, -1] / random[-1])) > 0.5).all(), "control: random choice"


def test_tables_are_plain_csv(smoke_tables: Path) -> None:
    (file,) = smoke_tables.glob("sweeps/runaway-smoke-*/table.csv.gz")
    assert gzip.decompress(file.read_bytes()).startswith(b"cell,world.dim,")
