"""Records of the image loops: what is kept is read again, damage and other settings are seen, the claims read it."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from lsf.pool import Pool
from paper_checks import contact_sheet, image_records, image_theory
from paper_checks.claims import CLAIMS
from paper_checks.image_records import (
    CURE,
    RECORDS,
    check,
    flat,
    keep,
    keep_finished,
    kept,
    load,
    report_folders,
)
from paper_checks.measures import Run
from paper_checks.register import DIGITS, IMAGES, OTHER, RERUN
from paper_checks.test_image_records import differing, other_laws, readings, same_machine
from paper_checks.test_loops import STEPS
from paper_checks.verdicts import STALE, conjunction, evidence_from_runs, nothing
from sims.kept_records import nested
from sims.presets import LENGTHS, NOISY_LENGTHS, PRESETS, Preset
from sims.record import RunFolder, device_name, digest, run_settings
from tests.test_paper_measures import neutral, ole_rows, shaken

NAME = "digits-weak"
ROW = replace(PRESETS[NAME], seeds=(0, 1), generations=3, policies=(*RERUN, "ACU-RATIO"), models=None)
CLASSES = np.arange(10)


@pytest.fixture(autouse=True)
def todays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, NAME, ROW)


def images(rng: np.random.Generator, born: int = 0, size: int = 8, channels: int = 1) -> Pool:
    """Two images of each class."""
    x = rng.uniform(-1, 1, (20, channels, size, size)).astype(np.float32)
    return Pool(x, np.repeat(CLASSES, 2), born)


def record_of(policy: str | None, k: int, rng: np.random.Generator) -> dict[str, Any]:
    """A line as the loops write it: noised latents, geometry and a slow space at every fifth generation."""
    line = shaken(neutral(NAME, policy, k), rng)
    metrics = line["metrics"]
    metrics["n_reference"] = 400
    metrics["ole"] = shaken(ole_rows(NAME, ("clean", "noised") if k % 5 == 0 else ("clean",)), rng)
    metrics["geometry"] = [
        {**row, "centred": centred, "cosines": 0.5, "noise_floor": 0.1}
        for row in ({k: v for k, v in r.items() if isinstance(v, str | int)} for r in metrics["ole"])
        for centred in (False, True)
        if k % 5 == 0
    ]
    return line


def finished(path: Path, seed: int, rng: np.random.Generator, row: Preset = ROW) -> RunFolder:
    """A run folder as if the loops had filled it."""
    settings = run_settings(row, seed, images(np.random.default_rng(0)))
    folder = RunFolder.create(
        path / f"{row.name}-seed{seed}-x", settings, {"feature_space": "made up", "ids": {}}
    )
    folder.write_floor(record_of("floor", 0, rng)["metrics"])
    for policy in (None, *row.policies):
        for k in [0] if policy is None else range(1, row.generations + 1):
            made = images(rng, k)
            folder.save_state(policy, k, made, {})
            folder.add({**record_of(policy, k, rng), "samples": digest(made.x, made.y)}, 1.0)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[RunFolder]:
    """Finished runs of both seeds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sims.record.sync", lambda path: None)
        root, rng = tmp_path_factory.mktemp("runs"), np.random.default_rng(7)
        return [finished(root, seed, rng) for seed in ROW.seeds]


@pytest.fixture
def file(folders: list[RunFolder], tmp_path: Path) -> Path:
    return keep(ROW, folders, None, tmp_path)


