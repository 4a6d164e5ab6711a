"""Every reader gives the rows of its file, in any cut, and names what is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsf import LatentSpaceFilter, stream
from lsf.blocks import Blocks
from lsf.chunks import Arrays, Npy, Parquet, Safetensors

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors (extra `files`) is not installed")

RNG = np.random.default_rng(0)
Y = np.arange(50) % 2
X = np.float32(RNG.standard_normal((50, 3)) + 2 * Y[:, None])
FITTED = LatentSpaceFilter().fit(X[:20], Y[:20])
Make = Callable[[Path, np.ndarray, np.ndarray, int], Iterable[Any]]


def npy(folder: Path, x: np.ndarray, y: np.ndarray, rows: int) -> Npy:
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    return Npy(folder / "x.npy", str(folder / "y.npy"), rows)


def written(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=17)
    return path


def lists(x: np.ndarray) -> Any:
    return pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1])


def parquet(folder: Path, x: np.ndarray, y: np.ndarray, rows: int) -> Parquet:
    return Parquet(written(folder / "x.parquet", other=y, latent=lists(x), label=y), "latent", "label", rows)


def parquet_lists(folder: Path, x: np.ndarray, y: np.ndarray, rows: int) -> Parquet:
    path = written(folder / "x.parquet", latent=pa.array(list(x)), label=pa.array(y).dictionary_encode())
    return Parquet(str(path), "latent", "label", rows)


def parquet_columns(folder: Path, x: np.ndarray, y: np.ndarray, rows: int) -> Parquet:
    parts = [(x[:20], y[:20]), (x[20:], y[20:])]
    paths = [
        written(folder / f"{i}.parquet", label=b, c=a[:, 2], a=a[:, 0], b=a[:, 1])
        for i, (a, b) in enumerate(parts)
    ]
    return Parquet(paths, ["a", "b", "c"], "label", rows)


def tensors(folder: Path, x: np.ndarray, y: np.ndarray, rows: int) -> Safetensors:
    safetensors.save_file({"latents": x, "y": y}, folder / "x.safetensors")
    return Safetensors(folder / "x.safetensors", "latents", rows=rows)


READERS: list[Make] = [
    lambda folder, x, y, rows: Arrays(x, y, rows),
    npy,
    parquet,
    parquet_lists,
    parquet_columns,
    tensors,
]
NAMES = ["arrays", "npy", "parquet", "parquet-lists", "parquet-columns", "safetensors"]
readers = pytest.mark.parametrize("make", READERS, ids=NAMES)


@readers
@pytest.mark.parametrize("rows", [1, 7, 50, 1000])
def test_readers_give_the_rows(make: Make, rows: int, tmp_path: Path) -> None:
    chunks = make(tmp_path, X, Y, rows)
    for _ in range(2):  # again and again
        parts = list(chunks)
        assert all(1 <= len(x) <= rows for x, _ in parts)
        np.testing.assert_array_equal(np.concatenate([x for x, _ in parts]), X)
        np.testing.assert_array_equal(np.concatenate([y for _, y in parts]), Y)
        assert parts[0][0].dtype == np.float32
    for budget in (1, 20):
        np.testing.assert_array_equal(stream.select(FITTED, chunks, budget), FITTED.select(X, Y, budget))


@pytest.mark.parametrize("make", READERS[:5], ids=NAMES[:5])
def test_words_are_labels(make: Make, tmp_path: Path) -> None:
    words = np.array(["no", "yes"])[Y]
    fitted = LatentSpaceFilter().fit(X[:20], words[:20])
    chunks = make(tmp_path, X, words, 9)
    np.testing.assert_array_equal(stream.select(fitted, chunks, 20), FITTED.select(X, Y, 20))
    assert stream.score_samples(fitted, chunks)[1].tolist() == words.tolist()


@readers
def test_not_a_number_is_named(make: Make, tmp_path: Path) -> None:
    bad = X.copy()
    bad[31, 1] = np.nan
    match = "x has 1 NaN or infinite values, the first in row 1 of chunk 3$"
    if make is parquet_columns:
        match = (
            "x has 1 NaN or infinite values, the first in row 1 of chunk 3$"  # two files of 20 and 30 rows
        )
    with pytest.raises(ValueError, match=match):
        stream.select(FITTED, make(tmp_path, bad, Y, 10), 5)


@given(sizes=st.lists(st.integers(0, 9), min_size=1, max_size=12), block=st.integers(1, 12))
def test_blocks_are_full_but_the_last(sizes: list[int], block: int) -> None:
    ends = np.cumsum([*sizes, 1])
    x = np.arange(float(ends[-1]))
    chunks = [(x[a:b], x[a:b].astype(int)) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    parts = list(Blocks(chunks, block))
    assert [len(part) for part, _ in parts[:-1]] == [block] * (len(parts) - 1)
    assert 1 <= len(parts[-1][0]) <= block
    np.testing.assert_array_equal(np.concatenate([part for part, _ in parts]), x)
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in parts]), x)


def test_only_a_chunk_of_a_mapped_file_is_mapped(tmp_path: Path) -> None:
    """No part of it is copied, and what a reader gave is let go with the chunk."""
    for x, _ in npy(tmp_path, X, Y, 7):
        assert isinstance(x, np.memmap)
        assert not x.flags.writeable


# --- bad files ---


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "exploded",))

    for x, y in ((X, np.array([Bomb()] * 50)), (np.array([Bomb()] * 50), Y)):
        with pytest.raises(ValueError, match=r"npy is no \.npy file of plain numbers or words"):
            list(npy(tmp_path, x, y, 10))
    assert not (tmp_path / "exploded").exists()


def test_bad_npy(tmp_path: Path) -> None:
    good = npy(tmp_path, X, Y, 10)
    for text in (b"", b"no array", (tmp_path / "x.npy").read_bytes()[:200]):
        (tmp_path / "bad.npy").write_bytes(text)
        with pytest.raises(ValueError, match=r"bad\.npy is no \.npy file"):
            list(Npy(tmp_path / "bad.npy", good.y))
    np.save(tmp_path / "y.npy", Y[:-1])
    with pytest.raises(ValueError, match=r"y\.npy has 49 labels, but .*x\.npy has 50"):
        list(good)
    with pytest.raises(FileNotFoundError):
        list(Npy(tmp_path / "none.npy", good.y))
    np.savez(tmp_path / "x.npz", X)
    with pytest.raises(ValueError, match=r"x\.npz is an archive"):
        list(Npy(tmp_path / "x.npz", good.y))
    with pytest.raises(ValueError, match="rows must be at least 1, found 0"):
        npy(tmp_path, X, Y, 0)


def test_bad_parquet(tmp_path: Path) -> None:
    holes = pa.array([None if i == 13 else float(i) for i in range(50)])
    ragged = pa.array([[1.0] * (2 + (i == 33)) for i in range(50)])
    gaps = pa.array([[1.0, None if i == 3 else 2.0] for i in range(50)])
    names = pa.array([None if i == 13 else "a" for i in range(50)])
    path = written(tmp_path / "x.parquet", holes=holes, ragged=ragged, gaps=gaps, names=names, x=X[:, 0], y=Y)
    for x, y, match in (
        (["x", "holes"], "y", "column 'holes' of .*x.parquet has 1 missing values"),
        ("ragged", "y", r"column 'ragged' of .* has lists of lengths \[2, 3\]"),
        ("gaps", "y", "column 'gaps' of .* has 1 missing values"),
        ("x", "names", "column 'names' of .* has 1 missing values"),
    ):
        with pytest.raises(ValueError, match=match):
            list(Parquet(path, x, y, 40))
    with pytest.raises(KeyError, match=r"has no column \['z'\]; it has"):
        list(Parquet(path, ["x", "z"], "y"))


def test_bad_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    ends = {"x": ("BF16", [5, 2], [0, 20]), "y": ("I64", [5], [20, 60]), "few": ("I64", [4], [60, 92])}
    header = {name: dict(zip(("dtype", "shape", "data_offsets"), v, strict=True)) for name, v in ends.items()}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(92))
    with pytest.raises(ValueError, match="tensor 'x' is BF16, which numpy lacks: save it as float32"):
        list(Safetensors(path))
    with pytest.raises(ValueError, match=r"'few' of .* has shape \[4\], 'x' \[5, 2\]"):
        list(Safetensors(path, y="few"))
    with pytest.raises(KeyError, match=r"has no tensor \['z'\]; it has \['few', 'x', 'y'\]"):
        list(Safetensors(path, "z"))


def test_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of docs/at_size.md, as it stands there."""
    page = (Path(__file__).parents[1] / "docs" / "at_size.md").read_text()
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 1
    exec(compile(blocks[0], "docs/at_size.md", "exec"), {})
