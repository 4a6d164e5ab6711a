"""What does a run folder say, in one table?"""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from sims.record import RunFolder

__all__ = ["table", "show"]

COLUMNS = {
    "frechet": "dist.",
    "precision": "prec.",
    "recall": "recall",
    "coverage": "cover.",
    "accuracy": "label",
    "variance_ratio": "var.",
    "log_odds": "odds",
}
"""Heads short enough for a terminal of 80 columns; the caption says what they are."""

CAPTION = """floor: real data; k: generation; n, real: size and real share of its training pool;
dist.: Frechet distance; label: share of samples that show their label;
var.: within-class variance / real; odds: mean log-odds"""


def row(metrics: dict[str, Any], kept: dict[str, Any]) -> list[str]:
    """The cells of one generation."""
    share = f"{kept['share_real']:.2f}" if kept else ""
    return [str(kept.get("n", "")), share, *(f"{metrics[name]:.3g}" for name in COLUMNS)]


def table(folder: RunFolder) -> Table:
    """Floor, generation 0 and each policy's generations, one line each."""
    space = folder.settings["notes"]["feature_space"]
    n = folder.floor["n_reference"]
    name = f"{folder.settings['preset']['name']}, seed {folder.settings['seed']}"
    title = f"{name} (distance in {space}, {n} reference samples)"
    grows = (
        "\nACU trains on a pool that grows; every other policy has one budget"
        if "ACU" in folder.policies()
        else ""
    )
    out = Table(title=title, caption=CAPTION + grows, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for head in ("policy", "k", "n", "real", *COLUMNS.values()):
        out.add_column(head, justify="left" if head == "policy" else "right", no_wrap=True)
    out.add_row("floor", "", *row(folder.floor, {}), end_section=True)
    for policy in (None, *folder.policies()):
        lines = [r for r in folder.records() if r["policy"] == policy]
        for r in lines:
            cells = row(r["metrics"], r.get("trained_on", {}))
            out.add_row(policy or "all", str(r["generation"]), *cells, end_section=r is lines[-1])
    return out


def show(folder: RunFolder) -> None:
    """Print the table."""
    Console().print(table(folder))
