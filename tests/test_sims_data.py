"""Data sets come from where they lie, whole and in their classes; what is missing or damaged is named and refused."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sims import images
from sims.__main__ import main
from sims.idx import read_idx
from sims.images import DATASETS, Parts, dataset, describe, load, split_ids

TINY = Parts(3, 1, 2, 1)  # 7 images a class


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every set needs 7 images a class, and nothing is cached outside the test."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    for name in ("mnist", "cifar-10", "celeba"):
        monkeypatch.setitem(DATASETS, name, replace(DATASETS[name], parts=TINY))
    images._load.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir()
    return path


# --- the split ---

SIZES = st.integers(1, 6)


@given(
    parts=st.builds(Parts, SIZES, SIZES, SIZES, st.none() | SIZES),
    extra=st.lists(st.integers(0, 5), min_size=2, max_size=5),
    data=st.data(),
)
@settings(max_examples=20)
def test_parts_are_disjoint_and_of_the_sizes_asked_for(
    parts: Parts, extra: list[int], data: st.DataObject
) -> None:
    y = np.repeat(np.arange(len(extra)), [parts.needed + e for e in extra])
    y = np.array(data.draw(st.permutations(y.tolist())))
    ids = split_ids(y, tuple("abcde"[: len(extra)]), parts)
    everything = [i for part in ids.values() for i in part]
    assert len(set(everything)) == len(everything)
    for name, members in ids.items():
        size = getattr(parts, name)
        wanted = [size if size is not None else 1 + e for e in extra]
        assert np.bincount(y[members]).tolist() == wanted
        assert members == sorted(members)


def test_too_few_images_of_a_class_are_refused() -> None:
    y = np.repeat([0, 1], [7, 6])
    with pytest.raises(ValueError, match="class cat has 6 images, the split needs 7"):
        split_ids(y, ("dog", "cat"), TINY)
    with pytest.raises(ValueError, match="class cat has 0 images"):
        split_ids(y[:7], ("dog", "cat"), TINY)
    assert split_ids(y[:7], ("dog",), TINY)  # control


@pytest.mark.parametrize("label", [-1, 2])
def test_label_of_no_class_is_refused(label: int) -> None:
    with pytest.raises(ValueError, match="labels must be 0 to 1"):
        split_ids(np.array([0] * 7 + [1] * 7 + [label]), ("dog", "cat"), TINY)


def test_rows_say_what_a_world_needs() -> None:
    for name, row in DATASETS.items():
        assert row.name == name
        assert row.classes is not None
        assert row.parts is not None
        assert row.parts.trusted > 0
        assert row.how
        assert row.origin
    assert {n: (r.size, r.channels, len(r.classes or ())) for n, r in DATASETS.items()} == {
        "digits": (8, 1, 10),
        "fashion-mnist": (28, 1, 10),
        "fashion-mnist-large": (28, 1, 10),
        "mnist": (28, 1, 10),
        "cifar-10": (32, 3, 10),
        "celeba": (64, 3, 4),
    }


# --- IDX ---


def idx(x: np.ndarray) -> bytes:
    return bytes([0, 0, 8, x.ndim]) + struct.pack(f">{x.ndim}I", *x.shape) + x.astype(np.uint8).tobytes()


def write_mnist(
    folder: Path, rng: np.random.Generator, n: int = 80, size: int = 28, zipped: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Random images, 8 of each class."""
    x = rng.integers(0, 256, (n, size, size)).astype(np.uint8)
    y = np.arange(n) % 10
    pack, end = (gzip.compress, ".gz") if zipped else (bytes, "")
    (folder / f"train-images-idx3-ubyte{end}").write_bytes(pack(idx(x)))
    (folder / f"train-labels-idx1-ubyte{end}").write_bytes(pack(idx(y)))
    return x, y


