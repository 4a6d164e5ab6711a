"""Ray gives the indices of memory, in whatever order and cut the rows come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from lsf import EnergyFeatures, LatentSpaceFilter, Matched, RankSumFilter, laws
from lsf import ray as lsf_ray

FILTERS = [
    LatentSpaceFilter(EnergyFeatures(1), Matched(shortfall="fill"), 0),
    RankSumFilter(np.tanh),
]


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A Ray of this module's own, on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("RAY_raylet_start_wait_time_s", "180")  # on a busy machine
        module = pytest.importorskip("ray", reason="Ray (extra `scale`) is not installed")
        pytest.importorskip("ray.data", reason="Ray Data (extra `scale`) is not installed")
        module.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        module.data.DataContext.get_current().enable_progress_bars = False
        yield module
        module.shutdown()


def dataset(ray: Any, world: laws.World, index: np.ndarray) -> Any:
    """Rows out of order, in several blocks."""
    rows = [
        {"x": world.x[i], "label": world.y[i], "number": index[i]}
        for i in world.rng().permutation(len(index))
    ]
    return ray.data.from_items(rows, override_num_blocks=3)


@pytest.mark.slow
def test_ray_is_memory(ray: Any, seed: int) -> None:
    world = laws.world_from(classes=3, features=4, per_class=30, share=0.3, seed=seed)
    names = {"y": "label", "index": "number", "actors": 1}
    data = dataset(ray, world, np.arange(len(world.x)))
    for prototype in FILTERS:
        fitted = clone(prototype).fit(world.x_real, world.y_real)
        kept = lsf_ray.select(fitted, data, world.budget, 3, **names)
        np.testing.assert_array_equal(kept, fitted.select(world.x, world.y, world.budget, 3))
    plain = LatentSpaceFilter().fit(world.x_real, world.y_real)
    scores, y = lsf_ray.score_samples(plain, data, prepare=Doubted, **names)
    np.testing.assert_array_equal(scores, plain.score_samples(world.x, world.y) / 2)
    np.testing.assert_array_equal(y, world.y)
    with pytest.raises(ValueError, match=r"dataset has no column \['index'\]; it has"):
        lsf_ray.select(plain, data, 3, y="label")
    with pytest.raises(ValueError, match=r"index must hold each of 0 \.\. 179 once: number the rows"):
        lsf_ray.select(plain, dataset(ray, world, np.arange(180) // 2), 3, **names)


class Doubted:
    """What an actor may make of a filter before it uses it."""

    def __init__(self, fitted: Any) -> None:
        self.fitted = fitted

    def score_samples(self, x: Any, y: Any) -> np.ndarray:
        return self.fitted.score_samples(x, y) / 2


def test_other_filters_are_refused() -> None:
    with pytest.raises(TypeError, match="EnergyFeatures chooses from a pool in memory only"):
        lsf_ray.select(EnergyFeatures(1), None, 3)
    with pytest.raises(TypeError, match="EnergyFeatures gives a sample no score"):
        lsf_ray.score_samples(EnergyFeatures(1), None)
    with pytest.raises(TypeError, match="budget must be an integer"):
        lsf_ray.select(EnergyFeatures(1), None, 3.5)
