"""The benchmarks measure what they say: FLOPs, samplers, the rule of quality, and rows chosen by name."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from benchmarks import __main__ as program
from benchmarks import bfloat16, networks, nuclear, streaming
from benchmarks.generation import StockSampler, StockSampling
from benchmarks.quality import paired
from benchmarks.timing import Result as Row
from lsf import stream
from lsf.pool import Pool
from sims import progress
from sims.diffusion import Diffusion, DiffusionSampler
from sims.presets import preset
from tests.tolerances import POINT

TINY = Diffusion(size=8, classes=3, channels=(8, 16), steps=2, lr=1e-3, batch=6)


@pytest.fixture
def pool(rng: np.random.Generator) -> Pool:
    return Pool(rng.uniform(-1, 1, (12, 1, 8, 8)).astype(np.float32), np.arange(12) % 3, 0)


@pytest.fixture
def model(pool: Pool, rng: np.random.Generator) -> DiffusionSampler:
    return TINY.fit(pool, rng)


def convolutions(images: int, model: DiffusionSampler) -> int:
    """FLOPs of one forward pass by hand: 2 weights x output elements of every convolution and linear layer."""
    total = 0

    def count(layer: Any, inputs: Any, output: torch.Tensor) -> None:
        nonlocal total
        weight = layer.weight
        total += 2 * output.numel() * weight[0].numel()

    unet = model.unet()
    for layer in unet.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        unet(torch.zeros(images, 1, 8, 8), 5, class_labels=torch.zeros(images, dtype=torch.long))
    return total


def test_flops_of_sampling(model: DiffusionSampler) -> None:
    """Ten network evaluations an image, and nothing else."""
    assert networks.sampling(TINY, images=6).flops == TINY.sampling_steps * convolutions(6, model)


def test_flops_of_training(model: DiffusionSampler) -> None:
    """One step: forward, and a backward pass of twice that but for the gradients of the network's inputs."""
    forward = convolutions(TINY.batch, model)
    first = 2 * TINY.batch * 64 * 9 * TINY.channels[0]  # the first convolution: its input needs no gradient
    flops = networks.training(TINY, 2).flops
    assert 0.95 * (3 * forward - first) < flops <= 3 * forward - first


@dataclass(frozen=True)
class Ticking:
    """Trains by letting a clock go: slow before the first step, then 3 seconds a step, once 50."""

    clock: list[float]
    steps: int = 1

    def fit(self, pool: Any, rng: Any) -> None:
        self.clock[0] += 1000
        for step in range(self.steps):
            progress.tick("training", step, self.steps)
            self.clock[0] += 50 if step == 1 else 3
        self.clock[0] += 1000


def test_step_seconds_are_of_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the building of the network is in it, nor a step that was disturbed."""
    clock = [0.0]
    monkeypatch.setattr(networks.time, "process_time", lambda: clock[0])
    assert networks.step_seconds(Ticking(clock), None, 6) == 3
    assert networks.cpu_seconds(lambda: Ticking(clock).fit(None, None)) == 2003


def test_shares_and_profile() -> None:
    """A share is FLOPs a second over the product's, and the profile names the operators."""
    full = networks.Work(TINY, 10**9, lambda: torch.ones(8, 8) @ torch.ones(8, 8), lambda: 0.1)
    half = networks.Work(TINY, 10**9, full.call, lambda: 0.2)
    (a, b), rate = networks.shares([full, half], rounds=1)
    assert a == pytest.approx(2 * b)
    assert a * rate == pytest.approx(1e10)
    assert "aten::mm" in networks.top_operators(full.call)