@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_is_read_as_it_was_written(folder: Path, rng: np.random.Generator, zipped: bool) -> None:
    x, y = write_mnist(folder, rng, zipped=zipped)
    split = load("mnist", folder)
    for part in ("train", "trusted", "reference", "classifiers"):
        pool, ids = getattr(split, part), split.ids[part]
        assert pool.x.dtype == np.float32
        assert np.array_equal(np.rint((pool.x[:, 0] + 1) * 127.5), x[ids])
        assert np.array_equal(pool.y, y[ids])
        assert (pool.born == 0).all()
        assert len(pool) == 10 * getattr(TINY, part)
    assert -1 <= split.train.x.min() < -0.99
    assert 0.99 < split.train.x.max() <= 1
    assert load("mnist", str(folder)) is split  # read once


@given(shape=st.lists(st.integers(0, 5), min_size=1, max_size=3), cut=st.integers(1, 40))
@settings(max_examples=12)
def test_idx_of_any_shape_and_none_that_is_cut_or_too_long(
    tmp_path_factory: pytest.TempPathFactory, shape: list[int], cut: int
) -> None:
    path = tmp_path_factory.mktemp("idx") / "file"
    x = np.arange(np.prod(shape)).reshape(shape)
    for pack in (bytes, gzip.compress):
        path.write_bytes(pack(idx(x)))
        assert np.array_equal(read_idx(path, len(shape)), x)
        for damaged in (idx(x)[:-cut], idx(x) + b"0"):
            path.write_bytes(pack(damaged))
            with pytest.raises(ValueError, match="put a good copy in its place"):
                read_idx(path, len(shape))


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def shorter_labels(_: bytes) -> bytes:
    return idx(np.arange(79) % 10)


LABELS, IMAGES = "train-labels-idx1-ubyte", "train-images-idx3-ubyte"
DAMAGE: list[tuple[str, bool, Callable[[bytes], bytes], str]] = [
    (IMAGES, False, cut, "values, its header says"),
    (IMAGES, True, cut, "put a good copy"),
    (IMAGES, True, lambda data: data[:40] + bytes(20) + data[60:], "put a good copy"),
    (IMAGES, False, lambda data: b"\x00\x00\x0d" + data[3:], "begins with 00000d03"),
    (IMAGES, False, lambda data: b"<html>not found</html>", "no IDX file"),
    (IMAGES, False, lambda data: b"", "begins with nothing"),
    (LABELS, False, shorter_labels, "79 labels of 80 images"),
    (LABELS, False, lambda data: idx(np.arange(80) % 11), "labels must be 0 to 9"),
    (LABELS, False, lambda data: idx(np.zeros((8, 10))), "no IDX file"),
]


@pytest.mark.parametrize(("name", "zipped", "damage", "message"), DAMAGE)
def test_damaged_idx_file_is_refused_by_name(
    folder: Path,
    rng: np.random.Generator,
    name: str,
    zipped: bool,
    damage: Callable[[bytes], bytes],
    message: str,
) -> None:
    write_mnist(folder, rng, zipped=zipped)
    path = folder / (name + ".gz" * zipped)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=message) as error:
        load("mnist", folder)
    assert name in str(error.value) or "labels must" in str(error.value)


def test_idx_images_of_another_size_are_refused(folder: Path, rng: np.random.Generator) -> None:
    write_mnist(folder, rng, size=27)
    with pytest.raises(ValueError, match="27x27 pixels, must be 28x28"):
        load("mnist", folder)


def test_missing_file_is_named(folder: Path, rng: np.random.Generator) -> None:
    write_mnist(folder, rng)
    (folder / LABELS).unlink()
    with pytest.raises(ValueError, match=f"holds no {LABELS}.*To get it, name a folder"):
        load("mnist", folder)


def test_real_fashion_mnist() -> None:
    try:
        split = load("fashion-mnist")
    except ValueError as error:
        pytest.skip(str(error))
    assert {name: len(ids) for name, ids in split.ids.items()} == {
        "train": 2000,
        "trusted": 600,
        "reference": 2000,
        "classifiers": 4000,
    }
    assert split.train.x.shape == (2000, 1, 28, 28)
    means = [split.train.x[split.train.y == c].mean() for c in (1, 5, 2)]  # trousers, sandals, pullovers
    assert means[1] < means[0] < means[2]


# --- Hugging Face `datasets` ---


