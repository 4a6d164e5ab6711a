"""What goes wrong under a run ends in one clear line; the last good generation stays, and the run goes on from it."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from sims import __main__ as cli
from sims import loop, record
from sims.diffusion import Diffusion
from sims.gaussian import ClassGaussians, GaussianSampler
from sims.loop import run
from sims.presets import Preset, preset
from sims.record import RunFolder, replacing
from tests.run_folders import KEPT, contents, everything, killed_run


def forked(work: Callable[[], object]) -> int:
    """The process id of a child that does the work, and exits with 0 if it comes to its end, else with 1."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


# --- a real SIGKILL ---


def test_twenty_kills_at_random_moments_change_no_byte(tmp_path: Path, rng: np.random.Generator) -> None:
    killed_twenty_times(replace(KEPT, generations=6, policies=("SYN", "ACUR", "ACU-LSF")), tmp_path, rng)


@pytest.mark.slow
def test_twenty_kills_of_an_image_run_change_no_byte(tmp_path: Path, rng: np.random.Generator) -> None:
    torch.set_num_threads(1)
    row = replace(preset("digits-smoke"), policies=("SYN", "ACUR", "ACU-LSF"))
    row.world.build(0)  # its classifiers, trained once, before the forks
    killed_twenty_times(row, tmp_path, rng, share=0.8)  # generation 0 alone takes a good part of the whole


def killed_twenty_times(row: Preset, root: Path, rng: np.random.Generator, share: float = 0.2) -> None:
    """Forked after the imports; each kill comes a random while after the start, at most that share of a whole run, and
    the next child goes on from there; the share grows where a busy machine lets no child get any further.

    A run that came to its end before its kill is followed by another one, from nothing.
    """
    began = time.monotonic()
    whole = run(row, 0, root / "whole" / "run").path
    longest, moments, paths = share * (time.monotonic() - began), [], [root / "killed-0" / "run"]
    while len(moments) < 20:
        pid = forked(lambda: run(row, 0, paths[-1]))
        time.sleep(rng.uniform(0.0, longest))
        os.kill(pid, signal.SIGKILL)
        if (code := exit_code(pid)) == 0:
            paths.append(root / f"killed-{len(paths)}" / "run")
        else:
            assert code == -signal.SIGKILL
            moments.append(lines(paths[-1]))
            longest *= 1.5 if moments[-3:] == 3 * moments[-1:] else 1.0
    run(row, 0, paths[-1])
    print(f"killed after lines {moments}")
    assert len(set(moments)) > 3, moments  # control: not all at the same place
    for path in paths:
        assert contents(path) == contents(whole)
        assert states(path) == states(whole)


def lines(path: Path) -> int:
    return len(RunFolder(path).records()) if (path / "settings.json").exists() else -1


def states(path: Path) -> dict[str, bytes]:
    """All samples and last models: no leftover among them."""
    return everything(path / "state")


def test_leftovers_of_kills_are_swept_up(tmp_path: Path) -> None:
    killed_run(tmp_path / "run")
    left = (".floor.json.17", ".generations.jsonl.4194304", "state/.SYN-1.samples.safetensors.99")
    for name in left:
        (tmp_path / "run" / name).write_bytes(b"half a fi")
    (tmp_path / "run" / ".notes").write_text("the user's own")
    run(KEPT, 0, tmp_path / "run")
    found = everything(tmp_path / "run").keys()
    assert not found & set(left)
    assert ".notes" in found


def test_a_model_that_was_followed_is_swept_up(tmp_path: Path) -> None:
    """A kill between the line of a generation and the end of the model before it."""
    run(KEPT, 0, tmp_path / "run")
    before = everything(tmp_path / "run")
    last = KEPT.generations - 1
    (tmp_path / "run" / "state" / f"SYN-{last}.model.safetensors").write_bytes(b"the model before")
    run(KEPT, 0, tmp_path / "run")
    assert everything(tmp_path / "run") == before
    killed_run(tmp_path / "cut", 3)
    assert (tmp_path / "cut" / "state" / "SYN-1.model.safetensors").exists()  # the kill came between the two
    run(KEPT, 0, tmp_path / "cut")
    assert states(tmp_path / "cut") == states(tmp_path / "run")


def test_stale_lock_of_a_killed_process_is_no_hindrance(tmp_path: Path) -> None:
    pid = forked(lambda: (loop.locked(tmp_path / "run").__enter__(), time.sleep(60)))
    while not (tmp_path / ".run.lock").exists():
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    exit_code(pid)
    assert len(run(KEPT, 0, tmp_path / "run").records()) == 7


