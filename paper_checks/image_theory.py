"""Does the theory predict the image loop? Models fitted to measured latents, beside what the filter does with them.

Latents: the filter's own (generation-0 bottleneck at its timestep, clean x, null label, flattened), and three more
conventions (`LATENTS`: noised x, mean-pooled), each with its own probe, fitted to the same real data; of these the laws
of `LAWS_BESIDE` are kept. Pools are those that the filter on its own latents made, whatever the convention. The probe's
log-odds of a pair of classes are z = z_b - z_a, its softmax over the pair. Every pair of classes is read by
paper_checks.pair_models in the d leading principal axes of its real latents, d at most `DIM` and half the samples of a
class; what is kept is the mean over pairs of the prediction and of what is seen, and the deciles of their ratio less 1.

`python -m paper_checks.image_theory [RUNS]` reads the runs of the digits' reports under RUNS that have finished
`POLICIES` and writes records/image-theory-PRESET.jsonl: a header (settings, seeds, versions, source, digest), then a
line a reading.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from itertools import combinations
from math import comb
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import track

from lsf.filter import LatentSpaceFilter
from lsf.pool import Pool
from paper_checks.image_records import report_folders
from paper_checks.pair_models import LATENTS, LAWS, LAWS_BESIDE, MEASURES, Block, axes, readings
from paper_checks.register import DIGITS
from sims.generator import Sampler
from sims.instruments import Instruments
from sims.kept_records import settings_of as of_preset
from sims.presets import preset
from sims.record import RunFolder, key_of, load_arrays, model_file, versions, write_text

__all__ = ["RECORDS", "POLICIES", "DIM", "Record", "rows", "keep", "load"]

RECORDS = Path(__file__).parent / "records"
POLICIES = ("SYN", "ACUR", "ACU-LSF")
UNSEEN = "unseen real"
DIM = 20
SETTINGS = {
    "dim": DIM,
    "rank": "BIC",
    "policies": POLICIES,
    "latents": LATENTS,
    "laws": LAWS,
    "laws beside": LAWS_BESIDE,
    "measures": MEASURES,
}


def rows(folder: RunFolder, sampler: Sampler, policies: Sequence[str] = POLICIES) -> list[dict[str, Any]]:
    """{latents, policy, generation, law, measure: [predicted, seen, low, high, pairs]} of generations 0, 1 and the
    last, and of real data that neither probe nor network has seen (policy `UNSEEN`, generation 0).

    Means over the pairs of classes for which there is a prediction, the 10% and 90% quantiles over them of predicted /
    seen - 1, and their number; null where there is none. `sampler` is the generation-0 model of the run.

    Raises ValueError if a class is missing from a generation, or the folder has no samples.
    """
    settings = folder.settings
    built = preset(settings["preset"]["name"]).world.build(settings["seed"])
    pools: dict[Any, Pool] = {"real": built.train, "unseen": built.reference}
    places = list(readable(folder, policies))
    for name in {name for *_, names in places for name in names} - set(pools):
        pools[name] = folder.samples(*name)
    found: list[dict[str, Any]] = []
    for latents, lsf in filters_on(built.instruments(sampler)).items():
        laws = LAWS if latents == LATENTS[0] else LAWS_BESIDE
        encoded = {name: encode(lsf, pool) for name, pool in pools.items()}
        for policy, k, names in places:
            blocks = [encoded[name] for name in ("real", *names)]
            found.extend({"latents": latents, **line} for line in summary(policy, k, blocks, laws))
    return found


def filters_on(instruments: Instruments) -> dict[str, Any]:
    """The paper's filter by the latents it reads: its own, and those of `LATENTS` that the world has, fitted alike."""
    kit, found = instruments.kit, {LATENTS[0]: instruments.filter}
    for latents in LATENTS[1:]:
        if latents in kit.other:
            own = LatentSpaceFilter(kit.other[latents](), random_state=0)
            found[latents] = own.fit(kit.train.x, kit.train.y)
    return found


def readable(folder: RunFolder, policies: Sequence[str]) -> Iterator[tuple[str | None, int, list[Any]]]:
    """(policy, generation, the pools beside the real one, from generation 0 up to it)."""
    yield UNSEEN, 0, ["unseen"]
    yield None, 0, [(None, 0)]
    for policy in policies:
        last = max((r["generation"] for r in folder.of(policy)), default=0)
        for k in sorted({min(1, last), last} - {0}):
            yield policy, k, [(None, 0), *((policy, j) for j in range(1, k + 1))]


