"""A damaged run folder is refused, by name and in one line, and nothing in it changes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sims import record
from sims.loop import run
from sims.record import RunFolder, digest
from tests.run_folders import KEPT, RECORDS, contents, everything, killed_run

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
    "times: a digit": edit("times.jsonl", digit("seconds")),
    "times: no seconds": edit("times.jsonl", resealed(lambda r: r.pop("seconds"), 1)),
    "times: no sum": edit("times.jsonl", lambda data: re.sub(rb', "sum": "\w+"', b"", data)),
    "settings: training gone": edit("settings.json", resealed(lambda r: r.pop("training"))),
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
    "settings: of a later format": edit("settings.json", edit_settings(format=4)),
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


def same_content(a: bytes, b: bytes) -> bool:
    """The seventeenth digit of a float may be another one and the number the same: nothing is lost then."""

    def content(text: bytes) -> object:
        try:
            return json.loads(text)
        except ValueError:  # JSON lines, or damaged
            return [json.loads(line) for line in text.splitlines()]

    try:
        return content(a) == content(b)
    except ValueError:
        return False


def test_control_only_a_last_digit_is_the_same_content() -> None:
    assert same_content(b"[1.0471975511965976]", b"[1.0471975511965977]")
    assert not same_content(b"[1.0471975511965976]", b"[1.0471975511965986]")
    assert not same_content(b"[1.5]", b"[1.5")


@pytest.mark.parametrize("name", RECORDS)
def test_any_changed_letter_or_digit_of_a_record_is_noticed(
    name: str, half: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    path = Path(shutil.copytree(half, tmp_path / "run"))
    whole = (path / name).read_bytes()
    for i in rng.integers(len(whole), size=150):
        changed = whole[:i] + (b"7" if whole[i] != ord("7") else b"8") + whole[i + 1 :]
        if whole[i : i + 1].isalnum() and not same_content(changed, whole):
            (path / name).write_bytes(changed)
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
