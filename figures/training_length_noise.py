"""At which quality of generation 0 does the filter turn from help to harm, where the solver adds noise?

As figures.training_length, of the same networks sampled with noise in each of ten steps.
"""

from matplotlib.figure import Figure

from figures import training_length
from figures.records import World
from sims.presets import NOISY_LENGTHS

__all__ = ["WORLDS", "draw"]

WORLDS = tuple(row.name for row in NOISY_LENGTHS)


def draw(worlds: dict[str, World]) -> Figure:
    """(a) against the steps that generation 0 was trained, (b) against the label accuracy it reached."""
    return training_length.draw(worlds, "with noise")
