"""`lsf fit REAL --out filter.safetensors`: an encoder and a filter, fitted on real data and saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from lsf.command_inputs import encoder_of, is_labelled, pool_of, whole
from lsf.command_line import Coded, named, plain
from lsf.command_options import Place, check_output, model_options, output_options, pool_options
from lsf.density_ratio import DensityRatioFilter, RankSumFilter
from lsf.encoders import FlattenedPCA
from lsf.filter import LatentSpaceFilter
from lsf.herding import TrimHerdFilter
from lsf.rules import Matched, Random, Rule, Threshold, Top
from lsf.samples import Samples
from lsf.shrunk_herding import ShrunkHerdFilter
from lsf.unlabelled import SubspaceFilter, UnlabelledRatioFilter

__all__ = ["fit", "FILTERS", "RULES"]

FILTERS: dict[str, Callable[[Any, Rule, int], Any]] = {
    "latent-space": lambda encoder, rule, seed: LatentSpaceFilter(encoder, rule, seed),
    "density-ratio": lambda encoder, *_: DensityRatioFilter(encoder),
    "rank-sum": lambda encoder, *_: RankSumFilter(encoder),
    "trim-herd": lambda encoder, *_: TrimHerdFilter(encoder),
    "shrunk-herd": lambda encoder, *_: ShrunkHerdFilter(encoder),
    "unlabelled-ratio": lambda encoder, *_: UnlabelledRatioFilter(encoder),
    "subspace": lambda encoder, rule, seed: SubspaceFilter(encoder=encoder, rule=rule, random_state=seed),
}
RULED = ("latent-space", "subspace")
UNLABELLED = ("unlabelled-ratio", "subspace")
RULES: dict[str, Rule] = {
    "top": Top(),
    "class-top": Top("class"),
    "threshold": Threshold(),
    "matched": Matched(),
    "random": Random(),
}
OF_MODEL = {
    "layer": "--layer",
    "timesteps": "--timestep",
    "noised": "--noised",
    "pooling": "--pooling",
    "label": "--label",
    "null_label": "--null-label",
    "null_embedding": "--null-embedding",
    "batch_size": "--batch-size",
    "device": "--device",
    "dtype": "--dtype",
}
"""Parameters of the encoder and the options that set them."""

EPILOG = """
Encoders: --model, the middle of a diffusion model trained on real data (the paper's); --pca K, principal components;
neither, samples are latents. Without --timestep, the one whose probe does best on held-out samples, by log-loss.

\b
Filters: latent-space      confidence of a sample's label (the paper's)
         density-ratio     real data against the pool; rank-sum: both
         trim-herd         what together is most like reality; shrunk-herd: as far as the sample tells
         unlabelled-ratio, subspace: labels are read, and not used

Examples:

\b
  lsf fit real/ --size 32 --pca 20 --out filter.safetensors
  lsf fit real/ --size 32 --model ddpm/ --timestep 100 --out filter.safetensors
  lsf fit real/ --size 32 --model ddpm/ --noised --rule matched --shortfall fill --out filter.safetensors
  lsf fit latents.parquet --filter rank-sum --out filter.safetensors