def pictures(rng: np.random.Generator, n: int, height: int, width: int) -> list[Image.Image]:
    return [Image.fromarray(a) for a in rng.integers(0, 256, (n, height, width, 3)).astype(np.uint8)]


def save_cifar(
    folder: Path, rng: np.random.Generator, way: str, image: str, size: int = 32
) -> list[Image.Image]:
    made = pictures(rng, 80, size, size)
    data = datasets.Dataset.from_dict({image: made, "label": [i % 10 for i in range(80)]})
    if way == "dictionary":
        datasets.DatasetDict({"test": data.select(range(3)), "train": data}).save_to_disk(str(folder))
    elif way == "parquet":
        (folder / "data").mkdir()
        data.to_parquet(str(folder / "data" / "train-00000-of-00001.parquet"))
        data.select(range(3)).to_parquet(str(folder / "data" / "test-00000-of-00001.parquet"))
    else:
        data.save_to_disk(str(folder))
    return made


@pytest.mark.parametrize(("way", "image"), [("set", "img"), ("dictionary", "image"), ("parquet", "img")])
def test_cifar_is_read_as_it_was_written(
    folder: Path, rng: np.random.Generator, way: str, image: str
) -> None:
    made = save_cifar(folder, rng, way, image)
    split = load("cifar-10", folder)
    ids = split.ids["train"]
    assert split.train.x.shape == (30, 3, 32, 32)
    wanted = np.stack([np.asarray(made[i]) for i in ids]).transpose(0, 3, 1, 2)
    assert np.array_equal(np.rint((split.train.x + 1) * 127.5), wanted)
    assert np.array_equal(split.train.y, np.array(ids) % 10)


def test_cifar_of_another_size_is_refused(folder: Path, rng: np.random.Generator) -> None:
    save_cifar(folder, rng, "set", "img", size=31)
    with pytest.raises(ValueError, match=r"row \d+: an image of 31x31 pixels, must be 32x32"):
        load("cifar-10", folder)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": [0, 1]}, "no column `img` or `image`"),
        ({"img": [0, 1]}, "no column `label` or `labels`"),
        ({"img": ["a", "b"], "label": ["cat", "dog"]}, "must hold integers only"),
        ({"img": ["a", "b"], "label": [0, None]}, "must hold integers only"),
        ({"img": [0.5, 1.0], "label": [0, 1]}, "holds no images"),
    ],
)
def test_columns_that_are_not_what_they_must_be(folder: Path, columns: dict, message: str) -> None:
    datasets.Dataset.from_dict(columns).save_to_disk(str(folder))
    with pytest.raises(ValueError, match=message):
        load("cifar-10", folder)


def test_image_of_a_row_that_cannot_be_read_is_named(folder: Path, rng: np.random.Generator) -> None:
    save_cifar(folder, rng, "set", "img")
    data = datasets.load_from_disk(str(folder)).cast_column("img", datasets.Image(decode=False))
    broken = {"bytes": data[0]["img"]["bytes"][:200], "path": None}
    rows = [broken if i % 10 == 4 else row for i, row in enumerate(data["img"])]
    other = folder / "other"
    datasets.Dataset.from_dict(
        {"img": rows, "label": list(data["label"])},
        datasets.Features({"img": datasets.Image(decode=False), "label": datasets.Value("int64")}),
    ).save_to_disk(str(other))
    with pytest.raises(ValueError, match=r"other, row \d*4: no image that can be read"):
        load("cifar-10", other)


def test_folder_that_holds_no_data_set(folder: Path, rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="neither what `save_to_disk` leaves nor parquet"):
        load("cifar-10", folder)
    (folder / "test-0.parquet").write_bytes(b"not read")
    with pytest.raises(ValueError, match=r"holds no train\*.parquet"):
        load("cifar-10", folder)
    (folder / "train-0.parquet").write_bytes(b"not parquet")
    with pytest.raises(ValueError, match="cifar-10 cannot be read"):
        load("cifar-10", folder)


def test_saved_dictionary_without_a_train_part(folder: Path) -> None:
    data = datasets.Dataset.from_dict({"label": [0]})
    datasets.DatasetDict({"test": data}).save_to_disk(str(folder))
    with pytest.raises(ValueError, match="no part `train`"):
        load("cifar-10", folder)


