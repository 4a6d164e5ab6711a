"""The command line of the figures: `python -m figures NAME|all`."""

import sys
from pathlib import Path
from types import ModuleType

import click
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from figures import (
    ablation,
    composition,
    confidence,
    confidence_bound,
    filter_bias,
    image_confidence,
    image_samples,
    image_theory,
    kept,
    kept_moments,
    log_odds,
    map_contraction,
    map_leakage,
    map_mechanisms,
    map_mechanisms_by_generation,
    map_minority,
    map_rules,
    map_runaway,
    map_timesteps,
    map_u_shape,
    multiclass_bound,
    ole,
    ole_bounds,
    ole_timestep,
    policies,
    policies_by_generation,
    refit_loops,
    samples,
    solvers,
    training_length,
    training_length_noise,
    turning,
    u_shape,
)
from figures.image_records import Readings, RecordShelf
from figures.records import MissingRecords, Shelf, World
from figures.style import RC
from figures.tables import TableShelf
from sims.record import replacing

FIGURES: dict[str, ModuleType] = {
    "confidence": confidence,
    "samples": samples,
    "confidence-bound": confidence_bound,
    "multiclass-bound": multiclass_bound,
    "filter-bias": filter_bias,
    "kept": kept,
    "log-odds": log_odds,
    "ole-bounds": ole_bounds,
    "refit-loops": refit_loops,
    "turning": turning,
    "kept-moments": kept_moments,
    "u-shape": u_shape,
}

IMAGES: dict[str, ModuleType] = {
    "policies": policies,
    "policies-by-generation": policies_by_generation,
    "ole": ole,
    "ole-timestep": ole_timestep,
    "image-confidence": image_confidence,
    "image-samples": image_samples,
    "composition": composition,
    "training-length": training_length,
    "training-length-noise": training_length_noise,
    "solvers": solvers,
    "ablation": ablation,
    "image-theory": image_theory,
}

MAPS: dict[str, ModuleType] = {
    "map-leakage": map_leakage,
    "map-contraction": map_contraction,
    "map-runaway": map_runaway,
    "map-rules": map_rules,
    "map-minority": map_minority,
    "map-mechanisms": map_mechanisms,
    "map-mechanisms-by-generation": map_mechanisms_by_generation,
    "map-timesteps": map_timesteps,
    "map-u-shape": map_u_shape,
}


GROUPS = {"all": [*FIGURES, *IMAGES], "images": list(IMAGES), "maps": list(MAPS)}


def question(module: ModuleType) -> str:
    """The first line of a figure's file."""
    return str(module.__doc__).strip().splitlines()[0]


def listed(modules: dict[str, ModuleType]) -> str:
    """A line a figure."""
    return "\n".join(f"  {name:<30}{question(module)}" for name, module in modules.items())


EPILOG = f"""
Figures:

\b
{listed(FIGURES)}

Figures of the image loops, from the records that are kept of them:

\b
{listed(IMAGES)}

Maps, from the tables of sweeps:

\b
{listed(MAPS)}

Examples:

\b
  python -m figures confidence-bound              theory alone: needs no records
  python -m figures all                           every figure but the maps, into out/figures/
  python -m figures kept samples --size smoke     two of them, from the smoke records
  python -m figures images                        those of the image loops
  python -m figures maps                          every map of the analytic worlds

Kept records lie in paper_checks/records/; `all` and `images` pass over a figure whose record has not been made, and say
so. Other records are those of `make evidence` (or `make evidence SIZE=smoke`) or of `python -m sims PRESET --seed S`;
tables those of `make maps` (or `make maps SIZE=smoke`) or of `python -m sims sweep NAME`. Only finished runs and tables
of today's source, settings and package versions are drawn; others are put aside and named.
"""


PATH = click.Path(file_okay=False, path_type=Path)


def fewer_colours(file: Path) -> None:
    """A palette of 256 colours: a third of the size, and lines of theory look the same."""
    with Image.open(file) as image:
        small = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small.save(file, format="PNG", optimize=True)


def save(figure: Figure, file: Path, few: bool = False) -> None:
    """Write a PNG; in `few` colours where it shows no images."""
    with replacing(file) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
        if few:
            fewer_colours(temporary)


