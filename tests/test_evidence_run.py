"""What a run of the checks leaves behind, and what it shows while it works."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from sims.sweep import Display

ROOT = Path(__file__).parent.parent
ROOMS = ("lsf", "sims", "theory", "paper_checks", "tests")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The sources in a folder of their own, with verdicts of an earlier run."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "verdicts.json").write_text('["an earlier run"]\n')
    return tmp_path


def checks(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "paper_checks", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def only_ole(folder: Path) -> Path:
    """Leave one file of checks, and give it."""
    for path in (folder / "paper_checks").glob("test_*.py"):
        if path.name != "test_ole.py":
            path.unlink()
    return folder / "paper_checks" / "test_ole.py"


def test_some_of_the_checks_leave_the_verdicts_as_they_were(copy: Path) -> None:
    result = checks(copy, "-k", "minority_loss")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "is as it was" in result.stdout
    assert (copy / "out" / "verdicts.json").read_text() == '["an earlier run"]\n'


def test_control_all_of_the_checks_write_them(copy: Path) -> None:
    """With one file of checks left in the room, that file is all of them."""
    only_ole(copy)
    result = checks(copy)
    assert result.returncode == 0, result.stdout + result.stderr
    rows = json.loads((copy / "out" / "verdicts.json").read_text())
    assert {r["verdict"] for r in rows if r["claim"] == "expected-ole" and r["world"] == "theory"} == {
        "holds"
    }
    assert {r["verdict"] for r in rows if r["claim"] == "syn-collapses"} == {"not tested"}


def test_a_smoke_run_writes_apart(copy: Path) -> None:
    only_ole(copy)
    result = checks(copy, "--size", "smoke")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "written: out/smoke/verdicts.json" in result.stdout
    rows = json.loads((copy / "out" / "smoke" / "verdicts.json").read_text())
    assert {r["verdict"] for r in rows if r["claim"] == "expected-ole" and r["world"] == "theory"} == {
        "smoke: holds"
    }
    assert (copy / "out" / "verdicts.json").read_text() == '["an earlier run"]\n'


def test_a_run_that_is_cut_short_leaves_the_verdicts_as_they_were(copy: Path) -> None:
    path = only_ole(copy)
    broken = "def test_corrected_theorem_1() -> None:\n    raise RuntimeError\n\n\ndef test_another("
    path.write_text(path.read_text().replace("def test_corrected_theorem_1(", broken))
    result = checks(copy, "-x")
    assert result.returncode == 1
    assert "is as it was" in result.stdout
    assert (copy / "out" / "verdicts.json").read_text() == '["an earlier run"]\n'


def test_progress_without_a_terminal_is_a_line_now_and_then() -> None:
    text = io.StringIO()
    with Progress(console=Console(file=text), disable=True) as bars:
        display = Display(bars, runs=2, every=0.0)
        display.tick("gaussian seed 1", "SYN", 1, 5)
        display.finish("gaussian seed 1")
        display.tick("gaussian seed 2", "ACU", 3, 5)
        display.every = 1e9
        display.tick("gaussian seed 2", "ACU", 4, 5)
    assert text.getvalue().splitlines() == [
        "0/2 runs finished; gaussian seed 1: SYN 1/5",
        "1/2 runs finished; gaussian seed 2: ACU 3/5",
    ]


def test_progress_on_a_terminal_drops_a_finished_run() -> None:
    with Progress(console=Console(file=io.StringIO(), force_terminal=True)) as bars:
        display = Display(bars, runs=2)
        display.tick("a", "SYN", 1, 5)
        display.tick("b", "SYN", 2, 5)
        display.finish("a")
        assert [t.description for t in bars.tasks] == ["runs finished", "b: SYN"]
        assert bars.tasks[0].completed == 1
