"""A pool is read from every format as it was written, and what should not get in is named and refused, or skipped."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from lsf import image_files
from lsf.array_files import FREE
from lsf.pool_files import FORMATS, Samples, read
from lsf.samples import Source


def png(v: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(v).save(out, "PNG")
    return out.getvalue()


def pictures(seed: int, n: int, height: int = 6, width: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3)).astype(np.uint8)


def numbers(seed: int, n: int = 11, d: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def as_floats(v: np.ndarray) -> np.ndarray:
    """What x must be, written apart from the code: bytes to [-1, 1], channels first."""
    return (v / np.float32(127.5) - 1).astype(np.float32).transpose(0, 3, 1, 2)


def everything(samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    x, y = zip(*samples, strict=True)
    return np.concatenate(x), np.concatenate(y)


# --- a writer for each format: images (n, 6, 6, 3) or latents (n, 3), labels "cat" and "dog", to a path ---

WORDS = ("cat", "dog")


def image_folder(at: Path, v: np.ndarray, y: np.ndarray) -> Path:
    for i, (image, c) in enumerate(zip(v, y, strict=True)):
        (at / WORDS[c]).mkdir(parents=True, exist_ok=True)
        (at / WORDS[c] / f"{i:03}.png").write_bytes(png(image))
    return at


def npz(at: Path, x: np.ndarray, y: np.ndarray, save: Callable[..., None] = np.savez) -> Path:
    save(at.with_suffix(".npz"), x=x, y=np.array(WORDS)[y])
    return at.with_suffix(".npz")


def compressed(at: Path, x: np.ndarray, y: np.ndarray) -> Path:
    return npz(at, x, y, np.savez_compressed)


def table(x: Any, y: Any) -> pa.Table:
    return pa.table({"x": list(x), "label": pa.array(y)})


def parquet(at: Path, x: np.ndarray, y: np.ndarray) -> Path:
    pq.write_table(table(x, np.array(WORDS)[y]), at.with_suffix(".parquet"), row_group_size=4)
    return at.with_suffix(".parquet")


def parquet_folder(at: Path, x: np.ndarray, y: np.ndarray) -> Path:
    at.mkdir()
    for k in range(2):
        half = slice(k * len(x) // 2, (k + 1) * len(x) // 2)
        pq.write_table(table(x[half], np.array(WORDS)[y[half]]), at / f"part{k}.parquet")
    return at


def hub(v: np.ndarray, y: np.ndarray) -> datasets.Dataset:
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(WORDS))})
    images = [Image.fromarray(image) for image in v]
    return datasets.Dataset.from_dict({"image": images, "label": y.tolist()}, features)


def saved(at: Path, v: np.ndarray, y: np.ndarray) -> Path:
    hub(v, y).save_to_disk(str(at))
    return at


def saved_parts(at: Path, v: np.ndarray, y: np.ndarray) -> Path:
    datasets.DatasetDict({"train": hub(v, y)}).save_to_disk(str(at))
    return at


def hub_parquet(at: Path, v: np.ndarray, y: np.ndarray) -> Path:
    hub(v, y).to_parquet(str(at.with_suffix(".parquet")))
    return at.with_suffix(".parquet")


OF_IMAGES = [image_folder, saved, saved_parts, hub_parquet]
OF_LATENTS = [npz, compressed, parquet, parquet_folder]


@pytest.mark.parametrize("write", OF_IMAGES)
def test_images_are_read_as_they_were_written(write: Any, tmp_path: Path, seed: int) -> None:
    v, y = pictures(seed, 11), np.sort(np.arange(11) % 2)
    samples = read(write(tmp_path / "pool", v, y), size=6, chunk=4)
    for _ in range(2):
        x, labels = everything(samples)
        assert x.dtype == np.float32
        np.testing.assert_array_equal(x, as_floats(v))
        assert labels.tolist() == [WORDS[c] for c in y] == samples.y.tolist()
    assert len(samples) == 11
    assert samples.classes.tolist() == list(WORDS)
    assert samples.skipped == ()


@pytest.mark.parametrize("write", OF_LATENTS)
def test_latents_are_read_as_they_were_written(write: Any, tmp_path: Path, seed: int) -> None:
    x, y = numbers(seed), np.arange(11) % 2
    samples = read(write(tmp_path / "pool", x, y), chunk=4)
    for _ in range(2):
        found, labels = everything(samples)
        assert found.dtype == x.dtype
        np.testing.assert_array_equal(found, x)
        assert labels.tolist() == [WORDS[c] for c in y]
    assert max(len(x) for x, _ in samples) <= 4


def test_npy_beside_its_labels(tmp_path: Path, seed: int) -> None:
    x, y = numbers(seed).reshape(11, 3, 1), np.arange(11) % 3
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    samples = read(tmp_path / "x.npy", labels=tmp_path / "y.npy", chunk=4)
    np.testing.assert_array_equal(everything(samples)[0], x)
    np.testing.assert_array_equal(everything(samples)[1], y)
    assert samples.where(7) == f"{tmp_path / 'x.npy'}:7"


def test_samples_are_named(tmp_path: Path, seed: int) -> None:
    v, x, y = pictures(seed, 4), numbers(seed), np.arange(11) % 2
    folder = read(image_folder(tmp_path / "images", v, np.array([0, 0, 1, 1])), size=6)
    assert [folder.where(i) for i in range(4)] == [
        str(tmp_path / "images" / name)
        for name in ("cat/000.png", "cat/001.png", "dog/002.png", "dog/003.png")
    ]
    parts = read(parquet_folder(tmp_path / "parts", x, y))
    assert [parts.where(i) for i in (4, 5)] == [
        f"{tmp_path}/parts/part{k}.parquet:{i}" for k, i in ((0, 4), (1, 0))
    ]


def test_options_of_images(tmp_path: Path, seed: int) -> None:
    at = image_folder(tmp_path / "pool", pictures(seed, 2, 8, 12), np.array([0, 1]))
    assert everything(read(at, size=(8, 12), channels=1))[0].shape == (2, 1, 8, 12)
    with pytest.raises(
        ValueError, match=r"000.png: an image of 12x8 pixels, must be 8x8, unless resize=True"
    ):
        everything(read(at, size=8))
    assert everything(read(at, size=4, resize=True))[0].shape == (2, 3, 4, 4)
    with pytest.raises(ValueError, match="12x8 pixels, must be 9x9 or more: images are not enlarged"):
        everything(read(at, size=9, resize=True))


def test_resize_cuts_before_it_blurs(tmp_path: Path) -> None:
    """Red beyond the middle square leaves no trace in it."""
    v = np.zeros((1, 4, 10, 3), np.uint8)
    v[:, :, [0, 1, 2, 7, 8, 9], 0] = 255
    x, _ = everything(read(image_folder(tmp_path, v, np.array([0])), size=2, resize=True))
    assert (x == -1).all()


def test_image_lies_as_its_orientation_says(tmp_path: Path, seed: int) -> None:
    v = pictures(seed, 1, 4, 6)
    at = image_folder(tmp_path, v, np.array([0]))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right
    Image.fromarray(v[0]).save(at / "cat" / "000.png", exif=exif)
    np.testing.assert_array_equal(everything(read(at, size=(6, 4)))[0], as_floats(np.rot90(v, -1, (1, 2))))


# --- what must not get in: one of eleven samples is bad, and raises, or is left out ---


def huge(_: bytes) -> bytes:
    """A PNG of a few bytes that says it is 20,000 x 20,000."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + part(b"IHDR", header)
        + part(b"IDAT", zlib.compress(bytes(100)))
        + part(b"IEND", b"")
    )


