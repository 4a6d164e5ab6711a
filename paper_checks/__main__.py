"""`python -m paper_checks`: the verdicts of the last `make evidence` as a Markdown page (docs/verdicts.md)."""

import json
from pathlib import Path
from typing import Any

import click

from paper_checks.claims import CLAIMS, WORLDS, Claim
from paper_checks.statistics import NOT_TESTED
from paper_checks.verdicts import headed

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
    heads = [headed(w, seeds[w]) for w in WORLDS]

    def line(c: Claim) -> str:
        margin = "exact" if c.rule == "exact" else f"{c.margin:.2g}"
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


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--verdicts", type=click.Path(path_type=Path), default="out/verdicts.json", show_default=True)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write.  [default: standard output]",
)
def main(verdicts: Path, out: Path | None) -> None:
    """Turn out/verdicts.json into a Markdown page."""
    if not verdicts.exists():
        raise click.ClickException(f"{verdicts} is not there: run `make evidence` first")
    page = markdown(json.loads(verdicts.read_text()))
    if out is None:
        click.echo(page)
    else:
        out.write_text(page)


if __name__ == "__main__":
    main()
