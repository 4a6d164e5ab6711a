"""Do the figures of the image loops draw the kept records' own numbers, and say so where a record is missing?

The records are synthetic, in the form of the real ones, with numbers that follow from preset, policy, generation and
seed, of at most five digits: what is drawn can be computed again.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from figures import (
    ablation,
    composition,
    image_theory,
    policies,
    solvers,
    style,
    training_length,
    training_length_noise,
)
from figures.__main__ import FIGURES, IMAGES, main
from figures.image_records import RecordShelf
from figures.records import MissingRecords, World
from paper_checks.image_records import Table, as_json, flat, kept
from paper_checks.image_theory import settings_of as theory_settings
from sims.kept_records import identity
from sims.presets import PRESETS, preset
from sims.record import key_of
from tests.test_figures import lines, title
from tests.tolerances import close

ALL = tuple(style.LOOKS)
WORLDS = ("digits-weak", "digits-strong")
LONG = ("digits-weak-long", "digits-strong-long")
FASHION = ("fashion-mnist", "fashion-mnist-strong")
OLE_STEPS = (10, 100, 200, 300, 500, 700, 900)


def value(name: str, policy: str | None, k: int, seed: int) -> float:
    """A number of its own for every preset, policy, generation and seed, above 1, of three digits."""
    place = 0 if policy is None else 1 + ALL.index(policy)
    return round(1 + 0.3 * place + 0.17 * k + 0.01 * seed**2 + 0.05 * ("strong" in name), 2)


def distance(name: str, policy: str | None, k: int, seed: int) -> float:
    """The distance: of the sweep of lengths, such that the filter helps up to 250 steps and harms from 1000 on."""
    if name.startswith("digits-length") and policy in training_length.RULES:
        steps = int(name.rsplit("-", 1)[-1])
        worse = float(np.log2(steps / 500)) / 2
        return round(value(name, "ACUR", k, seed) * math.exp(worse), 2)
    return value(name, policy, k, seed)


def record_of(name: str, policy: str | None, k: int, seed: int) -> dict[str, Any]:
    """A line as the loops write it."""
    v, d = value(name, policy, k, seed), distance(name, policy, k, seed)
    share = round(v / 10, 3)
    inputs = ("clean", "noised") if policy in (None, "floor") else ("clean",)
    ole = [
        {
            "timestep": t,
            "input": i,
            "latent": latent,
            "raw": round(v * (1 + t / 1000), 4),
            "normalised": share,
        }
        for i in inputs
        for t in OLE_STEPS
        for latent in ("flattened", "pooled")
    ]
    scalars = dict.fromkeys(("precision", "recall", "coverage"), share) | {"accuracy": round(1 - v / 10, 3)}
    metrics = {
        "n": 20,
        "n_reference": 30,
        "frechet": d,
        **scalars,
        "variance_ratio": round(v / 2, 3),
        "log_odds": round(3 - v, 2),
        "retention": [1.0] * 10,
        "ole": ole,
        "spaces": {"pixels": {"frechet": round(2 * v, 2), "kernel": 0.1, "recall": share}},
    }
    parts = {"share_real": share, "mean_generation": v, "smallest_class": round(v / 100, 4)}
    return {"policy": policy, "generation": k, "metrics": metrics, "trained_on": {"n": 20, **parts}}


def write(folder: Path, name: str, **header: Any) -> Path:
    """The record of a preset; `header`: other than today's."""
    row, table = preset(name), Table({}, {}, [])
    for seed in row.seeds:
        floor = kept(
            {**record_of(name, None, 9, seed), "policy": "floor", "generation": 0}, 200, row.generations
        )
        table.add(seed, "floor", None, flat({"metrics": floor["metrics"]}))
        for p, k in [(None, 0), *((p, k) for p in row.policies for k in range(1, row.generations + 1))]:
            table.add(seed, p, k, flat(kept(record_of(name, p, k, seed), 200, row.generations)))
    columns, shapes = [as_json(way) for way in table.columns], [list(shape) for shape in table.shapes]
    head = {
        **identity(row),
        "notes": {"feature_space": f"space of {name}"},
        "columns": columns,
        "shapes": shapes,
    }
    head = json.loads(json.dumps(head | header))
    head["digest"] = key_of({"header": head, "lines": table.lines})
    sheet_of(name).save(folder / f"images-{name}.png")
    file = folder / f"images-{name}.jsonl"
    file.write_text("\n".join(map(json.dumps, (head, *table.lines))) + "\n")
    return file


