"""How much of what the machine can do do the networks get out of it?

    share = (FLOPs of the work / its seconds) / (2 n^3 / seconds of an n x n float32 matrix product, the best n)

The work is a real gradient step (loss, clipping, AdamW, average of the weights) or the sampling of a batch, through the
project's own `fit` and `sample`; FLOPs are torch's count of its convolutions and matrix products, all else counts as
nothing. One thread, and its CPU seconds, so that a busy machine does not decide the share. Below `TARGET` the profile
says where the time goes.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.timing import Result
from lsf.pool import Pool
from sims import progress
from sims.diffusion import Diffusion
from sims.presets import preset

__all__ = [
    "NETS", "Work", "training", "sampling", "matmul_rate", "step_seconds", "training_vs_matmul", "sampling_vs_matmul",
]  # fmt: skip

TARGET = 0.6
SIZES = (512, 1024, 2048)
ROUNDS = 3
STEPS = 30  # gradient steps a round
IMAGES = 256  # sampled a round

WEAK = preset("digits-weak").world.generator
STRONG = preset("digits-strong").world.generator
LARGE = replace(STRONG, channels=(32, 64))
LARGE_PATCHED = replace(LARGE, size=28, patch=2)
OTHER_LAYOUT = replace(STRONG, channels_last=not STRONG.channels_last)
NETS = (LARGE, LARGE_PATCHED, STRONG, OTHER_LAYOUT, WEAK)
"""The first two are held to the target; the others' shares are told."""


@dataclass(frozen=True)
class Work:
    """A piece of work: call it to do it; `seconds` does it and gives the time of that which `flops` counts."""

    family: Diffusion
    flops: int
    call: Callable[[], Any]
    seconds: Callable[[], float]

    def __str__(self) -> str:
        f = self.family
        side = f.size // f.patch
        layout = ", channels last" if f.channels_last else ""
        return f"{f.channels} at {f.image_channels * f.patch**2}x{side}x{side}{layout}"


def training(family: Diffusion, steps: int = STEPS) -> Work:
    """One gradient step on a full batch, out of `steps`."""
    rng = np.random.default_rng(0)
    n, f = 2 * family.batch, replace(family, steps=steps)
    x = rng.uniform(-1, 1, (n, f.image_channels, f.size, f.size)).astype(np.float32)
    pool = Pool(x, np.arange(n) % f.classes, 0)
    flops = counted(lambda: replace(family, steps=1).fit(pool, np.random.default_rng(0)))
    return Work(f, flops, lambda: f.fit(pool, np.random.default_rng(0)), lambda: step_seconds(f, pool, steps))


def step_seconds(family: Diffusion, pool: Pool, steps: int) -> float:
    """The median CPU time between two ticks of a training of `steps` >= 2 steps."""
    moments: list[float] = []
    with progress.listening(lambda what, done, total: moments.append(time.process_time())):
        replace(family, steps=steps).fit(pool, np.random.default_rng(0))
    return float(np.median(np.diff(moments)))


def sampling(family: Diffusion, images: int = IMAGES) -> Work:
    """`images` images from an untrained network."""
    x = np.zeros((2, family.image_channels, family.size, family.size), np.float32)
    model = replace(family, steps=1).fit(Pool(x, np.arange(2), 0), np.random.default_rng(0))
    labels = np.arange(images) % family.classes

    def call() -> Any:
        return model.sample(labels, np.random.default_rng(0))

    return Work(family, counted(call), call, lambda: cpu_seconds(call))


def counted(call: Callable[[], Any]) -> int:
    """FLOPs of what `call` does, two a multiplication and addition."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def matmul_rate(sizes: tuple[int, ...] = SIZES) -> float:
    """FLOP/s of the best float32 product of two n x n matrices."""
    matrices = {n: torch.rand(n, n, generator=torch.Generator().manual_seed(0)) for n in sizes}
    return max(2 * n**3 / cpu_seconds(lambda a=a: a @ a) for n, a in matrices.items())


def cpu_seconds(call: Callable[[], Any]) -> float:
    """Of this process while `call` works."""
    began = time.process_time()
    call()
    return time.process_time() - began


def shares(work: list[Work], rounds: int = ROUNDS) -> tuple[list[float], float]:
    """(share of each, rate of the product): everything in turn, each represented by its fastest round."""
    rate, best = 0.0, [float("inf")] * len(work)
    for round_ in range(rounds):
        rate = max(rate, matmul_rate())
        for i, w in enumerate(work):
            progress.tick("networks", round_ * len(work) + i, rounds * len(work))
            best[i] = min(best[i], w.seconds())
    return [w.flops / seconds / rate for w, seconds in zip(work, best, strict=True)], rate


def top_operators(call: Callable[[], Any], n: int = 5) -> str:
    """The operators that take most time of their own, with their share of all."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        call()
    rows = sorted(found.key_averages(), key=lambda row: -row.self_cpu_time_total)
    total = sum(row.self_cpu_time_total for row in rows)
    return ", ".join(f"{row.key} {100 * row.self_cpu_time_total / total:.0f}%" for row in rows[:n])


def against_matmul(name: str, work: list[Work]) -> Result:
    """The lesser share of the two networks held to the target; every network's in words, and what is in the way."""
    share, rate = shares(work)
    said = [
        f"{w} {100 * s:.0f}%" + (f" [{top_operators(w.call)}]" if s < TARGET else "")
        for w, s in zip(work, share, strict=True)
    ]
    return Result(name, min(share[:2]), f"of {rate / 1e9:.1f} GFLOP/s: {'; '.join(said)}")


def training_vs_matmul() -> Result:
    """Gradient steps."""
    return against_matmul("training-vs-matmul", [training(f) for f in NETS])


def sampling_vs_matmul() -> Result:
    """Images drawn."""
    return against_matmul("sampling-vs-matmul", [sampling(f) for f in NETS])
