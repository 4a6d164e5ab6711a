"""What do bfloat16 products give where the CPU has instructions for them, and at what quality?

Training and sampling of the digits-weak network in bfloat16 against float32, as ratios of times; then equal models
(the same data, first weights and batches) trained and sampled in either, judged by benchmarks.quality. A CPU that only
emulates bfloat16 is many times slower with it: there the rows say that nothing was measured.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch

from benchmarks.networks import Work, sampling, training
from benchmarks.quality import SEEDS, distances, paired
from benchmarks.timing import Result
from sims.presets import Preset, preset
from sims.seeds import stream

__all__ = ["NotMeasured", "has_bfloat16", "bfloat16_training", "bfloat16_sampling"]

INSTRUCTIONS = ("avx512_bf16", "amx_bf16")
ROUNDS = 3


@dataclass(frozen=True)
class NotMeasured:
    """A row that this machine cannot measure, and why."""

    name: str
    detail: str
    ratio: None = None


def has_bfloat16(capabilities: dict[str, Any] | None = None) -> bool:
    """Whether the CPU multiplies bfloat16 by instructions of its own; of this machine, or as torch lists another's."""
    found = torch.cpu.get_capabilities() if capabilities is None else capabilities
    return any(found.get(name, False) for name in INSTRUCTIONS)


def bfloat16_training(row: Preset | None = None, steps: int = 30) -> Result | NotMeasured:
    """Gradient steps, and the quality of a model trained and sampled in bfloat16."""
    name, row = "bfloat16-training", row or preset("digits-weak")
    if not has_bfloat16():
        return NotMeasured(name, f"not measured: this CPU has no bfloat16 instructions ({cpu()})")
    full, half = precisions(row)
    exact, short = fastest_seconds(training(full, steps), training(half, steps))
    detail = (
        f"a gradient step {1e3 * exact:.1f} ms in float32, {1e3 * short:.1f} ms in bfloat16; {compared(row)}"
    )
    return Result(name, exact / short, detail)


def bfloat16_sampling(row: Preset | None = None, images: int = 256) -> Result | NotMeasured:
    """Images drawn."""
    name, row = "bfloat16-sampling", row or preset("digits-weak")
    if not has_bfloat16():
        return NotMeasured(name, f"not measured: this CPU has no bfloat16 instructions ({cpu()})")
    full, half = precisions(row)
    exact, short = fastest_seconds(sampling(full, images), sampling(half, images))
    return Result(name, exact / short, f"{images} images {exact:.2f} s in float32, {short:.2f} s in bfloat16")


def cpu() -> str:
    """What the machine says it is."""
    found = torch.cpu.get_capabilities()
    return f"{found.get('cpu_name', 'unknown')}, {torch.backends.cpu.get_cpu_capability()}"


def precisions(row: Preset) -> tuple[Any, Any]:
    """The preset's family in float32 and in bfloat16."""
    family = row.world.generator
    return replace(family, precision="float32"), replace(family, precision="bfloat16")


def fastest_seconds(*sides: Work) -> list[float]:
    """Seconds of the fastest of `ROUNDS` rounds of each, in turn."""
    rounds = [[side.seconds() for side in sides] for _ in range(ROUNDS)]
    return [min(times) for times in zip(*rounds, strict=True)]


def compared(row: Preset) -> str:
    """Quality of equal generation-0 models of either precision."""
    built = row.world.build(0)
    full, half = (f.fit(built.train, stream(0, "train", 0)) for f in precisions(row))
    instruments = built.instruments(full)
    found = paired(*(distances(model, instruments, row.budget) for model in (half, full)))
    return (
        f"Frechet distance in {instruments.features.name} features, {len(SEEDS)} sampling seeds of {row.budget} "
        f"samples from equal models: {found}"
    )
