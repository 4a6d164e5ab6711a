"""How do the commands read a pool, a filter and its model, and what do they say meanwhile?

Everything is read through the library's own readers; this adds a bar on a terminal, for what takes more than a few
seconds, the list of what was left out, and checks that pool and filter belong together before any work is done.
Needs tqdm (extra "cli").
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from tqdm import tqdm

from lsf import checks
from lsf.command_line import named, plain
from lsf.pool_files import read
from lsf.samples import Samples

__all__ = ["Watched", "pool_of", "whole", "filter_of", "encoder_of", "check_belongs", "is_labelled"]

SHOWN = 5
"""How many of the samples left out are named."""


class Watched(Samples):
    """The same samples; their passes show a bar on stderr, if that is a terminal, from their third second on."""

    def __init__(self, samples: Samples, what: str) -> None:
        self.__dict__.update(vars(samples))  # already read and sifted: not again
        self.what, self.passes = what, 0

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        self.passes += 1
        name = self.what if self.passes == 1 else f"{self.what}, pass {self.passes}"
        with tqdm(total=len(self), desc=name, unit=" samples", delay=2, disable=None, leave=False) as bar:
            for x, y in super().__iter__():
                yield x, y
                bar.update(len(x))


def pool_of(argument: str, path: Path, channels: str | None, resize: bool, **options: Any) -> Samples:
    """The samples at `path`, by the options of `lsf.command_options.pool_options`; says what was left out."""
    images: dict[str, Any] = {"channels": int(channels) if channels else None, "resize": resize or None}
    with named(argument):
        samples = read(path, **options, **images)
    if samples.skipped:
        click.echo(f"{argument}: left out {len(samples.skipped)}, read {len(samples)}", err=True)
        for where, reason in samples.skipped[:SHOWN]:
            click.echo(f"  {plain(f'{where}: {reason}')}", err=True)
        if len(samples.skipped) > SHOWN:
            click.echo(f"  and {len(samples.skipped) - SHOWN} more", err=True)
    return samples


def whole(samples: Samples, what: str) -> tuple[np.ndarray, np.ndarray]:
    """x (n, ...) and y (n,) of all samples, in memory."""
    x: Any = None
    start = 0
    for part, _ in Watched(samples, what):
        x = np.empty((len(samples), *part.shape[1:]), part.dtype) if x is None else x
        x[start : start + len(part)] = part
        start += len(part)
    return x, samples.y


def filter_of(path: Path, model: Path | None, device: str | None) -> Any:
    """The filter in a file of `lsf fit`; its model, where it has one, from the folder `model`, on `device`."""
    if device is not None and model is None:
        raise click.UsageError("--device is where a model runs: give --model too")
    models: list[Any] = []
    if model is not None:
        from lsf.hooks import device_named
        from lsf.model_folders import parts_in

        with named("--model"):
            parts = parts_in(model)
        models = [parts[name] for name in ("unet", "transformer", "vae") if name in parts]
        with named("--device"):
            for one in models:
                one.to(device=device_named(device))
    from lsf.saving import load

    with named("FILTER"):
        return load(path, models)


def encoder_of(fitted: Any) -> Any:
    """The fitted encoder of any filter of this library."""
    return fitted.encoder_ if hasattr(fitted, "encoder_") else fitted.ratio_.encoder_


def is_labelled(fitted: Any) -> bool:
    """Whether the filter uses labels."""
    return hasattr(fitted, "classes_")


def check_belongs(fitted: Any, samples: Samples, argument: str) -> np.ndarray:
    """The first chunk of the pool; ValueError if its samples or labels are not of the kind that the filter knows."""
    with named(argument):
        x, _ = next(iter(samples))
        checks.as_in_fit("the pool", x, fitted.n_features_in_)
        if is_labelled(fitted):
            of_text, fitted_text = samples.y.dtype.kind == "U", fitted.classes_.dtype.kind in "UO"
            if of_text != fitted_text:
                kinds = ["texts" if text else "integers" for text in (of_text, fitted_text)]
                raise ValueError(
                    f"labels are {kinds[0]}, the filter was fitted on {kinds[1]}: name them alike"
                )
            checks.known("the pool", samples.classes, fitted.classes_)
    return x
