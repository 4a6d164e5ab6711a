"""`python -m paper_checks`: the verdicts of the last `make evidence` as a Markdown page (docs/verdicts.md)."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click

from paper_checks.claims import CLAIMS, FROM_RUNS, WORLDS, Claim
from paper_checks.statistics import NOT_TESTED
from paper_checks.verdicts import headed
from sims.presets import PRESETS

__all__ = ["markdown"]

HEAD = """# Verdicts

Written by `python -m paper_checks --out docs/verdicts.md` from `out/verdicts.json`. A cell holds the verdict, then the
mean of the claim's paired statistic D with its 95% interval over seeds, or the figure of a proof or simulation. D,
margin and rule of every claim stand in [paper_checks/claims.py](../paper_checks/claims.py); what the words mean, in
[conventions](conventions.md). Rows marked exact rest on one seed; their intervals are those of a simulation, and what
their figure is says the check's docstring. Blank: the claim says nothing about that world.
"""


def cell(row: dict[str, Any]) -> str:
    """One cell."""
    if row["verdict"] == NOT_TESTED:
        return ""
    text = f"**{row['verdict']}**"
    if row["value"] is not None:
        text += f" {row['value']:.2g}"
    if row["interval"] is not None:
        text += f" [{row['interval'][0]:.2g}, {row['interval'][1]:.2g}]"
    return text


def markdown(rows: list[dict[str, Any]]) -> str:
    """The page: a table for the paper's claims, one for our own, and what is not tested."""
    found = {(r["claim"], r["convention"], r["world"]): r for r in rows}
    seeds = {w: max((len(r["seeds"]) for r in rows if r["world"] == w), default=0) for w in WORLDS}
    pipe = r"\|"  # a bare one would end the cell
    heads = [headed(w, seeds[w], models_of(w)) for w in WORLDS]

    def line(c: Claim) -> str:
        margin = f"{c.margin:.2g}" if c.rule in FROM_RUNS else c.rule
        cells = [cell(found[c.id, c.convention, w]) for w in WORLDS]
        return f"| {c.name} | {c.statement.replace('|', pipe)} | {margin} | {' | '.join(cells)} |"

    def table(claims: list[Claim]) -> str:
        head = ["claim", "statement", "margin", *heads]
        return "\n".join([f"| {' | '.join(head)} |", "| --- " * len(head) + "|", *map(line, claims)])

    tested = [c for c in CLAIMS if any(found[c.id, c.convention, w]["verdict"] != NOT_TESTED for w in WORLDS)]
    parts = {
        "## Claims of the paper": [c for c in tested if c.place != "ours"],
        "## Corrections and claims of ours": [c for c in tested if c.place == "ours"],
    }
    rest = "\n".join(f"- {c.name}" for c in CLAIMS if c not in tested)
    sections = [f"{title}\n\n{table(claims)}\n" for title, claims in parts.items()]
    return "\n".join([HEAD, *sections, f"## Not tested\n\n{rest}\n"])


def models_of(world: str) -> int:
    """How many generation-0 models the seeds of a world share; 0 if each has its own."""
    return (PRESETS[world].models or 0) if world in PRESETS else 0


def whole(row: Any) -> bool:
    """Is this a row as `write_verdicts` writes it?"""

    def number(x: Any) -> bool:
        return isinstance(x, int | float) and not isinstance(x, bool)

    if not isinstance(row, dict) or not {"value", "interval", "seeds"} <= row.keys():
        return False
    words = [row.get(k) for k in ("claim", "convention", "world", "verdict")]
    value, ends = row["value"], row["interval"]
    interval = ends is None or (isinstance(ends, list) and len(ends) == 2 and all(map(number, ends)))
    return (
        all(isinstance(w, str) for w in words)
        and (value is None or number(value))
        and interval
        and isinstance(row["seeds"], list)
    )


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of verdicts.json: one for every claim and world, and nothing else; or an error of one line."""
    again = "run `make evidence` again"
    try:
        rows = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise click.ClickException(f"{path} is not there: run `make evidence` first") from error
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise click.ClickException(f"{path} is damaged ({error}): {again}") from error
    if not isinstance(rows, list) or not all(map(whole, rows)):
        raise click.ClickException(f"{path} is damaged (not a list of verdicts): {again}")
    found = Counter((r["claim"], r["convention"], r["world"]) for r in rows)
    if found != Counter((c.id, c.convention, w) for c in CLAIMS for w in WORLDS):
        raise click.ClickException(f"{path} holds other claims or worlds than today's: {again}")
    return rows


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--verdicts", type=click.Path(path_type=Path), default="out/verdicts.json", show_default=True)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write.  [default: standard output]",
)
def main(verdicts: Path, out: Path | None) -> None:
    """Turn out/verdicts.json into a Markdown page."""
    page = markdown(rows_of(verdicts))
    if out is None:
        click.echo(page)
        return
    try:
        out.write_text(page)
    except OSError as error:
        raise click.ClickException(f"{out} cannot be written ({error.strerror})") from error


if __name__ == "__main__":
    main()
