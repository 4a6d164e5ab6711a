"""A run folder can be trusted: killed anywhere it goes on to the same bytes, and damage or a stranger is refused."""

from __future__ import annotations

import json
import os
import re
import shutil
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
from sims import curation, loop, record
from sims.gaussian import ClassGaussians, GaussianSampler
from sims.loop import run, run_path
from sims.lowrank import TwoSubspaces
from sims.presets import Preset, preset
from sims.record import RunFolder, digest, key_of, model_file, run_settings
from sims.worlds import Subspaces

WORLD = Subspaces(TwoSubspaces(6, 2, np.pi / 3, 0.3), ClassGaussians(), per_class=25, reference_per_class=30)
KEPT = Preset("tiny", WORLD, budget=50, generations=3, policies=("SYN", "ACU-LSF"))
UNKEPT = replace(KEPT, checkpoints=False)
RECORDS = ("settings.json", "floor.json", "generations.jsonl")


def contents(folder: Path, names: tuple[str, ...] = RECORDS) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names}


def everything(root: Path) -> dict[str, bytes]:
    """All files under a folder but locks, which belong to no run."""
    return {
        str(f.relative_to(root)): f.read_bytes()
        for f in sorted(root.rglob("*"))
        if f.is_file() and not f.name.endswith(".lock")
    }


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


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it. (A real one: test_sims_kill.py.)"""


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


def killed_run(path: Path, lines: int = 3) -> None:
    """A run that died after so many lines: generation 0 and then SYN's."""
    real = RunFolder.add

    def add(self: RunFolder, *args: Any) -> None:
        real(self, *args)
        if len(self.records()) == lines:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "add", add)
        with pytest.raises(Killed):
            run(KEPT, 0, path)


# --- damage ---


def edit(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        file = path / name
        file.write_bytes(change(file.read_bytes()))

    return apply


def flip(position: float) -> Callable[[bytes], bytes]:
    """One bit at a relative position."""

    def change(data: bytes) -> bytes:
        i = int(position * (len(data) - 1))
        return data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :]

    return change


def drop_line(n: int) -> Callable[[bytes], bytes]:
    return lambda data: b"".join(line for i, line in enumerate(data.splitlines(keepends=True)) if i != n)


def edit_settings(**new: Any) -> Callable[[bytes], bytes]:
    return lambda data: json.dumps({**json.loads(data), **new}).encode()


def resealed(change: Callable[[dict[str, Any]], Any], line: int = 0) -> Callable[[bytes], bytes]:
    """A row changed, and its sum made to fit: what only the checks of form can notice."""

    def apply(data: bytes) -> bytes:
        rows = [data] if b"{\n" in data else data.splitlines()
        row = json.loads(rows[line])
        change(row)
        row.pop("sum", None)
        rows[line] = json.dumps(record.sealed(row)).encode()
        return b"\n".join(rows) + b"\n"

    return apply


def a_folder(name: str) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        (path / name).unlink()
        (path / name).mkdir()
        (path / name / "kept").write_text("a folder with something in it")

    return apply


def digit(name: str) -> Callable[[bytes], bytes]:
    """The last digit of a number changed: JSON as good as before."""

    def change(data: bytes) -> bytes:
        found = re.search(rb'"%s": -?[0-9.]*([0-9])' % name.encode(), data)
        assert found
        i = found.start(1)
        return data[:i] + str((int(data[i : i + 1]) + 1) % 10).encode() + data[i + 1 :]

    return change


def twice(n: int) -> Callable[[bytes], bytes]:
    return lambda data: data + data.splitlines(keepends=True)[n]


