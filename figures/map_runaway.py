"""How fast does top-N inflate the classes, and is it as the recursion has it?

Kept variance v_k: the law that generation k is sampled from is lam v_k, so v_k = (energy along the class's own plane
over its true value) / lam. Lines: theory.selection.runaway (infinite sample, no noise), its real share e^{-t}, and
runaway_growth. Map (c).
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.style import DASHED, FLOOR, RAMP, finish, generations, interval, new, plain_logarithms
from figures.tables import SweepTable, seeds_said
from theory.selection import runaway, runaway_growth

__all__ = ["SWEEPS", "draw", "variances"]

SWEEPS = ("runaway",)


def variances(table: SweepTable) -> dict[float, np.ndarray]:
    """v (seeds, K + 1) by lam."""
    return {lam: own / lam for lam, own in table.by("energy_own", "mechanisms.temperature").items()}


def dots(ax: Axes, x: np.ndarray, values: np.ndarray, colour: str, log: bool = True, **kwargs: str) -> None:
    """Mean and interval over seeds; `log`: of logarithms."""
    mean, low, high = (np.exp(a) for a in interval(np.log(values))) if log else interval(values)
    ax.vlines(x, low, high, color=colour, linewidth=1.5)
    ax.plot(x, mean, "o", color=colour, **kwargs)  # type: ignore[arg-type]


def draw(tables: dict[str, SweepTable]) -> Figure:
    """(a) kept variance, (b) simulated over theory, (c) growth, (d) share of real data, by generation."""
    table = tables["runaway"]
    K, k = table.last, np.arange(table.last + 1)
    shares = table.by("share_real", "mechanisms.temperature")
    figure, axes = new(2, 2, 10, 7.4)
    (a, b), (c, d) = axes
    for (lam, v), colour in zip(variances(table).items(), RAMP, strict=False):
        theory, real = runaway(lam, K)
        label = f"λ = {lam:g}"
        a.plot(k, theory, color=colour)
        dots(a, k, v, colour, label=label)
        dots(b, k[1:] + 0.08 * (lam - 0.7) / 0.2, v[:, 1:] / theory[1:], colour, label=label)
        c.plot(k[1:], theory[1:] / theory[:-1], color=colour)
        dots(c, k[1:], v[:, 1:] / v[:, :-1], colour, label=label)
        c.axhline(float(runaway_growth(lam)), color=colour, linestyle=DASHED, linewidth=1)
        d.plot(k, real, color=colour)
        dots(d, k, shares[lam], colour, log=False, label=label)
    b.axhline(1, color=FLOOR, linewidth=1)
    d.plot(k, 1 / (k + 1), color=FLOOR, linestyle=DASHED, label="random choice, 1/(k + 1)")
    for ax, first, title in (
        (a, 0, "(a) kept variance / real"),
        (b, 1, "(b) simulated / theory"),
        (c, 1, "(c) growth a generation; dashed: its limit g(λ)"),
        (d, 0, "(d) share of real data kept"),
    ):
        generations(ax, K, first)
        ax.set_title(title)
        ax.set_ylabel(title[4:].split(";")[0])
    for ax in (a, d):
        ax.set_yscale("log")
        plain_logarithms(ax)
    d.set_ylim(1e-4, 1.3)
    a.legend(fontsize=8)
    d.legend(fontsize=8)
    world, n = table.cells[0].world, table.cells[0].n
    return finish(
        figure,
        "Top-N's runaway against its recursion",
        f"Two planes at {world.angles:g}° in {world.dim} dimensions, s = {world.noise:g}; the {n // 2} most confident "
        "samples of each class of everything so far are kept, and the generator multiplies the variance by λ. The law "
        f"sampled at generation k is λ v_k: shown is v_k, the variance kept (at k = 0 that of {n // 2} real samples a "
        "class). Lines: theory.selection.runaway for an infinite sample without noise, our statement C3. "
        f"{seeds_said([table])} Intervals of variances are of logarithms.",
        [table],
    )
