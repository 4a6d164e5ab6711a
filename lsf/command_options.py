"""Which options do the commands share, and what may they be?

A pool is named by its path and read by `lsf.pool_files.read`, with the options here; a file that is written must have
a known ending, is never written over what is there unless forced, and never over or into what is read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

__all__ = ["Place", "Size", "pool_options", "output_options", "model_options", "check_output"]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Place(click.Path):
    """A path that is there; the empty one, of a shell variable that is not set, is not the current folder."""

    def __init__(self, exists: bool = True, **more: Any) -> None:
        super().__init__(exists=False, path_type=Path, **more)
        self.must_exist = exists

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the path is empty", param, ctx)
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if self.must_exist and not os.path.exists(path):
            raise ValueError(f"{_shown(param)}: {path!s} is not there")
        return path


def _shown(param: click.Parameter | None) -> str:
    """A parameter as the help shows it: FILTER, or --out."""
    if isinstance(param, click.Option):
        return param.opts[0]
    return param.make_metavar(click.get_current_context()) if param else "path"


class Size(click.ParamType):
    """A side, or HEIGHTxWIDTH, in pixels."""

    name = "SIDE|HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        if not re.fullmatch(r"[0-9]{1,6}(x[0-9]{1,6})?", value):
            self.fail(f"{value!r} must be a side in pixels, as 32, or height x width, as 32x48", param, ctx)
        sides = tuple(int(side) for side in value.split("x"))
        return sides if len(sides) == 2 else sides[0]


POOL: list[Decorator] = [
    click.option("--size", type=Size(), help="Of images: side, or height x width; others are refused."),
    click.option("--channels", type=click.Choice(["1", "3"]), help="Of images: grey or RGB. [default: 3]"),
    click.option("--resize", is_flag=True, help="Bring larger images to --size, from their middle."),
    click.option(
        "--samples",
        help="Column or array of samples. [default: x; of tables image, img, x, latents]",
    ),
    click.option("--labels", help="Column or array of labels; of a .npy, the .npy file of its labels."),
    click.option("--split", help="Which part of a data set that has several."),
    click.option(
        "--on-error",
        type=click.Choice(["raise", "skip"]),
        default="raise",
        show_default=True,
        help="A sample that cannot be read: refuse all, or leave it out and say so.",
    ),
    click.option(
        "--chunk", type=click.IntRange(min=1), default=1024, show_default=True, help="Samples read at a time."
    ),
]
OUTPUT: list[Decorator] = [
    click.option("--force", is_flag=True, help="Write over an output that is there."),
    click.option("--dry-run", is_flag=True, help="Check everything, say what would be done, write nothing."),
]
MODEL: list[Decorator] = [
    click.option("--model", type=Place(file_okay=False), help="Folder of the diffusers model or pipeline."),
    click.option("--device", help="Where the model runs, as cpu or cuda:0. [default: cpu]"),
]


def _all(options: Sequence[Decorator]) -> Decorator:
    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


pool_options, output_options, model_options = _all(POOL), _all(OUTPUT), _all(MODEL)


def check_output(out: Path, endings: Sequence[str], force: bool, inputs: Sequence[Path]) -> None:
    """ValueError unless the file `out` has one of the endings, can be written, and is not, or lies in, an input."""
    if out.suffix not in endings:
        raise ValueError(f"--out: {out} must end in {' or '.join(endings)}")
    if not out.parent.is_dir():
        raise ValueError(f"--out: {out.parent} is no folder: make it first")
    if not os.access(out.parent, os.W_OK):
        raise ValueError(f"--out: nothing can be written to {out.parent}: choose another folder")
    for path in inputs:
        if out.resolve().is_relative_to(path.resolve()):
            raise ValueError(f"--out: {out} is, or lies in, {path}, which is read: choose another place")
    if out.is_dir():
        raise ValueError(f"--out: {out} is a folder: give a file")
    if os.path.lexists(out) and not force:
        raise ValueError(f"--out: {out} is there already: give another name, or --force")