def test_lesser_share_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target is for the first two networks; below it the profile is told."""
    monkeypatch.setattr(networks, "shares", lambda work: ([0.9, 0.7, 0.1], 5e10))
    monkeypatch.setattr(networks, "top_operators", lambda call: "CULPRIT")
    work = [networks.Work(replace(TINY, classes=c), 1, lambda: None, lambda: 1.0) for c in (3, 4, 5)]
    row = networks.against_matmul("training-vs-matmul", work)
    assert row.ratio == 0.7
    assert row.detail.count("CULPRIT") == 1
    assert "10% [CULPRIT]" in row.detail
    assert "50.0 GFLOP/s" in row.detail
    assert "(8, 16) at 1x8x8" in row.detail


def test_stock_sampler_is_stock(model: DiffusionSampler) -> None:
    """The pipeline of diffusers, step by step, from the same noise; all its steps are told."""
    from diffusers import DDPMScheduler

    labels, ticks = np.array([0, 1, 2]), []
    with progress.listening(lambda *tick: ticks.append(tick)):
        made = StockSampler(model, steps=7).sample(labels, np.random.default_rng(5))
    generator = torch.Generator().manual_seed(int(np.random.default_rng(5).integers(2**63 - 1)))
    x = torch.randn(3, 1, 8, 8, generator=generator)
    scheduler = DDPMScheduler(num_train_timesteps=1000, beta_schedule=TINY.beta_schedule)
    assert scheduler.config.variance_type == "fixed_small"
    assert scheduler.config.clip_sample
    scheduler.set_timesteps(7)
    unet = model.unet()
    with torch.inference_mode():
        for t in scheduler.timesteps:
            noise = unet(x, t, class_labels=torch.from_numpy(labels)).sample
            x = scheduler.step(noise, t, x, generator=generator).prev_sample
    np.testing.assert_array_equal(made, x.clamp(-1, 1).numpy())
    assert ticks == [("stock sampling", i, 7) for i in range(7)]
    assert StockSampler(model).steps == 1000


def test_stock_sampling_trains_the_same(pool: Pool, model: DiffusionSampler) -> None:
    """Only the sampling differs between the two sides."""
    ours = TINY.fit(pool, np.random.default_rng(1), start=model)
    stock = StockSampling(TINY).fit(pool, np.random.default_rng(1), start=model)
    for name, weights in ours.state().items():
        np.testing.assert_array_equal(weights, stock.state()[name])


@pytest.mark.parametrize(
    ("difference", "good"),
    [
        ([0.1, -0.1, 0.2, -0.2, 0.05], True),  # contains 0
        ([0.21, 0.2, 0.19, 0.2, 0.2], True),  # beyond 0, but known within 5% of the mean of 10
        ([3.0, 2.0, 2.5, 4.0, 3.5], False),  # the control: worse, and widely spread
    ],
)
def test_rule_of_quality(difference: list[float], good: bool) -> None:
    slower = np.array([10.0, 9.0, 11.0, 10.5, 9.5])
    found = paired(list(slower + difference), list(slower))
    assert found.meets_rule is good
    assert found.difference.mean == pytest.approx(np.mean(difference))
    assert ("NOT met" in str(found)) is not good


@pytest.mark.parametrize(
    ("capabilities", "has"),
    [
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
        ({"avx2": True, "amx_bf16": False, "avx512_bf16": False, "avx512_fp16": True}, False),
        ({}, False),
    ],
)
def test_who_has_bfloat16(capabilities: dict[str, Any], has: bool) -> None:
    assert bfloat16.has_bfloat16(capabilities) is has


def test_bfloat16_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU without the instructions gets a row that says so."""
    monkeypatch.setattr(bfloat16, "has_bfloat16", lambda: False)
    for benchmark in (bfloat16.bfloat16_training, bfloat16.bfloat16_sampling):
        row = benchmark()
        assert row.ratio is None
        assert "this CPU has no bfloat16 instructions" in row.detail


def test_bfloat16_rows(monkeypatch: pytest.MonkeyPatch, pool: Pool) -> None:
    """Times of every family, quality of every preset judged; a model trained in bfloat16 is another one. On a CPU that
    emulates bfloat16 too, since all is tiny here."""
    row = preset("digits-smoke")
    generator = replace(TINY, classes=10, sampling_steps=1)
    smoke = replace(row, world=replace(row.world, generator=generator))  # type: ignore[type-var]
    monkeypatch.setattr(bfloat16, "has_bfloat16", lambda: True)
    monkeypatch.setattr(bfloat16, "preset", lambda name: smoke)
    monkeypatch.setattr(bfloat16, "FAMILIES", (TINY, replace(TINY, channels=(16, 32))))
    training = bfloat16.bfloat16_training(("digits-smoke",), steps=3)
    for row in (training, bfloat16.bfloat16_sampling(16)):
        assert row.ratio is not None
        assert row.ratio > 0
        assert row.detail.count("in float32") == row.detail.count("in bfloat16") == 2
    assert "digits-smoke: Frechet distance" in training.detail
    assert "rule" in training.detail
    full, half = (f.fit(pool, np.random.default_rng(0)).state() for f in bfloat16.precisions(TINY))
    assert any(not np.array_equal(full[name], half[name]) for name in full)