def sheet_of(name: str) -> Image.Image:
    """A contact sheet: noise, as wide as real ones."""
    noise = np.random.default_rng(len(name)).integers(0, 255, (20, 400), dtype=np.uint8)
    return Image.fromarray(noise).convert("P")


def predicted(law: str, measure: str, policy: str | None, k: int, seed: int) -> list[float]:
    """[predicted, seen, low, high, pairs] of a cell."""
    place = 0 if policy is None else 1 + ALL.index(policy)
    seen = 0.2 + 0.05 * place + 0.01 * k + 0.001 * seed + 0.1 * image_theory_place(measure)
    return [seen * (0.8 if law == "gaussian" else 1.3), seen, 0.0, 0.0, 45]


def image_theory_place(measure: str) -> int:
    return list(image_theory.MEASURES).index(measure)


def write_theory(folder: Path, name: str) -> Path:
    """The record of theory against the loop."""
    places = [(None, 0), *((p, k) for p in image_theory.POLICIES for k in (1, 5))]
    found = [
        {"latents": latents, "seed": s, "policy": p, "generation": k, "law": law}
        | {m: predicted(law, m, p, k, s) for m in image_theory.MEASURES}
        for s in preset(name).seeds
        for p, k in places
        for law in (*image_theory.LAWS, "two-subspace, own probe")
        for latents in ("clean, flattened", "noised, pooled")
    ]
    head = {"preset": name, "seeds": list(preset(name).seeds), "pairs": 45, "settings": theory_settings(name)}
    file = folder / f"image-theory-{name}.jsonl"
    file.write_text("\n".join(map(json.dumps, [{**head, "digest": key_of({"lines": found})}, *found])) + "\n")
    return file


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The record of every preset of the study, and those of the theory."""
    folder = tmp_path_factory.mktemp("records")
    sweeps = (*training_length.WORLDS, *training_length_noise.WORLDS)
    for name in dict.fromkeys((*solvers.WORLDS, *LONG, *sweeps, *FASHION)):
        write(folder, name)
    for name in WORLDS:
        write_theory(folder, name)
    return folder


def drawn(name: str, folder: Path) -> tuple[dict[str, World], Figure]:
    """The records and the figure of that name."""
    module = IMAGES[name]
    found = RecordShelf(folder).worlds(module.WORLDS, getattr(module, "ALSO", ()))
    with rc_context(style.RC):
        return found, module.draw(found)


def means(read: Any, name: str, policy: str, first: int = 0, log: bool = False) -> np.ndarray:
    """Mean over the seeds of read(name, policy, k, seed) by generation; generation 0 is nobody's."""
    row = preset(name)
    own = np.array(
        [
            [read(name, policy if k else None, k, s) for k in range(first, row.generations + 1)]
            for s in row.seeds
        ]
    )
    return np.exp(np.log(own).mean(axis=0)) if log else own.mean(axis=0)


def command(*arguments: str | Path) -> Result:
    """`python -m figures ...` in this process."""
    return CliRunner().invoke(main, [str(a) for a in arguments])


def at_height(ax: Axes, y: float) -> list[np.ndarray]:
    """The widths of every line at a height."""
    level = [line for line in ax.get_lines() if np.allclose(np.asarray(line.get_ydata(), dtype=float), y)]
    return [np.asarray(line.get_xdata(), dtype=float) for line in level]


# --- the numbers ---


def test_policies_draws_every_line_with_its_interval(records: Path) -> None:
    found, figure = drawn("policies", records)
    for row, (name, world) in enumerate(found.items()):
        heights = policies.places(world.policies)
        assert set(heights) - set(policies.GROUPS) == set(preset(name).policies)
        for p in preset(name).policies:
            v = np.array([value(name, p, 5, s) for s in preset(name).seeds])
            bar, dot = at_height(figure.axes[4 * row + 1], heights[p])
            assert close(dot, [v.mean() / 10])
            assert close(bar, np.array(style.interval(np.round(v / 10, 3))[1:]))
            (seeds,) = at_height(figure.axes[4 * row + 1], heights[p] - 0.3)
            assert close(seeds, np.round(v / 10, 3))
            _, dot = at_height(figure.axes[4 * row], heights[p])
            assert close(dot, means(distance, name, p, log=True)[-1:])
    real = next(line for line in figure.axes[0].get_lines() if line.get_label() == "REAL")
    assert close(real.get_xdata()[0], means(distance, "digits-weak", "REAL", log=True)[-1])
    assert "20 generated against 30 real reference samples in space of digits-weak" in caption(figure)
    assert "5 on 3 generation-0 models" in caption(figure)


