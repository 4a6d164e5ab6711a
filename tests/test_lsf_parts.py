"""Pool, probe, encoders and the filter's shape: what each part promises besides the laws."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import lsf
from lsf import EnergyFeatures, FlattenedPCA, LatentSpaceFilter, Matched, Pool, Probe, Random, Top
from lsf.blocks import in_blocks
from lsf.filter import held_out
from lsf.ole import normalised_ole, ole
from tests.tolerances import FLOAT64, close


def _classes(rng: np.random.Generator, n: int, c: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    y = np.arange(n) % c
    return rng.standard_normal((n, features)) + 1.5 * np.eye(c, features)[y], y


# --- pool ---


def test_pool_is_a_value(rng: np.random.Generator) -> None:
    x, y = _classes(rng, 10, 3, 4)
    pool = Pool(x, y)
    assert pool.born.tolist() == [0] * 10
    both = Pool.concat([pool, Pool(x + 1, y, born=2)])
    assert len(both) == 20
    assert both.classes.tolist() == [0, 1, 2]
    part = both.take([12, 3])
    np.testing.assert_array_equal(part.x, [x[2] + 1, x[3]])
    assert (part.y.tolist(), part.born.tolist()) == ([2, 0], [2, 0])
    assert len(both.take(both.born == 2)) == 10
    assert len(both.take([])) == 0
    with pytest.raises(AttributeError):
        pool.x = x  # type: ignore[misc]


# --- probe ---


@pytest.mark.parametrize("c", [2, 4])
def test_probe_is_scikit_learns_softmax_regression(c: int, rng: np.random.Generator) -> None:
    x, y = _classes(rng, 120, c, 5)
    x[:, 0] = 1e3 + 50 * x[:, 0]  # standardised away
    names = 10 - 3 * y
    expected = (
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(x, names).predict_log_proba(x)
    )
    column = np.searchsorted(np.unique(names), names)
    found = Probe().fit(x, names).log_confidence(x, names)
    assert close(found, expected[np.arange(120), column], FLOAT64, 100)


@pytest.mark.parametrize("c", [2, 3])
def test_log_confidence_is_the_log_softmax_and_log_odds_go_beyond(c: int, rng: np.random.Generator) -> None:
    x, y = _classes(rng, 60, c, 3)
    probe = Probe().fit(x, y)
    z = probe.logits(x)
    assert close(probe.log_confidence(x, y), log_softmax(z, axis=1)[np.arange(60), y])
    far = 1e4 * np.eye(c, 3)[[0, 0]] * [[1], [2]]
    assert np.diff(probe.log_odds(far, [0, 0]))[0] > 0
    assert close(probe.log_confidence(far, [1, 1]), -np.abs(probe.log_odds(far, [1, 1])))


# --- encoders ---


def test_energy_features_find_the_subspaces(rng: np.random.Generator) -> None:
    frames = np.linalg.qr(rng.standard_normal((8, 6)))[0].reshape(8, 2, 3).transpose(1, 0, 2)
    y = np.arange(200) % 2
    x = np.einsum("nr,npr->np", rng.standard_normal((200, 3)), frames[y])
    encoder = EnergyFeatures(rank=3).fit(x.reshape(200, 2, 4), y)
    expected = np.stack([((x @ frame) ** 2).sum(axis=1) for frame in frames], axis=1)
    assert close(encoder.transform(x), expected, FLOAT64, 100)


def test_a_linear_probe_needs_energies(rng: np.random.Generator) -> None:
    """Zero-mean classes: chance on x itself, far better on energies."""
    y = np.arange(2000) % 2
    x = rng.standard_normal((2000, 6)) * np.where(y[:, None] == np.arange(6) // 3, 2.0, 0.2)
    chance, able = (
        np.exp(LatentSpaceFilter(encoder).fit(x[:1000], y[:1000]).score_samples(x[1000:], y[1000:])).mean()
        for encoder in (None, EnergyFeatures(3))
    )
    assert chance < 0.6
    assert able > 0.9


def test_pca_of_images(rng: np.random.Generator) -> None:
    x = rng.standard_normal((50, 1, 4, 4))
    latents = FlattenedPCA(16).fit(x).transform(x)
    assert close(
        np.linalg.norm(latents, axis=1), np.linalg.norm(x.reshape(50, -1) - x.reshape(50, -1).mean(0), axis=1)
    )


def test_blocks_have_one_size() -> None:
    seen: list[int] = []
    result = in_blocks(lambda block: (seen.append(len(block)), 2 * block)[1], np.arange(7.0), size=3)
    assert seen == [3, 3, 3]
    np.testing.assert_array_equal(result, 2 * np.arange(7.0))


# --- filter ---


def test_filter_is_a_scikit_learn_estimator(rng: np.random.Generator) -> None:
    x, y = _classes(rng, 60, 3, 4)
    filter_ = LatentSpaceFilter(FlattenedPCA(2), Top("class"), random_state=1)
    assert filter_.get_params()["encoder__n_components"] == 2
    copy = clone(filter_).set_params(encoder__n_components=3, rule=Random())
    assert copy.fit(x, y).transform(x).shape == (60, 3)
    assert not hasattr(filter_.fit(x, y).encoder, "pca_"), "the encoder given is cloned, not fitted"
    assert LatentSpaceFilter().rule == Top("global"), "the paper's rule is the default"


def test_held_out_scores_come_from_samples_the_probe_never_saw(rng: np.random.Generator) -> None:
    x, y = _classes(rng, 100, 4, 30)
    fitted = LatentSpaceFilter(rule=Matched(), random_state=0).fit(x, y)
    scores, labels = fitted.reference_
    assert np.bincount(labels).tolist() == [5, 5, 5, 5], "a stratified fifth"
    rest = np.setdiff1d(np.arange(100), fitted.held_out_)
    alone = LatentSpaceFilter().fit(x[rest], y[rest])
    np.testing.assert_array_equal(scores, alone.score_samples(x[fitted.held_out_], y[fitted.held_out_]))
    assert alone.reference_ is None


def test_random_state_stands_in_for_rng(rng: np.random.Generator) -> None:
    x, y = _classes(rng, 60, 3, 4)
    fitted = LatentSpaceFilter(rule=Random(), random_state=5).fit(x, y)
    np.testing.assert_array_equal(fitted.select(x, y, 9), fitted.select(x, y, 9, rng=5))
    with pytest.raises(ValueError, match="needs rng"):
        LatentSpaceFilter(rule=Random()).fit(x, y).select(x, y, 9)


def test_one_seed_splits_and_draws_from_two_streams() -> None:
    """Otherwise the samples drawn would be those held out, wherever the pool is the real data."""
    y = np.repeat([0, 1], 50)
    x = np.random.default_rng(0).standard_normal((100, 2)) + y[:, None]
    fitted = LatentSpaceFilter(rule=Matched(), random_state=3).fit(x, y)
    assert not np.array_equal(fitted.held_out_, held_out(y, np.random.default_rng(3)))


def test_any_function_of_scores_is_a_rule(rng: np.random.Generator) -> None:
    x, y = _classes(rng, 60, 3, 4)

    def last(scores: np.ndarray, y: np.ndarray, budget: int, reference: object, rng: object) -> np.ndarray:
        return np.arange(len(scores) - budget, len(scores))

    assert LatentSpaceFilter(rule=last).fit(x, y).select(x, y, 2).tolist() == [58, 59]


def test_filter_keeps_the_right_labels(rng: np.random.Generator) -> None:
    """The point of it: of a pool with a third of its labels wrong, it keeps hardly any wrong one."""
    x, y = _classes(rng, 900, 3, 6)
    x += 3 * np.eye(3, 6)[y]
    wrong = np.arange(900) % 9 < 3
    claimed = np.where(wrong, (y + 1) % 3, y)
    fitted = LatentSpaceFilter().fit(x[600:], y[600:])
    x, claimed, wrong = x[:600], claimed[:600], wrong[:600]
    kept = fitted.select(x, claimed, 300)
    assert wrong[kept].mean() < 0.03
    assert normalised_ole(x[kept], claimed[kept]) < normalised_ole(x, claimed)
    assert ole(x[kept], claimed[kept]) > 0


# --- package ---


def test_package_does_not_shadow_the_module() -> None:
    assert lsf.ole.ole is ole
    assert "ole" not in lsf.__all__


BLOCKED = """
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "diffusers"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NotInstalled())
import lsf, lsf.ole
{then}
"""


@pytest.mark.parametrize(
    ("then", "code"), [("", 0), ("import lsf.diffusion_encoder", 1)], ids=["lsf", "control"]
)
def test_import_without_torch(then: str, code: int) -> None:
    script = BLOCKED.format(then=then)
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ran.returncode == code, ran.stderr


def test_the_example_runs() -> None:
    example = (lsf.__doc__ or "").split("\n\n", 1)[1].split("\n\nEncoders")[0]
    exec("\n".join(line[4:] for line in example.splitlines()), {"print": lambda *_: None})
