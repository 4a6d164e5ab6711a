"""How do all figures look?

One colour, marker and label per policy everywhere (Okabe and Ito's palette, told apart by colour-blind readers; the
markers tell them apart in print); the mean with its 95% t-interval over seeds; real data as a grey line with a band;
what was counted, and how often, under every figure.
"""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from scipy import stats
from scipy.optimize import isotonic_regression

from figures.records import World

__all__ = [
    "RC",
    "DASHED",
    "FRONT",
    "HUES",
    "LOOKS",
    "RAMP",
    "WORLD_NAMES",
    "interval",
    "new",
    "finish",
    "bars",
    "floor_line",
    "generations",
    "name_ends",
    "fit_y",
    "stretched",
    "plain_logarithms",
    "seeds_of",
    "seeds_on",
]

RC: Any = {
    "figure.dpi": 160,
    "savefig.dpi": 160,
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "mathtext.fontset": "dejavusans",
}

FLOOR = "#8a8a8a"
HUES = ("#332288", "#DDAA33", "#117733", "#AA4499")  # Tol: kinds of theory; no policy's colour
RAMP = ("#35104f", "#7a45a8", "#b58bd0", "#d9b8e8")  # values of a parameter; no policy's colour
DASHED = (0, (4, 1.5))
FEW = 5  # seeds: so many are all kept within the axes
APART = 0.035  # of a generation, between policies


class Marked(Protocol):
    """What a figure is drawn from, and whether that is to be said of it."""

    @property
    def smoke(self) -> bool:
        """Cut short: decides nothing."""

    @property
    def stale(self) -> bool:
        """Not of today's source."""


class Seeded(Protocol):
    """What an interval is over: `n` seeds, on so many generation-0 `models` if they share some."""

    @property
    def n(self) -> int: ...

    @property
    def models(self) -> int | None: ...


@dataclass(frozen=True)
class Look:
    """How a policy is drawn."""

    label: str
    colour: str
    marker: str
    hollow: bool = False


LOOKS = {
    "REAL": Look("REAL (control)", "#000000", "x"),
    "SYN": Look("SYN", "#D55E00", "s"),
    "SYN-ADD": Look("SYN-ADD", "#E69F00", "D"),
    "ACU": Look("ACU (its pool grows)", "#CC79A7", "o", hollow=True),
    "ACUR": Look("ACUR", "#0072B2", "^"),
    "ACU-LSF": Look("ACU-LSF", "#009E73", "o"),
    "ACUR-SIMS": Look("SIMS on ACUR's pool", "#56B4E9", "v"),
    "ACUR-SC": Look("SC on ACUR's pool", "#7F7F7F", "P"),
    "ACU-SHRUNK": Look("ACU-SHRUNK", "#882255", "d"),
    "ORACLE": Look("ORACLE (keeps real)", "#000000", "o", hollow=True),
    "ACU-EQUAL-STEPS": Look("ACU, equal steps", "#CC79A7", "o"),
    "ACU-LSF-CLASS": Look("ACU-LSF-CLASS", "#009E73", "s", hollow=True),
    "ACU-LSF-THRESHOLD": Look("ACU-LSF-THRESHOLD", "#009E73", "^", hollow=True),
    "ACU-LSF-MATCHED": Look("ACU-LSF-MATCHED", "#009E73", "v", hollow=True),
    "ACU-RATIO-CLASS": Look("ACU-RATIO-CLASS", "#882255", "s", hollow=True),
    "ACU-RANKSUM-CLASS": Look("ACU-RANKSUM-CLASS", "#882255", "^", hollow=True),
    "ACU-HERD": Look("ACU-HERD", "#882255", "v", hollow=True),
    "ACU-LSF-PIXELS": Look("ACU-LSF-PIXELS", "#8C6D1F", "s"),
    "ACU-LSF-PCA": Look("ACU-LSF-PCA", "#8C6D1F", "^"),
    "ACU-LSF-CLASSIFIER": Look("ACU-LSF-CLASSIFIER", "#8C6D1F", "v"),
    "ACU-LSF-IMAGENET": Look("ACU-LSF-IMAGENET", "#8C6D1F", "D"),
}
"""A family of filters has one colour: green what ranks by confidence, wine what compares with trusted real data, brown
the paper's rule on other latents."""
FRONT = tuple(LOOKS)[:9]
"""Those that stand side by side in figures by generation, each in a colour of its own."""

