"""check_filter lets sound filters pass, and names the law that a broken one breaks, with a small example."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lsf import DensityRatioFilter, LatentSpaceFilter, Matched, Random, Top, laws, testing
from lsf.laws import LAWS, world_from
from lsf.testing import check_filter
from tests import broken_filters as broken


def test_sound_filters_pass() -> None:
    kept = check_filter(LatentSpaceFilter(), examples=3)
    assert set(kept) == {
        law.__name__ for law in laws.LAWS_OF_SCORES + laws.LAWS_OF_SELECTION + laws.LAWS_OF_PROVENANCE
    }
    check_filter(LatentSpaceFilter, ["keeps_the_most_confident", "nested_in_budget"], examples=3)
    check_filter(lambda: LatentSpaceFilter(rule=Random("class")), skip=kept[:3], examples=3)
    by_pool = check_filter(DensityRatioFilter(), examples=3, rounding=1e-7)
    assert "scores_ignore_neighbours" not in by_pool


@pytest.mark.parametrize(
    ("filter_class", "law"),
    [
        (broken.BatchScoring, "scores_ignore_neighbours"),
        (broken.OrderDependent, "scores_follow_samples"),
        (broken.ReadsBorn, "reads_no_provenance"),
        (broken.KnowsTheReal, "recognises_nothing_of_fit"),
        (broken.FirstHalf, "choice_follows_samples"),
        (broken.Nondeterministic, "same_seed_same_choice"),
        (broken.InPlace, "leaves_arguments_and_global_state_alone"),
        (broken.NearTheReal, "recognises_nothing_of_fit"),
        (broken.RunningMean, "same_question_same_answer"),
        (broken.ByPrecision, "only_numbers_count"),
        (broken.LargeBatches, "scores_ignore_how_many"),
        (broken.GlobalDraws, "same_seed_same_choice"),
        (broken.AllButOne, "budget_is_exact"),
        (broken.StringsUpsideDown, "labels_are_names"),
    ],
)
def test_a_broken_filter_is_caught_by_default(filter_class: Any, law: str, seed: int) -> None:
    with pytest.raises(AssertionError) as caught:
        check_filter(filter_class, seed=seed, examples=6)
    text = str(caught.value)
    assert f"breaks the law {law}." in text
    assert "The law: " in text
    assert "world_from(classes=2, " in text, "not shrunk"


def test_the_smallest_example_breaks_the_law_again() -> None:
    with pytest.raises(AssertionError) as caught:
        check_filter(broken.QuotaIgnoring, ["equal_shares_by_class"])
    call = str(caught.value).rsplit("Smallest example: ", 1)[1]
    with pytest.raises(AssertionError):
        laws.equal_shares_by_class(broken.QuotaIgnoring, eval(call, {"world_from": world_from}))


class _Raises(LatentSpaceFilter):
    def select(self, x: Any, y: Any, budget: int, rng: Any = None) -> np.ndarray:
        raise ZeroDivisionError("of all things")


class _ChangesItsMind(LatentSpaceFilter):
    """Wrong now and then, whatever it is given."""

    calls = 0

    def select(self, x: Any, y: Any, budget: int, rng: Any = None) -> np.ndarray:
        type(self).calls += 1
        return super().select(x, y, budget - (self.calls == 6))


def test_a_filter_that_raises_or_changes_its_mind() -> None:
    with pytest.raises(AssertionError, match="raises ZeroDivisionError: of all things") as caught:
        check_filter(_Raises(), ["budget_is_exact"])
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    with pytest.raises(AssertionError, match="its answers change"):
        check_filter(_ChangesItsMind, ["budget_is_exact"])


def test_a_filter_of_other_rounding_needs_a_tolerance(rng: np.random.Generator) -> None:
    class Rounding(LatentSpaceFilter):
        def score_samples(self, x: Any, y: Any) -> np.ndarray:
            return super().score_samples(x, y) * (1 + 1e-15 * len(x))

    law = ["scores_ignore_neighbours"]
    with pytest.raises(AssertionError, match=r"differ by .*e-.*, allowed is 0"):
        check_filter(Rounding, law)
    check_filter(Rounding, law, rounding=1e-10)


def test_drawn_choices_are_not_asked_to_follow_samples() -> None:
    check_filter(LatentSpaceFilter(rule=Matched(shortfall="fill")), ["choice_follows_samples"], examples=3)

    class OwnDraws(LatentSpaceFilter):
        def select(self, x: Any, y: Any, budget: int, rng: Any = None) -> np.ndarray:
            return Random()(self.score_samples(x, y), y, budget, rng=0)

    with pytest.raises(AssertionError, match="choice_follows_samples"):
        check_filter(OwnDraws, ["choice_follows_samples"], examples=10)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: check_filter(LatentSpaceFilter(), ["be_good"]), ValueError, "found \\['be_good'\\]"),
        (
            lambda: check_filter(LatentSpaceFilter(), skip=["be_good"]),
            ValueError,
            "there are .*budget_is_exact",
        ),
        (lambda: check_filter(3), TypeError, "my_filter must be an estimator"),
    ],
)
def test_bad_arguments(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()


def test_every_law_says_what_it_means() -> None:
    assert len(LAWS) == 20
    assert all(law.__doc__ for law in LAWS.values())


def test_laws_hold_under_dash_O() -> None:
    """An assert statement would be left out there: a check that checks nothing."""
    for module in (laws, testing):
        tree = ast.parse(Path(module.__file__).read_text())
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Assert)]


def test_hypothesis_is_needed_only_to_check() -> None:
    script = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "from lsf.testing import check_filter\nfrom lsf import LatentSpaceFilter\n"
        "try: check_filter(LatentSpaceFilter())\nexcept ImportError as error: print(error)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "install it (extra 'testing')" in ran.stdout


def test_top_of_the_class_keeps_every_law() -> None:
    of_rules = {"keeps_the_most_confident"}  # a quota leaves out some that are surer
    kept = check_filter(LatentSpaceFilter(rule=Top("class")), LAWS, skip=of_rules, examples=3)
    assert len(kept) == 19
