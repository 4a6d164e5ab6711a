"""What did the image loops find, as tables that a page can hold?

PRESET           a line a policy at the last generation; gain: log distance of ACUR less that of the policy
lengths, lengths with noise, solvers   a line a preset: generation 0, ACUR, and what two filters gain
pools            a line a size of pool: one refit on a random and on the most confident N, and the gain
theory PRESET    predicted and seen on the filter's own latents, by policy
latents PRESET   the same of ACU-LSF under every convention of a latent

All from paper_checks/records/. `python -m paper_checks.image_tables PAGE...` writes them again into pages, between the
lines `<!-- table NAME -->` and `<!-- end -->`. A test holds docs/ to what the records give.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from figures import solvers
from figures.solvers import solver_of
from paper_checks import image_theory
from paper_checks.image_records import RECORDS, load
from paper_checks.measures import Run, lead
from paper_checks.pair_models import LATENTS, LAWS_BESIDE, MEASURES_BESIDE
from paper_checks.statistics import interval
from sims.presets import LENGTHS, NOISY_LENGTHS, POOLS
from sims.record import write_text

__all__ = ["latents_table", "policy_table", "pools_table", "side_by_side", "theory_table", "with_tables"]

PLACE = re.compile(r"(<!-- table (?P<name>.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
CELLS = ((None, 0), ("SYN", 5), ("ACUR", 5), ("ACU-LSF", 5), ("unseen real", 0))
"""Columns of the table of theory: policy and generation."""
READ = {
    "confidence": ("two-subspace", "two-subspace, own means", "gaussian"),
    "shortfall of confidence": ("two-subspace", "two-subspace, own means", "gaussian"),
    "raw OLE": ("two-subspace", "gaussian"),
    "normalised OLE": ("two-subspace", "gaussian"),
    "kept spread": ("two-subspace", "two-subspace, own means", "gaussian"),
    "share of real": ("two-subspace", "two-subspace, own means", "gaussian"),
}
"""Its rows: what is read, by which laws."""


SWEEPS = {"lengths": LENGTHS, "lengths with noise": NOISY_LENGTHS}
"""Of the training of generation 0, by the name of their table."""


def number(value: float, digits: int = 2) -> str:
    """.57, -1.41, 12.9, 201: no zero before the point, three digits at most."""
    if abs(value) >= 10:
        return f"{value:.0f}" if abs(value) >= 20 else f"{value:.1f}"
    text = f"{value:.{digits}f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def with_interval(D: Sequence[float]) -> str:
    """Mean and 95% t-interval over seeds."""
    ci = interval(D)
    return f"{number(ci.mean)} [{number(ci.low)}, {number(ci.high)}]"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as GitHub reads it."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def gains(runs: Sequence[Run], policy: str, metric: str = "log frechet") -> list[float]:
    """D by seed at the last generation: of ACUR less that of the policy."""
    return [lead(metric, "ACUR", policy)(run) for run in runs]


def mean(runs: Sequence[Run], policy: str, metric: str) -> float:
    """Over seeds, at the last generation; geometric for a logarithm."""
    value = float(np.mean([run.value(policy, run.last, metric) for run in runs]))
    return float(np.exp(value)) if metric.startswith("log ") else value


def policy_table(runs: Sequence[Run]) -> str:
    """A line a policy, the smallest gain first."""
    policies = sorted({p for p, k in runs[0].records if p is not None})
    rows = []
    for policy in sorted(policies, key=lambda p: float(np.mean(gains(runs, p)))):
        own = policy == "ACUR"
        rows.append(
            [
                policy,
                number(mean(runs, policy, "log frechet")),
                "" if own else with_interval(gains(runs, policy)),
                "" if own else with_interval([-d for d in gains(runs, policy, "recall")]),
                number(mean(runs, policy, "accuracy")),
            ]
        )
    return markdown(("policy", "distance", "gain over ACUR", "recall less ACUR's", "label accuracy"), rows)


def side_by_side(what: str, found: Mapping[str, Sequence[Run]]) -> str:
    """A line a preset, named by what it changes: quality of generation 0, ACUR's, the gain of two filters over it."""
    rows = [
        [
            name,
            number(float(np.mean([run.value("", 0, "accuracy") for run in runs]))),
            number(float(np.exp(np.mean([run.value("", 0, "log frechet") for run in runs])))),
            number(mean(runs, "ACUR", "log frechet")),
            with_interval(gains(runs, "ACU-LSF")),
            with_interval(gains(runs, "ACU-SHRUNK")),
            with_interval([-d for d in gains(runs, "ACU-LSF", "recall")]),
        ]
        for name, runs in found.items()
    ]
    head = (
        what,
        "label accuracy of generation 0",
        "its distance",
        "ACUR's",
        "gain of ACU-LSF",
        "of ACU-SHRUNK",
        "recall, ACU-LSF less ACUR",
    )
    return markdown(head, rows)