WORLD_NAMES = {
    "gaussian": "Gaussian world",
    "low-rank": "low-rank world",
    "digits-weak": "digits, weak generation 0",
    "digits-strong": "digits, strong generation 0",
    "runaway": "two planes at 90°",
    "digits-weak-long": "digits, weak generation 0",
    "digits-strong-long": "digits, strong generation 0",
    "digits-strong-log-snr-long": "digits, strong generation 0, steps that do not narrow",
    "fashion-mnist": "Fashion-MNIST, weak generation 0",
    "fashion-mnist-strong": "Fashion-MNIST, strong generation 0",
}


def row_name(name: str) -> str:
    """A world's name beside a row: the regime on a line of its own."""
    return WORLD_NAMES[name].replace(", ", ",\n")


def interval(values: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mean, low, high) over axis 0, the seeds: the 95% t-interval; infinitely wide for a single seed."""
    x = np.asarray(values, dtype=float)
    n, mean = len(x), x.mean(axis=0)
    half = stats.t.ppf(0.975, n - 1) * x.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.inf
    return mean, mean - half, mean + half


def new(rows: int, columns: int, width: float, height: float, **kwargs: Any) -> tuple[Figure, np.ndarray]:
    """A figure of `width` x `height` inches with a (rows, columns) array of axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **kwargs)


def finish(
    figure: Figure,
    title: str,
    caption: str,
    worlds: Iterable["Marked"] = (),
    handles: Sequence[Any] = (),
    columns: int | None = None,
) -> Figure:
    """Title, one legend of the `handles` of all panels, the panels, caption; smoke and stale records are named."""
    worlds = list(worlds)
    if any(w.smoke for w in worlds):
        title += " — smoke"
        caption = f"Smoke records: cut short, a few seeds, they decide nothing. {caption}"
    if any(w.stale for w in worlds):
        title += " — stale"
        caption = f"Stale records: made by another source, or with other settings, than today's. {caption}"
    colour = "#a00000" if any(w.smoke or w.stale for w in worlds) else "black"
    width, height = (float(a) for a in figure.get_size_inches())
    lines = textwrap.wrap(caption, int(width * 15.5))
    entries = {h.get_label(): h for h in handles}
    columns = columns or max(len(entries), 1)
    above = 0.4 + 0.2 * -(-len(entries) // columns)
    below = 0.16 * len(lines) + 0.12
    box = (0, below / height, 1, 1 - (below + above) / height)
    figure.get_layout_engine().set(rect=box)  # type: ignore[union-attr,call-arg]
    head: dict[str, Any] = {"ha": "left", "va": "top", "fontsize": 11, "weight": "bold", "color": colour}
    figure.text(0.08 / width, 1 - 0.08 / height, title, **head)
    foot: dict[str, Any] = {
        "ha": "left",
        "va": "bottom",
        "fontsize": 8,
        "color": "#333333",
        "linespacing": 1.3,
    }
    figure.text(0.08 / width, 0.06 / height, "\n".join(lines), **foot)
    if entries:
        place: Any = {"loc": "upper left", "bbox_to_anchor": (0.0, 1 - 0.3 / height), "ncols": columns}
        legend = figure.legend(list(entries.values()), list(entries), fontsize=8.5, **place)
        legend.set_in_layout(False)
    return figure


def seeds_of(worlds: Iterable[World]) -> str:
    """The part of a caption that says what an interval stands on."""
    worlds = list(worlds)
    n = ", ".join(
        f"{seeds_on(w)} ({WORLD_NAMES[w.name]})" if len(worlds) > 1 else seeds_on(w) for w in worlds
    )
    return f"Mean and 95% t-interval over seeds, n = {n}."


def seeds_on(world: Seeded) -> str:
    """How many seeds, and on how many generation-0 models if they share some."""
    models = world.models
    return f"{world.n} on {models} generation-0 models, conditional on them" if models else str(world.n)


def bars(
    axes: Axes,
    x: Any,
    values: np.ndarray,
    policy: str,
    log: bool = False,
    apart: float = APART,
    **kwargs: Any,
) -> Line2D:
    """The mean of `values` (seeds, len(x)) with its interval, policies `apart` in x; `log`: interval of logs."""
    look = LOOKS[policy]
    mean, low, high = (np.exp(a) for a in interval(np.log(values))) if log else interval(values)
    settings: dict[str, Any] = {
        "color": look.colour,
        "marker": look.marker,
        "markerfacecolor": "white" if look.hollow else look.colour,
        "label": look.label,
        "zorder": 3 if policy == "ACU-LSF" else 2,
        **kwargs,
    }
    place = FRONT.index(policy) if policy in FRONT else (len(FRONT) - 1) / 2
    x = np.asarray(x) + apart * (place - (len(FRONT) - 1) / 2)
    line = axes.plot(x, mean, **settings)[0]
    if len(values) > 1:
        axes.vlines(x, low, high, color=look.colour, linewidth=1, alpha=0.7, zorder=settings["zorder"])
    return line


def floor_line(
    axes: Axes, values: np.ndarray, label: str, log: bool = False, vertical: bool = False
) -> Line2D:
    """Real data: a grey line at the mean of `values` (seeds,), a band where seeds differ."""
    mean, low, high = (np.exp(a) for a in interval(np.log(values))) if log else interval(values)
    line, span = (axes.axvline, axes.axvspan) if vertical else (axes.axhline, axes.axhspan)
    if len(values) > 1 and np.ptp(values) > 0:
        span(float(low), float(high), color=FLOOR, alpha=0.25, linewidth=0, zorder=0.5)
    return line(float(mean), color=FLOOR, linewidth=1.2, linestyle=(0, (5, 2)), zorder=1, label=label)


def generations(axes: Axes, last: int, first: int = 0) -> None:
    """An integer axis of generations."""
    axes.set_xlim(first - 0.25, last + 0.25)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7, min_n_ticks=2))
    axes.set_xlabel("generation k")


