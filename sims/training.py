"""How is a diffusion network trained, in pieces if need be, and on several GPUs?

AdamW on the denoising loss of sims.denoising, learning rate warmed up and then falling linearly, gradients clipped,
weights averaged over the steps. A training that keeps its state in a file goes on from there bit for bit: weights,
average, optimiser, schedule, draws and place in the epoch, as torch.save writes them (whole, or not at all).
With accelerate every process draws the whole batch and takes its own rows, so that any number makes the same steps.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import numpy as np
import torch
from diffusers import UNet2DModel
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel

from lsf.pool import Pool
from sims import progress
from sims.denoising import denoising_loss, device_of, laid_out, noise_schedule

if TYPE_CHECKING:
    from sims.diffusion import Diffusion

__all__ = ["KEEP_SECONDS", "Batches", "Training", "train", "training_device"]

KEEP_SECONDS = 60.0
"""How often a training that keeps its state writes it."""


class Batches:
    """Endless shuffled epochs over 0..n-1 in batches of min(size, n) indices; an epoch's last batch is filled up."""

    def __init__(self, n: int, size: int, generator: torch.Generator) -> None:
        self.n, self.size, self.generator = n, min(size, n), generator
        self.left = torch.empty(0, dtype=torch.int64, device=generator.device)

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> torch.Tensor:
        if not len(self.left):
            self.left = torch.cat([self.order(), self.order()[: -self.n % self.size]])
        batch, self.left = self.left[: self.size], self.left[self.size :]
        return batch

    def order(self) -> torch.Tensor:
        """0..n-1, shuffled."""
        return torch.randperm(self.n, generator=self.generator, device=self.generator.device)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The state of all draws: the generator's, and what is left of this epoch."""
        return {"generator": self.generator.get_state(), "left": self.left.cpu().clone()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        self.generator.set_state(state["generator"])
        self.left = state["left"].to(self.generator.device)


class Training:
    """A network in training: all that decides its further steps."""

    def __init__(self, unet: UNet2DModel, f: Diffusion, batches: Batches, steps: int, lr: float) -> None:
        self.unet, self.batches, self.step = unet, batches, 0
        self.optimiser = torch.optim.AdamW(unet.parameters(), lr=lr, fused=True)
        self.schedule = get_scheduler(
            "linear", self.optimiser, num_warmup_steps=f.warmup, num_training_steps=steps
        )
        self.average = EMAModel(unet.parameters(), decay=f.ema, foreach=True)

    def parts(self) -> dict[str, Any]:
        return {
            "weights": self.unet,
            "optimiser": self.optimiser,
            "schedule": self.schedule,
            "average": self.average,
        }

    def state_dict(self, draws: dict[str, torch.Tensor]) -> dict[str, Any]:
        """The state at the start of a step, whose draws began at `draws`."""
        states = {name: part.state_dict() for name, part in self.parts().items()}
        return states | {"draws": draws, "step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, part in self.parts().items():
            part.load_state_dict(state[name])
        self.average.to(self.batches.generator.device)
        self.batches.load_state_dict(state["draws"])
        self.step = state["step"]

    def advance(self) -> None:
        """One step along the gradient that has been computed."""
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.schedule.step()
        self.average.step(self.unet.parameters())
        self.step += 1


def train(
    unet: UNet2DModel,
    f: Diffusion,
    pool: Pool,
    steps: int,
    lr: float,
    generator: torch.Generator,
    keep: Path | None = None,
    compiled: bool = False,
) -> None:
    """`steps` steps of AdamW on the denoising loss, in place; the averaged weights stay in `unet`.

    With `keep` the state is written there every KEEP_SECONDS, taken up from there, and deleted at the end.
    Raises ArithmeticError if loss or gradient is not finite (the file then holds the last state at which both were);
    ValueError if the file is damaged or another training's, or its folder is not there.
    """
    device = generator.device
    unet.to(device=device, memory_format=laid_out(f)).train()
    training = Training(unet, f, Batches(len(pool), f.batch, generator), steps, lr)
    keeper = Keeper(keep, identity(f, pool, steps, lr, unet, generator)) if keep else None
    if keeper and keeper.path.exists():
        training.load_state_dict(keeper.read())
    loss_of = batch_loss(training, f, pool, compiled)
    while training.step < steps:
        progress.tick("training", training.step, steps)
        where, draws = (
            f"step {training.step} of {steps} (lr {lr})",
            training.batches.state_dict() if keeper else {},
        )
        loss = finite("denoising loss", loss_of(next(training.batches)), where)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(unet.parameters(), f.clip, foreach=True)
        finite("gradient norm", norm, where)
        if keeper and keeper.due():
            keeper.write(training.state_dict(draws))
        training.advance()
    training.average.copy_to(unet.parameters())
    if keeper:
        keeper.path.unlink(missing_ok=True)


def finite(name: str, value: torch.Tensor, where: str) -> torch.Tensor:
    """The value; raises ArithmeticError if it is NaN or infinite."""
    if not torch.isfinite(value):
        raise ArithmeticError(f"{name} is {value.item()} at {where}")
    return value


def batch_loss(
    training: Training, f: Diffusion, pool: Pool, compiled: bool
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The loss of this process's rows of a batch, so weighted that the mean over processes is the batch's loss."""
    generator, size = training.batches.generator, training.batches.size
    x, y, abar = (
        a.to(generator.device)
        for a in (
            torch.from_numpy(f.to_net(pool.x)),
            torch.from_numpy(pool.y),
            noise_schedule(f).alphas_cumprod,
        )
    )
    net, rank, processes = training.unet, 0, 1
    if f.accelerate:
        accelerator = accelerator_of(f)
        net, training.optimiser = accelerator.prepare(training.unet, training.optimiser)
        rank, processes = accelerator.process_index, accelerator.num_processes
    if size < processes:
        raise ValueError(f"batch must be at least the number of processes, {processes}, found {size}")
    net, part = torch.compile(net) if compiled else net, slice(rank, None, processes)
    share = len(range(size)[part]) * processes / size
    return lambda batch: share * denoising_loss(net, f, x[batch], y[batch], abar, generator, part)


def accelerator_of(f: Diffusion) -> Any:
    """accelerate's view of the processes and devices; raises ValueError if the package is not there."""
    try:
        from accelerate import Accelerator  # type: ignore[import-untyped]
    except ImportError as error:
        raise ValueError(
            "accelerate=True needs the package: pip install 'lsf-testbed[accelerate]'"
        ) from error
    return Accelerator(cpu=torch.device(f.device).type == "cpu")


def training_device(f: Diffusion) -> torch.device:
    """Where this process trains."""
    device = device_of(f)
    return accelerator_of(f).device if f.accelerate else device


def identity(
    f: Diffusion, pool: Pool, steps: int, lr: float, unet: UNet2DModel, generator: torch.Generator
) -> str:
    """Changes with all that a training starts from, and with torch's version."""
    sha = hashlib.sha256(repr((torch.__version__, f, steps, lr, generator.initial_seed())).encode())
    arrays = [pool.x, pool.y, *(v.cpu().contiguous().numpy() for v in unet.state_dict().values())]
    for a in arrays:
        sha.update(np.ascontiguousarray(a).data)
    return sha.hexdigest()


class Keeper:
    """The file of a training's state, which says whose it is."""

    def __init__(self, path: Path, identity: str) -> None:
        if not path.parent.is_dir():
            raise ValueError(f"keep must lie in a folder that exists, found {path}")
        self.path, self.identity, self.written = path, identity, time.monotonic()

    def due(self) -> bool:
        return time.monotonic() - self.written >= KEEP_SECONDS

    def read(self) -> dict[str, Any]:
        """The state; raises ValueError if it is damaged or another training's."""
        cure = f"delete {self.path} and run again: the training then starts from its beginning"
        try:
            with ZipFile(self.path) as file:  # what torch.save writes; torch.load itself checks no sums
                damaged = file.testzip()
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            own = state["identity"] == self.identity
        except Exception as error:
            raise ValueError(f"keep is damaged ({error}); {cure}") from error
        if damaged:
            raise ValueError(f"keep is damaged ({damaged}); {cure}")
        if not own:
            raise ValueError(
                f"keep is of another training (data, settings, seed or torch's version); {cure}, or name another file"
            )
        return dict(state)

    def write(self, state: dict[str, Any]) -> None:
        """The state, whole or not at all; one process of several writes."""
        self.written = time.monotonic()
        if int(os.environ.get("RANK", "0")):
            return
        part = self.path.with_name(f"{self.path.name}.part")
        try:
            with part.open("wb") as file:
                torch.save(state | {"identity": self.identity}, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.path)
        finally:
            part.unlink(missing_ok=True)
