"""A real SIGKILL: the same command, given again until it ends, writes the bytes of a run that was left in peace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sims.loop import run
from sims.presets import preset

ROOT = Path(__file__).parents[1]
RECORDS = ("generations.jsonl", "floor.json", "settings.json")
DEADLINE = 120.0


def lines(out: Path) -> int:
    file = out / "generations.jsonl"
    return file.read_text().count("\n") if file.exists() else 0


def start(arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "sims", *arguments], cwd=ROOT, stdout=stream, stderr=stream
        )


def kill_when(process: subprocess.Popen[bytes], out: Path, number: int) -> int:
    """SIGKILL once the folder has that many lines (0: once its settings stand); gives the exit code."""
    began = time.monotonic()
    while process.poll() is None and time.monotonic() - began < DEADLINE:
        if (out / "settings.json").exists() and lines(out) >= number:
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.003)
    return process.wait(timeout=DEADLINE)


@pytest.mark.parametrize(
    ("name", "policies", "moments"),
    [
        ("digits-smoke", ("SYN", "ACU-LSF"), (0, 2)),
        pytest.param("runaway-smoke", ("ACUR", "ACU-LSF"), (1,), marks=pytest.mark.slow),
    ],
)
def test_killed_run_goes_on_to_the_same_records(
    name: str, policies: tuple[str, ...], moments: tuple[int, ...], tmp_path: Path
) -> None:
    """Killed while generation 0 trains, and between or within generations; then the same command once more."""
    out, log = tmp_path / "killed" / "run", tmp_path / "log"
    arguments = [
        name,
        "--seed",
        "1",
        *(word for p in policies for word in ("--policy", p)),
        "--out",
        str(out),
    ]
    for number in moments:
        assert kill_when(start(arguments, log), out, number) == -signal.SIGKILL, log.read_text()
    killed_at = lines(out)
    assert start(arguments, log).wait(timeout=DEADLINE) == 0, log.read_text()
    whole = run(preset(name), 1, tmp_path / "whole" / "run", policies).path  # another process, never killed
    assert killed_at < lines(whole)
    for file in RECORDS:
        assert (out / file).read_bytes() == (whole / file).read_bytes(), file
    assert "records:" in log.read_text()
