"""How much cheaper is a whole generation of the loop with a solver of twenty steps than with stock sampling?

    pool = ACU-LSF(history, N);   model = fit(pool, start = model_0);   N samples of model

Both sides make this very step (sims.turn), of the digits-weak-stochastic preset; they differ in how the N samples are
drawn: by SDE-DPM-Solver++, or by diffusers' DDPMScheduler in 1000 steps, as it comes. Nothing is scaled. That both are
as good is judged (benchmarks.quality) on one fine-tuned model; three solver steps are the control, which that must
reject. Beside them the solver of digits-weak, ten steps without noise: faster and, on so weak a net, not as good.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from benchmarks.quality import SEEDS, distances, paired
from benchmarks.timing import Result, fastest
from lsf.pool import Pool
from sims import curation, progress
from sims.diffusion import Diffusion, DiffusionSampler, noise_schedule
from sims.presets import Preset, preset
from sims.seeds import stream, torch_seed
from sims.turn import draw_made, turn

__all__ = ["StockSampler", "StockSampling", "generation_step", "generation_step_vs_ddpm1000"]

POLICY = "ACU-LSF"
SAMPLES = 150  # a sampling seed, for the quality of either side: stock sampling takes a minute for so many


@dataclass(frozen=True)
class StockSampler:
    """A trained model, sampled by diffusers' ancestral sampler (Ho et al. 2020) in `steps` steps."""

    model: DiffusionSampler
    steps: int = 1000

    def sample(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One image for each label (n,), from the noise that the model's own `sample` starts from."""
        f, predict = self.model.family, self.model.predictor()
        generator = torch.Generator().manual_seed(torch_seed(rng))
        x = torch.randn(len(labels), f.image_channels, f.size, f.size, generator=generator)
        y = torch.as_tensor(labels)
        scheduler = noise_schedule(f)
        scheduler.set_timesteps(self.steps)
        with torch.inference_mode():
            for i, t in enumerate(scheduler.timesteps):
                progress.tick("stock sampling", i, self.steps)
                x = scheduler.step(predict(x, t, y), t, x, generator=generator).prev_sample
        return x.clamp(-1.0, 1.0).numpy()

    def state(self) -> dict[str, np.ndarray]:
        """The weights."""
        return self.model.state()


@dataclass(frozen=True)
class StockSampling:
    """The generator, its models sampled by `StockSampler`."""

    generator: Diffusion
    steps: int = 1000

    def fit(self, pool: Pool, rng: np.random.Generator, start: Any = None) -> StockSampler:
        """As the generator does."""
        return StockSampler(self.generator.fit(pool, rng, start=start), self.steps)


def generation_step(row: Preset, stock_steps: int = 1000, samples: int = SAMPLES) -> Result:
    """Time of the step with stock sampling over ours, and the quality of `samples` samples a seed of either."""
    built = row.world.build(0)
    ours = built.generator
    first = ours.fit(built.train, stream(0, "train", 0))
    history = [built.train, draw_made(first, built.train.classes, row.budget, 0, 0)]
    instruments = [built.instruments(first) for _ in range(3)]  # a fresh one a step: filters remember latents

    def step(generator: Any) -> Callable[[], Any]:
        return lambda: turn(
            curation.policy(POLICY, instruments.pop().kit), generator, history, first, row.budget, 0, 1
        )

    judge = instruments[0]
    before, slow, after = fastest(step(ours), step(StockSampling(ours, stock_steps)), step(ours), repeats=1)
    fast = min(before, after)
    pool = curation.policy(POLICY, judge.kit)(history, row.budget, stream(0, "select", 1))
    model = ours.fit(pool, stream(0, "train", 1), start=first)
    detail = (
        f"one generation of {row.name}, {POLICY}, {row.budget} samples: {fast:.2f} s, with {stock_steps} ancestral "
        f"steps {slow:.1f} s (not scaled); {compared(model, judge, stock_steps, samples)}"
    )
    return Result("generation-step-vs-ddpm1000", slow / fast, detail)


def compared(model: DiffusionSampler, instruments: Any, stock_steps: int, samples: int) -> str:
    """The quality of the solver, of three steps of it, and of ten without noise, against stock sampling."""
    stock = distances(StockSampler(model, stock_steps), instruments, samples)

    def against_stock(family: Diffusion) -> str:
        return str(paired(distances(replace(model, family=family), instruments, samples), stock))

    return (
        f"Frechet distance in {instruments.features.name} features, {len(SEEDS)} sampling seeds of {samples} samples "
        f"either side: {against_stock(model.family)} "
        f"(control, 3 solver steps: {against_stock(replace(model.family, sampling_steps=3))}; "
        f"10 steps without noise: {against_stock(Diffusion(**vars(model.family) | {'sampling_steps': 10}))})"
    )


def generation_step_vs_ddpm1000() -> Result:
    """A generation step of digits-weak-stochastic; about seven minutes, all but one of them stock sampling."""
    return generation_step(preset("digits-weak-stochastic"))