def encoded(
    mode: str, kind: str = "PNG", size: tuple[int, int] = (6, 6), **options: Any
) -> Callable[[bytes], bytes]:
    def write(_: bytes) -> bytes:
        out = io.BytesIO()
        Image.new(mode, size).save(out, kind, **options)
        return out.getvalue()

    return write


FRAMES = {"save_all": True, "append_images": [Image.new("RGB", (6, 6), "red")]}
BAD_IMAGES = {
    "truncated": (lambda data: data[: len(data) // 2], "no image that can be read"),
    "empty": (lambda data: b"", "no image that can be read"),
    "text": (lambda data: b"no image", "cannot identify image file"),
    "bomb": (
        huge,
        r"it says 20000x20000 pixels, more than 67108864: not decoded|DecompressionBomb|exceeds limit",
    ),
    "beyond the limit, below Pillow's": (encoded("1", size=(8193, 8192)), "it says 8193x8192 pixels"),
    "other size": (encoded("RGB", size=(6, 7)), "an image of 6x7 pixels, must be 6x6"),
    "transparent": (encoded("RGBA"), "of mode RGBA"),
    "16 bits": (encoded("I;16"), "of mode I;16"),
    "animated": (encoded("RGB", "GIF", **FRAMES), "several frames"),
    "a program": (encoded("RGB", "EPS"), "cannot identify image file"),
}


def check_one_bad(read_it: Callable[..., Samples], bad: int, where: str, reason: str, x: np.ndarray) -> None:
    """Named where it raises; left out and listed where it is skipped, and all else is as it was."""
    with pytest.raises(ValueError, match=rf"{where}: .*({reason}).*; on_error='skip'"):
        everything(read_it(on_error="raise"))
    samples = read_it(on_error="skip")
    np.testing.assert_array_equal(everything(samples)[0], np.delete(x, bad, axis=0))
    assert len(samples) == len(samples.y) == len(x) - 1
    assert [name.endswith(where) for name, _ in samples.skipped] == [True]
    assert samples.where(bad) != samples.skipped[0][0]


@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_bad_image(kind: str, tmp_path: Path, seed: int) -> None:
    damage, reason = BAD_IMAGES[kind]
    v, y = pictures(seed, 11), np.sort(np.arange(11) % 2)
    at = image_folder(tmp_path / "pool", v, y)
    everything(read(at, size=6))  # control
    path = at / "cat" / "003.png"
    path.write_bytes(damage(path.read_bytes()))
    check_one_bad(lambda **o: read(at, size=6, chunk=4, **o), 3, "cat/003.png", reason, as_floats(v))
    rows = [{"bytes": (at / WORDS[c] / f"{i:03}.png").read_bytes(), "path": None} for i, c in enumerate(y)]
    pq.write_table(pa.table({"image": rows, "label": y}), tmp_path / "p.parquet")
    check_one_bad(
        lambda **o: read(tmp_path / "p.parquet", size=6, chunk=4, **o), 3, "p.parquet:3", reason, as_floats(v)
    )


def test_truncated_images_get_in_by_no_switch_of_pillow(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = image_folder(tmp_path / "pool", pictures(seed, 2), np.array([0, 1]))
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(RuntimeError, match="LOAD_TRUNCATED_IMAGES is set"):
        everything(read(at, size=6, on_error="skip"))


def circle(pool: Path) -> None:
    (pool / "cat" / "more").symlink_to(pool)


def itself(pool: Path) -> None:
    (pool / "cat" / "more").symlink_to(pool / "cat" / "more")


def out_of_it(pool: Path) -> None:
    secret = pool.parent / "secret.png"
    secret.write_bytes((pool / "cat" / "000.png").read_bytes())
    (pool / "cat" / "more").symlink_to(secret)


def out_of_it_by_dots(pool: Path) -> None:
    secret = pool.parent / "pool-of-others.png"
    secret.write_bytes((pool / "cat" / "000.png").read_bytes())
    (pool / "cat" / "more").symlink_to(Path("..", "..", secret.name))


def pipe(pool: Path) -> None:
    os.mkfifo(pool / "cat" / "more")


def no_text(pool: Path) -> None:
    data = (pool / "cat" / "000.png").read_bytes()
    Path(os.fsdecode(os.fsencode(pool) + b"/cat/more\xff")).write_bytes(data)


def beside(pool: Path) -> None:
    (pool / "more").write_text("no class")


def linked_class(pool: Path) -> None:
    (pool / "more").symlink_to(pool / "cat")


def empty_class(pool: Path) -> None:
    (pool / "more").mkdir()


ENTRIES = [
    (circle, "a link to a folder, which could lead round in a circle"),
    (itself, "a link that leads nowhere, or to itself"),
    (out_of_it, "a link that leaves the folder"),
    (out_of_it_by_dots, "a link that leaves the folder"),
    (pipe, "neither a file nor a folder"),
    (no_text, "its name is no UTF-8"),
    (beside, "it lies beside the class folders"),
    (linked_class, "it lies beside the class folders, which must be real"),
    (empty_class, "a class folder without a file"),
]


@pytest.mark.parametrize(("add", "reason"), ENTRIES)
def test_bad_entry_of_a_folder(add: Callable[[Path], None], reason: str, tmp_path: Path, seed: int) -> None:
    v = pictures(seed, 3)
    at = image_folder(tmp_path / "pool", v, np.array([0, 0, 1]))
    add(at)
    with pytest.raises(ValueError, match=f"more.*: {reason}.*; on_error='skip'"):
        read(at, size=6)
    samples = read(at, size=6, on_error="skip")
    np.testing.assert_array_equal(everything(samples)[0], as_floats(v))
    assert [reason in why for _, why in samples.skipped] == [True]


def test_links_within_deeper_folders_and_hidden_files(tmp_path: Path, seed: int) -> None:
    """Controls: these are no reason to refuse anything."""
    v = pictures(seed, 2)
    at = image_folder(tmp_path / "pool", v, np.array([0, 1]))
    (at / "cat" / "deep" / "er").mkdir(parents=True)
    (at / "cat" / "deep" / "er" / "link.png").symlink_to(at / "dog" / "001.png")
    (at / "cat" / ".DS_Store").write_bytes(b"no image")
    (at / ".git").mkdir()
    (tmp_path / "link").symlink_to(at)
    x, y = everything(read(tmp_path / "link", size=6))
    np.testing.assert_array_equal(x, as_floats(v[[0, 1, 1]]))
    assert y.tolist() == ["cat", "cat", "dog"]


@pytest.fixture
def folder_of_its_own() -> Iterator[Path]:
    """Not among pytest's, which it clears by recursion, now or, had this run been killed, in a later one."""
    folder = tempfile.mkdtemp()
    yield Path(folder)
    subprocess.run(["rm", "-rf", folder], check=True)


def test_folder_deeper_than_python_recurses(
    folder_of_its_own: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    v, deep = pictures(seed, 1), 1100
    at = image_folder(folder_of_its_own / "pool", v, np.array([0]))
    monkeypatch.chdir(at / "cat")
    for _ in range(deep):
        os.mkdir("d")
        os.chdir("d")
    Path("1.png").write_bytes(png(v[0]))
    x, _ = everything(read(at, size=6))
    np.testing.assert_array_equal(x, as_floats(v[[0, 0]]))


# --- numbers that are none ---

LATENT_DAMAGE: dict[str, tuple[Callable[[list], Any], str]] = {
    "NaN": (lambda row: [row[0], float("nan"), row[2]], "NaN or infinite"),
    "infinite": (lambda row: [row[0], float("-inf"), row[2]], "NaN or infinite"),
    "a null within": (lambda row: [None, *row[1:]], "NaN or infinite"),
    "null": (lambda row: None, "it is missing"),
    "longer": (lambda row: [*row, 0.0], "a list of 4 numbers, must be 3"),
    "shorter": (lambda row: row[:2], "a list of 2 numbers, must be 3"),
    "empty": (lambda row: [], "a list of 0 numbers, must be 3"),
}


@pytest.mark.parametrize("damage", LATENT_DAMAGE)
def test_bad_row_of_latents(damage: str, tmp_path: Path, seed: int) -> None:
    x, (change, reason) = numbers(seed), LATENT_DAMAGE[damage]
    rows = [change(row) if i == 5 else row for i, row in enumerate(x.tolist())]
    column = pa.array(rows, pa.list_(pa.float32()))
    pq.write_table(pa.table({"x": column, "y": np.arange(11)}), tmp_path / "p.parquet")
    check_one_bad(lambda **o: read(tmp_path / "p.parquet", chunk=4, **o), 5, "p.parquet:5", reason, x)


@given(
    rows=st.lists(
        st.none() | st.lists(st.none() | st.floats(width=32), min_size=0, max_size=3), min_size=1, max_size=12
    ),
    labels=st.lists(st.none() | st.integers(0, 3), min_size=12, max_size=12),
    kind=st.sampled_from([pa.list_, pa.large_list]),
    chunk=st.integers(1, 5),
)
@settings(max_examples=25)
def test_any_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list, labels: list, kind: Any, chunk: int
) -> None:
    """What is kept is what a plain loop over the rows keeps."""
    path = tmp_path_factory.mktemp("rows") / "p.parquet"
    y = pa.array(labels[: len(rows)], pa.int32())
    pq.write_table(pa.table({"x": pa.array(rows, kind(pa.float32())), "y": y}), path, row_group_size=3)
    d = next((len(row) for row in rows if row), 0)

    def good(row: Any, label: Any) -> bool:
        fine = row is not None and len(row) == d and all(v is not None and np.isfinite(v) for v in row)
        return fine and label is not None

    kept = [i for i, row in enumerate(rows) if good(row, labels[i])]
    if not kept or d == 0:
        with pytest.raises(ValueError, match=r"no sample is left|holds no numbers"):
            read(path, chunk=chunk, on_error="skip")
        return
    samples = read(path, chunk=chunk, on_error="skip")
    x, found = everything(samples)
    np.testing.assert_array_equal(x, np.array([rows[i] for i in kept], np.float32))
    assert found.tolist() == [labels[i] for i in kept]
    assert [samples.where(i) for i in range(len(kept))] == [f"{path}:{i}" for i in kept]
    assert len(samples.skipped) == len(rows) - len(kept)


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64()])
def test_lists_of_a_fixed_length_and_whole_numbers(kind: Any, tmp_path: Path) -> None:
    rows = [[1, 2], None, [3, None], [2**40, 5]]
    column = pa.array(rows, pa.list_(kind, 2))
    pq.write_table(pa.table({"x": column, "y": ["a"] * 4}), tmp_path / "p.parquet")
    x, _ = everything(read(tmp_path / "p.parquet", on_error="skip"))
    assert x.tolist() == [[1, 2], [2**40, 5]]
    assert x.dtype == kind.to_pandas_dtype()


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_bad_row_of_an_array(suffix: str, tmp_path: Path, seed: int) -> None:
    good = numbers(seed)
    x = good.copy()
    x[5, 2] = np.nan
    np.savez(tmp_path / "p.npz", x=x, y=np.arange(11))
    np.save(tmp_path / "p.npy", x)
    np.save(tmp_path / "y.npy", np.arange(11))
    options = {"labels": tmp_path / "y.npy"} if suffix == ".npy" else {}
    path = tmp_path / f"p{suffix}"
    check_one_bad(lambda **o: read(path, chunk=4, **options, **o), 5, f"p{suffix}:5", "NaN or infinite", good)


def test_label_that_is_missing(tmp_path: Path, seed: int) -> None:
    v = pictures(seed, 11)
    data = hub(v, np.array([0] * 5 + [-1] + [1] * 5))  # -1: how `datasets` says "none"
    data.save_to_disk(str(tmp_path / "d"))
    check_one_bad(lambda **o: read(tmp_path / "d", size=6, **o), 5, "d:5", "it has no label", as_floats(v))


def test_path_in_place_of_an_image_is_not_followed(tmp_path: Path, seed: int) -> None:
    v = pictures(seed, 11)
    (tmp_path / "secret.png").write_bytes(png(v[5]))
    rows = [{"bytes": png(image), "path": None} for image in v]
    rows[5] = {"bytes": None, "path": str(tmp_path / "secret.png")}
    pq.write_table(pa.table({"image": rows, "label": np.arange(11)}), tmp_path / "p.parquet")
    check_one_bad(
        lambda **o: read(tmp_path / "p.parquet", size=6, **o),
        5,
        "p.parquet:5",
        "a path, which is not followed",
        as_floats(v),
    )


# --- files that are not what they say ---


def zipped(path: Path, member: bytes, name: str = "x.npy") -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, member)
        out = io.BytesIO()
        np.save(out, np.zeros(4, int))
        archive.writestr("y.npy", out.getvalue())


