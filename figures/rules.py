"""How do the rules of the analytic worlds look, and what are they called?

Okabe and Ito's colours for the policies of the paper, Tol's for the others; markers tell them apart in print.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from figures.style import LOOKS, Look, interval

__all__ = ["RULE_LOOKS", "path"]

RULE_LOOKS = {
    "ACUR": Look("random choice (ACUR)", LOOKS["ACUR"].colour, "^"),
    "ACU-LSF": Look("top-N, global (the paper's)", LOOKS["ACU-LSF"].colour, "o"),
    "ACU-LSF-CLASS": Look("top-N, per class", "#66CC99", "o", hollow=True),
    "ACU-LSF-THRESHOLD-CLASS": Look("reject below 5%", "#999933", "D"),
    "ACU-LSF-MATCHED": Look("confidence-matched", "#AA4499", "s"),
    "ACU-RATIO-CLASS": Look("density ratio", "#DDAA33", "v"),
    "ACU-RANKSUM-CLASS": Look("rank sum", "#882255", "P"),
    "ACU-HERD": Look("trim, then herd", "#CC6677", "X"),
    "ACU-SHRUNK": Look("shrunk herding (ours)", "#332288", "*"),
    "ORACLE": Look("real data only (oracle)", "#000000", "x"),
}
"""In the order of sims.sweeps.RULES, the oracle last: it knows what no rule is told."""


def path(ax: Axes, x: np.ndarray, values: np.ndarray, look: Look) -> None:
    """The mean of `values` (seeds, len(x)) with its interval, joined by a thin line."""
    mean, low, high = interval(values)
    ax.vlines(x, low, high, color=look.colour, linewidth=1.2)
    face = "white" if look.hollow else look.colour
    drawn: Any = {"color": look.colour, "markerfacecolor": face, "label": look.label}
    ax.plot(x, mean, look.marker, linestyle="-", linewidth=0.8, **drawn)