FOREIGN = json.dumps(
    record.sealed({"policy": "MINE", "generation": 1, "metrics": {}, "samples": ""})
).encode()
FORM: dict[str, Callable[[Path], Any]] = {
    "floor: empty": edit("floor.json", lambda _: b""),
    "floor: {}": edit("floor.json", lambda _: b"{}"),
    "floor: []": edit("floor.json", lambda _: b"[]"),
    "floor: a folder": a_folder("floor.json"),
    "floor: a digit": edit("floor.json", digit("frechet")),
    "floor: a digit of a row": edit("floor.json", digit("raw")),
    "floor: a metric gone": edit("floor.json", resealed(lambda r: r.pop("frechet"))),
    "floor: a metric that generations lack": edit("floor.json", resealed(lambda r: r.update(more=1.0))),
    "floor: {} with a sum": edit("floor.json", resealed(dict.clear)),
    "records: a folder": a_folder("generations.jsonl"),
    "records: a digit": edit("generations.jsonl", digit("recall")),
    "records: a digit of the cost": edit("generations.jsonl", digit("gradient_steps")),
    "records: no sum": edit("generations.jsonl", lambda data: re.sub(rb', "sum": "\w+"', b"", data)),
    "records: nested too deep": edit("generations.jsonl", lambda data: data + b"[" * 100_000 + b"\n"),
    "records: generation 0 gone": edit("generations.jsonl", drop_line(0)),
    "records: generation 0 twice": edit("generations.jsonl", twice(0)),
    "records: a generation twice": edit("generations.jsonl", twice(2)),
    "records: out of turn": edit(
        "generations.jsonl", lambda data: b"".join(data.splitlines(keepends=True)[i] for i in (0, 2, 1))
    ),
    "records: of a foreign policy without metrics": edit(
        "generations.jsonl", lambda data: data + FOREIGN + b"\n"
    ),
    **{
        f"records: no {key}": edit("generations.jsonl", resealed(lambda r, key=key: r.pop(key), 1))  # type: ignore
        for key in ("policy", "generation", "metrics", "samples")
    },
    **{
        f"records: {key} is {value!r}": edit(
            "generations.jsonl",
            resealed(lambda r, key=key, value=value: r.update({key: value}), 1),  # type: ignore
        )
        for key, values in {
            "policy": (["SYN"], 1),
            "generation": ("1", True, 0, 3),
            "metrics": ([], None, {}),
        }.items()
        for value in values
    },
    "times: a folder": a_folder("times.jsonl"),
    "settings: a folder": a_folder("settings.json"),
    "settings: empty": edit("settings.json", lambda _: b""),
    "settings: notes edited": edit("settings.json", edit_settings(notes={"feature_space": "another"})),
    "settings: notes gone": edit("settings.json", resealed(lambda r: r.pop("notes"))),
    "settings: notes empty": edit("settings.json", resealed(lambda r: r.update(notes={}))),
    "settings: notes a list": edit("settings.json", resealed(lambda r: r.update(notes=[]))),
    "settings: preset gone": edit("settings.json", resealed(lambda r: r.pop("preset"))),
    "settings: preset a word": edit("settings.json", resealed(lambda r: r.update(preset="tiny"))),
    "settings: seed edited, with a sum": edit("settings.json", resealed(lambda r: r.update(seed=1))),
}
"""What opening a folder notices, before anything is resumed or shown."""