def header(shape: tuple[int, ...], dtype: str = "<f4", fortran: bool = False) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": dtype, "fortran_order": fortran, "shape": shape})
    return out.getvalue()


def npz_bomb(path: Path) -> None:
    zipped(path, header((4, FREE // 16 + 1)) + bytes(FREE + 16))


def flipped(path: Path) -> None:
    np.savez(path, x=np.zeros((4, 300)), y=np.zeros(4, int))
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)


BAD_NPZ: dict[str, tuple[Callable[[Path], Any], str]] = {
    "bomb": (npz_bomb, "more than 100-fold: it looks like a zip bomb"),
    "larger than it is": (lambda p: zipped(p, header((10**12, 512)) + bytes(64)), "its header needs"),
    "larger than any": (lambda p: zipped(p, header((4, 10**30)) + bytes(64)), "its header needs"),
    "objects": (
        lambda p: np.savez(p, x=np.array([{}, 1] * 2), y=np.zeros(4, int)),
        "only pickle could load",
    ),
    "labels of objects": (
        lambda p: np.savez(p, x=np.zeros((4, 2)), y=np.array([None] * 4)),
        "only pickle could",
    ),
    "texts": (lambda p: np.savez(p, x=np.array(["a"] * 4), y=np.zeros(4, int)), "must be real numbers"),
    "labels of fractions": (
        lambda p: np.savez(p, x=np.zeros((4, 2)), y=np.zeros(4)),
        "labels must be integers",
    ),
    "truth values": (
        lambda p: np.savez(p, x=np.zeros((4, 2)), y=np.zeros(4, bool)),
        "labels must be integers",
    ),
    "labels beyond 63 bits": (
        lambda p: np.savez(p, x=np.zeros((4, 2)), y=np.full(4, 2**63, np.uint64)),
        "labels must be below 2",
    ),
    "too few labels": (lambda p: np.savez(p, x=np.zeros((5, 2)), y=np.zeros(4, int)), "label for each of 5"),
    "a scalar": (lambda p: np.savez(p, x=1.0, y=np.zeros(4, int)), r"must be samples \(n, ...\)"),
    "nothing": (lambda p: np.savez(p, x=np.zeros((0, 2)), y=np.zeros(0, int)), "at least one"),
    "Fortran order": (
        lambda p: np.savez(p, x=np.zeros((4, 2), order="F"), y=np.zeros(4, int)),
        "in Fortran order",
    ),
    "other names": (lambda p: np.savez(p, a=np.zeros((4, 2))), r"holds no array 'x', but \['a'\]"),
    "no array": (lambda p: zipped(p, b"no array"), "magic string is not correct"),
    "no zip": (lambda p: p.write_bytes(b"no zip"), "no .npz file that can be read"),
    "a flipped bit": (flipped, "Bad CRC-32"),
}


@pytest.mark.parametrize("on_error", ["raise", "skip"])
@pytest.mark.parametrize("kind", BAD_NPZ)
def test_bad_npz(kind: str, on_error: str, tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    write, message = BAD_NPZ[kind]
    np.savez(path, x=np.zeros((4, 2)), y=np.zeros(4, int))
    everything(read(path))  # control
    write(path)
    with pytest.raises(ValueError, match=message) as error:
        everything(read(path, on_error=on_error))
    assert str(path) in str(error.value)


def test_zeros_below_the_limit_are_no_bomb(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "p.npz", x=np.zeros((4, 2**18)), y=np.zeros(4, int))
    assert len(read(tmp_path / "p.npz")) == 4


BAD_NPY: dict[str, tuple[Callable[[Path], Any], str]] = {
    "objects": (lambda p: np.save(p, np.array([{}, 1] * 2)), "no .npy file of numbers"),
    "cut": (lambda p: p.write_bytes(p.read_bytes()[:-3]), "no .npy file of numbers"),
    "larger than it is": (
        lambda p: p.write_bytes(header((10**12, 512)) + bytes(64)),
        "no .npy file of numbers",
    ),
    "a zip": (lambda p: npz_as_npy(p), "a zip, not one array"),
    "empty": (lambda p: p.write_bytes(b""), "no .npy file of numbers"),
    "complex": (lambda p: np.save(p, np.zeros((4, 2), complex)), "must be real numbers"),
}


def npz_as_npy(path: Path) -> None:
    with open(path, "wb") as file:
        np.savez(file, x=np.zeros((4, 2)))


@pytest.mark.parametrize("kind", BAD_NPY)
def test_bad_npy(kind: str, tmp_path: Path) -> None:
    path, write = tmp_path / "p.npy", BAD_NPY[kind][0]
    np.save(path, np.zeros((4, 2)))
    np.save(tmp_path / "y.npy", np.zeros(4, int))
    everything(read(path, labels=tmp_path / "y.npy"))  # control
    write(path)
    with pytest.raises(ValueError, match=BAD_NPY[kind][1]) as error:
        read(path, labels=tmp_path / "y.npy")
    assert str(path) in str(error.value)


BAD_TABLES: dict[str, tuple[dict, str]] = {
    "no samples": (
        {"y": [0, 1]},
        r"no column 'image' or 'img' or 'x' or 'latents', but \['y'\]: name it with",
    ),
    "no labels": ({"x": [[0.0]]}, "no column 'label' or 'labels' or 'y'"),
    "texts": ({"x": ["a"], "y": [0]}, "column 'x' is of type string, must be lists of numbers, or images"),
    "lists of texts": ({"x": [["a"]], "y": [0]}, "must be lists of numbers, or images"),
    "labels of fractions": (
        {"x": [[0.0]], "y": [0.5]},
        "column 'y' is of type double, must be integers or strings",
    ),
    "nothing": (
        {"x": pa.array([], pa.list_(pa.float32())), "y": pa.array([], pa.int8())},
        "holds no numbers",
    ),
    "empty lists": ({"x": pa.array([[]], pa.list_(pa.float32())), "y": [0]}, "holds no numbers"),
}


@pytest.mark.parametrize("kind", BAD_TABLES)
def test_parquet_of_other_columns(kind: str, tmp_path: Path) -> None:
    columns, message = BAD_TABLES[kind]
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "p.parquet")


@pytest.mark.parametrize(
    "other", [{"a": [1]}, {"x": [["a"]], "label": ["cat"]}, {"x": [[1.0]], "label": [1]}, None]
)
def test_one_file_of_a_folder_of_other_columns(other: dict | None, tmp_path: Path, seed: int) -> None:
    x = numbers(seed)
    at = parquet_folder(tmp_path / "pool", x, np.zeros(11, int))
    if other is None:
        (at / "part9.parquet").write_bytes(b"no Parquet")
    else:
        pq.write_table(pa.table(other), at / "part9.parquet")
    with pytest.raises(ValueError, match=r"part9.parquet: no Parquet file with the columns asked for"):
        read(at)
    samples = read(at, on_error="skip")
    np.testing.assert_array_equal(everything(samples)[0], x)
    assert [name for name, _ in samples.skipped] == [str(at / "part9.parquet")]


def test_damaged_page_is_named(tmp_path: Path, seed: int) -> None:
    path = parquet(tmp_path / "pool", numbers(seed), np.zeros(11, int))
    data = bytearray(path.read_bytes())
    data[4:60] = bytes(56)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"{path}.*damaged|{path}: no Parquet file"):
        everything(read(path, on_error="skip"))


def test_parts_of_a_data_set(tmp_path: Path, seed: int) -> None:
    v, y = pictures(seed, 4), np.arange(4) % 2
    both = datasets.DatasetDict({"train": hub(v, y), "test": hub(v[:1], y[:1])})
    both.save_to_disk(str(tmp_path / "saved"))
    (tmp_path / "tables").mkdir()
    for name, part in both.items():
        part.to_parquet(str(tmp_path / "tables" / f"{name}-00000-of-00001.parquet"))
    for at in (tmp_path / "saved", tmp_path / "tables"):
        assert len(read(at, size=6, split="test")) == 1
        for split in (None, "validation"):
            with pytest.raises(
                ValueError, match=rf"it has parts test, train: split must name one of them, found {split!r}"
            ):
                read(at, size=6, split=split)
    with pytest.raises(ValueError, match="leave out split='train'"):
        read(saved(tmp_path / "one", v, y), size=6, split="train")


# --- the choice, and the arguments ---


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").write_text("no image")
    with pytest.raises(ValueError, match=r"no sample is left, 1 were skipped: .*1.png: no image"):
        read(tmp_path, size=6, on_error="skip")


def test_files_that_change_between_two_passes_are_noticed(tmp_path: Path, seed: int) -> None:
    at = image_folder(tmp_path / "pool", pictures(seed, 4), np.array([0, 0, 1, 1]))
    (at / "cat" / "bad.png").write_text("no image")
    samples = read(at, size=6, on_error="skip")
    (at / "cat" / "001.png").write_text("no image")
    with pytest.raises(ValueError, match=r"cat/001.png: .*it was good when it was first read"):
        everything(samples)


def test_source_that_gives_too_few_is_noticed() -> None:
    source = Source(np.zeros(4, int), str, lambda size: iter([(np.zeros((3, 2)), {})]))
    with pytest.raises(ValueError, match="4 samples were listed, 3 were read"):
        everything(Samples(source))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "size must be given for .*, a folder of images"),
        ({"channels": 1}, "size must be given with channels"),
        ({"size": 6, "channels": 2}, "channels must be 1"),
        ({"size": 0}, "size must be a side"),
        ({"size": (6, 6, 3)}, "size must be a side"),
        ({"size": 6, "split": "train"}, "split is not for .*, of format image folder"),
        ({"size": 6, "on_error": "ignore"}, "on_error must be 'raise' or 'skip', found 'ignore'"),
        ({"size": 6, "chunk": 0}, "chunk must be at least 1"),
    ],
)
def test_arguments_that_do_not_fit(options: dict, message: str, tmp_path: Path, seed: int) -> None:
    at = image_folder(tmp_path / "pool", pictures(seed, 2), np.array([0, 1]))
    with pytest.raises(ValueError, match=message):
        read(at, **options)


