"""`lsf select FILTER POOL --budget N --out kept.parquet`: what to keep, the same as in memory."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import numpy as np

from lsf import checks, stream
from lsf.command_inputs import Watched, check_belongs, filter_of, pool_of
from lsf.command_line import Coded, named, plain
from lsf.command_options import Place, check_output, model_options, output_options, pool_options
from lsf.command_score import has_scores, say_cost, scores_of
from lsf.samples import Samples
from lsf.score_tables import ENDINGS, read_scores, write_scores
from lsf.unlabelled import SubspaceFilter, UnlabelledRatioFilter

__all__ = ["select"]

EPILOG = """
Columns: index (of the samples read, from 0), path, label, score (empty for filters that give none), kept. All samples
are in the table. Only the rows kept, in pandas: table[table.kept].

Examples:

\b
  lsf select filter.safetensors pool/ --size 32 --budget 30% --out kept.csv
  lsf select filter.safetensors pool.npz --budget 5000 --scores scores.parquet --out kept.parquet
  lsf select filter.safetensors pool.npz --budget 5000 --out kept.parquet --dry-run
"""


class Budget(click.ParamType):
    """A whole number of samples, or a share of the pool in percent."""

    name = "N|P%"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not re.fullmatch(r"[0-9]{1,15}|[0-9]{1,3}(\.[0-9]{1,9})?%", value):
            self.fail(f"{value!r} must be a number of samples, as 5000, or a share, as 30%", param, ctx)
        return value


@click.command("select", cls=Coded, epilog=EPILOG)
@click.argument("filter_path", metavar="FILTER", type=Place(dir_okay=False))
@click.argument("pool", type=Place())
@click.option("--budget", type=Budget(), required=True, help="How many to keep; a share is rounded down.")
@click.option("--out", type=Place(exists=False), required=True, help="Table, .parquet or .csv.")
@click.option("--scores", "table", type=Place(dir_okay=False), help="Table of lsf score, of this very pool.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="Of the draws of the rules that draw. [default: that of lsf fit]",
)
@model_options
@pool_options
@output_options
def select(
    filter_path: Path,
    pool: Path,
    budget: str,
    out: Path,
    table: Path | None,
    seed: int | None,
    model: Path | None,
    device: str | None,
    force: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    """Keep the samples of POOL that FILTER, a file of lsf fit, chooses."""
    check_output(out, ENDINGS, force, [path for path in (filter_path, pool, table, model) if path])
    fitted = filter_of(filter_path, model, device)
    samples = pool_of("POOL", pool, **options)
    with named("--budget"):
        number = _number(budget, len(samples))
    first = check_belongs(fitted, samples, "POOL")
    scores = None if table is None else _known(fitted, samples, table)
    if dry_run:
        say_cost(fitted, samples, first)
        click.echo(f"would keep {number} and write {out}; nothing is written")
        return
    kept, scores = _choose(fitted, samples, number, seed, scores)
    with named("--out"):
        write_scores(out, samples, scores, kept)
    _tell(samples, kept, out)


def _number(budget: str, count: int) -> int:
    """The budget as a number of samples, from 1 to `count`."""
    if not budget.endswith("%"):
        return checks.budget_for(int(budget), count)
    share = Decimal(budget[:-1])
    number = int(share * count / 100)
    if not 0 < share <= 100 or number < 1:
        raise ValueError(f"{budget} of {count} samples is {number}: give a share that leaves 1 to {count}")
    return number


def _known(fitted: Any, samples: Samples, table: Path) -> np.ndarray:
    """Scores (n,) of a table, if the filter can choose by them."""
    if isinstance(fitted, SubspaceFilter) or not has_scores(fitted):
        raise ValueError(f"--scores: {type(fitted).__name__} needs more than scores to choose: leave it out")
    scores, _ = read_scores(table, samples, "--scores")
    if scores is None:
        raise ValueError(f"--scores: {table} has no score: make it by lsf score")
    return scores


def _choose(
    fitted: Any, samples: Samples, budget: int, seed: int | None, scores: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Kept (n,) of truth values, and scores (n,), None for a filter that gives none."""
    kept = np.zeros(len(samples), dtype=bool)
    if not has_scores(fitted):
        with named("POOL"):
            kept[stream.select(fitted, Watched(samples, "selecting"), budget, seed)] = True
        return kept, None
    y = samples.y if scores is not None else None
    if scores is None:
        scores, y = scores_of(fitted, samples)
    if isinstance(fitted, UnlabelledRatioFilter):
        chooser, y = fitted.ratio_, np.zeros(len(samples), dtype=np.int64)
    else:
        chooser = fitted.filter_ if isinstance(fitted, SubspaceFilter) else fitted
    with named("--budget"):
        kept[chooser.select_scored(scores, y, budget, seed)] = True
    return kept, scores


def _tell(samples: Samples, kept: np.ndarray, out: Path) -> None:
    click.echo(f"{'class':>12} {'pool':>9} {'kept':>9}")
    classes, own = np.unique(samples.y, return_inverse=True)
    for c, n, k in zip(classes, np.bincount(own), np.bincount(own, kept), strict=True):
        click.echo(f"{plain(str(c)):>12} {n:9d} {int(k):9d}")
    click.echo(f"{'all':>12} {len(kept):9d} {int(kept.sum()):9d}")
    click.echo(f"kept: {out}")