SAMPLES, MODEL = "state/SYN-1.samples.safetensors", "state/SYN-2.model.safetensors"
DAMAGE: dict[str, Callable[[Path], Any]] = {
    **FORM,
    "records: a line cut off": edit("generations.jsonl", lambda data: data[:-40]),
    "records: garbage": edit("generations.jsonl", lambda data: data + b"\xff\xfe\x00 garbage\n"),
    "records: a line that is no record": edit("generations.jsonl", lambda data: data + b"[1, 2]\n"),
    "records: a generation missing": edit("generations.jsonl", drop_line(1)),
    "records: the last missing, the model before it gone": lambda path: (
        edit("generations.jsonl", drop_line(2))(path),
        (path / "state/SYN-1.model.safetensors").unlink(),
    ),
    "times: a line cut off": edit("times.jsonl", lambda data: data[:-5]),
    "floor: cut off": edit("floor.json", lambda data: data[:-5]),
    "floor: gone": lambda path: (path / "floor.json").unlink(),
    "samples: a byte flipped": edit(SAMPLES, flip(0.9)),
    "samples: a header's byte flipped": edit(SAMPLES, flip(0.02)),
    "samples: cut off": edit(SAMPLES, lambda data: data[:-7]),
    "samples: empty": edit(SAMPLES, lambda _: b""),
    "samples: gone": lambda path: (path / SAMPLES).unlink(),
    "samples: those of another generation": lambda path: shutil.copy(
        path / "state/generation-0.samples.safetensors", path / SAMPLES
    ),
    "model: a byte flipped": edit(MODEL, flip(0.9)),
    "model: cut off": edit(MODEL, lambda data: data[: len(data) // 2]),
    "model: gone": lambda path: (path / MODEL).unlink(),
    "settings: gone": lambda path: (path / "settings.json").unlink(),
    "settings: garbage": edit("settings.json", lambda _: b"{garbage"),
    "settings: not text": edit("settings.json", lambda _: b"\xff\xfe\x00"),
    "settings: something else": edit("settings.json", lambda _: b"[]"),
    "settings: of a later format": edit("settings.json", edit_settings(format=3)),
    "settings: seed edited": edit("settings.json", edit_settings(seed=1)),
    "settings: key edited": edit("settings.json", edit_settings(key="0" * 12)),
    "generation-0 model: a byte flipped": lambda path: edit(generation_0(path), flip(0.9))(path),
    "generation-0 model: cut off": lambda path: edit(generation_0(path), lambda data: data[:-1])(path),
}


def generation_0(path: Path) -> str:
    (file,) = (path.parent / "generation-0").iterdir()
    return f"../generation-0/{file.name}"


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_a_value_error_and_changes_nothing(damage: str, tmp_path: Path) -> None:
    killed_run(tmp_path / "run")
    DAMAGE[damage](tmp_path / "run")
    before = everything(tmp_path)
    with pytest.raises(ValueError, match=r"run|generation-0") as error:
        run(KEPT, 0, tmp_path / "run")
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)
    assert everything(tmp_path) == before


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("half") / "run"
    killed_run(path)
    return path


@pytest.mark.parametrize("damage", FORM)
def test_a_damaged_folder_is_not_opened(damage: str, half: Path, tmp_path: Path) -> None:
    """Readers (the table, the figures, the claims) refuse what a resumed run refuses."""
    path = Path(shutil.copytree(half, tmp_path / "run"))
    RunFolder(path)  # control
    FORM[damage](path)
    with pytest.raises(ValueError, match=re.escape(str(path))) as error:
        RunFolder(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", RECORDS)
def test_any_changed_letter_or_digit_of_a_record_is_noticed(
    name: str, half: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    path = Path(shutil.copytree(half, tmp_path / "run"))
    whole = (path / name).read_bytes()
    for i in rng.integers(len(whole), size=150):
        if whole[i : i + 1].isalnum():
            (path / name).write_bytes(whole[:i] + (b"7" if whole[i] != ord("7") else b"8") + whole[i + 1 :])
            with pytest.raises(ValueError, match="run"):
                RunFolder(path)


def test_sum_is_no_part_of_what_is_read(half: Path) -> None:
    folder = RunFolder(half)
    assert all("sum" not in row for row in (folder.settings, folder.floor, *folder.records()))
    assert all(b'"sum"' in line for line in (half / "generations.jsonl").read_bytes().splitlines())


def test_control_an_undamaged_run_goes_on(tmp_path: Path) -> None:
    killed_run(tmp_path / "run")
    run(KEPT, 0, tmp_path / "run")
    run(KEPT, 0, tmp_path / "whole")
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_any_flipped_byte_of_arrays_is_noticed(tmp_path: Path, rng: np.random.Generator) -> None:
    """x, y, born, weights, header: not one bit."""
    file = tmp_path / "a.safetensors"
    record.save_arrays(file, {"x": rng.standard_normal((3, 2)), "born": np.array([0, 1, 2])})
    whole = file.read_bytes()
    for i in range(len(whole)):
        file.write_bytes(whole[:i] + bytes([whole[i] ^ (1 << int(rng.integers(8)))]) + whole[i + 1 :])
        try:
            found = record.load_arrays(file)
        except ValueError:
            continue
        assert chr(whole[i]) in ' \n:,{}[]"', f"byte {i} of {len(whole)}: {found}"  # spaces between, at most


def test_arrays_come_back_as_they_went(tmp_path: Path, rng: np.random.Generator) -> None:
    arrays = {"a": rng.standard_normal((3, 4)).astype(np.float32).T, "b": np.arange(5), "c": np.zeros((0, 2))}
    record.save_arrays(tmp_path / "x" / "a.safetensors", arrays)
    found = record.load_arrays(tmp_path / "x" / "a.safetensors")
    assert {k: digest(v) for k, v in found.items()} == {k: digest(v) for k, v in arrays.items()}


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


def test_source_digest_changes_with_any_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = record.source_digest.__wrapped__  # not the one taken on import
    own = now()
    for package in (sims, lsf):
        name = package.__name__
        shutil.copytree(
            Path(str(package.__file__)).parent, tmp_path / name, ignore=shutil.ignore_patterns("__py*")
        )
        monkeypatch.setattr(record, name, SimpleNamespace(__file__=str(tmp_path / name / "__init__.py")))
    assert now() == own
    for file in ("sims/diffusion.py", "sims/presets.py", "lsf/probe.py", "lsf/ole.py"):
        text = (tmp_path / file).read_text()
        (tmp_path / file).write_text(text + "#")
        assert now() != own
        (tmp_path / file).write_text(text)
    assert now() == own


def test_stale_model_is_never_picked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other source, the same store: the model there, a very wrong one, is not opened."""
    run(KEPT, 0, tmp_path / "a")
    (old,) = (tmp_path / "generation-0").iterdir()
    old.write_bytes(b"poison")
    with pytest.raises(ValueError, match="damaged"):
        run(KEPT, 0, tmp_path / "control")
    monkeypatch.setattr(record, "source_digest", lambda: "0" * 16)
    run(KEPT, 0, tmp_path / "b")
    assert len(list((tmp_path / "generation-0").iterdir())) == 2
    assert (tmp_path / "a" / "generations.jsonl").read_bytes() == (
        tmp_path / "b" / "generations.jsonl"
    ).read_bytes()


def test_model_is_shared_by_runs_that_start_from_it(tmp_path: Path) -> None:
    """Its key is of the generator, the data, the seed: not of the budget or the number of generations."""
    own = model_file(tmp_path, settings())
    assert model_file(tmp_path, settings(replace(KEPT, budget=20, generations=9))) == own
    assert model_file(tmp_path, settings(seed=1)) != own
    assert model_file(tmp_path, settings(replace(KEPT, world=replace(WORLD, generator=Echo())))) != own


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
