"""Theory beside the image loop: both models find what they were made for and miss what they cannot see; the record of
what was read is read again, and damage is seen."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import expit

from paper_checks import image_theory, test_image_theory
from paper_checks.image_theory import UNSEEN, Record, keep, load, over_pairs
from paper_checks.pair_models import (
    LATENTS,
    LAWS,
    MEASURES,
    Block,
    axes,
    gaussian_kept,
    gaussian_ole,
    gaussian_shortfall,
    kept_of,
    rank_of,
    readings,
)
from paper_checks.simulated import frames_at
from paper_checks.statistics import FAILS, HOLDS, UNDECIDED
from paper_checks.test_image_theory import ROWS, WITHIN, differences, ignorance, name_of, same, verdict_of
from paper_checks.verdicts import Evidence
from sims.gaussian import ClassGaussians
from sims.loop import run
from sims.lowrank import TwoSubspaces
from tests.run_folders import KEPT
from tests.tolerances import BIAS_FITTED, BIAS_OLE, BIAS_POOL, FLOAT64, close

SUBSPACES, OWN_PROBE, OWN_MEANS, GAUSSIAN = LAWS


def subspaces(
    rng: np.random.Generator, noises: tuple[float, ...], n: int = 800, dim: int = 12
) -> list[Block]:
    """Blocks of two subspaces about zero, one a noise, each of .65 of the scale before; a linear probe of no power."""
    U = frames_at((1.0, 1.3), dim, rng)
    pools = [TwoSubspaces(dim, 2, 1.0, s).draw(U, n, rng) for s in noises]
    x = [0.65**i * np.stack([p.x[p.y == c] for c in (0, 1)]) for i, p in enumerate(pools)]
    return [Block(own, 0.1 * rng.standard_normal(own.shape[:2])) for own in x]


def shifted(rng: np.random.Generator, scales: tuple[float, ...], n: int = 800, dim: int = 8) -> list[Block]:
    """Blocks of Gaussian classes that differ in their means alone, one a scale; the linear probe of the first."""
    S = np.diag(np.linspace(1, 0.3, dim))
    mu = np.zeros((2, 1, dim))
    mu[:, 0, :2] = [[-0.7, 0.2], [0.7, -0.2]]
    w = np.linalg.solve(S, mu[1, 0] - mu[0, 0])
    blocks = []
    for scale in scales:
        x = mu + scale * rng.standard_normal((2, n, dim)) @ np.sqrt(S)
        blocks.append(Block(x + 3, x @ w * np.array([[-1], [1]])))
    return blocks


def off(found: dict[str, tuple[float, float]], measure: str) -> float:
    """Prediction / what is seen - 1."""
    said, seen = found[measure]
    return said / seen - 1


# --- parts ---


@pytest.mark.parametrize(("m", "v"), [(0.0, 1.0), (2.0, 0.01), (-1.0, 9.0), (6.0, 30.0), (1.0, 900.0)])
def test_shortfall_against_quadrature(m: float, v: float) -> None:
    s = np.sqrt(v)
    law = stats.norm(m, s)
    cuts = [m - 15 * s, *sorted({m - s, 0.0, m, m + s}), m + 15 * s]
    exact = sum(integrate.quad(lambda z: law.pdf(z) * expit(-z), a, b)[0] for a, b in pairwise(cuts))
    assert close(gaussian_shortfall(m, v), exact, condition=100)
    assert gaussian_shortfall(0, v) == pytest.approx(0.5, abs=FLOAT64)
    assert not close(gaussian_shortfall(m + 0.01, v), exact, condition=100)


def test_shortfall_keeps_its_digits_when_small() -> None:
    """v small: e^{-m + v/2} to first order."""
    assert gaussian_shortfall(30, 1) == pytest.approx(np.exp(-29.5), rel=1e-6)


def test_selection_against_a_large_pool(rng: np.random.Generator) -> None:
    """Blocks of unlike means and spreads; the controls, random choice and the pool's own spread, are rejected."""
    blocks = shifted(rng, (1.0, 0.6, 0.8), n=40_000)
    spread, share = gaussian_kept([(b.x[1], b.z[1]) for b in blocks])
    seen_spread, seen_share = kept_of(blocks, 1)
    room = 10 * BIAS_POOL
    assert abs(spread / seen_spread - 1) < room
    assert abs(share / seen_share - 1) < room
    assert abs(seen_share * 3 - 1) > 2 * room
    assert abs(seen_spread - 1) > 2 * room