"""


@click.command("fit", cls=Coded, epilog=EPILOG)
@click.argument("real", type=Place())
@click.option("--out", type=Place(exists=False), required=True, help="File of the filter, .safetensors.")
@click.option(
    "--filter",
    "kind",
    type=click.Choice(list(FILTERS)),
    default="latent-space",
    show_default=True,
    help="How samples are judged.",
)
@click.option("--rule", type=click.Choice(list(RULES)), help="Of latent-space and subspace. [default: top]")
@click.option(
    "--shortfall",
    type=click.Choice(["raise", "fill"]),
    help="Where a rule finds too few: refuse, or take the next best. [default: raise]",
)
@click.option("--pca", type=click.IntRange(min=1), metavar="K", help="Encoder: K principal components.")
@model_options
@click.option("--layer", help="Dotted name of the layer. [default: the middle of the model]")
@click.option(
    "--timestep", "timesteps", type=click.IntRange(min=0), multiple=True, help="Repeat for several."
)
@click.option("--noised", is_flag=True, help="Noise samples to the timestep; needs a pipeline's scheduler.")
@click.option("--pooling", type=click.Choice(["flatten", "mean", "max"]), help="[default: flatten]")
@click.option("--label", type=click.Choice(["null", "mean"]), help="Class the model is told. [default: null]")
@click.option("--null-label", type=click.IntRange(min=0), help="Class that stands for none. [default: last]")
@click.option(
    "--null-embedding", type=Place(dir_okay=False), help=".npy of what the model reads for no text."
)
@click.option("--batch-size", type=click.IntRange(min=1), help="[default: 256; latent diffusion: 16]")
@click.option("--dtype", type=click.Choice(["float32", "float16", "bfloat16"]), help="[default: float32]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of every draw.")
@pool_options
@output_options
def fit(
    real: Path,
    out: Path,
    kind: str,
    rule: str | None,
    shortfall: str | None,
    pca: int | None,
    model: Path | None,
    seed: int,
    force: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    """Fit a filter on the real data REAL and save it.

    REAL is a folder of images by class, a saved dataset, .npy, .npz or Parquet; it is held in memory. Images
    come out channels first, in [-1, 1], the scale most diffusion models are trained on; numbers in .npy, .npz and lists
    are taken as they are.
    """
    given = {name: options.pop(name) for name in OF_MODEL}
    _check_usage(kind, rule, shortfall, pca, model, given)
    check_output(out, [".safetensors"], force, [path for path in (real, model) if path])
    ruled = replace(RULES[rule or "top"], shortfall=shortfall or "raise")
    encoder = _model_encoder(model, given, seed) if model else FlattenedPCA(pca) if pca else None
    samples = pool_of("REAL", real, **options)
    if dry_run:
        _say_what_would_be_done(samples, kind, out)
        return
    fitted = FILTERS[kind](encoder, ruled, seed)
    x, y = whole(samples, "reading")
    with named("REAL"):
        fitted.fit(x, y)
    _save(fitted, out)
    _tell(fitted, samples, kind, out)


def _check_usage(
    kind: str, rule: str | None, shortfall: str | None, pca: int | None, model: Any, given: dict[str, Any]
) -> None:
    """click's UsageError for options that do not go together."""
    if model and pca:
        raise click.UsageError("--model and --pca are two encoders: give one")
    idle = [OF_MODEL[name] for name, value in given.items() if value not in (None, False, ())]
    if idle and not model:
        raise click.UsageError(f"{', '.join(idle)} is of a model: give --model too")
    if (rule or shortfall) and kind not in RULED:
        raise click.UsageError(
            f"--rule and --shortfall are not for --filter {kind}, which has a rule of its own"
        )
    if model and kind in UNLABELLED and not given["timesteps"]:
        raise click.UsageError(
            f"--filter {kind} uses no labels, by which a timestep is chosen: give --timestep"
        )


def _model_encoder(model: Path, given: dict[str, Any], seed: int) -> Any:
    """A `DiffusionEncoder` of the folder. Its weights stay float32, by which they are known when it is loaded."""
    from lsf.diffusion_encoder import DiffusionEncoder
    from lsf.hooks import device_named

    device, noised = given.pop("device"), given["noised"]
    settings = {name: value for name, value in given.items() if value not in (None, ())}
    if "null_embedding" in settings:
        settings["null_embedding"] = _numbers(settings["null_embedding"])
    dtype = settings.pop("dtype", None)
    with named("--model"):
        encoder = DiffusionEncoder.from_pretrained(model, random_state=seed, **settings)
    if noised and encoder.alphas_cumprod is None:
        raise ValueError("--noised needs a scheduler: give --model the folder of a pipeline that has one")
    with named("--device"):
        for part in (encoder.model, encoder.vae):
            if part is not None:
                part.to(device=device_named(device))
    return encoder.set_params(dtype=dtype)


def _numbers(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"--null-embedding: {path} is no .npy file of numbers ({error})") from error


def _say_what_would_be_done(samples: Samples, kind: str, out: Path) -> None:
    x, _ = next(iter(samples))
    size = x[:1].nbytes * len(samples) / 1e6
    click.echo(
        f"would fit {kind} on {len(samples)} samples of {len(samples.classes)} classes, shape {x.shape[1:]}"
    )
    click.echo(f"{size:.3g} MB of samples in memory; would write {out}; nothing is written")


def _save(fitted: Any, out: Path) -> None:
    from lsf.saving import save

    with named("--out"):
        save(fitted, out)


def _tell(fitted: Any, samples: Samples, kind: str, out: Path) -> None:
    """What was fitted; of a timestep that was chosen, the trials."""
    trials = getattr(encoder_of(fitted), "trials_", None)
    if trials:
        click.echo(f"{'timestep':>9} {'log-loss':>9} {'accuracy':>9}")
        best = encoder_of(fitted).timesteps_[0]
        for t in trials:
            chosen = "  chosen" if t.timestep == best else ""
            click.echo(f"{t.timestep:9d} {t.log_loss:9.4g} {t.accuracy:9.1%}{chosen}")
    if is_labelled(fitted):
        names = ", ".join(plain(str(c)) for c in fitted.classes_[:10])
        of = f"{len(fitted.classes_)} classes: {names}{', ...' if len(fitted.classes_) > 10 else ''}"
    else:
        of = f"{fitted.n_subspaces_} subspaces" if hasattr(fitted, "n_subspaces_") else "no labels"
    click.echo(f"fitted {kind} on {len(samples)} samples, {of}")
    click.echo(f"filter: {out}")