def same(a: Any, b: Any) -> bool:
    """Equal to 5 digits, place by place; rows of `a` may be fewer, and keys left out."""
    if isinstance(a, dict):
        return all(same(v, b[k]) for k, v in a.items())
    if isinstance(a, list) and a and isinstance(a[0], dict):
        return all(any(same(r, s) for s in b) for r in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(np.isclose(a, b, rtol=1e-4)) if isinstance(a, float) else a == b


def test_kept_and_read(file: Path, folders: list[RunFolder], tmp_path: Path) -> None:
    record = load(NAME, tmp_path)
    assert not record.stale
    for run, folder in zip(record.runs, folders, strict=True):
        whole = Run.read(folder)
        assert (run.seed, run.model, run.records.keys()) == (whole.seed, whole.model, whole.records.keys())
        assert same(run.floor, whole.floor)
        assert all(same(run.records[place], whole.records[place]) for place in run.records)
    assert not same(record.runs[0].floor, record.runs[1].floor)  # control
    assert {record.header[k] for k in ("device", "date")} >= {device_name()}
    assert record.header["versions"] == folders[0].settings["versions"]
    assert "ids" not in record.header["notes"]


def test_claims_read_the_record_as_they_read_the_runs(
    file: Path, folders: list[RunFolder], tmp_path: Path
) -> None:
    ours, theirs = load(NAME, tmp_path).runs, [Run.read(f) for f in folders]
    read = [c for c in CLAIMS if c.rule in ("superior", "equivalent", "not worse") and NAME in c.worlds]
    here = {"LSF", "RATIO", "SHRUNK"}
    read = [c for c in read if not c.summarises and (c.source == "loops" or c.convention in here)]
    assert len(read) > 40
    for c in read:
        a, b = (evidence_from_runs(c, NAME, runs) for runs in (ours, theirs))
        assert a.value == pytest.approx(b.value, abs=2e-4), c.name


def test_what_is_kept() -> None:
    rng = np.random.default_rng(0)

    def rows(policy: str | None, k: int, what: str = "ole") -> list[dict[str, Any]]:
        return kept(record_of(policy, k, rng), 200, 8)["metrics"][what]

    def places(found: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
        return {(r["timestep"], r["input"]) for r in found}

    assert places(rows("ACU-RATIO", 2)) == {(200, "clean")}
    assert len(places(rows("SYN", 2))) == 7
    assert len(places(rows("floor", 0))) == 14
    assert places(rows("floor", 0, "geometry")) == places(rows("SYN", 5, "geometry")) == {(200, "clean")}
    pools = [{"n": 750, "random": 2.0, "top": 1.0}]
    assert kept(record_of("ACUR", 8, rng) | {"pools": pools}, 200, 8)["pools"] == pools
    has = {k: "retention" in kept(record_of("SYN", k, rng), 200, 8)["metrics"] for k in (2, 5, 8)}
    assert has == {2: False, 5: True, 8: True}
    for policy, choices in {"ACUR": True, "ACU-LSF": True, "ACU-LSF-CLASS": False}.items():
        line = record_of(policy, 2, rng) | {"choices": {"pool": {"n": 1}}}
        assert ("choices" in kept(line, 200, 8)) == choices


def test_flat_and_back(rng: np.random.Generator) -> None:
    for policy, k in ((None, 0), ("SYN", 1), ("ACUR", 5)):
        line = {p: v for p, v in record_of(policy, k, rng).items() if p in ("metrics", "cost", "choices")}
        line["metrics"]["geometry"] = line["metrics"]["geometry"] or [
            {"latent": "x", "centred": True, "cosines": 0.5}
        ]
        assert same(line, back := nested(flat(line)))
        assert same(back, line)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        flat({"a": value})


def test_damage_is_seen(file: Path, tmp_path: Path) -> None:
    text = file.read_text()
    head, _, rest = text.partition("\n")
    swapped = head.replace('"frechet"', '"recal"', 1)
    first = rest.index(",0.")
    for wrong in (
        text[:-40],
        head + "\n" + rest[: first + 3] + str((int(rest[first + 3]) + 1) % 10) + rest[first + 4 :],
        swapped + "\n" + rest,
        text.replace('"digest"', '"other"', 1),
        "",
        "[1]",
    ):
        assert wrong != text
        file.write_text(wrong)
        with pytest.raises(ValueError, match="damaged"):
            load(NAME, tmp_path)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="damaged"):
        load(NAME, tmp_path)
    file.write_text(text)
    load(NAME, tmp_path)  # control
    file.unlink()
    with pytest.raises(ValueError, match="is missing: run `make images`"):
        load(NAME, tmp_path)


@pytest.mark.parametrize(
    "row",
    [
        replace(ROW, budget=501),
        replace(ROW, seeds=(0, 2)),
        replace(ROW, policies=ROW.policies[1:]),
        replace(ROW, models=1),
        replace(ROW, world=replace(ROW.world, timestep=300)),  # type: ignore[arg-type]
    ],
)
def test_other_settings_are_stale(
    row: Preset, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = load(NAME, tmp_path)
    assert not record.stale  # control
    monkeypatch.setitem(PRESETS, NAME, row)
    assert record.stale
    monkeypatch.delitem(PRESETS, NAME)
    assert record.stale


def test_stale_is_no_verdict() -> None:
    row = next(c for c in CLAIMS if c.source == "record")
    old = nothing(row, NAME)
    assert (old.verdict, old.value, old.interval, old.seeds) == (STALE, None, None, ())
    assert conjunction(row, NAME, [replace(old, verdict="holds", value=1.0), old]).verdict == STALE


def test_unfinished_or_mixed_runs_are_refused(
    folders: list[RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sims.record.sync", lambda path: None)
    with pytest.raises(ValueError, match=r"seeds \[0, 1\], found \[0\]"):
        keep(ROW, folders[:1], None, tmp_path)
    with pytest.raises(ValueError, match="lacks generations of ACU-HERD"):
        keep(replace(ROW, policies=(*ROW.policies, "ACU-HERD")), folders, None, tmp_path)
    with pytest.raises(ValueError, match="other settings"):
        keep(replace(ROW, budget=3), folders, None, tmp_path)
    monkeypatch.setattr("sims.record.source_digest", lambda: "another")
    other = finished(tmp_path, 1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="differ in source"):
        keep(ROW, [folders[0], other], None, tmp_path)
    assert not list(tmp_path.glob("images*"))


def test_command_keeps_what_is_finished(
    folders: list[RunFolder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(image_records, "STUDY", (ROW, PRESETS["fashion-mnist"]))
    monkeypatch.setattr(image_records, "real_images", lambda row: images(np.random.default_rng(0)))
    monkeypatch.setattr(image_records.keep, "__defaults__", (None, tmp_path))
    keep_finished(folders[0].path.parent)
    assert "fashion-mnist: 0 of 3 seeds are finished" in capsys.readouterr().out
    assert {f.name for f in tmp_path.iterdir()} == {"images-digits-weak.jsonl", "images-digits-weak.png"}
    assert [f.path for f in report_folders(ROW, folders[0].path.parent)] == [f.path for f in folders]
    with pytest.raises(ValueError, match="make images"):
        keep_finished(tmp_path)
    assert CURE.startswith("run `make images`")


def test_a_seed_that_ran_twice_is_one_seed_and_named(
    folders: list[RunFolder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What cannot be kept stops no other preset, and what to delete is said."""
    one, two = folders
    found = {"digits-weak": [one, one, two], "digits-strong": [one, one], "fashion-mnist": [one, two]}
    other = replace(PRESETS["fashion-mnist"], seeds=ROW.seeds)
    monkeypatch.setattr(image_records, "STUDY", (ROW, replace(PRESETS["digits-strong"], seeds=(0, 1)), other))
    monkeypatch.setattr(image_records, "report_folders", lambda row, runs: found[row.name])
    monkeypatch.setattr(image_records, "keep", lambda row, folders, real: check(ROW, folders) or "kept")
    with pytest.raises(ValueError, match="1 of the finished presets could not be kept, 1 were"):
        keep_finished(tmp_path)
    said = capsys.readouterr()
    assert "digits-strong: 1 of 2 seeds are finished" in said.out
    assert (
        f"digits-weak have several finished runs, delete all but one of each: {one.path}, {one.path}"
        in said.err
    )
    assert said.out.endswith("kept\n")


def test_the_command_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    for command in (image_records.main, image_theory.main):
        found = CliRunner().invoke(command, [str(tmp_path)])
        assert (found.exit_code, found.exception.__class__) == (1, SystemExit)
        assert found.stderr.count("\n") == 1
        assert "make images" in found.stderr
        assert CliRunner().invoke(command, [str(tmp_path / "none")]).exit_code == 2


@pytest.mark.parametrize("written", ["write_bytes", "write_text"])
def test_record_and_sheet_are_written_before_either_is_replaced(
    written: str, folders: list[RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = partial(images, np.random.default_rng(0))
    keep(ROW, folders, real, tmp_path)
    before = {f.name: f.read_bytes() for f in tmp_path.iterdir()}
    assert len(before) == 2
    changed = replace(ROW, seeds=ROW.seeds[:1])
    with monkeypatch.context() as patch:
        patch.setattr(Path, written, full)
        with pytest.raises(ValueError, match="what was there before stays"):
            keep(changed, folders[:1], real, tmp_path)
    assert {f.name: f.read_bytes() for f in tmp_path.iterdir()} == before
    keep(changed, folders[:1], real, tmp_path)
    assert all(f.read_bytes() != before[f.name] for f in tmp_path.glob("*.jsonl"))  # control


def full(path: Path, data: object) -> None:
    raise OSError(28, "No space left on device")


RECORD_OF = {
    "lsf-best-fid [against ACUR]": {"digits-weak": None, "fashion-mnist-strong": "fashion-mnist-strong"},
    "lsf-best-fid [generation 15, against ACUR]": {"digits-strong": "digits-strong-long"},
    "lsf-best-fid [stochastic solver, against ACUR]": {"digits-weak": "digits-weak-stochastic"},
    "lsf-best-fid [ten stochastic steps, against ACUR]": {"digits-weak": "digits-weak-stochastic-10"},
    "lsf-best-fid [20 steps without noise, against ACUR]": {"digits-weak": "digits-weak-20-steps"},
    "lsf-harms [steps in log-SNR, against ACUR]": {"digits-strong": "digits-strong-log-snr"},
    "top-n-costs [steps in log-SNR, recall]": {"digits-strong": "digits-strong-log-snr"},
    "lsf-harms [generation 15, steps in log-SNR, against ACUR]": {
        "digits-strong": "digits-strong-log-snr-long"
    },
    "bigger-pool-filters-better": {
        "gaussian": None,
        "digits-weak": "digits-weak-pools",
        "digits-strong": "digits-strong-pools",
    },
    "equal-steps [against ACU]": {"digits-weak": "digits-weak"},
}


@pytest.mark.parametrize("name", RECORD_OF)
def test_each_row_is_read_from_its_own_record(name: str) -> None:
    row = next(c for c in CLAIMS if c.name == name)
    for world, record in RECORD_OF[name].items():
        assert world in row.worlds
        assert row.record(world) == record
        assert record is None or record in PRESETS


def test_each_turn_is_read_from_its_own_sweep() -> None:
    found = {c.convention: {c.length(n) for n in STEPS} for c in CLAIMS if c.rule == "turn"}
    plain, noisy = ({row.name for row in sweep} for sweep in (LENGTHS, NOISY_LENGTHS))
    assert found["crossing length"] == found["label accuracy at the crossing"] == plain
    for what in ("crossing length", "label accuracy at the crossing"):
        assert found[f"ten stochastic steps, {what}"] == noisy


def test_a_source_that_is_none_is_refused() -> None:
    row = next(c for c in CLAIMS if c.source == "log-snr")
    with pytest.raises(ValueError, match=r"source must be one of .*, found 'log-snrr'"):
        replace(row, source="log-snrr")


# --- the sheet ---


def test_sheet_is_a_small_picture(folders: list[RunFolder], rng: np.random.Generator) -> None:
    png = contact_sheet.sheet(folders[0], images(rng), 3)
    picture = Image.open(io.BytesIO(png))
    assert picture.size == (
        5 * (10 * (24 + contact_sheet.SPACE) + contact_sheet.GAP),
        2 * (3 * (24 + contact_sheet.SPACE) + contact_sheet.MARGIN),
    )
    assert len(png) < contact_sheet.LIMIT
    assert contact_sheet.sheet(folders[0], images(rng), 3) != png  # control: other images, another sheet


def test_block_shows_classes_side_by_side() -> None:
    x = np.stack([np.full((1, 2, 2), v, dtype=np.float32) for v in (-1, 1, 0)])
    found = contact_sheet.block(Pool(x, np.array([0, 1, 1]), 0), 2, np.array([0, 1]))
    assert found.shape == (4, 4, 3)
    assert found[:, :, 0].tolist() == [[0, 0, 255, 255]] * 2 + [[255, 255, 128, 128]] * 2


def test_tiles_of_a_sheet_keep_apart() -> None:
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    found = contact_sheet.spaced(pixels, rows=2, columns=3)
    assert found.shape == (2 * (2 + contact_sheet.SPACE), 3 * (2 + contact_sheet.SPACE), 3)
    np.testing.assert_array_equal(found[4:6, 8:10], pixels[2:4, 4:6])
    assert (found[2:4] == 255).all()
    assert (found[:, 2:4] == 255).all()


def test_sheet_that_is_too_large_is_refused(
    folders: list[RunFolder], rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_sheet, "LIMIT", 100)
    with pytest.raises(ValueError, match="contact sheet"):
        contact_sheet.sheet(folders[0], images(rng), 3)


# --- the run of today against the record ---


def test_the_same_runs_differ_nowhere_and_others_do(
    file: Path, folders: list[RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = load(NAME, tmp_path)
    assert differing(record, folders) == []
    change = folders[0].records()
    change[5]["metrics"]["frechet"] *= 1.001
    monkeypatch.setattr(RunFolder, "records", lambda self: change)
    found = differing(record, folders[:1])
    assert found == [f"seed 0, {change[5]['policy']}, generation {change[5]['generation']}"]


def test_same_machine_is_processor_and_versions(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = load(NAME, tmp_path)
    assert same_machine(record)
    monkeypatch.setattr("paper_checks.test_image_records.device_name", lambda: "another")
    assert not same_machine(record)


def test_other_laws_are_seen(rng: np.random.Generator) -> None:
    """Two draws of a law pass; a shift by 40 s.d. of seeds does not."""
    then, today = ({("SYN", m): rng.standard_normal(5) for m in "abcdef"} for _ in range(2))
    assert other_laws(then, today) == []
    assert len(other_laws(then, {k: v + 40 for k, v in today.items()})) == 6


def test_readings_are_of_every_policy_run_again(file: Path, tmp_path: Path) -> None:
    found = readings(load(NAME, tmp_path).runs)
    assert {policy for policy, _ in found} == set(RERUN)
    assert all(v.shape == (2,) for v in found.values())


# --- the tree ---


def test_records_of_the_tree() -> None:
    """Whole, and kilobytes; a stale one is no error."""
    for path in RECORDS.glob("images-*.jsonl"):
        record = load(path.stem.removeprefix("images-"))
        assert len(record.runs) == len(record.header["seeds"])
        assert path.stat().st_size < 200_000
        assert path.with_suffix(".png").stat().st_size < contact_sheet.LIMIT


def test_every_row_that_images_are_asked_for_names_where_its_evidence_lies() -> None:
    for c in CLAIMS:
        for world in c.worlds:
            name = c.record(world)
            assert name in (None, world, *(f"{world}-{other}" for other in OTHER))
            run_now = world not in IMAGES or (world in DIGITS and c.source == "loops")
            assert (name is None) == run_now
