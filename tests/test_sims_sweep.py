"""A sweep: the same table from any number of processes, in any order, through Ray, and after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from filelock import FileLock
from threadpoolctl import threadpool_limits

from sims import workers
from sims.__main__ import main
from sims.sweep import run_cells, sweep_path, with_seeds
from sims.sweeps import SWEEPS, Sweep
from sims.tables import brief, cell_keys
from tests.toy_cells import Toy, ToyWorld, run_toy, threads_of

ROOT = Path(__file__).parents[1]
CELLS = [Toy(seed, policy) for policy in ("SYN", "ACU", "REAL") for seed in range(5)]
FILES = ("settings.json", "table.csv.gz")
DEADLINE = 60.0


def contents(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in FILES}


def swept(out: Path, cells: Sequence[Toy] = CELLS, processes: int = 1, backend: str = "loky") -> pd.DataFrame:
    return run_cells(cells, out, run=run_toy, processes=processes, backend=backend)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sweep, run in this process."""
    out = tmp_path_factory.mktemp("sweep") / "alone"
    swept(out)
    return out


# --- the table ---


def test_table_is_what_the_cells_said(alone: Path) -> None:
    table = pd.read_csv(alone / "table.csv.gz")
    settings = "cell seed policy world.noise generations fails takes cell.kept measures marks"
    assert list(table.columns) == [*settings.split(), "generation", "kl", "kept", "real"]
    assert list(table["cell"]) == [i for i in range(15) for _ in range(3)]
    assert set(table["measures"]) == {"laws samples"}
    assert list(table["seed"]) == [s for _ in range(3) for s in range(5) for _ in range(3)]
    said = [row for cell in CELLS for row in run_toy(cell)]
    assert list(table["kl"]) == [row["kl"] for row in said]  # to the last digit
    assert table["real"].isna().tolist() == ["real" not in row for row in said]


@pytest.mark.parametrize("damage", [lambda table: b"damaged", lambda table: table[:-9], lambda table: b""])
def test_second_call_runs_nothing_and_gives_the_same(damage, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    cells = [replace(cell, marks=str(tmp_path)) for cell in CELLS]
    first = swept(tmp_path / "out", cells)
    whole = contents(tmp_path / "out")
    (tmp_path / "out" / "table.csv.gz").write_bytes(damage(whole["table.csv.gz"]))
    pd.testing.assert_frame_equal(swept(tmp_path / "out", cells), first)
    assert [f.read_text() for f in tmp_path.glob("*-*")] == [f"{os.getpid()}\n"] * len(cells)
    assert contents(tmp_path / "out") == whole


def test_processes_and_order_of_completion_do_not_show(alone: Path, tmp_path: Path) -> None:
    """Two processes; then the cells in another order, so that all lines of cells.jsonl stand otherwise."""
    swept(tmp_path / "two", processes=2)
    assert contents(tmp_path / "two") == contents(alone)
    lines = (alone / "cells.jsonl").read_text().splitlines()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "settings.json").write_bytes((alone / "settings.json").read_bytes())
    (tmp_path / "other" / "cells.jsonl").write_text("".join(f"{line}\n" for line in reversed(lines)))
    swept(tmp_path / "other")
    assert contents(tmp_path / "other") == contents(alone)


def test_control_another_order_of_cells_is_another_table(alone: Path, tmp_path: Path) -> None:
    swept(tmp_path / "out", CELLS[::-1])
    assert all(contents(tmp_path / "out")[name] != contents(alone)[name] for name in FILES)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_cell_has_one_thread(processes: int, tmp_path: Path) -> None:
    """Even where the process has two, as the control has."""
    with threadpool_limits(2):
        table = run_cells([Toy(s) for s in range(4)], tmp_path / "out", processes, run=threads_of)
        assert threads_of(Toy(0))[0]["threads"] == 2
    assert set(table["threads"]) == {1}
    assert (os.getpid() in set(table["process"])) == (processes == 1)


