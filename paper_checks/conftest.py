"""Runs the loops once, collects the evidence of every check, prints and writes the verdicts at the end."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from rich.console import Console

from paper_checks.claims import claim
from paper_checks.image_records import ImageRecord, load
from paper_checks.measures import Run
from paper_checks.register import DIGITS, RERUN
from paper_checks.statistics import HOLDS
from paper_checks.verdicts import Evidence, print_table, write_verdicts
from sims.presets import evidence_preset
from sims.record import RunFolder
from sims.sweep import Job, run_all
from tests.tolerances import Estimate

ROOT = Path(__file__).parent.parent
OUT = ROOT / "out"
RUNS = ROOT / "runs"

COSTLY_FIRST = ("digits-strong", "digits-weak", "runaway", "low-rank", "gaussian")

REPORT = pytest.StashKey[list[Evidence]]()
REMARKS = pytest.StashKey[list[str]]()
COMPLETE = pytest.StashKey[bool]()
COLLECTED = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--size",
        choices=("full", "smoke"),
        default="full",
        help="smoke: the whole way in minutes, deciding nothing",
    )
    parser.addoption(
        "--processes", type=int, default=2, help="single-threaded processes side by side (default 2)"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[REPORT] = []
    config.stash[REMARKS] = []
    config.stash[COMPLETE] = True
    config.stash[COLLECTED] = []


def pytest_deselected(items: list[pytest.Item]) -> None:
    if items:
        items[0].config.stash[COMPLETE] = False


def pytest_collection_finish(session: pytest.Session) -> None:
    """A run of some of the checks must not write "not tested" over the verdicts of all of them."""
    session.config.stash[COLLECTED] = [item.nodeid for item in session.items]
    collected = {item.path for item in session.items}
    if not collected >= set(Path(__file__).parent.glob("test_*.py")):
        session.config.stash[COMPLETE] = False


@pytest.fixture(scope="session")
def smoke(request: pytest.FixtureRequest) -> bool:
    """Is this a smoke run?"""
    return request.config.getoption("--size") == "smoke"


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest) -> list[Evidence]:
    """Where checks put their evidence."""
    return request.config.stash[REPORT]


@pytest.fixture(scope="session")
def remarks(request: pytest.FixtureRequest) -> list[str]:
    """Lines to be printed below the table of verdicts."""
    return request.config.stash[REMARKS]


@pytest.fixture(scope="session")
def folders(request: pytest.FixtureRequest, smoke: bool, seed: int) -> dict[str, list[RunFolder]]:
    """The run folders of every world that a collected check asks for; made now, unless runs/ has them already.

    Of the digits, the policies of `RERUN`.
    """
    calls = [getattr(item, "callspec", None) for item in request.session.items]
    asked = {call.params.get("world") for call in calls if call is not None}
    presets = {world: evidence_preset(world, smoke) for world in COSTLY_FIRST if world in asked}
    jobs = [
        Job(p.name, s + 1000 * seed, RERUN if world in DIGITS else None)
        for world, p in presets.items()
        for s in p.seeds
    ]
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        made = run_all(jobs, RUNS, request.config.getoption("--processes"))
    return {w: [made[j] for j in jobs if j.preset == p.name] for w, p in presets.items()}


@pytest.fixture(scope="session")
def runs(folders: dict[str, list[RunFolder]]) -> dict[str, list[Run]]:
    """The records of the worlds that are run, by world."""
    return {world: [Run.read(folder) for folder in of_world] for world, of_world in folders.items()}


@pytest.fixture(scope="session")
def records() -> Callable[[str], ImageRecord]:
    """The record of a preset by name, read once; ValueError if it is missing or damaged: the check is red."""
    return cache(load)


@pytest.fixture
def conclude(report: list[Evidence], seed: int) -> Callable[..., None]:
    """Put evidence on a statement of the theory into the report, and insist on the verdict mathematics demands."""

    def add(
        name: str,
        verdict: str,
        value: float,
        demanded: str = HOLDS,
        around: Estimate | None = None,
        world: str = "theory",
    ) -> None:
        ci = (
            None if around is None else (around.mean - 1.96 * around.error, around.mean + 1.96 * around.error)
        )
        report.append(Evidence(claim(name), world, verdict, float(value), ci, (seed,)))
        assert verdict == demanded, f"{name}: {verdict} at {value}"

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    evidence = config.stash[REPORT]
    if not evidence:
        return
    smoke = config.getoption("--size") == "smoke"
    console = Console()
    console.width = max(console.width, 170)  # a cut number would be worse than a wrapped line
    print_table(evidence, console, smoke)
    for remark in config.stash[REMARKS]:
        console.print(remark, markup=False)
    ran = sum(len(terminalreporter.stats.get(outcome, [])) for outcome in ("passed", "failed"))
    file = verdicts_file(smoke)
    if config.stash[COMPLETE] and ran == len(config.stash[COLLECTED]):
        write_verdicts(evidence, file, smoke)
        console.print(f"written: {file.relative_to(ROOT)}")
    else:
        console.print(f"some checks did not run: {file.relative_to(ROOT)} is as it was")


def verdicts_file(smoke: bool) -> Path:
    """Where the table goes; that of a smoke run lies apart, since it decides nothing."""
    return OUT / "smoke" / "verdicts.json" if smoke else OUT / "verdicts.json"
