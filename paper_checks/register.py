"""What is a row of the register of claims, and which worlds is it checked in?"""

from dataclasses import dataclass

__all__ = [
    "Claim", "WORLDS", "ANALYTIC", "DIGITS", "IMAGES", "LOOPS", "FROM_RUNS", "NOTES", "OTHER", "OURS", "RERUN",
    "rows", "theory",
]  # fmt: skip

ANALYTIC = ("gaussian", "low-rank")
DIGITS = ("digits-weak", "digits-strong")
IMAGES = (*DIGITS, "fashion-mnist", "fashion-mnist-strong")
LOOPS = ANALYTIC + IMAGES
WORLDS = ("theory", *LOOPS)

FROM_RUNS = ("superior", "equivalent", "not worse")
"""The rules that read the records of the loops."""

RERUN = ("REAL", "SYN", "SYN-ADD", "ACUR", "ACUR-SC", "ACU-LSF", "ACU-SHRUNK")
"""What `pytest paper_checks` runs again on the digits; the other policies' lines are read from the record, those of ACU
and ACUR-SIMS too, which take as long as four of these."""

SOURCES = ("loops", "record", "lengths", "lengths-stochastic-10")
OTHER = ("long", "stochastic", "stochastic-10", "20-steps", "log-snr", "log-snr-long", "pools")
"""Presets of a world beside its own: what their names add to it."""

NOTES = "paper, experiments, as reported in secondary notes"
OURS = "ours"


@dataclass(frozen=True)
class Claim:
    """One row: `id` and `convention` name it; `worlds` are those in which this version of the project checks it.

    `source`: where evidence on images comes from, "loops" run now, or a record: "record" of the world's own preset,
    one of `OTHER` presets of the world, whose name it ends ("long": fifteen generations), "lengths" (the sweep of
    generation-0 training; "-stochastic-10": with noise in ten solver steps). Worlds that are never run by the checks
    have a record whatever it says, and analytic none.
    """

    id: str
    convention: str
    place: str
    statement: str
    rule: str = "superior"
    margin: float = 0.0
    worlds: tuple[str, ...] = LOOPS
    cost: str = "read from the loops' records"
    source: str = "loops"

    def __post_init__(self) -> None:
        if self.source not in (*SOURCES, *OTHER):
            raise ValueError(f"source must be one of {(*SOURCES, *OTHER)}, found {self.source!r}")

    @property
    def name(self) -> str:
        """The id and, in brackets, the convention."""
        return f"{self.id} [{self.convention}]" if self.convention else self.id

    @property
    def summarises(self) -> bool:
        """Is this row a conjunction of others, with no statistic of its own?"""
        return self.id == "right-in-both" or self.convention.endswith("every rival at hand")

    def record(self, world: str) -> str | None:
        """The record that its evidence in a world is read from; None where loops are run for it."""
        if world not in IMAGES or (world in DIGITS and self.source == "loops"):
            return None
        return f"{world}-{self.source}" if self.source in OTHER else world

    def length(self, steps: int) -> str:
        """The record of one training length, for a claim whose source is a sweep of them."""
        return f"digits-length-{steps}{self.source.removeprefix('lengths')}"


def rows(conventions: tuple[str, ...], **shared: object) -> list[Claim]:
    """One claim under several conventions."""
    return [Claim(convention=c, **shared) for c in conventions]  # type: ignore[arg-type]


def theory(
    id: str, convention: str, place: str, statement: str, worlds: tuple[str, ...] = ("theory",)
) -> Claim:
    """A statement of the theory."""
    return Claim(id, convention, place, statement, "exact", 0.0, worlds, "seconds")