def draw(name: str, shelf: Shelf, out: Path) -> str:
    """Draw one figure into `out`/NAME.png; says what it was drawn from."""
    worlds = shelf.worlds(FIGURES[name].WORLDS)
    with rc_context(RC):
        save(FIGURES[name].draw(worlds), out / f"{name}.png", few=not worlds)
    sources = [f"{w.settings['preset']['name']} x {w.n}" for w in worlds.values()]
    return said(name, out, sources or ["theory"], any(w.stale for w in worlds.values()))


def draw_images(name: str, shelf: RecordShelf, out: Path) -> str:
    """Draw one figure of the image loops into `out`/NAME.png; says what it was drawn from."""
    module = IMAGES[name]
    found: dict[str, World] | dict[str, Readings]
    if hasattr(module, "READINGS"):
        found = shelf.readings(module.READINGS)
    else:
        found = shelf.worlds(module.WORLDS, getattr(module, "ALSO", ()))
    with rc_context(RC):
        save(module.draw(found), out / f"{name}.png", few=True)
    sources = [f"{own} x {record.n}" for own, record in found.items()]
    return said(name, out, sources, any(record.stale for record in found.values()))


def draw_map(name: str, shelf: TableShelf, out: Path) -> str:
    """Draw one map into `out`/NAME.png; says what it was drawn from."""
    tables = shelf.tables(MAPS[name].SWEEPS)
    with rc_context(RC):
        save(MAPS[name].draw(tables), out / f"{name}.png", few=True)
    sources = [f"{t.name}{'-smoke' * t.smoke} x {t.n}" for t in tables.values()]
    return said(name, out, sources, any(t.stale for t in tables.values()))


def said(name: str, out: Path, sources: list[str], stale: bool) -> str:
    """Where a figure lies, and what it was drawn from."""
    return f"{out / f'{name}.png'}  from {', '.join(sources)}{' (stale)' if stale else ''}"


def chosen(names: tuple[str, ...]) -> list[str]:
    """Every name once; `all`, `images` and `maps` spelled out."""
    return list(dict.fromkeys(one for name in names for one in GROUPS.get(name, [name])))


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG, no_args_is_help=True)
@click.argument(
    "names",
    metavar="NAME...|all|images|maps",
    nargs=-1,
    required=True,
    type=click.Choice([*FIGURES, *IMAGES, *MAPS, *GROUPS]),
)
@click.option(
    "--runs",
    default="runs",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Where run folders lie.",
)
@click.option(
    "--records",
    default="paper_checks/records",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Where kept records of the image loops lie.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Where PNG files go. [default: out/figures; with --size smoke out/smoke/figures]",
)
@click.option(
    "--size",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "full", "smoke"]),
    help="Which records. auto: for each figure the full ones if they are there, else the smoke ones.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), help="Root seed of the evidence. [default: the lowest there is]"
)
@click.option(
    "--any-source",
    is_flag=True,
    help="Also take records of another source or package version; the title says so.",
)
def main(
    names: tuple[str, ...],
    runs: Path,
    records: Path,
    out: Path | None,
    size: str,
    seed: int | None,
    any_source: bool,
) -> None:
    """Draw figures from records and theory; nothing is trained or simulated.

    NAME is a figure below; `all` draws every one but the maps, `images` those of the image loops, `maps` every map.
    They fail at the end if one of them lacked its runs or tables; a figure of the image loops whose record has not been
    made is passed over, unless it is asked for by name.
    """
    shelf, tables = Shelf(runs, size, seed, any_source), TableShelf(runs, size, any_source)
    kept = RecordShelf(records)
    if out is None:  # a smoke run writes nothing over what a full one found
        out = Path("out/smoke/figures" if size == "smoke" else "out/figures")
    failed = 0
    for name in chosen(names):
        try:
            if name in IMAGES:
                drawn = draw_images(name, kept, out)
            else:
                drawn = draw(name, shelf, out) if name in FIGURES else draw_map(name, tables, out)
            click.echo(f"{name}: {drawn}")
        except (ValueError, KeyError) as error:
            passed = isinstance(error, MissingRecords) and name in IMAGES and name not in names
            failed += not passed
            why = f"the records have no {error}" if isinstance(error, KeyError) else error
            click.echo(f"{name}: {'passed over' if passed else 'not drawn'}: {why}", err=True)
    for line in shelf.put_aside() if not failed else ():
        click.echo(f"put aside: {line}", err=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(prog_name="python -m figures")
