"""What do bfloat16 products give where the CPU has instructions for them, and at what quality?

Training and sampling in bfloat16 against float32, as ratios of times, of the network that fashion-mnist-strong runs in
it and of the smallest; then equal models (the same data, first weights and batches) of the digits' two regimes, trained
and sampled in either, judged by benchmarks.quality. A CPU that only emulates bfloat16 is many times slower with it:
there the rows say that nothing was measured.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from benchmarks.networks import Work, sampling, training
from benchmarks.quality import SEEDS, distances, paired
from benchmarks.timing import Result
from sims.diffusion import Diffusion
from sims.presets import Preset, preset
from sims.seeds import stream

__all__ = ["NotMeasured", "has_bfloat16", "bfloat16_training", "bfloat16_sampling"]

FAMILIES: tuple[Any, ...] = tuple(preset(n).world.generator for n in ("fashion-mnist-strong", "digits-weak"))
JUDGED = ("digits-weak", "digits-strong")
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


def bfloat16_training(judged: Sequence[str] = JUDGED, steps: int = 30) -> Result | NotMeasured:
    """Gradient steps, and the quality of models trained and sampled in bfloat16."""
    return measured("bfloat16-training", lambda f: training(f, steps), "a gradient step", judged)


def bfloat16_sampling(images: int = 256) -> Result | NotMeasured:
    """Images drawn."""
    return measured("bfloat16-sampling", lambda f: sampling(f, images), f"{images} images")


def measured(
    name: str, work: Callable[[Any], Work], what: str, judged: Sequence[str] = ()
) -> Result | NotMeasured:
    """The ratio of the first of `FAMILIES`; in words each family's times, and the quality of the presets `judged`."""
    if not has_bfloat16():
        return NotMeasured(name, f"not measured: this CPU has no bfloat16 instructions ({cpu()})")
    sides = [[work(f) for f in precisions(family)] for family in FAMILIES]
    times = [fastest_seconds(*pair) for pair in sides]
    said = [
        f"{what} of {pair[0]} {1e3 * exact:.0f} ms in float32, {1e3 * short:.0f} ms in bfloat16"
        for pair, (exact, short) in zip(sides, times, strict=True)
    ]
    exact, short = times[0]
    return Result(name, exact / short, "; ".join([*said, *(compared(preset(row)) for row in judged)]))


def cpu() -> str:
    """What the machine says it is."""
    found = torch.cpu.get_capabilities()
    return f"{found.get('cpu_name', 'unknown')}, {torch.backends.cpu.get_cpu_capability()}"


def precisions(family: Diffusion) -> tuple[Diffusion, Diffusion]:
    """In float32 and in bfloat16."""
    return replace(family, precision="float32"), replace(family, precision="bfloat16")


def fastest_seconds(*sides: Work) -> list[float]:
    """Seconds of the fastest of `ROUNDS` rounds of each, in turn."""
    rounds = [[side.seconds() for side in sides] for _ in range(ROUNDS)]
    return [min(times) for times in zip(*rounds, strict=True)]


def compared(row: Preset) -> str:
    """Quality of equal generation-0 models of either precision."""
    built = row.world.build(0)
    family: Any = built.generator
    full, half = (f.fit(built.train, stream(0, "train", 0)) for f in precisions(family))
    instruments = built.instruments(full)
    found = paired(*(distances(model, instruments, row.budget) for model in (half, full)))
    return (
        f"{row.name}: Frechet distance in {instruments.features.name} features, {len(SEEDS)} sampling seeds of "
        f"{row.budget} samples from equal models: {found}"
    )
