"""The command line teaches, refuses in one line, and shows; a sweep is the same runs side by side."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from filelock import FileLock

from sims.__main__ import main
from sims.curation import POLICIES
from sims.loop import run, run_path
from sims.presets import PRESETS, preset
from sims.record import RunFolder
from sims.sweep import Job, run_all

SMOKE = "gaussian-smoke"


def cli(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def said(result: Result) -> str:
    """What it said, once it is sure that it was a plain refusal and no traceback."""
    assert result.exit_code in (1, 2), result.output
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    (line,) = [line for line in result.output.splitlines() if line.startswith("Error")]
    return line


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run made by the command line."""
    out = tmp_path_factory.mktemp("cli") / "run"
    result = cli(SMOKE, "--seed", "3", "-p", "SYN", "-p", "ACU-LSF", "--out", out)
    assert result.exit_code == 0, result.output
    assert f"records: {out}" in result.output
    assert "dist." in result.output  # the table
    return out


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_help_teaches(arguments: Sequence[str]) -> None:
    text = cli(*arguments).output
    for word in (
        "PRESET --seed S",
        "python -m sims digits-smoke --seed 0",
        "show",
        "killed",
        "-p SYN -p ACU-LSF",
    ):
        assert word in text


@pytest.mark.parametrize("arguments", [["digits-smoke", "--help"], ["run", "--help"]])
def test_help_of_a_preset_lists_what_there_is(arguments: Sequence[str]) -> None:
    result = cli(*arguments)
    text = result.output
    assert result.exit_code == 0
    for word in ("--seed", "--policy", "--out", "default", *POLICIES):
        assert word in text


def test_unknown_preset_is_refused_and_the_known_are_listed(tmp_path: Path) -> None:
    line = said(cli("digit-smoke", "--out", tmp_path / "x"))
    assert "'digit-smoke'" in line
    assert all(name in line for name in PRESETS)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--policy", "SIN"], "'SIN'"),
        (["--policy", "syn"], "'syn'"),
        (["--seed", "-1"], "-1 is not in the range x>=0"),
        (["--seed", "one"], "'one' is not a valid integer"),
        (["--sede", "1"], "--sede"),
        (["extra"], "extra"),
    ],
)
def test_bad_options_are_refused(arguments: list[str], found: str, tmp_path: Path) -> None:
    assert found in said(cli(SMOKE, *arguments, "--out", tmp_path / "x"))
    assert not (tmp_path / "x").exists()


def test_run_is_that_of_the_library(finished: Path, tmp_path: Path) -> None:
    whole = run(preset(SMOKE), 3, tmp_path / "run", ("SYN", "ACU-LSF")).path
    for name in ("settings.json", "floor.json", "generations.jsonl"):
        assert (finished / name).read_bytes() == (whole / name).read_bytes()


def test_show_prints_a_table(finished: Path) -> None:
    result = cli("show", finished)
    assert result.exit_code == 0
    for word in (
        "gaussian-smoke, seed 3",
        "coordinates",
        "floor",
        "dist.",
        "recall",
        "log-odds",
    ):
        assert word in result.output
    rows = [line.split() for line in result.output.splitlines()]
    assert [r[:2] for r in rows if r[:1] == ["SYN"]] == [["SYN", str(k)] for k in range(1, 6)]
    value = RunFolder(finished).of("SYN")[-1]["metrics"]["frechet"]
    assert any(f"{value:.3g}" in row for row in rows)