# --- CelebA ---


def save_faces(folder: Path, rng: np.random.Generator, convention: str, **options: object) -> np.ndarray:
    """28 faces of 109x89, the middle 89x89 of class c all of brightness 60 * c, red above and below it."""
    y = np.arange(28) % 4
    faces = []
    for c in y:
        face = np.zeros((109, 89, 3), np.uint8)
        face[..., 0] = 255
        face[10:99] = 60 * c
        faces.append(Image.fromarray(face))
    no = -1 if convention == "signs" else 0
    male, smiling = np.where(y // 2 == 1, 1, no), np.where(y % 2 == 1, 1, no)
    columns: dict = {"image": faces}
    if convention == "mapping":
        columns["attributes"] = [
            {"Male": bool(m), "Smiling": bool(s), "Young": True} for m, s in zip(male, smiling, strict=True)
        ]
    else:
        columns |= {"Male": male.tolist(), "Smiling": smiling.tolist()}
    datasets.Dataset.from_dict(columns | options).save_to_disk(str(folder))
    return y


@pytest.mark.parametrize("convention", ["numbers", "signs", "mapping"])
def test_faces_are_classed_by_gender_and_smile_and_cropped(
    folder: Path, rng: np.random.Generator, convention: str
) -> None:
    y = save_faces(folder, rng, convention)
    split = load("celeba", folder)
    assert split.train.x.shape == (12, 3, 64, 64)
    assert np.array_equal(split.train.y, y[split.ids["train"]])
    levels = np.rint((split.train.x + 1) * 127.5)
    assert np.array_equal(levels, np.broadcast_to(60 * split.train.y[:, None, None, None], levels.shape))


def test_attribute_of_another_kind_is_refused(folder: Path, rng: np.random.Generator) -> None:
    save_faces(folder, rng, "numbers", Smiling=[2] * 28)
    with pytest.raises(ValueError, match="`Smiling` must be 0 or 1"):
        load("celeba", folder)


# --- a folder of one's own ---


def save_folders(
    folder: Path, rng: np.random.Generator, n: int = 20, size: tuple[int, int] = (12, 10)
) -> None:
    for c, name in enumerate(("apples", "pears")):
        (folder / name).mkdir()
        for i, picture in enumerate(pictures(rng, n + c, *size)):
            picture.save(folder / name / f"{i:02}.png")


@pytest.mark.parametrize(("mode", "channels"), [("grey", 1), ("rgb", 3)])
def test_folders_are_classes(folder: Path, rng: np.random.Generator, mode: str, channels: int) -> None:
    save_folders(folder, rng, size=(10, 10))
    (folder / ".hidden").mkdir()
    (folder / "apples" / ".DS_Store").write_bytes(b"no image")
    split = load(f"folder:10:{mode}", folder)
    assert {name: len(ids) for name, ids in split.ids.items()} == {
        "train": 20,
        "trusted": 4,
        "reference": 8,
        "classifiers": 8,
    }
    i = split.ids["train"].index(next(i for i in split.ids["train"] if i >= 20))  # the first pear
    path = folder / "pears" / f"{split.ids['train'][i] - 20:02}.png"
    wanted = np.asarray(Image.open(path).convert("L" if mode == "grey" else "RGB")).reshape(10, 10, channels)
    assert np.array_equal(np.rint((split.train.x[i] + 1) * 127.5), wanted.transpose(2, 0, 1))
    assert split.train.y[i] == 1
    assert split.train.y[:i].max() == 0


def test_folder_images_are_cropped_and_resized(folder: Path, rng: np.random.Generator) -> None:
    save_folders(folder, rng, size=(12, 10))
    assert load("folder:8:rgb", folder).train.x.shape == (20, 3, 8, 8)


def transparent(folder: Path) -> None:
    Image.new("RGBA", (10, 12)).save(folder / "apples" / "03.png")


def deep(folder: Path) -> None:
    Image.new("I;16", (10, 12)).save(folder / "apples" / "03.png")


def animated(folder: Path) -> None:
    frames = [Image.new("RGB", (10, 12), c) for c in ("red", "blue")]
    frames[0].save(folder / "apples" / "03.png", save_all=True, append_images=frames[1:])


def text(folder: Path) -> None:
    (folder / "apples" / "03.png").write_text("no image")


def truncated(folder: Path) -> None:
    path = folder / "apples" / "03.png"
    path.write_bytes(path.read_bytes()[:150])


def other_size(folder: Path) -> None:
    Image.new("RGB", (11, 12)).save(folder / "apples" / "03.png")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (transparent, "of mode RGBA"),
        (deep, "of mode I;16"),
        (animated, "it has several frames"),
        (text, "no image that can be read"),
        (truncated, "no image that can be read"),
        (other_size, "pixels, must be"),
    ],
)
def test_bad_image_of_a_folder_is_named(
    folder: Path, rng: np.random.Generator, damage: Callable[[Path], None], message: str
) -> None:
    save_folders(folder, rng)
    load("folder:8:rgb", folder)  # control
    images._load.cache_clear()
    damage(folder)
    with pytest.raises(ValueError, match=rf"/(apples|pears)/\d\d\.png: .*{message}"):
        load("folder:8:rgb", folder)


