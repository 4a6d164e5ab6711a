"""What did the long image loops find, in kilobytes, and is it still what today's presets ask for?

records/images-PRESET.jsonl: a header and a line a generation, numbers to 5 digits, in the form that
sims/kept_records.py reads. images-PRESET.png: one contact sheet (paper_checks/contact_sheet.py).

What is kept is what a claim or a figure reads. Everywhere: scalar metrics, composition, cost, `BESIDE` of other spaces,
OLE at the filter's timestep, clean. At all timesteps, clean: the policies of `CURVES`; noised: floor and generation 0.
Geometry: at the filter's timestep. Retention: generations 0, 5, 10, ... and the last. Choices: ACUR and ACU-LSF.

`python -m paper_checks.image_records [RUNS]` writes them from the finished run folders of `make images`. A record is
"stale" when the settings of its preset have changed, and an error when a line was changed.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from lsf.pool import Pool
from paper_checks.contact_sheet import sheet
from paper_checks.measures import Run
from sims.kept_records import CURE, Column, KeptRecord, identity, read_lines, settings_of
from sims.presets import STUDY, Preset, preset
from sims.record import RunFolder, device_name, key_of, model_seed, replacing

__all__ = [
    "RECORDS",
    "CURVES",
    "ImageRecord",
    "keep",
    "keep_finished",
    "kept",
    "load",
    "made",
    "report_folders",
]

RECORDS = Path(__file__).parent / "records"
CURVES = ("REAL", "SYN", "ACUR", "ACU-LSF", "ACU-SHRUNK")
"""Policies whose OLE is kept at every timestep."""
CHOICES = ("ACUR", "ACU-LSF")
BESIDE = ("frechet", "kernel", "recall")
"""What is kept of feature spaces beside the project's own."""
PARTS = ("trained_on", "cost", "choices", "pools")
DIGITS = 5


class ImageRecord(KeptRecord):
    """`runs`: what is kept of every seed, as paper_checks.measures.Run reads it off the run folders."""

    @cached_property
    def runs(self) -> list[Run]:
        """One a seed, in the order of the preset's seeds."""
        return [
            Run(seed, *self.read(seed), model_seed({"preset": self.header["preset"], "seed": seed}))
            for seed in self.header["seeds"]
        ]


def rounded(value: float) -> float:
    """To 5 significant digits; whole numbers as they are. ValueError on what is no finite number."""
    if isinstance(value, int):
        return value
    if not np.isfinite(value):
        raise ValueError(f"a record must hold finite numbers, found {value}: the run is no evidence")
    return float(f"{value:.{DIGITS}g}")


def flat(value: Any, way: Column = ()) -> dict[Column, float]:
    """Every number of nested dicts and lists by the way to it; rows of latents by their convention."""
    if isinstance(value, dict):
        return {k: v for key, own in value.items() for k, v in flat(own, (*way, key)).items()}
    if isinstance(value, list):
        if value and isinstance(value[0], dict) and "latent" in value[0]:
            return {k: v for row in value for k, v in flat(*divided(row, way)).items()}
        return {k: v for i, own in enumerate(value) for k, v in flat(own, (*way, i)).items()}
    return {way: rounded(value)}


def divided(row: dict[str, Any], way: Column) -> tuple[dict[str, Any], Column]:
    """The numbers of a row of latents, and the way to them: its convention, which is all that is no float."""
    convention = tuple((k, v) for k, v in row.items() if not isinstance(v, float))
    return {k: v for k, v in row.items() if isinstance(v, float)}, (*way, convention)


def as_json(way: Column) -> list[Any]:
    """A column as it stands in the header."""
    return [dict(part) if isinstance(part, tuple) else part for part in way]


def kept(record: dict[str, Any], timestep: int, last: int) -> dict[str, Any]:
    """What of a record of a run folder stays; the floor comes as {"policy": "floor", "generation": 0, "metrics"}."""
    policy, k = record["policy"], record["generation"]
    shared = policy in ("floor", None)

    def wanted(row: dict[str, Any], curve: bool) -> bool:
        if "timestep" not in row:
            return True
        if row["input"] != "clean":
            return shared and curve
        return curve or row["timestep"] == timestep

    metrics = dict(record["metrics"])
    metrics["ole"] = [row for row in metrics["ole"] if wanted(row, shared or policy in CURVES)]
    metrics["geometry"] = [row for row in metrics.get("geometry", ()) if wanted(row, False)]
    metrics["spaces"] = {
        space: {m: v for m, v in own.items() if m in BESIDE} for space, own in metrics["spaces"].items()
    }
    if k % 5 and k != last:
        del metrics["retention"]
    parts = {p: record[p] for p in PARTS if p in record and (p != "choices" or policy in CHOICES)}
    return {"metrics": metrics, **parts}


@dataclass
class Table:
    """Lines in the making: columns and shapes by number, in the order in which they turn up."""

    columns: dict[Column, int]
    shapes: dict[tuple[int, ...], int]
    lines: list[list[Any]]

    def add(
        self, seed: int, policy: str | None, generation: int | None, numbers: dict[Column, float]
    ) -> None:
        """One more line."""
        shape = tuple(self.columns.setdefault(way, len(self.columns)) for way in numbers)
        index = self.shapes.setdefault(shape, len(self.shapes))
        self.lines.append([index, seed, policy, generation, *numbers.values()])