def test_folder_changes_with_cells_and_function(tmp_path: Path) -> None:
    path = sweep_path("toy", CELLS, run_toy, tmp_path)
    assert path.parent == tmp_path / "sweeps"
    assert path == sweep_path("toy", list(CELLS), run_toy, tmp_path)
    others = [CELLS[:-1], CELLS[::-1], [replace(c, world=ToyWorld(2.0)) for c in CELLS]]
    names = {path, sweep_path("toy", CELLS, threads_of, tmp_path)}
    assert len(names | {sweep_path("toy", cells, run_toy, tmp_path) for cells in others}) == 5


def test_with_seeds_counts_on_from_the_first() -> None:
    cells = [Toy(3, "SYN"), Toy(4, "SYN"), Toy(8, "ACU"), Toy(7, "ACU")]
    assert [(c.policy, c.seed) for c in with_seeds(cells, 1)] == [("SYN", 3), ("ACU", 7)]
    assert [c.seed for c in with_seeds(cells, 3)] == [3, 4, 5, 7, 8, 9]


# --- Ray ---


def test_ray_gives_the_same_records(alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Ray of this test's own, on this machine: a part of the cells is there, the rest come from its workers."""
    ray = pytest.importorskip("ray", reason="Ray (extra `scale`) is not installed")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    out = tmp_path / "out"
    swept(out)
    lines = (out / "cells.jsonl").read_text().splitlines()
    (out / "cells.jsonl").write_text("".join(f"{line}\n" for line in lines[3:9]))
    (out / "table.csv.gz").unlink()
    swept(out, processes=2, backend="ray")
    assert contents(out) == contents(alone)
    assert sorted((out / "cells.jsonl").read_text().splitlines()) == sorted(lines)
    assert not ray.is_initialized()


def test_without_ray_the_cure_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs Ray, which is not installed: pip install .*\[scale\]"):
        swept(tmp_path / "out", backend="ray")
    assert not any(tmp_path.iterdir())


# --- kills and damage ---

KILLED = """
from pathlib import Path
import sys
from sims.sweep import run_cells
from tests.toy_cells import Toy, run_toy
cells = [Toy(s, takes=0.02, marks=sys.argv[2]) for s in range(100)]
run_cells(cells, Path(sys.argv[1]), run=run_toy)
"""


def start(out: Path, marks: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", KILLED, str(out), str(marks)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)


def kill_after(process: subprocess.Popen[bytes], file: Path, lines: int) -> None:
    """SIGKILL once the file has that many lines."""
    began = time.monotonic()
    while process.poll() is None and time.monotonic() - began < DEADLINE:
        if file.exists() and file.read_bytes().count(b"\n") >= lines:
            break
        time.sleep(0.003)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert process.stderr is not None
    process.stderr.close()


def alive(pid: int) -> bool:
    """Is there such a process, and no mere zombie of one?"""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    command = Path(f"/proc/{pid}/cmdline")
    return not command.exists() or command.read_bytes() != b""


def test_killed_sweep_goes_on_and_repeats_no_finished_cell(tmp_path: Path) -> None:
    out, marks = tmp_path / "out", tmp_path / "marks"
    marks.mkdir()
    cells = [Toy(s, takes=0.02, marks=str(marks)) for s in range(100)]
    kill_after(start(out, marks), out / "cells.jsonl", 20)
    workers_of_it = {int(line) for f in marks.iterdir() for line in f.read_text().split()}
    finished = (out / "cells.jsonl").read_bytes()
    finished = finished[: finished.rfind(b"\n") + 1]
    assert 20 <= finished.count(b"\n") < 100
    table = swept(out, cells, processes=2)
    assert (out / "cells.jsonl").read_bytes().startswith(finished)
    assert len(table) == 3 * 100
    runs = {int(f.name.split("-")[1]): f.read_text().count("\n") for f in marks.iterdir()}
    assert set(runs) == set(range(100))
    again = {seed for seed, count in runs.items() if count > 1}
    lines = [json.loads(line)["cell"] for line in finished.splitlines()]
    seeds = dict(zip(cell_keys(cells), range(100), strict=True))
    assert again.isdisjoint(seeds[line] for line in lines)
    assert not any(map(alive, workers_of_it)), "workers that the killed sweep left behind"
    swept(tmp_path / "whole", cells, processes=2)
    assert contents(out) == contents(tmp_path / "whole")


def copy(alone: Path, out: Path, text: bytes) -> Path:
    """The folder with other lines, and no table."""
    out.mkdir()
    (out / "settings.json").write_bytes((alone / "settings.json").read_bytes())
    (out / "cells.jsonl").write_bytes(text)
    return out


@pytest.mark.parametrize("cut", [1, 30, 10_000])
def test_line_cut_short_is_run_again(cut: int, alone: Path, tmp_path: Path) -> None:
    """The last line without its end, without half of it, without any but its first byte."""
    text = (alone / "cells.jsonl").read_bytes()
    last = text.rstrip(b"\n").rfind(b"\n") + 1
    out = copy(alone, tmp_path / "out", text[: max(len(text) - cut, last + 1)])
    swept(out)
    assert contents(out) == contents(alone)
    assert (out / "cells.jsonl").read_bytes() == text


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: [lines[0], lines[1].replace(b"[[0, ", b"[[1, "), *lines[2:]],
        lambda lines: [lines[0], lines[1][:40], *lines[2:]],
        lambda lines: [lines[0], b"{}", *lines[2:]],
        lambda lines: [lines[0], b"[1]", *lines[2:]],
        lambda lines: [lines[0], b"\xff\x00", *lines[2:]],
        lambda lines: [lines[0], b"", *lines[2:]],
        lambda lines: [lines[0], lines[0], *lines[2:]],
    ],
)
def test_damaged_line_is_named(damage, alone: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    text = b"".join(line + b"\n" for line in damage((alone / "cells.jsonl").read_bytes().splitlines()))
    out = copy(alone, tmp_path / "out", text)
    with pytest.raises(ValueError, match=r"cells\.jsonl, line 2, is damaged .*delete that line"):
        swept(out)
    assert (out / "cells.jsonl").read_bytes() == text
    (out / "cells.jsonl").write_bytes(b"".join(text.splitlines(keepends=True)[i] for i in [0, *range(2, 15)]))
    swept(out)  # the cure that it names
    assert contents(out) == contents(alone)


def test_failing_cell_is_named_and_the_finished_stay(tmp_path: Path) -> None:
    cells = [Toy(0), Toy(1), Toy(2, fails=True, world=ToyWorld(0.5)), Toy(3)]
    named = r"Toy\(seed=2, world=ToyWorld\(noise=0\.5\), fails=True\) failed: KeyError in toy_cells\.py, line"
    for processes in (1, 2):
        with pytest.raises(ValueError, match=named) as found:
            swept(tmp_path / str(processes), cells, processes)
        assert "Traceback" in found.value.__notes__[0]
        assert not (tmp_path / str(processes) / "table.csv.gz").exists()
    assert (tmp_path / "1" / "cells.jsonl").read_bytes().count(b"\n") == 2


# --- refusals ---


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([], "cells must not be empty"),
        ([Toy(1), Toy(2), Toy(1)], r"found twice: Toy\(seed=1\)"),
        ([Toy(1), Toy({1, 2})], r"plain values, found Toy\(seed=\{1, 2\}\)"),  # type: ignore[arg-type]
    ],
)
def test_bad_cells_are_refused(cells: list[Toy], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        swept(tmp_path / "out", cells)
    assert not any(tmp_path.iterdir())


def test_bad_options_are_refused_by_the_library(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="backend must be one of loky, ray, found 'dask'"):
        swept(tmp_path / "out", backend="dask")
    with pytest.raises(ValueError, match="processes must be at least 1, found 0"):
        swept(tmp_path / "out", processes=0)
    assert not any(tmp_path.iterdir())


def test_folder_of_something_else_is_refused(alone: Path, tmp_path: Path) -> None:
    before = contents(alone)
    with pytest.raises(ValueError, match="differs in: number, cells; choose another folder"):
        swept(alone, CELLS[:-1])
    with pytest.raises(ValueError, match="differs in: run;"):
        run_cells(CELLS, alone, run=threads_of)
    (tmp_path / "file").write_text("mine")
    for other in (tmp_path, tmp_path / "file"):
        with pytest.raises(ValueError, match=r"is no run folder of ours|settings\.json"):
            swept(other)
    assert contents(alone) == before


def test_folder_in_use_is_refused(tmp_path: Path) -> None:
    with FileLock(tmp_path / ".out.lock"), pytest.raises(ValueError, match="in use by another process"):
        swept(tmp_path / "out")


def test_worker_of_another_source_is_refused() -> None:
    assert workers.attempt(run_toy, 0, CELLS[0], (0, workers.identity())).rows
    refused = workers.attempt(run_toy, 0, CELLS[0], (0, "another"))
    assert "another source or other versions" in refused.error
    assert not refused.rows


def test_brief_says_what_is_not_default() -> None:
    assert brief(Toy(3)) == "Toy(seed=3)"
    assert brief(Toy(3, world=ToyWorld(2.0))) == "Toy(seed=3, world=ToyWorld(noise=2.0))"


# --- the command ---


def cli(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["sweep", *map(str, arguments)])


def toy_cells(smoke: bool) -> list[Toy]:
    return [Toy(s, p) for p in ("SYN", "ACU") for s in range(100, 102 if smoke else 110)]


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, where the sweep `minority` is one of toys."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(SWEEPS, "minority", Sweep("minority", "What do toys do?", toy_cells, run_toy))
    return tmp_path


def test_command_runs_a_sweep_and_prints_where_its_table_is(toys: Path) -> None:
    result = cli("minority", "--size", "smoke", "--processes", "1")
    assert result.exit_code == 0, result.output
    path = sweep_path("minority-smoke", toy_cells(True), run_toy)
    assert "What do toys do? 12 rows of 4 cells" in result.output
    assert f"table: {path / 'table.csv.gz'}" in result.output
    assert len(pd.read_csv(path / "table.csv.gz")) == 12


def test_command_takes_seeds_and_a_folder(toys: Path) -> None:
    result = cli("minority", "--seeds", "3", "--processes", "1", "--out", "here")
    assert result.exit_code == 0, result.output
    assert set(pd.read_csv(toys / "here" / "table.csv.gz")["seed"]) == {100, 101, 102}
    again = cli("minority", "--seeds", "4", "--processes", "1", "--out", "here")
    assert again.exit_code == 1
    assert "Error: here holds a sweep that differs in: number, cells; choose another folder" in again.output


def test_command_refuses_in_one_line(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "find_spec", lambda name: None)
    refused = {
        ("minorty",): "'minorty' is not one of 'leakage-size'",
        ("minority", "--backend", "dask"): "'dask' is not one of 'loky', 'ray'",
        ("minority", "--backend", "ray"): "needs Ray, which is not installed",
        ("minority", "--seeds", "0"): "0 is not in the range",
        ("minority", "--processes", "0"): "0 is not in the range",
        ("minority", "--size", "tiny"): "'tiny' is not one of 'full', 'smoke'",
        ("minority", "--out", ""): "the path is empty",
    }
    for arguments, message in refused.items():
        result = cli(*arguments)
        assert result.exit_code in (1, 2)
        assert isinstance(result.exception, SystemExit)
        (line,) = [line for line in result.output.splitlines() if line.startswith("Error")]
        assert message in line
    assert not any(toys.iterdir())


def test_help_lists_the_sweeps_with_their_questions() -> None:
    text = cli("--help").output
    assert all(f"{row.name} " in text and row.question in text for row in SWEEPS.values())
    assert "killed" in text


def test_every_sweep_is_of_cells_that_differ() -> None:
    for row in SWEEPS.values():
        for smoke in (True, False):
            assert len(cell_keys(row.cells(smoke))) > 0