def test_refused_folder_of_a_stranger_gets_no_lock_beside_it(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    with pytest.raises(ValueError, match="no run folder of ours"):
        run(KEPT, 0, tmp_path / "photos")
    assert [f.name for f in tmp_path.iterdir()] == ["photos"]


# --- a full disk ---


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a quarter of a megabyte, where one may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a file system can be mounted by root only")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(file: Path) -> None:
    """Write until nothing more goes on the disk."""
    with suppress(OSError), file.open("wb", buffering=0) as stream:
        while stream.write(bytes(4096)):
            pass


@pytest.mark.parametrize("lines", [1, 3])
def test_full_disk_is_one_clear_line_and_the_run_goes_on_after_it(
    lines: int, small_disk: Path, tmp_path: Path
) -> None:
    run(KEPT, 0, tmp_path / "whole")
    path = small_disk / "run"
    killed_run(path, lines)
    before = everything(path)
    filler = small_disk / "filler"
    fill(filler)
    with pytest.raises(
        ValueError, match=r"disk/run/\S* cannot be written \(No space left on device\)"
    ) as error:
        run(KEPT, 0, path)
    assert "\n" not in str(error.value)
    kept = everything(path)
    swept = {"times.jsonl", *(["state/SYN-1.model.safetensors"] if lines == 3 else [])}  # SYN-2 is on record
    assert all(kept[name] == data for name, data in before.items() if name not in swept)
    assert len(RunFolder(path).records()) == lines
    assert not [name for name in kept if "/." in f"/{name}"]  # nothing half-written
    filler.unlink()
    run(KEPT, 0, path)
    assert contents(path) == contents(tmp_path / "whole")


def test_file_too_large_is_refused_and_the_old_one_stays(tmp_path: Path) -> None:
    """The same without a disk: a limit on the size of a file, in a child."""
    record.write_text(tmp_path / "a", "old")

    def work() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        with pytest.raises(ValueError, match=r"a cannot be written \(File too large\)"):
            record.write_text(tmp_path / "a", "x" * 5000)
        with pytest.raises(ValueError, match=r"b cannot be written \(File too large\)"):
            record.save_arrays(tmp_path / "b", {"x": np.zeros(1000)})
        record.write_text(tmp_path / "c", "control")

    assert exit_code(forked(work)) == 0
    assert everything(tmp_path) == {"a": b"old", "c": b"control"}


def test_a_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    real = os.replace
    monkeypatch.setattr(record, "sync", lambda path: calls.append(path.name))
    monkeypatch.setattr(record.os, "replace", lambda a, b: (calls.append("replace"), real(a, b)))
    with replacing(tmp_path / "a") as temporary:
        temporary.write_text("text")
    assert calls == [f".a.{os.getpid()}", "replace", tmp_path.name]


# --- a training that fails ---


def failing(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    real, count = ClassGaussians.fit, iter(range(100))

    def fit(self: ClassGaussians, *args: object, **options: object) -> GaussianSampler:
        if next(count) == at:
            raise ArithmeticError("denoising loss is nan at step 3 of 9 (lr 1.0)")
        return real(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(ClassGaussians, "fit", fit)


@pytest.mark.parametrize("at", [0, 2])
def test_nan_loss_keeps_the_last_good_generation(at: int, tmp_path: Path) -> None:
    run(KEPT, 0, tmp_path / "whole" / "run")
    path = tmp_path / "a" / "run"
    with pytest.MonkeyPatch.context() as patch:
        failing(patch, at)
        patch.setattr(cli, "preset", lambda name: KEPT)
        found = CliRunner().invoke(cli.main, ["digits-smoke", "--out", str(path)])
    assert found.exit_code == 1
    assert found.output.strip().splitlines()[-1] == "Error: denoising loss is nan at step 3 of 9 (lr 1.0)"
    assert len(RunFolder(path).records()) == at
    run(KEPT, 0, path)
    assert contents(path) == contents(tmp_path / "whole" / "run")


def test_learning_rate_without_measure_is_a_nan_loss(rng: np.random.Generator) -> None:
    from lsf.pool import Pool

    pool = Pool(rng.standard_normal((8, 1, 8, 8)).astype(np.float32), np.arange(8) % 2, 0)
    wild = Diffusion(size=8, classes=2, channels=(8, 8), steps=12, lr=1e30, warmup=0, batch=8)
    with pytest.raises((ArithmeticError, RuntimeError), match=r"loss is|non-finite"):
        wild.fit(pool, rng)
    replace(wild, lr=1e-3, steps=2).fit(pool, rng)  # control


# --- two processes ---


def test_two_runs_that_train_one_model_at_once(tmp_path: Path) -> None:
    """Neither waits nor fails: each writes the same bytes under a name of its own, and moves them into place."""
    pids = [forked(lambda name=name: run(KEPT, 0, tmp_path / name)) for name in ("a", "b", "c")]  # type: ignore[misc]
    assert [exit_code(pid) for pid in pids] == [0, 0, 0]
    assert len(list((tmp_path / "generation-0").iterdir())) == 1
    assert contents(tmp_path / "a") == contents(tmp_path / "b") == contents(tmp_path / "c")


def test_second_process_in_a_run_folder_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    monkeypatch.setattr(cli, "preset", lambda name: KEPT)
    with loop.locked(path):
        found = CliRunner().invoke(cli.main, ["digits-smoke", "--out", str(path)])
    assert found.exit_code == 1
    assert found.output.strip().splitlines()[-1] == f"Error: {path} is in use by another process"
    assert not path.exists()