def encode(lsf: Any, pool: Pool) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Latents (n_c, p) and logits (n_c, C) of each class."""
    parts = []
    for c in lsf.classes_:
        if not (mine := pool.y == c).any():
            raise ValueError(f"pool must hold every class, {c} is missing: it cannot be read")
        h = lsf.transform(pool.x[mine]).astype(np.float64)
        parts.append((h, lsf.probe_.logits(h)))
    latents, logits = zip(*parts, strict=True)
    return list(latents), list(logits)


def summary(
    policy: str | None, k: int, blocks: Sequence[Any], laws: Sequence[str] = LAWS
) -> list[dict[str, Any]]:
    """The lines of one generation, one a law."""
    pairs = [pair_readings(blocks, a, b) for a, b in combinations(range(len(blocks[0][0])), 2)]
    lines = []
    for law in laws:
        line: dict[str, Any] = {"policy": policy, "generation": k, "law": law}
        for measure in MEASURES:
            line[measure] = over_pairs(np.array([p[law][measure] for p in pairs]))
        lines.append(line)
    return lines


def over_pairs(values: np.ndarray) -> list[float] | None:
    """[predicted, seen, 10%, 90%, number] from (pairs, 2), pairs without a prediction left out."""
    said = values[np.isfinite(values).all(axis=1)]
    if not len(said):
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        off = said[:, 0] / said[:, 1] - 1
    low, high = np.quantile(off[np.isfinite(off)], [0.1, 0.9]) if np.isfinite(off).any() else (0.0, 0.0)
    numbers = (*said.mean(axis=0), low, high)
    return [*(float(f"{v:.4g}") for v in numbers), len(said)]


def pair_readings(blocks: Sequence[Any], a: int, b: int) -> dict[str, dict[str, tuple[float, float]]]:
    """What is predicted and seen of classes a, b; blocks of latents and logits by class, real data first."""
    n = min(len(h[c]) for h, _ in blocks for c in (a, b))
    real = np.concatenate([blocks[0][0][c] for c in (a, b)])
    V = axes(real, min(DIM, n // 2))
    pool = []
    for latents, logits in blocks:
        z = np.stack([(logits[c][:n, c] - logits[c][:n, other]) for c, other in ((a, b), (b, a))])
        pool.append(Block(np.stack([latents[c][:n] @ V for c in (a, b)]), z))
    return readings(pool[:-1], pool[-1])


class Record:
    """What was kept of a preset: `header`, and `lines` as `rows` gives them, each with its seed."""

    def __init__(self, name: str, header: dict[str, Any], lines: list[dict[str, Any]]) -> None:
        if key_of({"lines": lines}) != header["digest"]:
            raise ValueError(f"{name} is damaged: its lines are not those its digest was made of")
        self.name, self.header, self.lines = name, header, lines

    @property
    def stale(self) -> bool:
        """Has the preset, or what is read, other settings today?"""
        today = settings_of(self.header["preset"])
        return self.header["settings"] != today

    def cells(
        self, law: str, measure: str, latents: str = LATENTS[0]
    ) -> dict[tuple[str | None, int], list[Any]]:
        """The readings of each (policy, generation), by seed in order; None for a generation before any selection."""
        found: dict[tuple[str | None, int], list[Any]] = {}
        for line in self.lines:
            if line["law"] == law and line["latents"] == latents:
                found.setdefault((line["policy"], line["generation"]), []).append(line[measure])
        return found


def settings_of(name: str) -> dict[str, Any]:
    """What decides the numbers: the preset's settings, and what is read of its runs."""
    return json.loads(json.dumps({"preset": key_of(of_preset(preset(name))), **SETTINGS}))


def keep(folders: Sequence[Path], target: Path = RECORDS) -> Path:
    """Read the run folders of one preset and write their record; ValueError if they are of several."""
    runs = sorted((RunFolder(f) for f in folders), key=lambda r: r.settings["seed"])
    names = {r.settings["preset"]["name"] for r in runs}
    if len(names) != 1:
        raise ValueError(f"folders must be runs of one preset, found {sorted(names)}")
    name, lines = names.pop(), []
    for run in track(runs, f"{name}: seeds read", console=Console(stderr=True), transient=True):
        lines += [{"seed": run.settings["seed"], **line} for line in rows(run, first_model(run))]
    header = {
        "preset": name,
        "seeds": [r.settings["seed"] for r in runs],
        "pairs": comb(len(np.unique(runs[0].samples(None, 0).y)), 2),
        "settings": settings_of(name),
        "date": date.today().isoformat(),
        "source": sorted({r.settings["source"] for r in runs}),
        "versions": versions(),
        "digest": key_of({"lines": lines}),
    }
    path = target / f"image-theory-{name}.jsonl"
    write_text(path, "\n".join(map(json.dumps, [header, *lines])) + "\n")
    return path


def first_model(run: RunFolder) -> Sampler:
    """The generation-0 model that the run started from."""
    settings = {k: v for k, v in run.settings.items() if k not in ("key", "notes")}
    built = preset(settings["preset"]["name"]).world.build(settings["seed"])
    return built.generator.restore(load_arrays(model_file(run.path.parent, settings)))


def made(name: str, folder: Path = RECORDS) -> bool:
    """Is there a record of a preset?"""
    return (folder / f"image-theory-{name}.jsonl").exists()


def load(name: str, folder: Path = RECORDS) -> Record:
    """The record of a preset; ValueError if it is missing or damaged."""
    file = folder / f"image-theory-{name}.jsonl"
    if not file.exists():
        raise ValueError(f"{file.name} is missing: run `make images`")
    try:
        header, *lines = (json.loads(line) for line in file.read_text().splitlines())
        return Record(file.name, header, lines)
    except (json.JSONDecodeError, KeyError) as error:
        raise ValueError(f"{file.name} is damaged: {error}") from error


def keep_finished(runs: Path) -> None:
    """Keep the record of each digits preset of which every seed of the report has finished `POLICIES` under `runs`.

    Raises ValueError, at the end, if there is none, or the runs of one cannot be read.
    """
    done = False
    for name in DIGITS:
        row = replace(preset(name), policies=POLICIES)
        folders = report_folders(row, runs)
        finished = [f.settings["seed"] for f in folders]
        if finished == list(row.seeds):
            click.echo(keep([f.path for f in folders]))
            done = True
        else:
            needed = f"one run each of seeds {list(row.seeds)} must have finished {', '.join(POLICIES)} under {runs}"
            click.echo(f"{name}: {needed}; finished: {finished}")
    if not done:
        raise ValueError(f"nothing to read under {runs}: run `make images`")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("runs", default="runs", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(runs: Path) -> None:
    """Read the finished runs of the digits' presets under RUNS [default: runs], and write what two models of their
    latents predict beside what is seen: minutes a preset."""
    try:
        keep_finished(runs)
    except ValueError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
