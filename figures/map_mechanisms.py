"""Which mechanisms reproduce "OLE up, confidence down", and does degradation track the distance to the truth?

Changes from generation 0 to the last, paired by seed, under SYN and ACUR. Tracking: per seed Spearman's correlation
across policies of the changes of OLEn and of log KL, within a generation, averaged over generations; Fisher's z over
seeds (the rule of `degradation-tracks-collapse`). Map (f).
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from figures.style import FLOOR, LOOKS, finish, interval, new
from figures.tables import SweepTable, seeds_said, signs

__all__ = ["SWEEPS", "READINGS", "draw", "changes", "tracking"]

SWEEPS = ("mechanisms",)
SHOWN = ("SYN", "ACUR")
READINGS = {
    "ole": "log OLE",
    "ole_normalised": "OLEn",
    "log_odds": "log-odds, fixed probe",
    "retrained_log_odds": "log-odds, re-trained",
    "kl": "log KL to the truth",
}
LOGS = ("ole", "kl")
PATTERNS = {
    "OLE\nfixed": ("ole", "log_odds"),
    "OLEn\nfixed": ("ole_normalised", "log_odds"),
    "OLE\nre-tr.": ("ole", "retrained_log_odds"),
    "OLEn\nre-tr.": ("ole_normalised", "retrained_log_odds"),
}

Changes = dict[str, dict[tuple[str, str], np.ndarray]]


def changes(table: SweepTable) -> Changes:
    """Last generation less generation 0 (seeds,), by reading, then by situation and policy."""
    found: Changes = {}
    for reading in READINGS:
        scale = np.log if reading in LOGS else np.asarray
        by = table.by(reading, "situation", "policy")
        found[reading] = {
            (name, p): scale(v[:, -1]) - scale(v[:, 0]) for (name, p), v in by.items() if p in SHOWN
        }
    return found


def tracking(ole: np.ndarray, kl: np.ndarray) -> np.ndarray:
    """Fisher's z (seeds,) of OLEn against KL, each (policies, seeds, K + 1): see above.

    Generation 0 is common to the policies, so ranks of changes are ranks of values. All equal: counts 0. A perfect 1
    stands for half the step of the mean below it.
    """
    P, _, K = ole.shape[0], ole.shape[1], ole.shape[2] - 1
    u, v = (stats.rankdata(x[:, :, 1:], axis=0) - (P + 1) / 2 for x in (ole, kl))
    size = np.sqrt((u**2).sum(axis=0) * (v**2).sum(axis=0))
    rho = np.divide((u * v).sum(axis=0), size, out=np.zeros_like(size), where=size > 0)
    limit = 1 - 6 / (P * (P**2 - 1) * K)
    return np.arctanh(np.clip(rho.mean(axis=1), -limit, limit))


def rows(ax: Axes, names: list[str], values: dict[tuple[str, str], np.ndarray]) -> None:
    """A dot with its interval for each situation and policy."""
    for i, name in enumerate(names):
        for policy, off in zip(SHOWN, (-0.17, 0.17), strict=True):
            look = LOOKS[policy]
            mean, low, high = interval(values[name, policy])
            ax.hlines(i + off, low, high, color=look.colour, linewidth=2)
            ax.plot([mean], [i + off], look.marker, color=look.colour, label=look.label)
    ax.axvline(0, color=FLOOR, linewidth=1)
    ax.set_xscale("symlog", linthresh=1.0) if max(map(np.ptp, values.values())) > 20 else None


def patterns(ax: Axes, names: list[str], found: Changes) -> None:
    """A mark where a reading of OLE rises and one of confidence falls, both beyond their intervals."""
    for i, name in enumerate(names):
        for policy, off in zip(SHOWN, (-0.17, 0.17), strict=True):
            for j, (up, down) in enumerate(PATTERNS.values()):
                rises = int(signs(found[up][name, policy])) == 1
                falls = int(signs(found[down][name, policy])) == -1
                if rises and falls:
                    ax.plot([j], [i + off], LOOKS[policy].marker, color=LOOKS[policy].colour)
    ax.set_xlim(-0.6, len(PATTERNS) - 0.4)
    ax.set_xticks(range(len(PATTERNS)), list(PATTERNS), fontsize=8)


def tracks(ax: Axes, names: list[str], table: SweepTable) -> list[str]:
    """Mean correlation by situation, back from Fisher's z; gives the policies."""
    ole, kl = (table.by(column, "situation", "policy") for column in ("ole_normalised", "kl"))
    policies = [p for p in dict.fromkeys(p for _, p in ole) if p != "ORACLE"]
    for i, name in enumerate(names):
        z = tracking(*(np.stack([by[name, p] for p in policies]) for by in (ole, kl)))
        mean, low, high = (np.tanh(x) for x in interval(z))
        ax.hlines(i, low, high, color="black", linewidth=2)
        ax.plot([mean], [i], "D", color="black")
    ax.axvline(0, color=FLOOR, linewidth=1)
    ax.set_xlim(-1.05, 1.05)
    return policies


def draw(tables: dict[str, SweepTable]) -> Figure:
    """A row a situation; changes of the readings, the pattern, tracking."""
    table = tables["mechanisms"]
    found = changes(table)
    names = list(dict.fromkeys(name for name, _ in found["ole"]))
    figure, axes = new(1, len(READINGS) + 2, 15, 2.9 + 0.42 * len(names), sharey=True)
    *panels, pattern, track = axes[0]
    for ax, reading in zip(panels, READINGS, strict=True):
        rows(ax, names, found[reading])
        ax.set_title(f"change of\n{READINGS[reading]}", fontsize=8.5)
    patterns(pattern, names, found)
    pattern.set_title("OLE up and\nconfidence down", fontsize=8.5)
    policies = tracks(track, names, table)
    track.set_title("OLEn tracks log KL\nacross policies: Spearman", fontsize=8.5)
    axes[0, 0].set_yticks(range(len(names)), names)
    axes[0, 0].set_ylim(len(names) - 0.5, -0.5)
    return finish(
        figure,
        "OLE, confidence and the truth, mechanism by mechanism",
        f"Changes from generation 0 to generation {table.last}, of {table.cells[0].n} samples made; the mechanism acts "
        "from generation 0 on. OLEn: normalised OLE. Log-odds: mean, of a sample's own label, by a probe fitted "
        "once on trusted real data, and by one fitted to each generation's training pool (the paper's claims, as "
        "reported in secondary notes: OLE rises and confidence falls under SYN). Marks: both beyond their 95% "
        f"intervals. Tracking: the rule of degradation-tracks-collapse, over {len(policies)} "
        f"policies ({', '.join(policies)}). "
        f"{seeds_said([table])}",
        [table],
        handles=panels[0].get_legend_handles_labels()[0],
    )