def test_paths_that_do_not_fit(tmp_path: Path, seed: int) -> None:
    (tmp_path / "a.txt").write_text("")
    for path, message in (
        ("a.txt", "of no known format: npy, npz"),
        ("b", "is not there"),
        (".", "holds no folder|beside"),
    ):
        with pytest.raises(ValueError, match=message):
            read(tmp_path / path, size=None if path == "a.txt" else 6)
    latents = parquet(tmp_path / "x", numbers(seed), np.zeros(11, int))
    with pytest.raises(ValueError, match="'x' holds lists of numbers: size is for images"):
        read(latents, size=6)
    with pytest.raises(ValueError, match="'image' holds images: size must be given"):
        read(hub_parquet(tmp_path / "i", pictures(seed, 2), np.array([0, 1])))
    np.save(tmp_path / "x.npy", numbers(seed))
    with pytest.raises(ValueError, match=r"labels must be given: the path of the .npy file"):
        read(tmp_path / "x.npy")
    with pytest.raises(TypeError, match="size must be an integer"):
        read(tmp_path, size=6.0)


def test_missing_package_is_said_with_the_cure(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    latents = parquet(tmp_path / "x", numbers(seed), np.zeros(11, int))
    row = FORMATS["Parquet"]._replace(reader="lsf.no_such_module:read")
    monkeypatch.setitem(FORMATS, "Parquet", row)
    with pytest.raises(
        ImportError, match=r"reading format Parquet needs lsf.no_such_module: pip install -e '.\[files\]'"
    ):
        read(latents)


def test_limit_is_checked_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control of the bomb: at the limit an image is decoded."""
    data = png(pictures(0, 1)[0])
    monkeypatch.setattr(image_files, "MOST_PIXELS", 36)
    assert image_files.decoded(data).size == (6, 6)
    monkeypatch.setattr(image_files, "MOST_PIXELS", 35)
    with pytest.raises(ValueError, match="it says 6x6 pixels, more than 35: not decoded"):
        image_files.decoded(data)


def test_unsigned_labels_are_numbers_like_others(tmp_path: Path) -> None:
    y = np.arange(4, dtype=np.uint64)
    np.savez(tmp_path / "p.npz", x=np.ones((4, 2)), y=y)
    pq.write_table(pa.table({"x": np.ones((4, 2)).tolist(), "label": y}), tmp_path / "p.parquet")
    for name in ("p.npz", "p.parquet"):
        found = read(tmp_path / name).y
        assert found.dtype == np.int64
        assert found.tolist() == [0, 1, 2, 3]


def test_a_pipe_among_parquet_files_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": [[1.0], [2.0]], "label": [0, 1]}), tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"a\.parquet: no regular file"):
        read(tmp_path)
    assert read(tmp_path, on_error="skip").skipped == ((str(tmp_path / "a.parquet"), "no regular file"),)
