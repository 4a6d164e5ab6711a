"""How is a folder of images read, one sub-folder a class?

    folder/cat/1.png, folder/cat/more/2.png, folder/dog/3.png:      labels "cat", "cat", "dog".

The label is the name of the sub-folder of the top, so that folders with other classes do not mix theirs up. Hidden
files are passed over; all else must be an image. Links are followed to files within the folder only: one that
leads out of it could show what its author may not see, and one to a folder can lead round in a circle for ever.
Order: folder by folder, by name. Memory: a path an image, about 100 bytes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lsf.image_files import ImageForm, scaled
from lsf.samples import Block, Source

__all__ = ["class_folders"]


def class_folders(path: Path, form: ImageForm) -> Source:
    """The images of a folder; ValueError if it has no sub-folder."""
    files: list[str] = []
    labels: list[str] = []
    refused: list[tuple[str, str]] = []
    for entry in _visible(path):
        name = os.path.join(path, entry.name)
        if entry.is_symlink() or not entry.is_dir():
            refused.append((name, "it lies beside the class folders, which must be real folders"))
            continue
        found = list(_listed(Path(name), path.resolve()))
        good = [file for file, reason in found if reason is None]
        refused += [(file, reason) for file, reason in found if reason is not None]
        refused += [] if found else [(name, "a class folder without a file")]
        files += good
        labels += [entry.name] * len(good)
    if not files and not refused:
        raise ValueError(f"{path} holds no folder: images must lie in one sub-folder a class")
    return Source(
        np.array(labels, dtype=str),
        files.__getitem__,
        lambda size: _blocks(files, form, size),
        tuple(refused),
    )


def _blocks(files: list[str], form: ImageForm, size: int) -> Iterator[Block]:
    for start in range(0, len(files), size):
        part = files[start : start + size]
        v, reasons = np.zeros((len(part), *form.shape), np.uint8), {}
        for place, file in enumerate(part):
            try:
                v[place] = form(Path(file))
            except ValueError as error:
                reasons[place] = str(error)
        yield scaled(v), reasons


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)


def _listed(folder: Path, root: Path) -> Iterator[tuple[str, str | None]]:
    """Everything in a folder and the folders in it, with the reason why it is refused, or None."""
    waiting = [folder]
    while waiting:
        at = waiting.pop()
        try:
            entries = _visible(at)
        except OSError as error:
            yield str(at), f"a folder that cannot be read ({error.strerror})"
            continue
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                yield entry.path, _refused(entry, root)
        waiting += [Path(e.path) for e in reversed(entries) if e.is_dir(follow_symlinks=False)]


def _refused(entry: os.DirEntry[str], root: Path) -> str | None:
    """Why a directory entry that is no folder is refused; None if it is a regular file, or a link to one within."""
    try:
        entry.name.encode()
        mode = os.stat(entry.path).st_mode
    except UnicodeEncodeError:
        return "its name is no UTF-8: rename it"
    except OSError:
        return "a link that leads nowhere, or to itself"
    if stat.S_ISDIR(mode):
        return "a link to a folder, which could lead round in a circle: it is not followed"
    if not stat.S_ISREG(mode):
        return "neither a file nor a folder"
    if entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(root):
        return "a link that leaves the folder: copy the image in"
    return None
