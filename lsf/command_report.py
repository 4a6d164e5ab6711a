"""`lsf report FILTER POOL KEPT --out report.html`: what a filter did, as text and as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lsf.command_inputs import Watched, check_belongs, filter_of, pool_of
from lsf.command_line import Coded, named, shown
from lsf.command_options import Place, check_output, model_options, output_options, pool_options
from lsf.score_tables import read_scores
from lsf.whole_files import replacing

__all__ = ["report"]

EPILOG = """
KEPT is a table of lsf select, of this very pool; its scores are used, and samples are encoded once more for the rest.
--real are real samples that neither the
fit nor the pool has seen: only with them, or with a rule that compares with real data, can the probe and the pool be
checked.

Examples:

\b
  lsf report filter.safetensors pool/ kept.csv --size 32 --out report.html
  lsf report filter.safetensors pool/ kept.csv --size 32 --real heldout/ --out report.html
"""


@click.command("report", cls=Coded, epilog=EPILOG)
@click.argument("filter_path", metavar="FILTER", type=Place(dir_okay=False))
@click.argument("pool", type=Place())
@click.argument("table", metavar="KEPT", type=Place(dir_okay=False))
@click.option("--out", type=Place(exists=False), required=True, help="The page, .html.")
@click.option("--real", type=Place(), help="Held-out real samples, read as POOL is.")
@click.option("--real-labels", help="As --labels, of --real. [default: --labels]")
@click.option("--title", help="Of the page.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the samples shown."
)
@model_options
@pool_options
@output_options
def report(
    filter_path: Path,
    pool: Path,
    table: Path,
    out: Path,
    real: Path | None,
    real_labels: str | None,
    title: str | None,
    seed: int,
    model: Path | None,
    device: str | None,
    force: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    """Tell what FILTER did when it kept KEPT of POOL, and write a page that shows it."""
    check_output(out, [".html"], force, [path for path in (filter_path, pool, table, real, model) if path])
    fitted = filter_of(filter_path, model, device)
    samples = pool_of("POOL", pool, **options)
    check_belongs(fitted, samples, "POOL")
    scores, kept = read_scores(table, samples, "KEPT", need_kept=True)
    assert kept is not None
    held = None if real is None else pool_of("--real", real, **options | _labels(real_labels))
    if held is not None:
        check_belongs(fitted, held, "--real")
    if dry_run:
        click.echo(f"{len(samples)} samples, {len(kept)} kept; would write {out}; nothing is written")
        return
    from lsf.page import page_and_report

    watched = Watched(samples, "reading"), None if held is None else Watched(held, "reading --real")
    with named("POOL"):
        text, told = page_and_report(
            fitted, watched[0], kept, scores=scores, real=watched[1], title=title, seed=seed
        )
    with named("--out"), replacing(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    click.echo("\n".join(shown(line) for line in str(told).splitlines()))
    click.echo(f"page: {out}")


def _labels(real_labels: str | None) -> dict[str, str]:
    return {} if real_labels is None else {"labels": real_labels}
