"""One seed for everything: `pytest --seed N` changes every random draw of tests/ and paper_checks/."""

import os

# One thread a process: under load two threads are slower than one, and a fixed number keeps results
# identical from run to run. Set before numpy or torch is imported.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import zlib

import hypothesis
import numpy as np
import pytest

hypothesis.settings.register_profile("testbed", deadline=None, print_blob=True)
hypothesis.settings.load_profile("testbed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=0, help="root seed of every random draw (default 0)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Hypothesis tests take the root seed too."""
    seed = config.getoption("--seed")
    for item in items:
        function = getattr(item, "function", None)
        if getattr(function, "is_hypothesis_test", False):
            hypothesis.seed(seed)(function)


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """The root seed, `--seed`."""
    return request.config.getoption("--seed")


@pytest.fixture
def rng(seed: int, request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator of this test's own: a function of the seed and the test's name, not of the order of tests."""
    return np.random.default_rng([seed, zlib.crc32(request.node.nodeid.encode())])
