"""A run folder can be trusted: killed anywhere it goes on to the same bytes, and strangers are refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

import lsf
import sims
from lsf.pool import Pool
from sims import curation, loop, record, source
from sims.diffusion import Diffusion
from sims.gaussian import ClassGaussians, GaussianSampler
from sims.loop import run, run_path
from sims.lowrank import TwoSubspaces
from sims.presets import Preset, preset
from sims.record import RunFolder, digest, key_of, model_file, model_seed, run_settings
from sims.source import closure, source_digest, training_digest
from tests.run_folders import KEPT, UNKEPT, WORLD, Killed, contents, everything, killed_run

ROOT = Path(__file__).parents[1]

# --- what a run writes ---


def test_one_line_a_generation_and_times_apart(tmp_path: Path) -> None:
    folder = run(KEPT, 4, tmp_path / "a")
    lines = [json.loads(line) for line in (tmp_path / "a" / "generations.jsonl").read_text().splitlines()]
    order = [(None, 0), *[(p, k) for p in ("SYN", "ACU-LSF") for k in (1, 2, 3)]]
    assert [(r["policy"], r["generation"]) for r in lines] == order
    assert [(r["policy"], r["generation"]) for r in folder.times()] == order
    assert not any("seconds" in line or "time" in line for line in lines)
    assert folder.policies() == ["SYN", "ACU-LSF"]
    assert [r["generation"] for r in folder.of("SYN")] == [0, 1, 2, 3]
    assert folder.settings["seed"] == 4


def test_settings_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "generation_zero", stop)
    with pytest.raises(KeyboardInterrupt):
        run(KEPT, 0, tmp_path / "a")
    assert list(everything(tmp_path)) == ["a/settings.json"]


def test_equal_runs_are_equal_byte_for_byte(tmp_path: Path) -> None:
    """Also where one finds the generation-0 model that the other trained; and another seed gives others."""
    run(KEPT, 0, tmp_path / "a")
    run(KEPT, 0, tmp_path / "b")
    run(KEPT, 0, tmp_path / "elsewhere" / "c")
    run(KEPT, 1, tmp_path / "d")
    first = contents(tmp_path / "a")
    assert contents(tmp_path / "b") == contents(tmp_path / "elsewhere" / "c") == first
    assert contents(tmp_path / "d") != first
    again = everything(tmp_path)
    run(KEPT, 0, tmp_path / "a")
    assert everything(tmp_path) == again  # a finished run is left alone


def test_samples_are_those_of_the_record(tmp_path: Path) -> None:
    folder = run(KEPT, 0, tmp_path / "a")
    for policy, k in [(None, 0), ("SYN", 1), ("ACU-LSF", 3)]:
        made = folder.samples(policy, k)
        assert len(made) == 50
        assert (made.born == k + 1).all()
        assert np.bincount(made.y).tolist() == [25, 25]
    assert {f.name for f in (tmp_path / "a" / "state").glob("*.model.*")} == {
        "SYN-3.model.safetensors",
        "ACU-LSF-3.model.safetensors",
    }


def test_policies_added_later_change_nothing(tmp_path: Path) -> None:
    together = run(KEPT, 0, tmp_path / "a")
    apart = run(KEPT, 0, tmp_path / "b", ["ACU-LSF"])
    assert apart.policies() == ["ACU-LSF"]
    apart = run(KEPT, 0, tmp_path / "b", ["SYN"])
    assert [apart.of(p) for p in KEPT.policies] == [together.of(p) for p in KEPT.policies]


# --- pairing ---


@dataclass(frozen=True)
class Echo(ClassGaussians):
    """A generator that learns nothing: its model and its samples are the noise they are given."""

    def fit(self, pool: Pool, rng: np.random.Generator, start: Any = None) -> GaussianSampler:
        return GaussianSampler(np.arange(2), rng.standard_normal((2, 6)), np.stack([np.eye(6)] * 2))


def test_policies_of_a_seed_share_their_noise(tmp_path: Path) -> None:
    row = replace(UNKEPT, world=replace(WORLD, generator=Echo()), policies=curation.POLICIES)
    folder, other = run(row, 0, tmp_path / "a"), run(row, 1, tmp_path / "b")
    made = [{r["samples"] for r in folder.records() if r["generation"] == k} for k in range(4)]
    assert [len(samples) for samples in made] == [1] * 4  # one pool of samples for all six policies
    assert len(set.union(*made)) == 4  # another one each generation
    assert not set.union(*made) & {r["samples"] for r in other.records()}  # and each seed


def test_control_policies_that_learn_part_ways(tmp_path: Path) -> None:
    folder = run(replace(UNKEPT, policies=curation.POLICIES), 0, tmp_path / "a")
    assert len({r["samples"] for r in folder.records() if r["generation"] == 3}) == 6


# --- a kill at any moment ---


def kill_at(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Die just before the n-th file is put in its place, that is just after the one before; its temporary stays."""
    real, count = os.replace, iter(range(1, 10**6))

    def replacing(source: Any, target: Any) -> None:
        if next(count) == n:
            shutil.copy(source, f"{source}.left")  # the cleaning up of a process that lives does not happen
            raise Killed
        real(source, target)

    monkeypatch.setattr(record, "os", SimpleNamespace(**{**vars(os), "replace": replacing}))