def test_ole_against_samples(rng: np.random.Generator) -> None:
    """Mean of 20 draws of 400 a class; ten times the covariances' shrinkage would be seen."""
    drawn = [shifted(rng, (1.0,), n=400)[0].about(np.full(8, 3.0)) for _ in range(20)]
    said = np.mean([gaussian_ole(b.x) for b in drawn], axis=0)
    seen = [readings([b, b], b)[GAUSSIAN] for b in drawn[:8]]
    for value, measure in zip(said, ("raw OLE", "normalised OLE"), strict=True):
        target = np.mean([r[measure][1] for r in seen])
        assert abs(value / target - 1) < 3 * BIAS_OLE, measure


def test_rank_and_axes_by_hand(rng: np.random.Generator) -> None:
    x = 0.1 * rng.standard_normal((2, 100, 10))
    x[..., :3] += rng.standard_normal((2, 100, 3))
    assert rank_of(x) == 3
    assert rank_of(rng.standard_normal((2, 100, 10))) == 1
    for s in (0.3, 0.5):
        assert rank_of(subspaces(rng, (s,))[0].x) == 2
    flat = np.pad(rng.standard_normal((50, 3)), ((0, 0), (0, 5))) + 7
    V = axes(flat, 3)
    assert close(V.T @ V, np.eye(3))
    assert close(V[3:], 0)


def test_block_by_hand() -> None:
    x = np.array([[[1.0, 0.0]], [[1.0, 2.0]]])
    judged = Block(x, np.zeros((2, 1))).judged_by(np.diag([2.0, 1.0]))
    assert close(judged.z, [[-1.0], [3.0]])
    flat, y = judged.labelled
    assert close(flat, [[1, 0], [1, 2]])
    assert y.tolist() == [0, 1]


# --- models ---


def test_two_subspaces_are_predicted(rng: np.random.Generator) -> None:
    """What its own probe shows, the second block with a third less noise; the linear probe's selection is no part."""
    found = readings(pool := subspaces(rng, (0.5, 0.35)), pool[-1])
    for measure in MEASURES:
        assert abs(off(found[OWN_PROBE], measure)) < 2 * BIAS_FITTED, (measure, found[OWN_PROBE][measure])
        assert abs(off(found[OWN_MEANS], measure)) < 2 * BIAS_FITTED, (measure, found[OWN_MEANS][measure])
    assert abs(off(found[SUBSPACES], "confidence")) > 4 * BIAS_FITTED
    assert abs(off(found[GAUSSIAN], "confidence")) < BIAS_FITTED
    assert abs(found[OWN_PROBE]["share of real"][1] - 0.5) > 0.05, "control: the pool is of one kind"


def test_means_are_predicted_by_the_model_that_has_them(rng: np.random.Generator) -> None:
    found = readings(pool := shifted(rng, (1.0, 0.6)), pool[-1])
    for measure in MEASURES:
        assert abs(off(found[GAUSSIAN], measure)) < BIAS_FITTED, (measure, found[GAUSSIAN][measure])
    for measure in ("confidence", "shortfall of confidence"):
        said, seen = found[SUBSPACES][measure]
        assert not abs(said / seen - 1) < 2 * BIAS_FITTED, measure  # missed, or nothing said


def test_nothing_is_said_of_noise(rng: np.random.Generator) -> None:
    noise = [Block(rng.standard_normal((2, 30, 8)), rng.standard_normal((2, 30))) for _ in range(2)]
    found = readings(noise, noise[-1])
    assert all(np.isnan(said) for said, _ in found[SUBSPACES].values())
    assert all(np.isfinite(said) for said, _ in found[GAUSSIAN].values())