def caption(figure: Figure) -> str:
    """The text below a figure, in one line."""
    return figure.texts[1].get_text().replace("\n", " ")


def test_policies_by_generation_draws_fifteen(records: Path) -> None:
    found, figure = drawn("policies-by-generation", records)
    assert list(found) == [*LONG, *FASHION]
    for row, name in enumerate(found):
        for p in preset(name).policies:
            label = style.LOOKS[p].label
            assert close(lines(figure.axes[4 * row], label), [means(distance, name, p, log=True)])
            assert close(lines(figure.axes[4 * row + 3], label), [1 - means(value, name, p) / 10], 1e-3)
    assert not close(lines(figure.axes[0], "SYN"), [means(distance, LONG[0], "ACUR", log=True)])  # control
    names = {text.get_text(): text.get_color() for text in figure.axes[3].texts}
    assert names == {p: style.LOOKS[p].colour for p in preset(LONG[0]).policies}


def test_ole_is_over_that_of_real_data_of_the_same_seed(records: Path) -> None:
    _, figure = drawn("ole", records)
    seeds = preset("digits-weak").seeds
    ratio = np.mean(
        [
            [
                value("digits-weak", "ACUR" if k else None, k, s) / value("digits-weak", None, 9, s)
                for k in range(6)
            ]
            for s in seeds
        ],
        axis=0,
    )
    assert close(lines(figure.axes[1], "ACUR"), [ratio], 1e-4)  # numbers of five digits, times 1 + t/1000
    pooled_first = means(value, "digits-weak", "ACUR") / np.mean([value("", None, 9, s) for s in seeds])
    assert not close(lines(figure.axes[1], "ACUR"), [pooled_first], 1e-4)
    assert "t = 200" in [ax.get_title() for ax in figure.axes]
    assert {p for p in ALL if lines(figure.axes[0], style.LOOKS[p].label)} == set(preset(LONG[0]).policies)


def test_ole_timestep_draws_real_data(records: Path) -> None:
    _, figure = drawn("ole-timestep", records)
    real = np.mean([value("digits-weak", None, 9, s) for s in range(5)])
    assert close(lines(figure.axes[0], "clean input"), [real * (1 + np.array(OLE_STEPS) / 1000)], 1e-4)


def test_confidence_draws_the_mean_log_odds(records: Path) -> None:
    found, figure = drawn("image-confidence", records)
    for ax, name in zip(figure.axes, found, strict=True):
        for p in preset(name).policies:
            assert close(lines(ax, style.LOOKS[p].label), [3 - means(value, name, p)])
        assert close(
            lines(ax, "held-out real data")[0][0],
            np.mean([3 - value(name, None, 9, s) for s in preset(name).seeds]),
        )


def test_samples_shows_the_sheets_pixel_by_pixel(records: Path, tmp_path: Path) -> None:
    found, figure = drawn("image-samples", records)
    assert len(figure.images) == 4
    for shown, name in zip(figure.images, found, strict=True):
        sheet = np.asarray(sheet_of(name).convert("RGB"))
        assert np.array_equal(np.asarray(shown.get_array())[::4, ::4], sheet)  # four times as large
    place = round(style.RC["figure.dpi"] * 0.08)
    result = command("image-samples", "--records", records, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "image-samples.png") as picture:
        drawn_row = np.asarray(picture.convert("L"))[:, place : place + 1600 : 4]
    sheet = np.asarray(sheet_of("fashion-mnist").convert("L")).astype(int)
    off = np.abs(drawn_row.astype(int)[:, None] - sheet[[3, 15]]).max(axis=2)
    above, below = (np.flatnonzero(column <= 8) for column in off.T)  # to 256 colours
    assert len(above) == len(below) == 4
    assert (below - above == 4 * 12).all()
    (records / "images-fashion-mnist.png").unlink()
    with pytest.raises(ValueError, match="is missing beside its record"):
        drawn("image-samples", records)
    sheet_of("fashion-mnist").save(records / "images-fashion-mnist.png")


def test_composition_draws_what_is_trained_on(records: Path) -> None:
    _, figure = drawn("composition", records)
    for row, name in enumerate(WORLDS):
        real, generation, smallest = figure.axes[3 * row : 3 * row + 3]
        for p in composition.FILTERS:
            label = style.LOOKS[p].label
            assert close(lines(generation, label), [means(value, name, p, 1)])
            assert close(lines(real, label), [means(value, name, p, 1) / 10], 1e-3)
            assert close(lines(smallest, label), [means(value, name, p, 1) / 100], 1e-3)
    assert not lines(figure.axes[0], "SYN")  # no filter


