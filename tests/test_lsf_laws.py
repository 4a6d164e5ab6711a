"""The filter keeps its laws, with every rule; and each law rejects a filter that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings

from lsf import EnergyFeatures, FlattenedPCA, LatentSpaceFilter, Matched, Random, Threshold, Top, laws
from tests import broken_filters as broken

ENCODERS = [None, EnergyFeatures(rank=1), FlattenedPCA(1), abs]
GLOBAL = [Top(), Random(), Threshold(shortfall="fill"), Matched(quota="global", shortfall="fill")]
BY_CLASS = [
    Top("class"),
    Random("class"),
    Threshold(quota="class", shortfall="fill"),
    Matched(shortfall="fill"),
]
Law = Callable[[Callable[[], Any], laws.World], None]


def _name(value: Any) -> str:
    return getattr(value, "__name__", repr(value))


def _maker(rule: Any = BY_CLASS[0], encoder: Any = None) -> Callable[[], LatentSpaceFilter]:
    return lambda: LatentSpaceFilter(encoder, rule, random_state=0)


@pytest.mark.parametrize("encoder", ENCODERS, ids=_name)
@pytest.mark.parametrize("law", laws.LAWS_OF_SCORES + laws.LAWS_OF_CONFIDENCE, ids=_name)
@settings(max_examples=6)
@given(world=laws.worlds())
def test_scores(law: Law, encoder: Any, world: laws.World) -> None:
    if law is laws.scores_do_not_saturate and encoder is not None:
        encoder = (
            None  # that law brings its own one-dimensional world, in which only the identity is monotone
        )
    law(_maker(encoder=encoder), world)


@pytest.mark.parametrize("rule", GLOBAL + BY_CLASS, ids=_name)
@pytest.mark.parametrize("law", laws.LAWS_OF_SELECTION + laws.LAWS_OF_PROVENANCE, ids=_name)
@settings(max_examples=5)
@given(world=laws.worlds())
def test_selection(law: Law, rule: Any, world: laws.World) -> None:
    law(_maker(rule), world)


@pytest.mark.parametrize("rule", BY_CLASS, ids=_name)
@settings(max_examples=6)
@given(world=laws.worlds())
def test_equal_shares(rule: Any, world: laws.World) -> None:
    laws.equal_shares_by_class(_maker(rule), world)


@pytest.mark.parametrize("rule", [Top(), Top("class"), Random(), Random("class")], ids=_name)
@settings(max_examples=6)
@given(world=laws.worlds())
def test_nested(rule: Any, world: laws.World) -> None:
    laws.nested_in_budget(_maker(rule), world)


@pytest.mark.parametrize("rule", [Top(), Top("class")], ids=_name)
@settings(max_examples=6)
@given(world=laws.worlds())
def test_ties(rule: Any, world: laws.World) -> None:
    laws.ties_go_to_the_lower_index(_maker(rule), world)


@settings(max_examples=6)
@given(world=laws.worlds())
def test_top_is_top(world: laws.World) -> None:
    laws.keeps_the_most_confident(_maker(Top()), world)


CONTROLS = [
    (laws.one_number_a_sample, broken.ByClass),
    (laws.scores_are_log_confidences, broken.Probability),
    (laws.scores_follow_samples, broken.OrderDependent),
    (laws.scores_ignore_neighbours, broken.BatchScoring),
    (laws.scores_do_not_saturate, broken.SaturatingFloat32),
    (laws.budget_is_exact, broken.AskingForMore),
    (laws.indices_are_sorted_and_unique, broken.Unsorted),
    (laws.indices_are_sorted_and_unique, broken.WithReplacement),
    (laws.same_seed_same_choice, broken.Nondeterministic),
    (laws.leaves_arguments_and_global_state_alone, broken.InPlace),
    (laws.leaves_arguments_and_global_state_alone, broken.GlobalSeed),
    (laws.scores_ignore_how_many, broken.LargeBatches),
    (laws.budget_is_exact, broken.AllButOne),
    (laws.same_seed_same_choice, broken.GlobalDraws),
    (laws.same_question_same_answer, broken.RunningMean),
    (laws.same_question_same_answer, broken.TiresOfCalls),
    (laws.leaves_arguments_and_global_state_alone, broken.OneGlobalDraw),
    (laws.leaves_arguments_and_global_state_alone, broken.SeedsRandom),
    (laws.leaves_arguments_and_global_state_alone, broken.CentresFloat32),
    (laws.leaves_arguments_and_global_state_alone, broken.ScalesWhatItScores),
    (laws.only_numbers_count, broken.ByOrderOfMemory),
    (laws.only_numbers_count, broken.ByStride),
    (laws.only_numbers_count, broken.ByPermission),
    (laws.only_numbers_count, broken.ByPrecision),
    (laws.labels_are_names, broken.StringsUpsideDown),
    (laws.reads_no_provenance, broken.ReadsBorn),
    (laws.recognises_nothing_of_fit, broken.KnowsTheReal),
    (laws.recognises_nothing_of_fit, broken.NearTheReal),
    (laws.choice_follows_samples, broken.FirstHalf),
    (laws.nested_in_budget, broken.Redrawing),
    (laws.equal_shares_by_class, broken.QuotaIgnoring),
    (laws.ties_go_to_the_lower_index, broken.RandomTies),
    (laws.ties_go_to_the_lower_index, broken.DescendingTies),
    (laws.keeps_the_most_confident, broken.LeastConfident),
]


@pytest.mark.parametrize(("law", "filter_class"), CONTROLS, ids=_name)
def test_law_rejects(law: Law, filter_class: type[LatentSpaceFilter], seed: int) -> None:
    world = laws.world_from(classes=4, features=3, per_class=15, share=0.55, seed=seed)
    with pytest.raises(AssertionError):
        law(filter_class, world)