def test_a_pool_of_one_leaves_no_choice(rng: np.random.Generator) -> None:
    blocks = subspaces(rng, (0.5, 0.5), n=100)
    found = readings(blocks[:1], blocks[1])
    for law in LAWS:
        assert np.isnan(found[law]["share of real"]).all()
        assert np.isfinite(found[law]["raw OLE"]).all()


# --- the record ---


def test_over_pairs_by_hand() -> None:
    values = np.array([[1.1, 1.0], [2.7, 3.0], [np.nan, 9.0]])
    assert over_pairs(values) == [1.9, 2.0, -0.08, 0.08, 2]
    assert over_pairs(values[2:]) is None


@dataclass(frozen=True)
class OtherGaussians(ClassGaussians):
    """Another kind of generator."""


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The record of a small analytic run."""
    monkeypatch.setattr(image_theory, "preset", lambda name: KEPT)
    run(KEPT, 0, tmp_path / "run")
    return keep([tmp_path / "run"], tmp_path)


def test_kept_and_read(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = load("tiny", tmp_path)
    assert record.header["seeds"] == [0]
    assert record.header["pairs"] == 1
    cells = record.cells(GAUSSIAN, "confidence")
    assert set(cells) == {(UNSEEN, 0), (None, 0), *((p, k) for p in ("SYN", "ACU-LSF") for k in (1, 3))}
    assert record.cells(GAUSSIAN, "share of real")[None, 0] == [None]
    assert record.cells(GAUSSIAN, "share of real")["SYN", 3][0][4] == 1
    assert {line["latents"] for line in record.lines} == {LATENTS[0]}, "an analytic world has no other"
    assert not record.stale
    with monkeypatch.context() as patch:
        patch.setattr(image_theory, "SETTINGS", image_theory.SETTINGS | {"dim": 7})
        assert record.stale
    world = replace(KEPT.world, generator=OtherGaussians())  # type: ignore[type-var]
    monkeypatch.setattr(image_theory, "preset", lambda name: replace(KEPT, world=world))
    assert record.stale, "another kind of generator, of the same parameters"


def test_damage_is_seen(kept: Path, tmp_path: Path) -> None:
    text = kept.read_text()
    last = text.rsplit("[", 1)[1].split(",")[0]
    wrong = text[: text.rindex(last)] + "9" + text[text.rindex(last) :]
    for other in (wrong, text[:-30], text.replace('"digest"', '"other"', 1)):
        kept.write_text(other)
        with pytest.raises(ValueError, match="damaged"):
            load("tiny", tmp_path)
    kept.unlink()
    with pytest.raises(ValueError, match="make images"):
        load("tiny", tmp_path)


def test_runs_of_two_presets_are_refused(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(KEPT, 1, tmp_path / "other")
    file = tmp_path / "other" / "settings.json"
    real = image_theory.RunFolder

    def renamed(path: Path) -> object:
        folder = real(path)
        if path == file.parent:
            folder.settings["preset"]["name"] = "another"
        return folder

    monkeypatch.setattr(image_theory, "RunFolder", renamed)
    with pytest.raises(ValueError, match="one preset"):
        keep([tmp_path / "run", tmp_path / "other"], tmp_path)
    with pytest.raises(ValueError, match="one preset"):
        keep([], tmp_path)


# --- the rule ---


def record_of(said: list[float], seen: float = 0.8, pairs: int = 45, latents: str = LATENTS[0]) -> Record:
    """One generation of one policy, a seed a number."""
    reading = [[v, seen, -0.1, 0.1, pairs] for v in said]
    lines = [
        {"latents": latents, "seed": i, "policy": "SYN", "generation": 1, "law": GAUSSIAN}
        | dict.fromkeys(MEASURES, r)
        for i, r in enumerate(reading)
    ]
    lines += [{**line, "policy": UNSEEN, "generation": 0} for line in lines]
    return Record("by hand", {"digest": image_theory.key_of({"lines": lines}), "pairs": 45}, lines)


@pytest.mark.parametrize(
    ("said", "pairs", "verdict"),
    [
        ([0.81, 0.79, 0.80], 45, HOLDS),
        ([1.01, 0.99, 1.0], 45, FAILS),
        ([0.7, 0.8, 0.9], 45, UNDECIDED),
        ([0.81, 0.79, 0.80], 22, FAILS),
    ],
)
def test_rule_by_hand(said: list[float], pairs: int, verdict: str) -> None:
    cells = differences(record_of(said, pairs=pairs), GAUSSIAN, "share of real")
    assert set(cells) == {("SYN", 1)}
    assert verdict_of(list(cells.values()))[0] == verdict


def test_each_convention_of_a_latent_is_judged_by_its_own_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    right = record_of([0.81, 0.79, 0.80])
    lines = [*right.lines, *record_of([1.01, 0.99, 1.0], latents=LATENTS[3]).lines]
    header = {"digest": image_theory.key_of({"lines": lines}), "pairs": 45, "seeds": [0, 1, 2]}
    both = Record("by hand", header, lines)
    verdicts = {
        latents: verdict_of(list(differences(both, GAUSSIAN, "share of real", latents).values()))[0]
        for latents in (LATENTS[0], LATENTS[3])
    }
    assert verdicts == {LATENTS[0]: HOLDS, LATENTS[3]: FAILS}
    monkeypatch.setattr(test_image_theory, "made", lambda world: True)
    monkeypatch.setattr(test_image_theory, "load", lambda world: both)
    monkeypatch.setattr(Record, "stale", False)
    report: list[Evidence] = []
    for latents in verdicts:
        test_image_theory.test_predicted(GAUSSIAN, "share of real", latents, "digits-weak", report)
    assert [e.verdict for e in report] == [HOLDS, FAILS]
    assert [e.claim.convention for e in report] == ["share of real", "share of real, noised, pooled"]


def test_without_power_nothing_holds() -> None:
    """What is seen is what random choice gives: a prediction of it proves nothing."""
    cells = differences(record_of([0.5, 0.501, 0.499], seen=0.5), GAUSSIAN, "share of real")
    assert verdict_of(list(cells.values()))[0] == UNDECIDED


def test_one_cell_that_fails_fails_the_row() -> None:
    good, bad, blind = [0.01, 0.0, -0.01], [0.3, 0.31, 0.29], [0.5, 0.5, 0.51]
    assert verdict_of([(good, blind), (bad, blind)])[0] == FAILS
    _, worst = verdict_of([(good, blind), (bad, blind)])
    assert worst is not None
    assert worst.mean == pytest.approx(0.3)
    assert verdict_of([None, None]) == (FAILS, None)


def test_ignorance_by_hand() -> None:
    assert ignorance("share of real", 3, 0.6, 0.2) == 0.25
    assert ignorance("raw OLE", 1, 4.0, 1 - np.sqrt(0.5)) == pytest.approx(4)
    assert WITHIN < 0.5


def test_names_of_claims() -> None:
    names = [name_of(*row) for row in ROWS]
    assert len(set(names)) == 22 + 3 * 2 * 4
    assert "gaussian-predicts-images [kept spread, noised, pooled]" in names
    assert "two-subspace-predicts-images [share of real, own probe]" in names
    assert "gaussian-predicts-images [raw OLE]" in names
    assert set(test_image_theory.LAWS) == {law for law, *_ in ROWS}


def test_same_by_hand() -> None:
    then = [[0.8, 0.9, 0, 0, 45], [0.82, 0.9, 0, 0, 45]]
    assert same([0.81, 0.9, 0, 0, 45], then)
    assert not same([0.81, 0.95, 0, 0, 45], then)
    assert not same(None, then)
    assert same(None, [None, None])
    assert json.dumps(then)