def test_training_length_draws_paired_gains_and_where_they_turn(records: Path) -> None:
    found, figure = drawn("training-length", records)
    a, b = figure.axes
    seeds = preset("digits-length-60").seeds
    D = [
        np.mean([math.log(distance(n, "ACUR", 5, s) / distance(n, "ACU-LSF", 5, s)) for s in seeds])
        for n in training_length.WORLDS
    ]
    assert close(lines(a, "ACU-LSF"), [D])
    assert close(lines(b, "ACU-LSF"), [D])
    steps = next(line for line in a.get_lines() if line.get_label() == "ACU-LSF").get_xdata()
    assert list(steps) == [60, 125, 250, 500, 1000, 2000]
    assert [t.get_text() for t in a.texts if "steps" in t.get_text()] == ["500 steps"]
    reached = next(line for line in b.get_lines() if line.get_label() == "ACU-LSF").get_xdata()
    assert close(reached[0], np.mean([1 - value("", None, 0, s) / 10 for s in seeds]))
    assert training_length.gain(found["digits-length-60"], "ACU-LSF").min() > 0
    noisy, figure = drawn("training-length-noise", records)
    assert list(noisy) == [f"{name}-stochastic-10" for name in found]
    assert "sampled with noise" in title(figure)
    assert not close(lines(figure.axes[0], "ACU-LSF"), [D])  # control


def test_solvers_stand_in_rows_with_paired_gains(records: Path) -> None:
    found, figure = drawn("solvers", records)
    left, right = figure.axes
    assert [t.get_text() for t in left.get_yticklabels()] == [
        "weak: DPM-Solver++, 10 steps",
        "weak: DPM-Solver++, 20 steps",
        "weak: SDE-DPM-Solver++, 10 steps",
        "weak: SDE-DPM-Solver++, 20 steps",
        "strong: DPM-Solver++, 10 steps",
        "strong: DPM-Solver++, 10 steps evenly spaced in log-SNR",
    ]
    for ax, rule in ((left, "REAL"), (right, "ACU-LSF")):
        drawn_means = [line for line in ax.get_lines() if line.get_label() == style.LOOKS[rule].label]
        assert len(drawn_means) == len(found)
        for row, (line, name) in enumerate(zip(drawn_means, found, strict=True)):
            seeds = preset(name).seeds
            logs = [[math.log(distance(name, p, 5, s)) for s in seeds] for p in ("ACUR", rule)]
            wanted = math.exp(np.mean(logs[1])) if rule == "REAL" else np.mean(np.subtract(*logs))
            assert close(line.get_xdata(), [wanted])
            assert abs(line.get_ydata()[0] - row) < 0.5
    assert "5 (weak), 5 on 3 generation-0 models" in caption(figure)


def test_crossing_is_linear_and_only_downwards() -> None:
    x = np.array([0.0, 1.0, 3.0])
    assert close(training_length.crossing(x, np.array([2.0, 1.0, -1.0])), 2.0)
    assert training_length.crossing(x, np.array([-2.0, -1.0, 1.0])) is None
    assert training_length.crossing(x, np.array([2.0, 1.0, 0.5])) is None


def test_ablation_is_paired_with_acur(records: Path) -> None:
    found, figure = drawn("ablation", records)
    world = found["digits-weak"]
    ratio = [value("digits-weak", "ACU-LSF-PCA", 5, s) / value("digits-weak", "ACUR", 5, s) for s in range(5)]
    height = len(ablation.LATENTS) - 1 - list(ablation.LATENTS).index("ACU-LSF-PCA")
    for column in (0, 1):  # twice the distance in the other space: the ratio is the same
        bar, dot = at_height(figure.axes[column], height)
        assert close(dot, [np.exp(np.log(ratio).mean())])
        assert close(bar, np.exp(style.interval(np.log(ratio))[1:]))
    assert close(ablation.against(world, "ACU-LSF-PCA", "spaces/pixels/frechet"), ratio)
    lost = [value("digits-weak", "ACU-LSF-PCA", 5, s) - value("digits-weak", "ACUR", 5, s) for s in range(5)]
    assert close(at_height(figure.axes[2], height)[1], [np.mean(lost) / 10], 1e-3)
    assert "space of digits-weak" in figure.axes[0].get_title()


