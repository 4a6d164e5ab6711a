"""`lsf score FILTER POOL --out scores.parquet`: a table of scores, in bounded memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from lsf import stream
from lsf.command_cost import cost
from lsf.command_inputs import Watched, check_belongs, filter_of, pool_of
from lsf.command_line import Coded, named
from lsf.command_options import Place, check_output, model_options, output_options, pool_options
from lsf.label_free import labelled
from lsf.samples import Samples
from lsf.score_tables import ENDINGS, write_scores

__all__ = ["score", "has_scores", "scores_of", "say_cost"]

EPILOG = """
Columns: index (of the samples read, from 0), path, label, score; higher is kept first. Filters trim-herd and
shrunk-herd give a sample no score: use lsf select.

Examples:

\b
  lsf score filter.safetensors pool/ --size 32 --out scores.parquet
  lsf score filter.safetensors pool.npz --out scores.csv --force
  lsf score filter.safetensors pool/ --size 32 --model ddpm/ --out scores.parquet --dry-run
"""


@click.command("score", cls=Coded, epilog=EPILOG)
@click.argument("filter_path", metavar="FILTER", type=Place(dir_okay=False))
@click.argument("pool", type=Place())
@click.option("--out", type=Place(exists=False), required=True, help="Table, .parquet or .csv.")
@model_options
@pool_options
@output_options
def score(
    filter_path: Path,
    pool: Path,
    out: Path,
    model: Path | None,
    device: str | None,
    force: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    """Score every sample of POOL by FILTER, a file of lsf fit."""
    check_output(out, ENDINGS, force, [path for path in (filter_path, pool, model) if path])
    fitted = filter_of(filter_path, model, device)
    if not has_scores(fitted):
        raise ValueError(f"FILTER: {type(fitted).__name__} gives a sample no score: use lsf select")
    samples = pool_of("POOL", pool, **options)
    first = check_belongs(fitted, samples, "POOL")
    if dry_run:
        say_cost(fitted, samples, first)
        click.echo(f"would write {len(samples)} scores to {out}; nothing is written")
        return
    with named("--out"):
        write_scores(out, samples, scores_of(fitted, samples)[0])
    click.echo(f"scores: {out}, {len(samples)} samples of {len(samples.classes)} classes")


def has_scores(fitted: Any) -> bool:
    """Whether a sample has a score, by itself or beside its pool."""
    return hasattr(fitted, "score_samples") or hasattr(fitted, "score_pool")


def scores_of(fitted: Any, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Scores (n,) of a pool, and the labels (n,) that the filter's rule goes by."""
    with named("POOL"):
        return stream.score_samples(*labelled(fitted, Watched(samples, "scoring")))


def say_cost(fitted: Any, samples: Samples, first: np.ndarray) -> None:
    """What scoring and selecting would read and hold; `first` is the first chunk."""
    click.echo(f"{len(samples)} samples of {len(samples.classes)} classes, shape {first.shape[1:]}")
    click.echo(str(cost(fitted, len(samples), first[:1].nbytes, samples.y.itemsize)))