@pytest.mark.parametrize("row", [KEPT, UNKEPT], ids=["checkpoints", "no checkpoints"])
def test_killed_anywhere_it_goes_on_to_the_same_bytes(row: Preset, tmp_path: Path) -> None:
    row = replace(row, generations=2)
    run(row, 0, tmp_path / "whole" / "run")
    expected = contents(tmp_path / "whole" / "run")
    for n in range(1, 60):
        path = tmp_path / str(n) / "run"
        moments = [m for m in (n, 3, None) if killed(row, path, m)]
        assert contents(path) == expected, f"killed at file {n}"
        if n not in moments:
            break
    assert n > (20 if row.checkpoints else 10)


def killed(row: Preset, path: Path, moment: int | None) -> bool:
    """Run or resume until that many files are written, or to the end; was it killed?"""
    with pytest.MonkeyPatch.context() as patch:
        if moment is not None:
            kill_at(moment, patch)
        try:
            run(row, 0, path)
        except Killed:
            return True
    return False


def test_resumed_run_does_not_repeat_what_was_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_run(tmp_path / "a")
    fits: list[Any] = []
    real = ClassGaussians.fit

    def counted(self: ClassGaussians, *args: Any, **kwargs: Any) -> GaussianSampler:
        fits.append(args)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(ClassGaussians, "fit", counted)
    run(KEPT, 0, tmp_path / "a")
    assert len(fits) == 4  # generation 3 of SYN and the three of ACU-LSF


# --- strangers ---


@pytest.mark.parametrize(
    ("seed", "change", "match"),
    [
        (1, {}, "differs in: seed, data"),
        (0, {"budget": 20}, "differs in: preset"),
        (0, {"generations": 9}, "differs in: preset"),
        (0, {"world": replace(WORLD, generator=ClassGaussians(shrink=0.9))}, "differs in: preset"),
    ],
)
def test_run_of_other_settings_is_refused(seed: int, change: Any, match: str, tmp_path: Path) -> None:
    run(KEPT, 0, tmp_path / "run")
    before = everything(tmp_path)
    with pytest.raises(ValueError, match=match):
        run(replace(KEPT, **change), seed, tmp_path / "run")
    assert everything(tmp_path) == before


def test_run_of_other_source_or_versions_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(KEPT, 0, tmp_path / "run")
    monkeypatch.setattr(record, "source_digest", lambda: "0" * 16)
    monkeypatch.setattr(record, "version", lambda name: "0.0")
    with pytest.raises(ValueError, match="differs in: versions, source"):
        run(KEPT, 0, tmp_path / "run")


def test_somebody_elses_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    (tmp_path / "file").write_text("text")
    before = everything(tmp_path)
    for path in ("photos", "file"):
        with pytest.raises(ValueError, match="no run folder of ours"):
            run(KEPT, 0, tmp_path / path)
    with pytest.raises(ValueError, match="no run folder of ours"):
        RunFolder(tmp_path / "nowhere")
    assert everything(tmp_path) == before


def test_empty_folder_will_do(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert len(run(UNKEPT, 0, tmp_path / "run").records()) == 7


def test_unknown_policy_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"policy must be one of .*, found 'SIN'"):
        run(KEPT, 0, tmp_path / "run", ["SYN", "SIN"])
    assert not list(tmp_path.iterdir())