def test_show_refuses_what_is_no_run(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "folder").mkdir()
    for name in ("nowhere", "file", "folder"):
        assert "no run folder of ours" in said(cli("show", tmp_path / name))


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("generations.jsonl", b'{"policy": "SYN", "gen', "generations.jsonl is damaged"),
        ("floor.json", b"{", "floor.json is damaged"),
        ("settings.json", b"garbage", "settings.json is damaged"),
        ("settings.json", b"{}", "no run folder of format"),
        ("floor.json", b"{}", "floor.json is damaged"),
        ("floor.json", b"[]", "floor.json is damaged"),
        ("generations.jsonl", b'{"policy": "SYN", "generation": 1}\n', "generations.jsonl is damaged"),
    ],
)
@pytest.mark.parametrize("command", ["run", "show"])
def test_damage_is_one_line(
    file: str, damage: bytes, message: str, command: str, finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    out.mkdir()
    for name in ("settings.json", "floor.json", "generations.jsonl"):
        (out / name).write_bytes((finished / name).read_bytes())
    (out / file).write_bytes(damage)
    arguments = ["show", out] if command == "show" else [SMOKE, "--seed", "3", "--out", out]
    assert message in said(cli(*arguments))
    assert (out / file).read_bytes() == damage


@pytest.mark.parametrize("name", ["settings.json", "floor.json", "generations.jsonl", "times.jsonl"])
@pytest.mark.parametrize("command", ["run", "show"])
def test_a_folder_in_the_place_of_a_file_is_one_line(
    name: str, command: str, finished: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(finished, tmp_path / "run"))
    (out / name).unlink()
    (out / name).mkdir()
    arguments = ["show", out] if command == "show" else [SMOKE, "--seed", "3", "--out", out]
    assert f"{name} cannot be read" in said(cli(*arguments))


@pytest.mark.parametrize("lines", [[0, 1, 1], [0, 2], [1]])
def test_show_refuses_what_a_resumed_run_refuses(lines: list[int], finished: Path, tmp_path: Path) -> None:
    """A line twice, a generation missing."""
    out = Path(shutil.copytree(finished, tmp_path / "run"))
    whole = (out / "generations.jsonl").read_bytes().splitlines(keepends=True)
    (out / "generations.jsonl").write_bytes(b"".join(whole[i] for i in lines))
    for arguments in (["show", out], [SMOKE, "--seed", "3", "--out", out]):
        assert "out of turn or twice" in said(cli(*arguments))


def test_edited_notes_are_refused(finished: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(finished, tmp_path / "run"))
    text = (out / "settings.json").read_text()
    (out / "settings.json").write_text(text.replace("coordinates", "features"))
    assert "settings.json is damaged (changed" in said(cli("show", out))


def test_a_path_below_a_file_or_an_empty_one_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("text")
    for below in ("file/x", "file/x/y"):
        assert "file" in said(cli(SMOKE, "--out", tmp_path / below))
        assert "no run folder" in said(cli("show", tmp_path / below))
    assert "the path is empty" in said(cli(SMOKE, "--out", ""))
    assert "the path is empty" in said(cli("show", ""))
    assert [f.name for f in tmp_path.iterdir()] == ["file"]


def test_other_settings_and_a_folder_in_use_are_one_line(finished: Path) -> None:
    assert "differs in: seed, data" in said(cli(SMOKE, "--seed", "4", "--out", finished))
    assert "differs in: preset" in said(cli("low-rank-smoke", "--seed", "3", "--out", finished))
    with FileLock(finished.parent / ".run.lock"):
        assert "in use by another process" in said(cli(SMOKE, "--seed", "3", "--out", finished))


def test_out_must_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    assert "file" in said(cli(SMOKE, "--out", tmp_path / "file"))


# --- sweep ---


def test_sweep_is_the_same_runs(tmp_path: Path) -> None:
    """Two processes, one folder of them begun before; then again, with nothing left to do but one folder damaged."""
    row = preset(SMOKE)
    jobs = [Job(SMOKE, 3), Job(SMOKE, 4)]
    run(row, 3, run_path(row, 3, tmp_path / "side"), ["REAL", "SYN"])
    folders = run_all(jobs, tmp_path / "side", processes=2)
    assert list(folders) == jobs
    for job in jobs:
        assert folders[job].path == run_path(row, job.seed, tmp_path / "side")
        whole = run(row, job.seed, tmp_path / "alone" / str(job.seed)).path
        for name in ("settings.json", "floor.json", "generations.jsonl"):
            assert (folders[job].path / name).read_bytes() == (whole / name).read_bytes()
    stamps = {job: (folders[job].path / "times.jsonl").stat().st_mtime_ns for job in jobs}
    (folders[jobs[1]].path / "floor.json").write_text("{")
    with pytest.raises(ValueError, match=r"floor\.json is damaged"):
        run_all(jobs, tmp_path / "side", processes=2)
    assert {job: (folders[job].path / "times.jsonl").stat().st_mtime_ns for job in jobs} == stamps


def test_folder_of_the_data_reaches_the_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def build(row: Any, *_: Any) -> None:
        asked.append(row.world.folder)
        raise ValueError("asked")

    monkeypatch.setattr("sims.__main__.run", build)
    assert "asked" in said(cli("mnist-paper", "--folder", tmp_path))
    assert "asked" in said(cli("mnist-paper"))
    assert asked == [str(tmp_path), None]
    assert "--folder is of data sets" in said(cli(SMOKE, "--folder", tmp_path))