def test_score_select_row() -> None:
    """All that it promises is told; what is compared is of one pool, in a file that goes with it."""
    row = streaming.score_select_vs_matmul(9000, 16, repeats=1)
    assert row.ratio > 0
    assert "9000 x 16: score and select" in row.detail
    assert "memory beyond scores and labels" in row.detail
    with streaming.pool(5000, 8) as p:
        x, y = np.load(p.chunks.x), np.load(p.chunks.y)
        np.testing.assert_array_equal(
            stream.select(p.fitted, p.chunks, p.budget), p.fitted.select(x, y, p.budget)
        )
    assert not Path(p.chunks.x).exists()


def test_peak_of_memory() -> None:
    """What was let go before the end counts too."""

    def held() -> None:
        block = np.ones(10**7)
        time.sleep(0.1)
        del block

    assert 7e7 < streaming.peak(held) < 12e7
    assert streaming.peak(lambda: None) < 2e7


def test_ole_row() -> None:
    row = nuclear.ole_vs_svd(9000, 16, fits=(1000, 2000))
    assert row.ratio > 0
    assert "16 x 9000: one pass" in row.detail
    assert float(row.detail.rsplit(" ", 1)[1]) < POINT


def test_pool_without_end_begins_alike() -> None:
    """A longer one goes on where a shorter one ends."""
    (few, _), (many, _) = (
        [np.concatenate(p) for p in zip(*nuclear.LowRank(n, 4), strict=True)] for n in (5000, 9000)
    )
    np.testing.assert_array_equal(few, many[:5000])


def test_cleanlab_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is not installed the row says so."""
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "cleanlab", None)
        assert streaming.lsf_vs_cleanlab().detail.startswith("cleanlab is not installed")
    pytest.importorskip("cleanlab", reason="cleanlab (extra `dev`) is not installed")
    row = streaming.lsf_vs_cleanlab(5000, 8, repeats=1)
    assert row.ratio > 0
    assert "of the kept are common" in row.detail


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The command line on three quick rows; gives its result and what the file then holds."""
    rows = {name: lambda name=name: Row(name, 2.0, "[detail]") for name in ("first", "second")}
    rows["third"] = lambda: bfloat16.NotMeasured("third", "not measured")
    monkeypatch.setattr(program, "BENCHMARKS", rows)
    monkeypatch.setattr(program, "single_thread", lambda: None)
    out = tmp_path / "deep" / "benchmarks.json"

    def call(*arguments: str) -> tuple[Result, Any]:
        result = CliRunner().invoke(program.main, [*arguments, "--out", str(out)])
        return result, json.loads(out.read_text()) if out.exists() else None

    return call


def test_rows_by_name(cli: Any) -> None:
    """Rows asked for join those of an earlier run; all is all, in the table's order."""
    result, found = cli("second")
    assert result.exit_code == 0
    assert [r["name"] for r in found] == ["second"]
    assert "second: 2 times ([detail])" in result.output
    assert "first" not in result.output
    _, found = cli("third", "first")
    assert [(r["name"], r["ratio"]) for r in found] == [("first", 2.0), ("second", 2.0), ("third", None)]
    _, found = cli()
    assert len(found) == 3


def test_unknown_row_is_refused(cli: Any) -> None:
    """In one line that lists those there are, before anything is measured."""
    result, found = cli("first", "fourth")
    assert result.exit_code == 2
    assert "fourth" in result.output
    assert "second" in result.output
    assert found is None


def test_other_files_are_left_alone(cli: Any, tmp_path: Path) -> None:
    cli("first")
    file = tmp_path / "deep" / "benchmarks.json"
    for text in ("{", '["first"]', "[1]", '{"a": 1}'):
        file.write_text(text)
        result = CliRunner().invoke(program.main, ["first", "--out", str(file)])
        assert result.exit_code == 2
        assert "delete it" in result.output
        assert file.read_text() == text