def test_folder_in_use_is_refused(tmp_path: Path) -> None:
    killed_run(tmp_path / "run")
    before = everything(tmp_path)
    with (
        FileLock(tmp_path / ".run.lock"),
        pytest.raises(ValueError, match="run is in use by another process"),
    ):
        run(KEPT, 0, tmp_path / "run")
    assert everything(tmp_path) == before
    run(KEPT, 0, tmp_path / "run")  # control: free again


def test_lock_is_given_back(tmp_path: Path) -> None:
    """After a run, and after one that failed."""
    run(KEPT, 0, tmp_path / "run")
    with FileLock(tmp_path / ".run.lock", timeout=0):
        pass
    killed_run(tmp_path / "b")
    with FileLock(tmp_path / ".b.lock", timeout=0):
        pass


# --- keys ---


def settings(row: Preset = KEPT, seed: int = 0) -> dict[str, Any]:
    return run_settings(row, seed, row.world.build(seed).train)


def test_key_changes_with_every_setting() -> None:
    rows = [
        KEPT,
        replace(KEPT, budget=51),
        replace(KEPT, generations=4),
        replace(KEPT, world=replace(WORLD, per_class=26)),
        replace(KEPT, world=replace(WORLD, truth=TwoSubspaces(6, 2, np.pi / 3, 0.31))),
        replace(KEPT, world=replace(WORLD, generator=ClassGaussians(shrink=0.99))),
        replace(KEPT, world=replace(WORLD, generator=Echo())),
    ]
    assert len({key_of(settings(row)) for row in rows}) == len(rows)
    assert len({run_path(row, 0) for row in rows}) == len(rows)
    assert key_of(settings(seed=1)) != key_of(settings())
    assert key_of(settings(replace(KEPT, policies=("SYN",), seeds=(7,)))) == key_of(
        settings()
    )  # may be added


def test_key_changes_with_data_versions_and_source(monkeypatch: pytest.MonkeyPatch) -> None:
    own = settings()
    data = run_settings(KEPT, 0, Pool(np.zeros((2, 2)), np.array([0, 1]), 0))
    assert key_of(data) != key_of(own)
    with monkeypatch.context() as patch:
        patch.setattr(record, "version", lambda name: "9" if name == "torch" else "0")
        assert settings()["versions"]["torch"] == "9"
        torch_9 = key_of(settings())
        patch.setattr(record, "version", lambda name: "0")
        assert len({torch_9, key_of(settings()), key_of(own)}) == 3
    with monkeypatch.context() as patch:
        patch.setattr(record, "source_digest", lambda: "0" * 16)
        assert key_of(settings()) != key_of(own)
    assert settings() == own


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """A copy of the sources, which the digests are taken of."""
    copy = dict(source.sources())
    monkeypatch.setattr(source, "sources", lambda: copy)
    return copy


def touched(copy: dict[str, bytes], name: str, digest: Callable[[], str]) -> bool:
    """Does a digest change with one more letter in a module?"""
    before, text = digest(), copy[name]
    copy[name] = text + b"#"
    after = digest()
    copy[name] = text
    assert digest() == before
    return after != before


def test_source_is_read_whole_from_the_tree() -> None:
    files = [f for package in (sims, lsf) for f in Path(str(package.__file__)).parent.glob("*.py")]
    text = sorted(f.read_bytes() for f in files if f.name != "__main__.py")
    assert sorted(source.sources.__wrapped__().values()) == text
    assert {"sims", "lsf", "sims.diffusion", "lsf.pool"} <= source.sources().keys()


def test_source_digest_changes_with_any_line(copied: dict[str, bytes]) -> None:
    assert all(touched(copied, name, source_digest) for name in list(copied))


@pytest.mark.parametrize("generator", [Diffusion, ClassGaussians])
def test_training_digest_changes_with_what_a_model_depends_on(
    generator: type, copied: dict[str, bytes]
) -> None:
    """And an edit elsewhere leaves it, and so the models, as they are."""
    own = closure({generator.__module__})
    assert {generator.__module__, "lsf.pool"} <= own
    assert not own & {"sims.loop", "sims.presets", "sims.instruments", "sims.curation", "lsf.filter"}
    for name in list(copied):
        assert touched(copied, name, lambda: training_digest(generator)) == (name in own), name
    assert {"sims.seeds", "sims.progress"} <= closure({"sims.diffusion"})