def table_of(folders: Sequence[RunFolder], row: Preset) -> Table:
    """The lines of finished runs."""
    world: Any = row.world  # Images
    table, at = Table({}, {}, []), world.timestep
    for folder in folders:
        seed = folder.settings["seed"]
        floor = {"policy": "floor", "generation": 0, "metrics": folder.floor}
        table.add(seed, "floor", None, flat(kept(floor, at, row.generations)))
        for record in folder.records():
            if record["policy"] in (None, *row.policies):
                numbers = flat(kept(record, at, row.generations))
                table.add(seed, record["policy"], record["generation"], numbers)
    return table


def keep(
    row: Preset,
    folders: Sequence[RunFolder],
    real: Callable[[], Pool] | None = None,
    folder: Path = RECORDS,
) -> Path:
    """Write the record of a preset's finished runs, and a contact sheet if `real` gives its real images.

    Raises ValueError if a seed or a generation is missing, or the runs are of other settings, source or versions.
    """
    check(row, folders)
    table = table_of(folders, row)
    first = folders[0].settings
    header = {
        "name": row.name,
        "date": date.today().isoformat(),
        "device": first["notes"].get("device", device_name()),
        **{k: first[k] for k in ("versions", "source", "data")},
        **identity(row),
        "notes": {k: v for k, v in first["notes"].items() if k != "ids"},
        "columns": [as_json(way) for way in table.columns],
        "shapes": [list(shape) for shape in table.shapes],
    }
    header = json.loads(json.dumps(header))
    header["digest"] = key_of({"header": header, "lines": table.lines})
    text = "\n".join(json.dumps(part, separators=(",", ":")) for part in (header, *table.lines)) + "\n"
    file = folder / f"images-{row.name}.jsonl"
    with ExitStack() as both:  # both are written before either is replaced
        if real is not None:
            picture = both.enter_context(replacing(file.with_suffix(".png")))
            picture.write_bytes(sheet(folders[0], real(), row.generations))
        both.enter_context(replacing(file)).write_text(text)
    return file


def check(row: Preset, folders: Sequence[RunFolder]) -> None:
    """Raises ValueError unless these are the report's finished runs, all made by the same code."""
    seeds = [f.settings["seed"] for f in folders]
    if twice := sorted({seed for seed in seeds if seeds.count(seed) > 1}):
        where = ", ".join(str(f.path) for f in folders if f.settings["seed"] in twice)
        raise ValueError(
            f"seeds {twice} of {row.name} have several finished runs, delete all but one of each: {where}"
        )
    if seeds != list(row.seeds):
        raise ValueError(f"runs of {row.name} must be of seeds {list(row.seeds)}, found {seeds}: {CURE}")
    for f in folders:
        if f.settings["preset"] != settings_of(row):
            raise ValueError(f"{f.path} is a run of other settings than {row.name} has today: {CURE}")
        for what in ("source", "versions", "data"):
            if f.settings[what] != folders[0].settings[what]:
                raise ValueError(
                    f"{f.path} and {folders[0].path} differ in {what}: delete the older, and {CURE}"
                )
        if missing := unfinished(row, f):
            raise ValueError(f"{f.path} lacks generations of {', '.join(missing)}: {CURE}")


def unfinished(row: Preset, folder: RunFolder) -> list[str]:
    """The policies of the preset of which the folder has not every generation."""
    return [p for p in row.policies if len(folder.of(p)) != row.generations + 1]


def made(name: str, folder: Path = RECORDS) -> bool:
    """Is there a record of a preset?"""
    return (folder / f"images-{name}.jsonl").exists()


def load(name: str, folder: Path = RECORDS) -> ImageRecord:
    """The record of a preset; ValueError if it is missing or damaged."""
    return ImageRecord(name, *read_lines(name, folder))


def report_folders(row: Preset, runs: Path) -> list[RunFolder]:
    """The run folders of the report's seeds with today's settings, in the order of the seeds; the finished of each."""
    found = [RunFolder(f.parent) for f in sorted(runs.glob(f"{row.name}-seed*/settings.json"))]
    mine = [f for f in found if f.settings["preset"] == settings_of(row) and not unfinished(row, f)]
    return [f for seed in row.seeds for f in mine if f.settings["seed"] == seed]


def real_images(row: Preset) -> Pool:
    """The training part of a preset's data set."""
    from sims.images import load as images

    world: Any = row.world  # Images
    return images(world.data, world.folder).train


def keep_finished(runs: Path) -> None:
    """Keep the records of every finished preset of the study under `runs`; say which are not finished, and why a
    finished one cannot be kept. Raises ValueError, at the end, if nothing was kept or something could not be."""
    done, refused = 0, 0
    for row in STUDY:
        folders = report_folders(preset(row.name), runs)
        finished = {f.settings["seed"] for f in folders}
        if len(finished) < len(row.seeds):
            click.echo(f"{row.name}: {len(finished)} of {len(row.seeds)} seeds are finished under {runs}")
            continue
        try:
            click.echo(keep(row, folders, partial(real_images, row)))
            done += 1
        except ValueError as error:
            click.echo(f"{row.name}: {error}", err=True)
            refused += 1
    if not done and not refused:
        raise ValueError(f"no finished image runs under {runs}: run `make images`")
    if refused:
        raise ValueError(f"{refused} of the finished presets could not be kept, {done} were")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("runs", default="runs", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(runs: Path) -> None:
    """Write record and contact sheet of every preset of the study that is finished under RUNS [default: runs]."""
    try:
        keep_finished(runs)
    except ValueError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
