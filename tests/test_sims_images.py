"""The digits are split once, into parts that never meet; the instruments read what they say, of as many samples."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, log_expit, logit
from sklearn.datasets import load_digits

from lsf.filter import LatentSpaceFilter
from lsf.ole import normalised_ole, ole
from lsf.pool import Pool
from sims.features import ClassifierFeatures, Identity, Judge
from sims.gaussian import ClassGaussians
from sims.image_worlds import classifiers
from sims.images import DATASETS, Parts, Split, digits, split_ids
from sims.instruments import Instruments, first_per_class, log_odds
from sims.lowrank import TwoSubspaces
from sims.metrics import frechet_distance
from sims.record import digest
from sims.seeds import stream
from sims.worlds import Built, Subspaces
from tests.tolerances import FLOAT64, close

PARTS = {"train": 720, "trusted": 300, "reference": 400, "classifiers": 377}
IDS = {
    "train": "bbe62f15d12d6ab6",
    "trusted": "2b004af4d28b461a",
    "reference": "94604bda8a80c004",
    "classifiers": "76896e7a7d5b877b",
}


# --- the split ---


def test_parts_are_disjoint_and_leave_nothing_out() -> None:
    ids = digits().ids
    assert {name: len(part) for name, part in ids.items()} == PARTS
    assert sorted(i for part in ids.values() for i in part) == list(range(1797))


def test_split_is_fixed() -> None:
    """Numbers of any two runs are of one split; a change of it must be seen here."""
    assert {name: digest(np.array(part)) for name, part in digits().ids.items()} == IDS
    classes, y = DATASETS["digits"].classes, images()[1]
    assert classes is not None
    assert split_ids(y, classes, Parts(72, 30, 40, None)) == digits().ids
    assert split_ids(y, classes, Parts(73, 30, 40, None)) != digits().ids  # control


def images() -> tuple[np.ndarray, np.ndarray]:
    data = load_digits()
    return (data.images / 8.0 - 1.0).astype(np.float32)[:, None], data.target


@pytest.mark.parametrize("part", PARTS)
def test_pools_hold_the_images_of_their_ids(part: str) -> None:
    x, y = images()
    pool, ids = getattr(digits(), part), digits().ids[part]
    assert (pool.x == x[ids]).all()
    assert (pool.y == y[ids]).all()
    assert (pool.born == 0).all()


def test_classes_are_balanced_where_they_must_be() -> None:
    split = digits()
    assert np.bincount(split.train.y).tolist() == [72] * 10
    assert np.bincount(split.trusted.y).tolist() == [30] * 10
    assert np.bincount(split.reference.y).tolist() == [40] * 10
    assert np.bincount(split.classifiers.y).min() >= 32


def test_images_fill_the_range() -> None:
    x = digits().train.x
    assert x.shape[1:] == (1, 8, 8)
    assert x.dtype == np.float32
    assert (x.min(), x.max()) == (-1, 1)


def test_ids_are_plain_numbers_for_the_record() -> None:
    assert all(type(i) is int for part in digits().ids.values() for i in part)


# --- feature space and judge ---


def test_classifiers_know_digits_they_never_saw() -> None:
    features, judge = classifiers("digits")
    split: Split = digits()
    assert features.accuracy(split.reference) > 0.9
    assert judge.accuracy(split.reference) > 0.95
    wrong = Pool(split.reference.x, (split.reference.y + 1) % 10, 0)
    assert judge.accuracy(wrong) < 0.05


def test_features_are_the_layer_below_the_answer(rng: np.random.Generator) -> None:
    """The network's own answer follows from them, and from nothing less."""
    features = classifiers("digits")[0]
    x = digits().reference.x[:40]
    h = features(x)
    assert h.shape == (40, 32)
    assert (h >= 0).all()
    scores = h @ features.network.coefs_[-1] + features.network.intercepts_[-1]
    assert (scores.argmax(axis=1) == features.network.predict(x.reshape(40, -1).astype(float))).all()
    assert "32" in features.name


def test_features_are_the_same_in_every_process() -> None:
    again = ClassifierFeatures(digits().classifiers)
    x = digits().reference.x[:5]
    assert (again(x) == classifiers("digits")[0](x)).all()


# --- instruments ---


def test_log_odds() -> None:
    p = np.array([0.01, 0.3, 0.5, 0.9, 1 - 1e-9])
    assert close(log_odds(np.log(p)), logit(p), FLOAT64, 1e4)
    z = np.array([-5000.0, -800.0, -30.0, 0.0, 30.0, 300.0])
    assert close(log_odds(log_expit(z)), z, FLOAT64)
    naive = np.log(expit(30.0) / (1 - expit(30.0)))
    assert not close(naive, 30.0, FLOAT64)  # control: what it must not do
    assert np.isfinite(log_odds(np.array([0.0, -1e308]))).all()


def test_first_per_class() -> None:
    pool = Pool(np.arange(7.0)[:, None], np.array([1, 0, 1, 1, 0, 0, 1]), 0)
    assert first_per_class(pool, 2).x[:, 0].tolist() == [1, 4, 0, 2]
    with pytest.raises(ValueError, match=r"4 samples of each class are asked for .*the smallest has 3"):
        first_per_class(pool, 4)


WORLD = Subspaces(TwoSubspaces(6, 2, np.pi / 3, 0.3), ClassGaussians(), per_class=40, reference_per_class=60)