def pools_table(by_regime: dict[str, Sequence[Run]]) -> str:
    """A line a size of pool, drawn from ACUR's last history: what one refit on either choice makes, and the gain."""
    rows: dict[str, list[str]] = {}
    for runs in by_regime.values():
        budget = runs[0].of("ACUR", runs[0].last)["trained_on"]["n"]
        pools = [run.of("ACUR", run.last)["pools"] for run in runs]
        for row in zip(*pools, strict=True):
            random, top = (np.log([seed[choice] for seed in row]) for choice in ("random", "top"))
            cells = rows.setdefault(f"{row[0]['n'] / budget:g} N", [])
            cells += [
                *(number(float(np.exp(D.mean()))) for D in (random, top)),
                with_interval((random - top).tolist()),
            ]
    head = [f"{regime}: {what}" for regime in by_regime for what in ("random N", "top N", "gain")]
    return markdown(["pool", *head], [[size, *cells] for size, cells in rows.items()])


def theory_table(record: image_theory.Record) -> str:
    """predicted/seen, means over seeds and pairs of classes; empty where nothing is predicted."""
    rows = []
    for measure, laws in READ.items():
        for law in laws:
            cells = record.cells(law, measure)
            rows.append([f"{measure}, {law}", *(both(cells[cell]) for cell in CELLS)])
    return markdown(("", "generation 0", "SYN 5", "ACUR 5", "ACU-LSF 5", "unseen real"), rows)


def latents_table(record: image_theory.Record) -> str:
    """predicted/seen under every convention of a latent, of ACU-LSF at its last generation."""
    last = max(k for policy, k in record.cells("gaussian", "confidence") if policy == "ACU-LSF")
    rows = []
    for measure in MEASURES_BESIDE:
        for law in LAWS_BESIDE:
            of = [record.cells(law, measure, latents)["ACU-LSF", last] for latents in LATENTS]
            rows.append([f"{measure}, {law}", *map(both, of)])
    return markdown(("", *LATENTS), rows)


def both(readings: Sequence[Any]) -> str:
    """predicted/seen, means over the seeds that have a prediction."""
    said = [reading[:2] for reading in readings if reading is not None]
    return "/".join(f"{v:.3g}" for v in np.mean(said, axis=0)) if said else ""


def table(name: str, records: Path = RECORDS) -> str:
    """The table of that name; ValueError if its record is missing or damaged."""
    if name in SWEEPS:
        worlds: list[Any] = [row.world for row in SWEEPS[name]]
        by_steps = {str(w.generator.steps): row.name for w, row in zip(worlds, SWEEPS[name], strict=True)}
        return side_by_side("steps", {steps: load(own, records).runs for steps, own in by_steps.items()})
    if name == "pools":
        return pools_table({row.name.split("-")[1]: load(row.name, records).runs for row in POOLS})
    if name == "solvers":
        by_solver = {solver_of(own): load(own, records).runs for own in solvers.WORLDS}
        return side_by_side("generation 0, solver", by_solver)
    if name.startswith("theory "):
        preset = name.removeprefix("theory ")
        return theory_table(image_theory.load(preset, records))
    if name.startswith("latents "):
        return latents_table(image_theory.load(name.removeprefix("latents "), records))
    return policy_table(load(name, records).runs)


def with_tables(page: str, table: Callable[[str], str] = table) -> str:
    """The page with every table written again; ValueError if it has none."""
    if not PLACE.search(page):
        raise ValueError("page has no place for a table: <!-- table NAME --> ... <!-- end -->")
    marks = [mark[1] for mark in re.finditer(r"<!-- (table|end)\b.*?-->", page)]
    if marks != ["table", "end"] * (len(marks) // 2):
        raise ValueError("page must close every <!-- table NAME --> by <!-- end --> before the next one")
    return PLACE.sub(lambda found: found[1] + table(found["name"]) + found[3], page)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument(
    "pages", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
def main(pages: tuple[Path, ...]) -> None:
    """Write the tables of PAGES again, as of docs/images.md: between <!-- table NAME --> and <!-- end -->."""
    for page in pages:
        try:
            write_text(page, with_tables(page.read_text()))
        except (OSError, ValueError) as error:
            raise click.ClickException(f"{page}: {error}") from error


if __name__ == "__main__":
    main()
