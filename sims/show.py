"""What does a run folder say, in one table?"""

from typing import Any

from rich.console import Console
from rich.table import Table

from sims.record import RunFolder

__all__ = ["table", "show"]

COLUMNS = {
    "frechet": "Frechet distance",
    "precision": "precision",
    "recall": "recall",
    "coverage": "coverage",
    "accuracy": "accuracy",
    "variance_ratio": "variance / real",
    "log_odds": "log-odds",
}


def row(metrics: dict[str, Any], kept: dict[str, Any]) -> list[str]:
    """The cells of one generation."""
    share = f"{kept['share_real']:.2f}" if kept else ""
    return [str(kept.get("n", "")), share, *(f"{metrics[name]:.3f}" for name in COLUMNS)]


def table(folder: RunFolder) -> Table:
    """Floor, generation 0 and each policy's generations, one line each."""
    space = folder.settings["notes"]["feature_space"]
    n = folder.floor["n_reference"]
    name = f"{folder.settings['preset']['name']}, seed {folder.settings['seed']}"
    title = f"{name} (distance in {space}, {n} reference samples)"
    out = Table(title=title, caption="ACU trains on a pool that grows; every other policy has one budget")
    for head in ("policy", "generation", "trained on", "share real", *COLUMNS.values()):
        out.add_column(head, justify="left" if head == "policy" else "right")
    out.add_row("real data (floor)", "", *row(folder.floor, {}), end_section=True)
    for policy in (None, *folder.policies()):
        lines = [r for r in folder.records() if r["policy"] == policy]
        for r in lines:
            cells = row(r["metrics"], r.get("trained_on", {}))
            out.add_row(policy or "all", str(r["generation"]), *cells, end_section=r is lines[-1])
    return out


def show(folder: RunFolder) -> None:
    """Print the table; as wide as it needs to be where the output is no terminal."""
    console = Console()
    if not console.is_terminal:
        console.width = 160
    console.print(table(folder))