def fit_y(
    axes: Axes, parts: Sequence[np.ndarray], log: bool = False, least: float = -np.inf, most: float = np.inf
) -> None:
    """Limits that hold every seed's value in `parts` (of many seeds, the mean), and of the intervals as much as
    adds half that range.

    With two or three seeds an interval can be tenfold the values: the axis stays readable, the bar runs out of it.
    """
    scale = np.log if log else np.asarray
    values = [np.atleast_1d(scale(part)) for part in parts]
    held = [v if len(v) <= FEW else v.mean(axis=0) for v in values]
    lowest, highest = min(float(v.min()) for v in held), max(float(v.max()) for v in held)
    span = max(highest - lowest, 0.05)
    ends = [e for v in values if len(v) > 1 for e in interval(v)[1:]]
    low = max(min([lowest, *(float(np.min(e)) for e in ends)]), lowest - span / 4) - 0.05 * span
    high = min(max([highest, *(float(np.max(e)) for e in ends)]), highest + span / 4) + 0.05 * span
    if log:
        axes.set_yscale("log")
        axes.set_ylim(np.exp(low), np.exp(high))
        plain_logarithms(axes)
    else:
        axes.set_ylim(max(low, least), min(high, most))


def stretched(axes: Axes) -> None:
    """An axis that is linear near zero and logarithmic beyond 5: shows a fall of 1 beside a rise of 40."""
    low, high = axes.get_ylim()
    axes.set_yscale("asinh", linear_width=5.0)
    ticks = [t for t in (-50, -20, -10, -5, 0, 2, 5, 10, 20, 50, 100) if low <= t <= high]
    axes.set_yticks(ticks, [str(t) for t in ticks])
    axes.set_ylim(low, high)


def name_ends(axes: Axes, ends: dict[str, float], gap: float = 0.062) -> None:
    """The name of each policy right of the axes at the height `ends` of its line, pushed apart to `gap` of the axes.

    Limits and scale must have been set.
    """
    data = axes.transData + axes.transAxes.inverted()
    wanted = {p: float(data.transform((1.0, y))[1]) for p, y in ends.items()}
    order = sorted(wanted, key=lambda p: wanted[p])
    heights = pushed_apart([wanted[p] for p in order], gap)
    for p, height in zip(order, heights, strict=True):
        text: dict[str, Any] = {"color": LOOKS[p].colour, "fontsize": 8, "va": "center", "clip_on": False}
        axes.text(1.02, height, p, transform=axes.transAxes, **text)


def pushed_apart(heights: Sequence[float], gap: float) -> np.ndarray:
    """Sorted heights in [0, 1], moved as little as is needed (least squares) to stand `gap` apart there."""
    steps = gap * np.arange(len(heights))
    free = isotonic_regression(np.asarray(heights) - steps).x
    return np.clip(free, 0, max(1 - steps[-1], 0)) + steps


def plain_logarithms(axes: Axes, which: str = "y") -> None:
    """Ticks 1, 2, 5, 10 ... written as they are spoken; minor ticks unlabelled."""
    axis = axes.yaxis if which == "y" else axes.xaxis
    low, high = sorted(axis.get_view_interval())
    ratio = high / low
    subs = (1.0,) if ratio > 300 else (1.0, 2.0, 5.0) if ratio > 6 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axis.set_minor_formatter(NullFormatter())
