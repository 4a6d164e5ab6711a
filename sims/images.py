"""Which real images does a loop start from, and which does it never see?

A data set is split once, by class, into four disjoint parts:
  train        what generation 0 and the REAL control are trained on, and what the filter's probe is fitted on,
  trusted      real images that no model and no metric sees: what some filters compare the pool with,
  classifiers  what the feature space and the judge of labels are trained on,
  reference    what distances, precision and recall are measured against.
The split does not depend on a run's seed; the ids go into the record.
Memory of a split: 4 * channels * height * width bytes an image of its parts, and half as much again while it is read.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from lsf.pool import Pool
from sims import hub_files, image_sources
from sims.data_sets import DATASETS, DataSet, Parts, dataset
from sims.image_sources import Source

__all__ = ["Split", "Parts", "DataSet", "DATASETS", "dataset", "load", "describe", "digits", "split_ids"]

SPLIT_SEED = 20261124  # one split for every run of this project


@dataclass(frozen=True)
class Split:
    """Four disjoint pools of real images and, for each, the ids of its images in the data set."""

    train: Pool
    trusted: Pool
    classifiers: Pool
    reference: Pool
    ids: dict[str, list[int]]


def load(name: str, folder: str | Path | None = None) -> Split:
    """The split of a data set, (n, channels, size, size) float32 in [-1, 1]; read once a process.

    `folder` is where its files lie, if not in the usual place. Raises ValueError, before any work, if it is not there
    (and says how to get it), or if a file is damaged, an image has another size or a class too few images.
    """
    return _load(name, place(dataset(name), folder))


@cache
def _load(name: str, folder: Path | None) -> Split:
    row = dataset(name)
    source = read(row, folder)
    ids = split_ids(source.labels, *classes_and_parts(row, folder, source))
    pools = {part: Pool(source.images(members), source.labels[members], 0) for part, members in ids.items()}
    return Split(**pools, ids=ids)


def digits() -> Split:
    """The digits that ship with scikit-learn."""
    return load("digits")


def place(row: DataSet, folder: str | Path | None) -> Path | None:
    """Where the files lie; raises ValueError if they do not."""
    if row.kind == "embedded":
        if folder is not None:
            raise ValueError(f"folder must be None for {row.name}: {row.how}; found {folder}")
        return None
    path = row.folder if folder is None else Path(folder)
    if path is None or not path.is_dir() or str(folder) == "":
        where = (
            "no folder is named" if path is None else f"{str(folder) if folder == '' else path} is no folder"
        )
        raise ValueError(f"{row.name} is not there ({where}): {row.how}")
    return path.resolve()


def read(row: DataSet, folder: Path | None) -> Source:
    """Labels now, images later; raises ValueError that says how to get the set, if it cannot be read."""
    if folder is None:
        return image_sources.embedded_digits()
    readers = {"idx": image_sources.idx_files, "images": hub_files.hub_images, "faces": hub_files.hub_faces}
    try:
        if row.kind == "folders":
            return image_sources.class_folders(folder, row.size, "L" if row.channels == 1 else "RGB")
        return readers[row.kind](folder, row.size)
    except (ValueError, OSError) as error:
        raise ValueError(f"{row.name} cannot be read: {error}. To get it, {row.how}") from error


def classes_and_parts(row: DataSet, folder: Path | None, source: Source) -> tuple[tuple[str, ...], Parts]:
    """Those of the row; of a folder of the user's own, its sub-folders, and 50, 10, 20, 20% of the smallest class."""
    if row.classes is not None and row.parts is not None:
        return row.classes, row.parts
    assert folder is not None
    names = image_sources.class_names(folder)
    tenth = max(1, int(np.bincount(source.labels, minlength=len(names)).min()) // 10)
    return names, Parts(5 * tenth, tenth, 2 * tenth, 2 * tenth)


def split_ids(y: np.ndarray, classes: tuple[str, ...], parts: Parts) -> dict[str, list[int]]:
    """Ids of each part, sorted: equal numbers of each class, drawn with the one seed of all splits.

    Raises ValueError if a label is none of `classes`, or a class has fewer images than the parts need.
    """
    if len(y) and not 0 <= y.min() <= y.max() < len(classes):
        raise ValueError(f"labels must be 0 to {len(classes) - 1}, found {int(y.min())} to {int(y.max())}")
    rng = np.random.default_rng(SPLIT_SEED)
    ids: dict[str, list[int]] = {"train": [], "trusted": [], "reference": [], "classifiers": []}
    for c, name in enumerate(classes):
        order = rng.permutation(np.flatnonzero(y == c))
        if len(order) < parts.needed:
            raise ValueError(f"class {name} has {len(order)} images, the split needs {parts.needed}: {parts}")
        cuts = np.cumsum([parts.train, parts.trusted, parts.reference])
        for part, members in zip(ids, np.split(order, cuts), strict=True):
            ids[part].extend(members[: parts.classifiers if part == "classifiers" else None].tolist())
    return {part: sorted(members) for part, members in ids.items()}


def describe(name: str, folder: str | Path | None = None) -> str:
    """What is there: place, size, images a class and in each part, memory; one image is read, the rest when loaded.

    Raises ValueError as `load`, but for images that it does not read.
    """
    row = dataset(name)
    where = place(row, folder)
    source = read(row, where)
    classes, parts = classes_and_parts(row, where, source)
    ids = split_ids(source.labels, classes, parts)
    source.images(ids["train"][:1])
    megabytes = 4e-6 * row.channels * row.size**2 * sum(map(len, ids.values()))
    counts = zip(classes, np.bincount(source.labels, minlength=len(classes)), strict=True)
    return "\n".join(
        (
            f"{row.name}: {row.origin}",
            f"  it is there: {where or row.how}",
            f"  images: {len(source.labels)} of {row.size}x{row.size} pixels, {row.channels} channel(s)",
            f"  a class: {', '.join(f'{c} {n}' for c, n in counts)}",
            f"  split: {', '.join(f'{part} {len(members)}' for part, members in ids.items())}",
            f"  memory: {megabytes:.0f} MB as float32",
        )
    )
