"""How is a pool read from where it lies?

    samples = read("pool/", size=32, on_error="skip")      a folder of images, one sub-folder a class
    samples = read("latents.parquet")                      columns x or latents (lists), label
    for x, y in samples: ...                               chunks, as often as you like (lsf.samples)

One row of `FORMATS` a format, tried in order; every one gives the same thing. Images come out float32 in [-1, 1],
(n, channels, height, width); arrays and latents as they are. Needs the extra "files" but for numpy's own formats.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from lsf.array_files import npy_file, npz_file
from lsf.samples import Samples

__all__ = ["read", "Format", "FORMATS", "Samples"]


class Format(NamedTuple):
    """How a format is told, what reads it (a function here, or "module:function"), and the options it takes."""

    fits: Callable[[Path], bool]
    reader: Any
    options: frozenset[str]


def _ends(end: str) -> Callable[[Path], bool]:
    return lambda path: path.is_file() and path.suffix.lower() == end


def _holds(*patterns: str) -> Callable[[Path], bool]:
    return lambda path: path.is_dir() and any(any(path.glob(pattern)) for pattern in patterns)


IMAGES = frozenset({"size", "channels", "resize"})
COLUMNS = frozenset({"samples", "labels", "split"})
FORMATS = {
    "npy": Format(_ends(".npy"), npy_file, frozenset({"labels"})),
    "npz": Format(_ends(".npz"), npz_file, frozenset({"samples", "labels"})),
    "Parquet": Format(_ends(".parquet"), "lsf.tables:parquet", IMAGES | COLUMNS),
    "saved dataset": Format(
        _holds("state.json", "dataset_dict.json"), "lsf.tables:saved_dataset", IMAGES | COLUMNS
    ),
    "Parquet folder": Format(_holds("*.parquet", "data/*.parquet"), "lsf.tables:parquet", IMAGES | COLUMNS),
    "image folder": Format(Path.is_dir, "lsf.class_folders:class_folders", IMAGES),
}


def read(
    path: str | Path,
    *,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    resize: bool | None = None,
    samples: str | None = None,
    labels: str | Path | None = None,
    split: str | None = None,
    chunk: int = 1024,
    on_error: str = "raise",
) -> Samples:
    """The samples of a pool, re-iterable in chunks (x, y) of at most `chunk`, with labels, names and what was skipped.

    Parameters
    - size (a side, or height and width), channels (3; 1: grey), resize: of images, see `lsf.image_files.ImageForm`.
    - samples, labels: names of arrays or columns (by default x and y; image, img, x or latents; label, labels or y);
      for .npy, labels is the path of theirs.
    - split: which part of a data set that has several.
    - on_error: "raise" at the first bad sample, or "skip" them all: one more reading, and `skipped` lists them.

    Raises ValueError if the path is of no known format or damaged, an option is not for it, or everything was skipped;
    TypeError on a size that is no integer; ImportError that says what to install.
    """
    place = Path(path)
    name, row = _format_of(place)
    options: dict[str, Any] = {"size": size, "channels": channels, "resize": resize}
    options |= {"samples": samples, "labels": labels, "split": split}
    given = {key: value for key, value in options.items() if value is not None}
    for key in given:
        if key not in row.options:
            raise ValueError(f"{key} is not for {path}, of format {name}: leave it out")
    if row.options >= IMAGES:
        given = _with_form(given)
        if name == "image folder" and "form" not in given:
            raise ValueError(f"size must be given for {path}, a folder of images")
    return Samples(_loaded(name, row.reader)(place, **given), chunk, on_error)


def _format_of(path: Path) -> tuple[str, Format]:
    for name, row in FORMATS.items():
        if row.fits(path):
            return name, row
    if not path.exists():
        raise ValueError(f"{path} is not there")
    raise ValueError(f"{path} is of no known format: {', '.join(FORMATS)}")


def _with_form(given: dict[str, Any]) -> dict[str, Any]:
    """The options of images as one, `form`."""
    images = {key: value for key, value in given.items() if key in IMAGES}
    rest = {key: value for key, value in given.items() if key not in IMAGES}
    if not images:
        return rest
    if "size" not in images:
        raise ValueError(f"size must be given with {', '.join(sorted(images))}")
    return rest | {"form": _loaded("images", "lsf.image_files:ImageForm")(**images)}


def _loaded(name: str, reader: Any) -> Callable[..., Any]:
    """The function of a row; ImportError with the cure where a package is not installed."""
    if callable(reader):
        return reader
    module, _, function = reader.partition(":")
    try:
        return getattr(import_module(module), function)
    except ImportError as error:
        message = f"reading format {name} needs {error.name}: pip install -e '.[files]'"
        raise ImportError(message, name=error.name) from error
