"""How are data sets read that Hugging Face `datasets` keeps on disk: CIFAR-10 and CelebA?

Nothing is fetched: a folder holds what `save_to_disk` left, or parquet files.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lsf.image_files import decoded
from sims.image_files import Read, cropped_to_one_size, exact, stacked
from sims.image_sources import Source

__all__ = ["hub_images", "hub_faces"]


def package() -> Any:
    """Hugging Face `datasets`, kept from the network; raises ValueError if it is not installed."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read on import
    try:
        import datasets
    except ImportError as error:
        raise ValueError("the package `datasets` is not installed: pip install -e '.[files]'") from error
    return datasets


def on_disk(folder: Path) -> Any:
    """The train part of what `save_to_disk` left in a folder, or of parquet files in it or in its `data/`.

    Raises ValueError if the package is not there, the folder holds neither, or there is no train part.
    """
    datasets = package()
    try:
        if not any((folder / name).is_file() for name in ("state.json", "dataset_dict.json")):
            return datasets.Dataset.from_parquet([str(path) for path in parquet_files(folder)])
        data = datasets.load_from_disk(str(folder))
        if isinstance(data, dict) and "train" not in data:
            raise ValueError(f"it has no part `train`, only {sorted(data)}")
        return data["train"] if isinstance(data, dict) else data
    except Exception as error:  # pyarrow and datasets raise classes of their own
        raise ValueError(f"{folder}: {error}") from error


def parquet_files(folder: Path) -> list[Path]:
    """train*.parquet in a folder or its data/; all parquet files, if none names a part."""
    files = sorted([*folder.glob("*.parquet"), *folder.glob("data/*.parquet")])
    train = [path for path in files if path.name.startswith("train")]
    if not files:
        raise ValueError("it holds neither what `save_to_disk` leaves nor parquet files")
    if not train and any(path.name.startswith(("test", "valid")) for path in files):
        raise ValueError("it holds no train*.parquet")
    return train or files


def column(data: Any, names: Iterable[str], folder: Path) -> str:
    """The first of the usual names that is there."""
    for name in names:
        if name in data.column_names:
            return name
    raise ValueError(
        f"{folder}: no column {' or '.join(f'`{n}`' for n in names)}, only {sorted(data.column_names)}"
    )


def hub_images(folder: Path, size: int) -> Source:
    """Columns img or image, and label; RGB images of exactly this size."""
    data = on_disk(folder)
    y = integers(data[column(data, ("label", "labels"), folder)], "label", folder)
    return Source(y, rows(data, folder, lambda image: exact(image, size)))


def hub_faces(folder: Path, size: int) -> Source:
    """CelebA by 2 * Male + Smiling; centre-cropped to a square and resized.

    The attributes are columns of these names, or one column `attributes` of mappings; 0 or -1 is no, 1 is yes.
    Source: Liu, Luo, Wang and Tang, Deep learning face attributes in the wild, ICCV 2015.
    """
    data = on_disk(folder)
    nested = "attributes" in data.column_names
    table = data.select_columns("attributes").flatten() if nested else data
    names = [("attributes." if nested else "") + name for name in ("Male", "Smiling")]
    male, smiling = (yes(table[column(table, (name,), folder)], name, folder) for name in names)
    return Source(2 * male + smiling, rows(data, folder, cropped_to_one_size(size, "RGB")))


def integers(values: Iterable[Any], name: str, folder: Path) -> np.ndarray:
    """A column as int64; a missing value, a fraction or a text is refused."""
    array = np.asarray(list(values))
    if array.dtype.kind not in "biu":
        raise ValueError(f"{folder}: column `{name}` must hold integers only")
    return array.astype(np.int64)


def yes(values: Iterable[Any], name: str, folder: Path) -> np.ndarray:
    """An attribute as 0 or 1; {0, 1} and {-1, 1} are the two conventions in use."""
    array = integers(values, name, folder)
    if not (set(np.unique(array)) <= {0, 1} or set(np.unique(array)) <= {-1, 1}):
        raise ValueError(
            f"{folder}: `{name}` must be 0 or 1 (or -1 or 1), found {np.unique(array)[:5].tolist()}"
        )
    return (array > 0).astype(np.int64)


def rows(data: Any, folder: Path, read: Read) -> Callable[[Sequence[int]], np.ndarray]:
    """A reader of the images of rows."""
    name = column(data, ("img", "image"), folder)
    try:
        data = data.select_columns(name).cast_column(name, package().Image(decode=False))
    except Exception as error:  # pyarrow and datasets raise classes of their own
        raise ValueError(f"{folder}: column `{name}` holds no images: {error}") from error
    return lambda ids: stacked(
        ids, lambda i: decoded(data[i][name]["bytes"]), lambda i: f"{folder}, row {i}", read
    )