@pytest.fixture(scope="module")
def built(seed: int) -> Built:
    return WORLD.build(seed)


@pytest.fixture(scope="module")
def instruments(built: Built, seed: int) -> Instruments:
    return built.instruments(built.generator.fit(built.train, stream(seed, "train", 0)))


def test_parts_of_an_analytic_world_are_of_one_truth_but_not_the_same(
    built: Built, instruments: Instruments
) -> None:
    assert (len(built.train), len(built.reference)) == (80, 120)
    assert not np.isin(built.train.x, built.reference.x).any()
    assert built.notes["judge_accuracy"] > 0.7
    assert built.notes["feature_space"] == "coordinates"


def test_measure_is_made_of_the_metrics(
    built: Built, instruments: Instruments, rng: np.random.Generator
) -> None:
    made = Pool(1.5 * rng.standard_normal((90, 6)), np.repeat([0, 1], 45), 1)
    found = instruments.measure(made)
    assert (found["n"], found["n_reference"]) == (90, 120)
    assert found["frechet"] == frechet_distance(built.reference.x, made.x)
    assert found["accuracy"] == np.mean(instruments.judge.labels(made.x) == made.y)
    scores = instruments.filter.score_samples(made.x, made.y)
    assert found["log_odds"] == log_odds(scores).mean()
    assert found["confidence"] == np.exp(scores).mean()
    spread = [sum(p.x[p.y == c].var(axis=0, ddof=1).sum() for c in (0, 1)) for p in (made, built.reference)]
    assert close(found["variance_ratio"], spread[0] / spread[1])
    assert len(found["retention"]) == 2


def test_floor_is_real_data_at_the_size_of_a_generation(built: Built, instruments: Instruments) -> None:
    """Quality: train against reference. Confidence and OLE: of the reference, which probe and network never saw."""
    instruments = replace(instruments, ole_per_class=20)
    some = first_per_class(built.train, 20)
    floor, measured = instruments.floor(built.train, 40), instruments.measure(some)
    unseen = instruments.filter.score_samples(built.reference.x, built.reference.y)
    assert (floor["n"], floor["n_reference"]) == (40, 120)
    assert floor["frechet"] == measured["frechet"] == frechet_distance(built.reference.x, some.x)
    assert floor["log_odds"] == log_odds(unseen).mean() != measured["log_odds"]
    part = first_per_class(built.reference, 20)
    assert close(floor["ole"][0]["raw"], ole(part.x, part.y), FLOAT64, 1e3)
    assert close(floor["ole"][0]["normalised"], normalised_ole(part.x, part.y), FLOAT64, 1e3)


def test_ole_reads_the_same_number_of_each_class(instruments: Instruments, rng: np.random.Generator) -> None:
    """However many samples there are, and however unequal the classes: OLE depends on n."""
    shown: list[np.ndarray] = []

    def latents(x: np.ndarray, inputs: tuple[str, ...]) -> list[tuple[dict[str, Any], np.ndarray]]:
        shown.append(x)
        return [({"input": name}, x) for name in inputs]

    spied = Instruments(
        instruments.kit, Identity(), instruments.judge, latents, instruments.reference, ole_per_class=20
    )
    y = np.repeat([0, 1], [100, 30])
    x = rng.standard_normal((130, 6))
    rows = spied.labelled_latents(Pool(x, y, 1), ("clean", "noised"))
    assert [r["input"] for r, _, _ in rows] == ["clean", "noised"]
    assert (shown[0] == x[[*range(20), *range(100, 120)]]).all()
    again = spied.labelled_latents(Pool(x[:125], y[:125], 1), ("clean",))
    assert (again[0][1] == rows[0][1]).all()
    assert np.bincount(again[0][2]).tolist() == [20, 20]


def test_choices_are_what_the_filter_would_keep(built: Built, instruments: Instruments) -> None:
    lsf: LatentSpaceFilter = instruments.filter
    made = Pool(0.2 * built.train.x, built.train.y, 1)
    pool = Pool.concat([built.train, made])
    found = instruments.choices(pool, 60)
    kept = lsf.select(pool.x, pool.y, 60)
    assert found["pool"]["share_real"] == 0.5
    assert found["global"]["share_real"] == np.mean(pool.born[kept] == 0)
    assert found["global"]["smallest_class"] == np.bincount(pool.y[kept], minlength=2).min() / 60
    assert found["class"]["smallest_class"] == 0.5
    assert [part["n"] for part in found.values()] == [160, 60, 60]


def test_class_that_the_filter_drops_is_told(built: Built, instruments: Instruments) -> None:
    """Class 1 is all noise: the most confident few hold none of it, and its share is 0, not that of class 0."""
    bad = built.train.y == 1
    pool = Pool(np.where(bad[:, None], 0.0, 5 * built.train.x), built.train.y, 1)
    found = instruments.choices(pool, 10)
    assert found["global"]["smallest_class"] == 0.0
    assert found["class"]["smallest_class"] == 0.5


def test_judge_of_two_covariances(built: Built) -> None:
    """The classes differ in no mean: a quadratic judge sees them, one that is blind to covariance would guess."""
    truth = WORLD.truth
    U = truth.frames(stream(1))
    train, test = (truth.draw(U, 500, stream(1, k)) for k in range(2))
    assert Judge(train, kind="quadratic").accuracy(test) > 0.8
