"""The figure of the bound for C classes: its lines are the formulas', and it shades exactly where a bound is false."""

import numpy as np

from figures import multiclass_bound
from tests.tolerances import close
from theory.confidence import snr
from theory.counterexamples import natural_multiclass_bound
from theory.multiclass import sharp_confidence_bound


def lines(ax):
    """y by the first word of the label."""
    return {line.get_label().split()[0]: np.asarray(line.get_ydata()) for line in ax.get_lines()}


def test_lines_are_those_of_the_formulas():
    figure = multiclass_bound.draw({})
    D = multiclass_bound.D
    assert close(snr(np.pi / 2, multiclass_bound.NOISE)[:, 0], D * 2 / multiclass_bound.RANK)
    for C, above, below in zip(multiclass_bound.CLASSES, figure.axes[:4], figure.axes[4:], strict=True):
        drawn, ratio = lines(above), lines(below)
        assert close(
            drawn["Theorem"], natural_multiclass_bound(C, multiclass_bound.RANK, multiclass_bound.NOISE)
        )
        assert close(drawn["sharp"], sharp_confidence_bound((C - 1) * D, C))
        assert (drawn["exact,"] <= drawn["sharp"]).all()
        false = drawn["Theorem"] < drawn["exact,"]
        assert (false == (ratio["Theorem"] < 1)).all()
        assert false.any() == (C > 2)
