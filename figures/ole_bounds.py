"""How far below the expected OLE do Theorem 1 (reconstructed) and the corrected bound lie, angle by angle?

All r angles equal. E OLE is exact for r = 1 without noise, else asymptotic with its first correction (relative error
of order 1/n^2). Theorem 1's reconstruction knows no noise: drawn at s = 0 only. Theory only; no records.
"""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.records import World
from figures.style import DASHED, FLOOR, HUES, finish, new
from theory.ole import corrected_bound, exact_ole_rank_one, expected_ole, theorem1_bound

__all__ = ["WORLDS", "draw"]

WORLDS: tuple[str, ...] = ()
DEGREES = np.unique(np.concatenate([np.linspace(0, 10, 41), np.linspace(10, 90, 81)]))


class Setting(NamedTuple):
    """Rank, columns a class, dimension, noise s.d."""

    r: int
    n: int
    d: int
    s: float


SETTINGS = (
    Setting(1, 1, 2, 0.0),
    Setting(1, 10, 2, 0.0),
    Setting(4, 100, 64, 0.0),
    Setting(10, 100, 64, 0.0),
    Setting(4, 100, 64, 0.1),
    Setting(10, 100, 64, 0.3),
)


def value(setting: Setting, angles: np.ndarray) -> np.ndarray:
    """E OLE: exact where a closed form is known."""
    r, n, d, s = setting
    if r == 1 and s == 0:
        return np.asarray(exact_ole_rank_one(n, angles[:, 0]))
    return np.asarray(expected_ole(d, n, angles, s, first_order=True))


def panel(ax: Axes, setting: Setting) -> None:
    """E OLE and its lower bounds against the angle."""
    r, n, d, s = setting
    angles = np.repeat(np.radians(DEGREES)[:, None], r, axis=1)
    exact = value(setting, angles)
    ax.plot(DEGREES, exact, color="#000000", linewidth=2.2, zorder=3, label="E OLE")
    ax.plot(DEGREES, corrected_bound(d, n, angles, s), color=HUES[2], label="corrected bound, asymptotic")
    rigorous = corrected_bound(d, n, angles, s, rigorous=True)
    ax.plot(DEGREES, rigorous, color=HUES[2], linestyle=DASHED, label="corrected bound, proved")
    if s == 0:
        ax.plot(DEGREES, theorem1_bound(n, angles), color="#882255", label="Theorem 1, reconstructed")
    ax.axhline(0, color=FLOOR, linewidth=1)
    top = float(exact.max())
    ax.set_ylim(-0.3 * top, 1.08 * top)
    ax.set_title(f"r = {r}, n = {n}, s = {s:g}" + (f", d = {d}" if s else ""))


def draw(worlds: dict[str, World]) -> Figure:
    """A panel a setting."""
    figure, axes = new(2, 3, 11, 6.4, sharex=True)
    for ax, setting in zip(axes.flat, SETTINGS, strict=True):
        panel(ax, setting)
    for ax in axes[1]:
        ax.set_xlabel("principal angle θ, degrees")
    for ax in axes[:, 0]:
        ax.set_ylabel("OLE")
    axes[0, 0].set_xticks(range(0, 91, 15))
    return finish(
        figure,
        "Expected OLE and its lower bounds",
        "OLE of n columns of each of two classes N(0, U_c U_c' + s² I), all r angles equal to θ (large OLE: "
        "aligned classes). E OLE is exact in the first two panels, else asymptotic with its first correction. At "
        "n = 1, near 90°, Theorem 1 (paper, as reported in secondary notes) lies above E OLE: false there. "
        "At n = 100 it is below zero from a few degrees on, and leaves the panel. The corrected bound falls with "
        "θ as OLE does; solid, its E‖M_c‖ is asymptotic; dashed, it is true at every n. No simulation.",
        handles=axes[0, 0].get_lines()[:4],
    )