@pytest.mark.parametrize("module", ["sims.gaussian", pytest.param("sims.diffusion", marks=pytest.mark.slow)])
def test_closure_is_what_python_loads(module: str) -> None:
    """No list that a file could be forgotten in; lsf/__init__.py loads more, for users, before anything is asked."""
    code = f"import sys, lsf; n = {{*sys.modules}}; import {module}; print(*{{*sys.modules}} - n)"
    found = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).split()
    loaded = {m for m in found if m.startswith(("sims.", "lsf."))}
    assert module in loaded
    assert loaded <= closure({module})


@pytest.mark.parametrize(
    "line", ["import sims.sweeps", "from sims import sweeps", "from sims.sweeps import SWEEPS"]
)
def test_an_import_that_hides_in_a_function_is_found(line: str, copied: dict[str, bytes]) -> None:
    """With what the imported module imports in its turn."""
    before = closure({"sims.diffusion"})
    copied["sims.seeds"] += f"\n\ndef late():\n    {line}\n".encode()
    after = closure({"sims.diffusion"})
    assert {"sims.sweeps", "sims.cells"} <= after - before


def test_a_generator_from_elsewhere_has_no_digest() -> None:
    assert training_digest(Echo) == training_digest(ClassGaussians)  # its base is ours
    with pytest.raises(ValueError, match="generator must be defined in sims or lsf, found builtins"):
        training_digest(dict)


def test_stale_model_is_never_picked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another training, the same store: the model there, a very wrong one, is not opened."""
    run(KEPT, 0, tmp_path / "a")
    (old,) = (tmp_path / "generation-0").iterdir()
    old.write_bytes(b"poison")
    with pytest.raises(ValueError, match="damaged"):
        run(KEPT, 0, tmp_path / "control")
    monkeypatch.setattr(record, "training_digest", lambda generator: "0" * 16)
    run(KEPT, 0, tmp_path / "b")
    assert len(list((tmp_path / "generation-0").iterdir())) == 2
    assert (tmp_path / "a" / "generations.jsonl").read_bytes() == (
        tmp_path / "b" / "generations.jsonl"
    ).read_bytes()


def test_model_outlives_an_edit_that_cannot_change_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = model_file(tmp_path, settings())
    monkeypatch.setattr(record, "source_digest", lambda: "0" * 16)
    assert model_file(tmp_path, settings()) == own
    monkeypatch.setattr(record, "versions", dict)
    assert model_file(tmp_path, settings()) != own


def test_model_is_shared_by_runs_that_start_from_it(tmp_path: Path) -> None:
    """Its key is of the generator, the data, the model's seed: not of the budget or the number of generations."""
    own = model_file(tmp_path, settings())
    assert model_file(tmp_path, settings(replace(KEPT, budget=20, generations=9))) == own
    assert model_file(tmp_path, settings(seed=1)) != own
    assert model_file(tmp_path, settings(replace(KEPT, world=replace(WORLD, generator=Echo())))) != own


@pytest.mark.parametrize(
    ("models", "expected"), [(None, [0, 1, 2, 3, 4]), (3, [0, 1, 2, 0, 1]), (1, [0] * 5)]
)
def test_runs_share_as_many_models_as_the_preset_says(
    models: int | None, expected: list[int], tmp_path: Path
) -> None:
    rows = [settings() | {"seed": seed} for seed in range(5)]  # of one data set, as the images are
    rows = [row | {"preset": row["preset"] | {"models": models}} for row in rows]
    assert [model_seed(row) for row in rows] == expected
    assert len({model_file(tmp_path, row) for row in rows}) == len(set(expected))
    assert model_file(tmp_path, rows[0]) == model_file(tmp_path, settings())


def test_digest_changes_with_bytes_shape_and_type() -> None:
    a = np.arange(6)
    assert len({digest(x) for x in (a, a[::-1], a.reshape(2, 3), a.astype(np.int32), a.astype(float))}) == 5
    assert digest(a[::2]) == digest(a[::2].copy())


def test_presets_have_names_of_their_own() -> None:
    from sims.presets import PRESETS, evidence_preset

    assert all(preset(name).name == name for name in PRESETS)
    assert {"digits-smoke", "digits-weak", "digits-strong", "gaussian", "low-rank"} <= PRESETS.keys()
    assert evidence_preset("gaussian", smoke=False).name == "gaussian"
    assert evidence_preset("digits-weak", smoke=True).name == "digits-weak-smoke"
    with pytest.raises(ValueError, match=r"preset must be one of .*, found 'digit'"):
        preset("digit")
