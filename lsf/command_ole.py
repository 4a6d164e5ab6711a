"""`lsf ole LATENTS`: how far the classes of a pool are from orthogonal subspaces, in one pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa

from lsf import checks
from lsf.blocks import Blocks
from lsf.command_inputs import Watched, check_belongs, encoder_of, filter_of, pool_of
from lsf.command_line import Coded, named
from lsf.command_options import Place, check_output, model_options, output_options, pool_options
from lsf.filter import encoded
from lsf.ole import Norms
from lsf.samples import Samples
from lsf.score_tables import ENDINGS, write_table

__all__ = ["ole"]

EPILOG = """
OLE is the sum of the classes' nuclear norms less that of all: 0 where class subspaces are orthogonal. Normalised, it
is free of the scale. With --through, of the latents that the filter's encoder makes: of a diffusion model, at each
timestep.

Examples:

\b
  lsf ole latents.parquet
  lsf ole pool/ --size 32 --through filter.safetensors --model ddpm/ --out ole.csv
"""


@click.command("ole", cls=Coded, epilog=EPILOG)
@click.argument("latents", type=Place())
@click.option(
    "--through", type=Place(dir_okay=False), help="File of lsf fit, whose encoder makes the latents."
)
@click.option("--out", type=Place(exists=False), help="Table, .parquet or .csv. [default: print only]")
@model_options
@pool_options
@output_options
def ole(
    latents: Path,
    through: Path | None,
    out: Path | None,
    model: Path | None,
    device: str | None,
    force: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    """OLE and normalised OLE of the labelled samples LATENTS."""
    if model and not through:
        raise click.UsageError("--model is that of a filter: give --through too")
    if out:
        check_output(out, ENDINGS, force, [path for path in (latents, through, model) if path])
    fitted = filter_of(through, model, device) if through else None
    samples = pool_of("LATENTS", latents, **options)
    if fitted is not None:
        check_belongs(fitted, samples, "LATENTS")
    if dry_run:
        click.echo(f"{len(samples)} samples of {len(samples.classes)} classes, one pass; nothing is written")
        return
    with named("LATENTS"):
        rows = [(t, norms.ole(), norms.normalised_ole()) for t, norms in _norms(fitted, samples).items()]
    click.echo(f"{'timestep':>9} {'OLE':>12} {'normalised':>12}")
    for t, value, normalised in rows:
        click.echo(f"{'-' if t is None else t:>9} {value:12.6g} {normalised:12.6g}")
    if out:
        with named("--out"):
            _write(out, rows)
        click.echo(f"table: {out}")


def _norms(fitted: Any, samples: Samples) -> dict[int | None, Norms]:
    """Nuclear norms of the latents, by timestep; None where there is none."""
    encoder = None if fitted is None else encoder_of(fitted)
    steps = getattr(encoder, "timesteps_", [None])
    norms = {t: Norms() for t in steps}

    def add(x: np.ndarray, y: np.ndarray) -> None:
        for t, h in zip(steps, _latents(encoder, x), strict=True):
            norms[t].add(h, y)

    for _ in Blocks(Watched(samples, "OLE")).map(add):
        pass
    return norms


def _latents(encoder: Any, x: np.ndarray) -> Any:
    """(timesteps, k, d) of one block."""
    if encoder is None:
        return [checks.flat("x", x)]
    return encoder.latents(x) if hasattr(encoder, "timesteps_") else [encoded(encoder, x)]


def _write(out: Path, rows: list[tuple[int | None, float, float]]) -> None:
    schema = pa.schema({"timestep": pa.int64(), "ole": pa.float64(), "normalised_ole": pa.float64()})
    columns = [
        pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), schema.types, strict=True)
    ]
    write_table(out, schema, iter([pa.record_batch(columns, schema=schema)]))