def test_folder_that_is_no_data_set_is_refused(folder: Path, rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=r"0 sub-folder\(s\)"):
        load("folder:8:rgb", folder)
    save_folders(folder, rng, n=9)
    with pytest.raises(ValueError, match="class apples has 9 images, the split needs 10"):
        load("folder:8:rgb", folder)
    (folder / "pears" / "more").mkdir()
    with pytest.raises(ValueError, match="pears/more is a folder within a class"):
        load("folder:8:rgb", folder)


def test_images_are_never_enlarged(folder: Path, rng: np.random.Generator) -> None:
    save_folders(folder, rng)
    with pytest.raises(ValueError, match="10x12 pixels, must be 11x11 or more"):
        load("folder:11:rgb", folder)


@pytest.mark.parametrize(
    "name", ["imagenet", "folder", "folder:8", "folder:0:rgb", "folder:x:rgb", "folder:8:cmyk", ""]
)
def test_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"is not known: digits, .*folder:SIZE:grey"):
        load(name)
    assert dataset("folder:8:rgb").size == 8  # control


# --- what is there? ---


@pytest.mark.parametrize("name", ["mnist", "cifar-10", "celeba", "folder:8:grey"])
def test_missing_data_is_said_with_how_to_get_it(name: str, tmp_path: Path) -> None:
    for folder in (None, tmp_path / "nowhere", ""):
        with pytest.raises(ValueError, match=r"is not there \(.*name a folder"):
            load(name, folder)


def test_digits_take_no_folder(folder: Path) -> None:
    with pytest.raises(ValueError, match="folder must be None for digits"):
        load("digits", folder)


def test_command_says_what_is_there(folder: Path, rng: np.random.Generator) -> None:
    write_mnist(folder, rng)
    found = CliRunner().invoke(main, ["data", "mnist", "--folder", str(folder)])
    assert found.exit_code == 0
    assert "0 8, 1 8" in found.output
    assert "80 of 28x28 pixels" in found.output
    assert "train 30, trusted 10, reference 20, classifiers 10" in found.output
    assert found.output.strip() == describe("mnist", folder)


def test_command_says_what_is_missing() -> None:
    found = CliRunner().invoke(main, ["data", "mnist"])
    assert found.exit_code == 1
    assert "mnist is not there" in found.output
    assert "name a folder with train-images-idx3-ubyte" in found.output
    assert "Traceback" not in found.output


def test_command_lists_every_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fashion-mnist", "fashion-mnist-large"):
        monkeypatch.setitem(DATASETS, name, replace(DATASETS[name], folder=None))
    found = CliRunner().invoke(main, ["data"])
    assert found.exit_code == 0
    assert all(f"\n{name}" in "\n" + found.output for name in DATASETS)
    assert CliRunner().invoke(main, ["data", "--folder", "."]).exit_code == 2