def test_theory_draws_predicted_against_seen(records: Path) -> None:
    readings = RecordShelf(records).readings(image_theory.READINGS)
    with rc_context(style.RC):
        figure = image_theory.draw(readings)
    ax = figure.axes[2]  # normalised OLE, weak
    points = {
        (float(line.get_xdata()[0]), float(line.get_ydata()[0])): line.get_color()
        for line in ax.get_lines()
        if len(line.get_xdata()) == 1
    }
    places = [(None, 0), *((p, k) for p in image_theory.POLICIES for k in (1, 5))]
    assert len(points) == 2 * len(places)
    for law in image_theory.LAWS:
        for p, k in places:
            own = np.mean([predicted(law, "normalised OLE", p, k, s)[:2] for s in range(5)], axis=0)
            at = next(xy for xy in points if close(xy, own[::-1]))
            assert points[at] == image_theory.look_of(p)[0]
    selected = [line for line in figure.axes[3].get_lines() if len(line.get_xdata()) == 1]
    assert len(selected) == 2 * (len(places) - 1)  # nothing was selected for generation 0


# --- what is there, and what is not ---


def test_a_missing_record_is_passed_over_with_its_cure(records: Path, tmp_path: Path) -> None:
    only = tmp_path / "records"
    only.mkdir()
    for name in training_length.WORLDS:
        (only / f"images-{name}.jsonl").write_bytes((records / f"images-{name}.jsonl").read_bytes())
    result = command("images", "--records", only, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["training-length.png"]
    said = [line for line in result.output.splitlines() if "passed over" in line]
    assert len(said) == len(IMAGES) - 1
    assert all("run `make images`, then `python -m paper_checks.image_" in line for line in said)
    assert sum("images-digits-weak.jsonl, images-digits-strong.jsonl" in line for line in said) == 5
    asked = command("policies", "--records", only, "--out", tmp_path / "out")
    assert asked.exit_code == 1
    assert "policies: not drawn" in asked.output


def test_a_damaged_record_fails(records: Path, tmp_path: Path) -> None:
    for name in LONG:
        text = (records / f"images-{name}.jsonl").read_text()
        (tmp_path / f"images-{name}.jsonl").write_text(text)
    RecordShelf(tmp_path).worlds(LONG)  # control
    (tmp_path / f"images-{LONG[1]}.jsonl").write_text(text.replace("1.05", "1.06"))
    result = command("images", "--records", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert f"images-{LONG[1]}.jsonl is damaged" in result.output
    assert not (tmp_path / "out").exists()
    theory = write_theory(tmp_path, "digits-weak")
    theory.write_text(theory.read_text().replace("0.8", "0.9", 1))
    for text in (theory.read_text(), "[1]", ""):
        theory.write_text(text)
        with pytest.raises(ValueError, match=r"image-theory-digits-weak\.jsonl is damaged"):
            RecordShelf(tmp_path).readings(["digits-weak"])


def test_records_that_may_be_missing_are_drawn_where_they_are(records: Path, tmp_path: Path) -> None:
    for name in LONG:
        (tmp_path / f"images-{name}.jsonl").write_bytes((records / f"images-{name}.jsonl").read_bytes())
    assert len(drawn("image-confidence", tmp_path)[1].axes) == 2
    assert len(drawn("image-confidence", records)[1].axes) == 4
    with pytest.raises(MissingRecords, match=r"has no images-digits-weak\.jsonl"):
        RecordShelf(tmp_path).worlds(["digits-weak"])


def test_records_of_other_settings_are_said_to_be_stale(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, LONG[0])
    write(tmp_path, LONG[1], seeds=[0, 1])
    assert "stale" in title(drawn("image-confidence", tmp_path)[1])
    assert "stale" not in title(drawn("image-confidence", records)[1])
    readings = RecordShelf(records).readings(["digits-weak"])["digits-weak"]
    assert not readings.stale
    monkeypatch.setitem(PRESETS, "digits-weak", preset("digits-strong"))
    assert readings.stale
    monkeypatch.delitem(PRESETS, "digits-weak")
    assert readings.stale


def test_names_do_not_collide() -> None:
    groups = [set(FIGURES), set(IMAGES), {"all", "images", "maps"}]
    assert sum(map(len, groups)) == len(set.union(*groups))


# --- names at the ends of lines ---


@given(st.lists(st.floats(-0.5, 1.5), min_size=1, max_size=12), st.floats(0.01, 0.08))
def test_pushed_apart(heights: list[float], gap: float) -> None:
    heights = sorted(heights)
    found = style.pushed_apart(heights, gap)
    assert (np.diff(found) >= gap - 1e-12).all()
    assert found.min() >= 0
    assert found.max() <= 1 + 1e-12
    inside = np.array(heights)
    if inside.min() >= 0 and inside.max() <= 1 and (np.diff(inside) >= gap).all():
        assert close(found, inside)
