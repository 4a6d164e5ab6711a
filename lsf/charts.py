"""How do the figures of the report look?

Inline SVG whose colours are those of the page (`var(--kept)`, ...), so that it is read in the dark and in print; text
stays text. Kinds of samples differ in line as well as in colour. Needs matplotlib (extra "report"), of which no global
state is used but its settings, within a `with`.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

__all__ = ["histogram", "spread_bars", "by_timestep", "BARS"]

MARKS = {"text": "#010101", "real": "#020202", "pool": "#030303", "kept": "#040404", "grid": "#050505"}
"""Stand for the page's colours until the SVG is written."""
LINES: dict[str, Any] = {
    "real": {"linestyle": (0, (4, 1.5)), "marker": "s"},
    "pool": {"linestyle": "-", "marker": "o"},
    "kept": {"linestyle": "-", "marker": "^", "linewidth": 2.2},
}
BARS, BINS, FLOOR = 30, 40, 1e-12
RC: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "lsf",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.edgecolor": MARKS["text"],
    "axes.labelcolor": MARKS["text"],
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "text.color": MARKS["text"],
    "xtick.color": MARKS["text"],
    "ytick.color": MARKS["text"],
    "grid.color": MARKS["grid"],
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.markersize": 4.5,
}


def histogram(scores: Mapping[str, np.ndarray], confidence: bool) -> str:
    """Shares of scores in `BINS` bins, of "real", "pool" and "kept"; log-confidences by their size on a log axis."""
    log = confidence and all((s <= 0).all() for s in scores.values())
    values = {name: np.log10(np.maximum(-s, FLOOR)) if log else s for name, s in scores.items()}
    edges = np.histogram_bin_edges(np.concatenate(list(values.values())), BINS)

    def draw(axes: Any) -> None:
        for name, v in values.items():
            share = np.histogram(v, edges)[0] / len(v)
            style = {key: value for key, value in LINES[name].items() if key != "marker"}
            axes.stairs(share, edges, color=MARKS[name], label=f"{name}, n = {len(v)}", **style)
        axes.set_ylabel(f"share of samples, {BINS} bins")
        axes.set_xlabel("−log p of own label, nats; to the right: more certain" if log else "score")
        if log:
            axes.invert_xaxis()
            axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(6, integer=True))
            axes.xaxis.set_major_formatter(lambda u, _: f"1e{u:.0f}" if u else "1")
        axes.legend()

    return _svg("scores", draw)


def spread_bars(names: Sequence[str], spread: np.ndarray) -> str:
    """Spread of the kept over that of the pool, a bar a class, 1 marked; of many classes the `BARS` narrowest."""
    order = np.sort(np.argsort(spread, kind="stable")[:BARS])

    def draw(axes: Any) -> None:
        places = np.arange(len(order))
        axes.barh(places, np.nan_to_num(spread[order]), height=0.7, color=MARKS["kept"])
        for place, ratio in zip(places, spread[order], strict=True):
            axes.annotate(
                "unknown" if np.isnan(ratio) else f"{ratio:.2f}",
                (0.99, place),
                xycoords=axes.get_yaxis_transform(),  # in a column beyond the bars, which end at 1 / 1.15
                ha="right",
                va="center",
            )
        axes.axvline(1, color=MARKS["text"], linestyle=(0, (2, 2)), linewidth=1.2)
        axes.set_yticks(places, [names[k] for k in order])
        for label in axes.get_yticklabels():
            label.set_parse_math(False)  # a name is no formula
        axes.set_xlim(0, 1.15 * max(1.0, np.nanmax(spread, initial=1.0)))
        axes.set_ylim(len(order) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("tr Cov kept / tr Cov pool; left of 1: narrowed")

    return _svg("spread", draw, 1.0 + 0.22 * len(order))


def by_timestep(
    steps: Sequence[int], values: Mapping[str, Sequence[float]], counts: Mapping[str, int]
) -> str:
    """Normalised OLE of "real", "pool" and "kept" against the timestep."""

    def draw(axes: Any) -> None:
        for name, ole in values.items():
            axes.plot(steps, ole, color=MARKS[name], label=f"{name}, n = {counts[name]}", **LINES[name])
        axes.set_xlabel("timestep")
        axes.set_ylabel("normalised OLE")
        axes.legend()

    return _svg("ole", draw)


def _svg(name: str, draw: Callable[[Any], None], height: float = 2.8) -> str:
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **RC}), warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Glyph"
        )  # the browser has the letters that matplotlib lacks
        figure = Figure(figsize=(4.2, height), layout="constrained")
        canvas, file = FigureCanvasSVG(figure), io.StringIO()
        draw(figure.add_subplot())
        canvas.print_svg(file, metadata=dict.fromkeys(("Date", "Format", "Type", "Creator")))
    return _inline(name, file.getvalue())


def _inline(name: str, svg: str) -> str:
    """The <svg> alone, its colours the page's, its ids its own; hidden from readers of text, who have a caption."""
    svg = svg[svg.index("<svg") :]
    for colour, mark in MARKS.items():
        svg = svg.replace(mark, f"var(--{colour})")
    for before in (' id="', 'href="#', "url(#"):
        svg = svg.replace(before, f"{before}{name}-")
    return re.sub(r"<svg ", '<svg aria-hidden="true" focusable="false" ', svg, count=1)
