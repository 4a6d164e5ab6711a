"""The diffusion generator: it learns, it is a function of its arguments, and its loss is the stated one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from sims import progress, training
from sims.denoising import denoise, denoising_loss, sample
from sims.diffusion import (
    Diffusion,
    DiffusionSampler,
    ExtrapolatedSampler,
    LogSnrDiffusion,
    StochasticDiffusion,
    build_unet,
    noise_schedule,
)
from sims.features import flat
from sims.images import digits
from sims.metrics import frechet_distance
from sims.record import digest, load_arrays, save_arrays
from sims.rivals import ScoreExtrapolation
from sims.seeds import stream
from sims.training import Batches
from tests.tolerances import BIAS_SOLVER, FLOAT32, LEFT, assert_asymptotic, assert_exact, close

TINY = Diffusion(8, 10, (8, 16), steps=4, lr=2e-3, epochs=1, batch=64, warmup=1)
LEARNER = Diffusion(8, 10, (16, 32), steps=60, lr=4e-3, warmup=5, batch=64)
POOL = digits().train.take(np.arange(0, 720, 4))


def fingerprint(sampler: DiffusionSampler) -> str:
    return digest(*(v for _, v in sorted(sampler.state().items())))


def untrained(family: Diffusion) -> DiffusionSampler:
    return DiffusionSampler(family, build_unet(family, torch.Generator().manual_seed(0)).state_dict())


@pytest.fixture(scope="module")
def trained(seed: int) -> DiffusionSampler:
    """A model that has really been trained on real digits, for a second or two."""
    return LEARNER.fit(digits().train, stream(seed, "tests", "diffusion"))


@pytest.fixture(scope="module")
def tiny(seed: int) -> DiffusionSampler:
    return TINY.fit(POOL, stream(seed, "tests", "tiny"))


def heldout_loss(sampler: DiffusionSampler, seed: int) -> float:
    """Denoising loss on digits that the model never saw, the same noise for every model."""
    part = digits().reference
    x, y = torch.from_numpy(part.x), torch.from_numpy(part.y)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        abar = noise_schedule(sampler.family).alphas_cumprod
        return float(denoising_loss(sampler.unet(), sampler.family, x, y, abar, generator))


def test_training_lowers_the_loss_on_unseen_digits(trained: DiffusionSampler, seed: int) -> None:
    assert heldout_loss(trained, seed) < 0.6 * heldout_loss(untrained(LEARNER), seed)


def test_training_lowers_the_frechet_distance(trained: DiffusionSampler, seed: int) -> None:
    labels = np.repeat(np.arange(10), 10)
    real = flat(digits().reference.x)
    distance = [
        frechet_distance(real, flat(s.sample(labels, stream(seed, "s"))))
        for s in (trained, untrained(LEARNER))
    ]
    assert distance[0] < 0.7 * distance[1]


def test_fit_is_a_function_of_pool_and_rng(tiny: DiffusionSampler, seed: int) -> None:
    """Byte for byte, whatever the global streams did before; and it leaves those alone."""
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    before = torch.random.get_rng_state()
    again = TINY.fit(POOL, stream(seed, "tests", "tiny"))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert fingerprint(again) == fingerprint(tiny)
    assert fingerprint(TINY.fit(POOL, stream(seed, "tests", "other"))) != fingerprint(tiny)  # control


def test_sampling_is_a_function_of_labels_and_rng(tiny: DiffusionSampler) -> None:
    labels = np.arange(10)
    x = tiny.sample(labels, stream(1))
    assert x.shape == (10, 1, 8, 8)
    assert x.dtype == np.float32
    assert np.abs(x).max() <= 1
    torch.manual_seed(7)
    assert (tiny.sample(labels, stream(1)) == x).all()
    assert (tiny.sample(labels, stream(2)) != x).any()
    assert (tiny.sample(labels[::-1].copy(), stream(1)) != x).any()  # the label is heard


def test_blocks_change_nothing(tiny: DiffusionSampler) -> None:
    labels = np.arange(10)
    assert close(tiny.sample(labels, stream(1), block=3), tiny.sample(labels, stream(1)), FLOAT32, 100)


def test_sampler_is_a_value(tiny: DiffusionSampler) -> None:
    """Sampling from it and fine-tuning from it leave it as it was; the fine-tuned one is another."""
    before = fingerprint(tiny)
    tiny.sample(np.arange(3), stream(0))
    tuned = TINY.fit(POOL, stream(5), start=tiny)
    assert fingerprint(tiny) == before
    assert fingerprint(tuned) != before
    scratch = TINY.fit(POOL, stream(5))
    assert fingerprint(tuned) != fingerprint(scratch)


def test_fine_tuning_starts_from_start(tiny: DiffusionSampler) -> None:
    """With a learning rate of nothing it gives the model it started from."""
    frozen = Diffusion(**{**vars(TINY), "finetune_lr": 0.0})
    assert fingerprint(frozen.fit(POOL, stream(5), start=tiny)) == fingerprint(tiny)
    assert fingerprint(frozen.fit(POOL, stream(5))) != fingerprint(tiny)  # control


def test_restored_model_is_the_same(tiny: DiffusionSampler) -> None:
    again = TINY.restore(tiny.state())
    assert fingerprint(again) == fingerprint(tiny)
    assert (again.sample(np.arange(4), stream(0)) == tiny.sample(np.arange(4), stream(0))).all()


@pytest.mark.parametrize(
    ("n", "first", "steps"), [(160, True, 4), (160, False, 3), (50, False, 1), (128, False, 2)]
)
def test_cost_is_what_training_took(n: int, first: bool, steps: int, tiny: DiffusionSampler) -> None:
    """`evaluations` says beforehand the steps that `fit` takes, and three forwards a sample of each."""
    pool, ticks = POOL.take(np.arange(n)), []
    with progress.listening(lambda *tick: ticks.append(tick)):
        TINY.fit(pool, stream(0), start=None if first else tiny)
    said = TINY.evaluations(pool, first)
    assert len(ticks) == steps == said["gradient_steps"]
    assert said["training_evaluations"] == 3 * steps * min(64, n)


def test_nan_loss_is_named() -> None:
    wild = Diffusion(8, 10, (8, 8), steps=30, lr=1e30, warmup=0)
    with pytest.raises(ArithmeticError, match=r"denoising loss is nan at step \d+ of 30 \(lr 1e\+30\)"):
        wild.fit(POOL, stream(0))


# --- the loss, with networks that are known ---


def parts(
    n: int, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Generator]:
    x = torch.from_numpy(rng.uniform(-1, 1, (n, 1, 8, 8)).astype(np.float32))
    y = torch.from_numpy(rng.integers(0, 10, n))
    return x, y, noise_schedule(TINY).alphas_cumprod, torch.Generator().manual_seed(int(rng.integers(2**60)))


def network(f: Callable[..., torch.Tensor]) -> Any:
    return lambda x_t, t, class_labels: SimpleNamespace(sample=f(x_t, t, class_labels))


def test_noise_is_mixed_in_as_stated(rng: np.random.Generator) -> None:
    """A network that solves x_t = sqrt(abar) x + sqrt(1 - abar) eps for eps has no loss."""
    x, y, abar, generator = parts(64, rng)

    def solver(x_t: torch.Tensor, t: torch.Tensor, _: torch.Tensor, shift: float = 0.0) -> torch.Tensor:
        a = abar[t].view(-1, 1, 1, 1)
        return (x_t - (a.sqrt() + shift) * x) / (1 - a).sqrt()

    loss = denoising_loss(network(solver), TINY, x, y, abar, generator)
    assert loss < FLOAT32
    control = denoising_loss(network(lambda *a: solver(*a, shift=0.1)), TINY, x, y, abar, generator)
    assert control > 1e-3


def test_knowing_nothing_costs_one(rng: np.random.Generator) -> None:
    x, y, abar, generator = parts(8, rng)

    def loss(_: np.random.Generator, size: int) -> np.ndarray:
        nothing = network(lambda x_t, t, c: torch.zeros_like(x_t))
        return np.array([float(denoising_loss(nothing, TINY, x, y, abar, generator)) for _ in range(size)])

    assert_exact(loss, 1.0, rng, 1000, control=0.9)


@pytest.mark.parametrize("dropout", [0.0, 0.3, 1.0])
def test_dropped_labels_become_the_null_class(dropout: float, rng: np.random.Generator) -> None:
    """Label `classes`, the one after the last: what the filter's latents are read at."""
    family = Diffusion(**{**vars(TINY), "label_dropout": dropout})
    seen: list[torch.Tensor] = []

    def listen(x_t: torch.Tensor, t: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        seen.append(labels)
        return x_t

    x, y, abar, generator = parts(400, rng)
    denoising_loss(network(listen), family, x, y, abar, generator)
    (labels,) = seen
    null = labels == 10
    assert (labels[~null] == y[~null]).all()
    assert abs(float(null.float().mean()) - dropout) <= 6 * np.sqrt(dropout * (1 - dropout) / 400)


def test_network_knows_one_class_more() -> None:
    assert build_unet(TINY, torch.Generator()).class_embedding.weight.shape[0] == 11


def test_timesteps_cover_the_whole_schedule(rng: np.random.Generator) -> None:
    x, y, abar, generator = parts(4000, rng)
    seen: list[torch.Tensor] = []

    def listen(x_t: torch.Tensor, t: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        seen.append(t)
        return x_t

    denoising_loss(network(listen), TINY, x, y, abar, generator)
    assert seen[0].min() < 20
    assert seen[0].max() > 979
    assert len(abar) == 1000
    assert (abar.diff() < 0).all()


# --- batches ---


@pytest.mark.parametrize(("n", "size"), [(10, 3), (12, 4), (5, 64), (1, 1)])
def test_every_index_in_every_epoch(n: int, size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    b = min(size, n)
    per_epoch = -(-n // b)
    drawn = list(islice(Batches(n, size, generator), 3 * per_epoch))
    assert all(len(batch) == b for batch in drawn)
    for epoch in range(3):
        indices = torch.cat(drawn[epoch * per_epoch : (epoch + 1) * per_epoch])
        assert set(indices.tolist()) == set(range(n))


def test_epochs_are_shuffled() -> None:
    drawn = list(islice(Batches(100, 100, torch.Generator().manual_seed(0)), 2))
    assert drawn[0].tolist() != drawn[1].tolist() != list(range(100))


def test_first_weights_come_from_the_seed() -> None:
    nets = [build_unet(TINY, torch.Generator().manual_seed(s)).state_dict() for s in (1, 1, 2)]
    first, again, other = (fingerprint(DiffusionSampler(TINY, net)) for net in nets)
    assert first == again != other


def test_weights_are_averaged_over_the_steps() -> None:
    """With the same draws, a long memory and none end at different weights."""
    last, mean = (Diffusion(**{**vars(TINY), "ema": ema}).fit(POOL, stream(3)) for ema in (0.0, 0.99))
    assert fingerprint(last) != fingerprint(mean)


# --- patches ---

PATCHED = Diffusion(8, 10, (8, 16), steps=4, lr=2e-3, epochs=1, batch=64, warmup=1, patch=2)


def test_the_network_sees_squares_of_pixels_as_channels(rng: np.random.Generator) -> None:
    x = rng.uniform(-1, 1, (3, 1, 8, 8)).astype(np.float32)
    seen = PATCHED.to_net(x)
    assert seen.shape == (3, 4, 4, 4)
    for row in range(2):
        for column in range(2):
            assert (seen[:, 2 * row + column] == x[:, 0, row::2, column::2]).all()
    assert (TINY.to_net(x) == x).all()


def test_patches_come_back_to_their_places() -> None:
    """A network that knows one picture, as it sees it, samples that picture."""
    picture = np.linspace(-0.9, 0.9, 64, dtype=np.float32).reshape(1, 1, 8, 8)
    seen, abar = torch.from_numpy(PATCHED.to_net(picture)), noise_schedule(PATCHED).alphas_cumprod

    def knows(x: torch.Tensor, t: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return (x - abar[t].sqrt() * seen) / (1 - abar[t]).sqrt()

    x = sample(knows, PATCHED, np.zeros(5, int), stream(0), 2)
    assert x.shape == (5, 1, 8, 8)
    assert close(x, picture.repeat(5, 0), FLOAT32, 100)
    assert not close(x, picture.swapaxes(2, 3).repeat(5, 0), FLOAT32, 100)  # control


def solved(family: Diffusion, variance: float, generator: torch.Generator, n: int) -> np.ndarray:
    """Squares of `n` images that a solver makes by the exact noise of data N(0, variance)."""
    abar = noise_schedule(family).alphas_cumprod

    def exact(x: torch.Tensor, t: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return (1 - abar[t]).sqrt() * x / (abar[t] * variance + 1 - abar[t])

    noise = torch.randn(n, 1, 8, 8, generator=generator)
    return denoise(exact, family, noise, torch.zeros(n), generator).flatten().numpy() ** 2


@pytest.mark.parametrize("kind", [Diffusion, StochasticDiffusion])
def test_either_solver_reaches_the_law_of_the_data(kind: type[Diffusion], rng: np.random.Generator) -> None:
    """... in 200 steps; in ten, with the last step a posterior mean, it is far narrower: docs/images.md says so."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    fine, coarse = (replace(kind(8, 10, (8, 16), 4, lr=2e-3), sampling_steps=n) for n in (200, 10))
    narrowed = float(solved(coarse, 0.3, generator, 2000).mean())
    assert narrowed < 0.8 * 0.3
    batches = iter(solved(fine, 0.3, generator, 2000).reshape(100, -1))
    assert_asymptotic(lambda *_: next(batches), 0.3, BIAS_SOLVER, rng, 100, narrowed)


LEAVES = {
    (Diffusion, 10): (0.25, 0.69),
    (StochasticDiffusion, 10): (0.23, 0.64),
    (Diffusion, 20): (0.55, 0.93),
    (StochasticDiffusion, 20): (0.51, 0.97),
    (LogSnrDiffusion, 10): (1.03, 1.07),
}
"""Shares that solver and steps leave of a variance of .04 and of .3, as docs/images.md has them."""


@pytest.mark.parametrize(("kind", "steps"), LEAVES)
def test_what_a_solver_leaves_of_a_variance(
    kind: type[Diffusion], steps: int, rng: np.random.Generator
) -> None:
    """... by the exact noise; controls: what every other row leaves."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    family = kind(8, 10, (8, 16), 4, lr=2e-3, sampling_steps=steps)
    found = [solved(family, v, generator, 2000).mean() / v for v in (0.04, 0.3)]
    off = {row: np.abs(np.subtract(found, left)).max() for row, left in LEAVES.items()}
    assert [row for row in off if off[row] < LEFT] == [(kind, steps)]


def test_stochastic_solver_draws_and_the_other_does_not(tiny: DiffusionSampler) -> None:
    model, labels = DiffusionSampler(StochasticDiffusion(**vars(TINY)), tiny.weights), np.arange(4)
    assert (model.sample(labels, stream(1)) == model.sample(labels, stream(1))).all()
    assert (model.sample(labels, stream(1)) != tiny.sample(labels, stream(1))).any()

    def after(s: DiffusionSampler) -> bool:
        """Are there draws beyond the first noise?"""
        generator, x = torch.Generator().manual_seed(0), torch.zeros(4, 1, 8, 8)
        first = generator.get_state()
        denoise(s.predictor(), s.family, x, torch.as_tensor(labels), generator)
        return bool((generator.get_state() != first).any())

    assert after(model)
    assert not after(tiny)


def test_a_kind_is_one_solver() -> None:
    """Records name the kind alone: another solver must be another kind, or old records would pass for new ones."""
    assert (Diffusion.solver, StochasticDiffusion.solver) == ("dpmsolver++", "sde-dpmsolver++")
    assert [k.log_snr_steps for k in (Diffusion, StochasticDiffusion, LogSnrDiffusion)] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize("patch", [0, 3, 16])
def test_patch_that_does_not_fit_is_refused(patch: int) -> None:
    with pytest.raises(ValueError, match=f"patch must divide size, 8, found {patch}"):
        replace(TINY, patch=patch)


# --- extrapolated scores ---


@pytest.fixture(scope="module")
def pair(tiny: DiffusionSampler) -> tuple[DiffusionSampler, DiffusionSampler]:
    return tiny, TINY.fit(POOL, stream(8), start=tiny)


def test_noise_is_extrapolated_away_from_the_auxiliary(
    pair: tuple[DiffusionSampler, DiffusionSampler], rng: np.random.Generator
) -> None:
    x, y, t = (
        torch.from_numpy(rng.standard_normal((4, 1, 8, 8), np.float32)),
        torch.arange(4),
        torch.tensor(300),
    )
    with torch.inference_mode():
        base, aux = (model.predictor()(x, t, y) for model in pair)
        found = TINY.extrapolated(*pair, 0.5).predictor()(x, t, y)
    assert close(found, 1.5 * base - 0.5 * aux, FLOAT32)
    assert not close(found, 0.5 * base + 0.5 * aux, FLOAT32)  # control


def test_no_strength_is_the_base_bit_for_bit(pair: tuple[DiffusionSampler, DiffusionSampler]) -> None:
    labels = np.arange(10)
    none, some = (TINY.extrapolated(*pair, w).sample(labels, stream(1)) for w in (0.0, 0.5))
    base = pair[0].sample(labels, stream(1))
    assert (none == base).all()
    assert (some != base).any()


def test_extrapolated_model_comes_back_from_a_file(
    pair: tuple[DiffusionSampler, DiffusionSampler], tmp_path: Path
) -> None:
    model = TINY.extrapolated(*pair, 0.3)
    save_arrays(tmp_path / "model", model.state())
    again = TINY.restore(load_arrays(tmp_path / "model"))
    assert isinstance(again, ExtrapolatedSampler)
    assert again.strength == 0.3
    assert (again.sample(np.arange(4), stream(0)) == model.sample(np.arange(4), stream(0))).all()
    assert [fingerprint(m) for m in (again.base, again.aux)] == [fingerprint(m) for m in pair]


def test_fine_tuning_of_an_extrapolated_model_starts_from_its_base(
    pair: tuple[DiffusionSampler, DiffusionSampler],
) -> None:
    frozen = replace(TINY, finetune_lr=0.0)
    tuned = frozen.fit(POOL, stream(5), start=TINY.extrapolated(*pair, 0.3))
    assert fingerprint(tuned) == fingerprint(pair[0]) != fingerprint(pair[1])


def test_both_networks_are_counted() -> None:
    assert ScoreExtrapolation(TINY).sampling_steps == 2 * TINY.sampling_steps


# --- layout, precision, processes ---


@pytest.mark.parametrize(
    "options", [{"channels_last": True}, {"accelerate": True}], ids=["channels last", "accelerate"]
)
def test_how_it_runs_changes_nothing(options: dict[str, Any], tiny: DiffusionSampler, seed: int) -> None:
    """Channels last to float32 rounding, accelerate on one process bit for bit."""
    rng = stream(seed, "tests", "tiny")
    family = replace(TINY, **options)
    other = family.fit(POOL, rng)
    ours, theirs = tiny.state(), other.state()
    assert all(theirs[k].flags.c_contiguous for k in theirs)
    assert all(close(theirs[k], ours[k], FLOAT32, 100) for k in ours)
    if "accelerate" in options:
        assert fingerprint(other) == fingerprint(tiny)
    assert not all(close(theirs[k], v, FLOAT32, 100) for k, v in untrained(TINY).state().items())  # control
    x = replace(TINY, channels_last=True).restore(ours).sample(np.arange(10), stream(1))
    assert close(x, tiny.sample(np.arange(10), stream(1)), FLOAT32, 100)


def test_processes_share_a_batch(rng: np.random.Generator) -> None:
    """The mean of two processes' losses on their rows is the loss of the whole batch."""
    x, y, abar, generator = parts(64, rng)
    before = generator.get_state()

    def loss(part: slice) -> float:
        generator.set_state(before)
        half = network(lambda x_t, t, c: 0.5 * x_t)
        return float(denoising_loss(half, TINY, x, y, abar, generator, part))

    whole, first, second = (loss(slice(*a)) for a in ((None,), (0, None, 2), (1, None, 2)))
    assert close((first + second) / 2, whole, FLOAT32)
    assert not close(first, whole, FLOAT32)  # control


def test_bfloat16_is_close_and_not_the_same(tiny: DiffusionSampler, seed: int) -> None:
    half = DiffusionSampler(replace(TINY, precision="bfloat16"), tiny.weights)
    ours, theirs = heldout_loss(tiny, seed), heldout_loss(half, seed)
    assert ours != theirs
    assert abs(ours - theirs) < 0.02 * ours


def test_unknown_precision_is_refused() -> None:
    with pytest.raises(ValueError, match="precision must be 'float32' or 'bfloat16', found 'float16'"):
        replace(TINY, precision="float16")


# --- trainings that are cut short ---

LONG = replace(TINY, steps=9, channels_last=True)


class Killed(Exception):
    """Stands for a signal."""


def cut_short(keep: Path, at: int, family: Diffusion = LONG, seed: int = 4) -> None:
    """A training that is killed at a step."""

    def kill(_: str, step: int, __: int) -> None:
        if step == at:
            raise Killed

    with progress.listening(kill), pytest.raises(Killed):
        family.fit(POOL, stream(seed), keep=keep)


@pytest.fixture
def keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(training, "KEEP_SECONDS", 0.0)
    return tmp_path / "training"


def test_training_goes_on_bit_for_bit(keep: Path) -> None:
    """Killed twice, in two epochs; every step is taken once more at most, and nothing is left behind."""
    whole = LONG.fit(POOL, stream(4))
    cut_short(keep, 2)
    cut_short(keep, 7)
    steps: list[int] = []
    with progress.listening(lambda _, step, __: steps.append(step)):
        again = LONG.fit(POOL, stream(4), keep=keep)
    assert steps == [6, 7, 8]
    assert fingerprint(again) == fingerprint(whole)
    assert list(keep.parent.iterdir()) == []
    assert fingerprint(LONG.fit(POOL, stream(5))) != fingerprint(whole)  # control


def test_damaged_state_is_named(keep: Path) -> None:
    cut_short(keep, 3)
    good = keep.read_bytes()
    middle = len(good) // 2
    for bad in (b"", good[:-100], good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :]):
        keep.write_bytes(bad)
        with pytest.raises(ValueError, match=rf"keep is damaged .*delete {keep} and run again"):
            LONG.fit(POOL, stream(4), keep=keep)
        assert keep.read_bytes() == bad


def test_another_trainings_state_is_refused(keep: Path) -> None:
    cut_short(keep, 3)
    for family, pool, rng in (
        (replace(LONG, lr=1e-3), POOL, 4),
        (LONG, POOL.take(np.arange(100)), 4),
        (LONG, POOL, 5),
    ):
        with pytest.raises(ValueError, match="keep is of another training"):
            family.fit(pool, stream(rng), keep=keep)


def test_folder_of_the_state_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keep must lie in a folder that exists"):
        LONG.fit(POOL, stream(4), keep=tmp_path / "none" / "training")


def test_nan_leaves_the_last_good_state(keep: Path) -> None:
    """The state before the step that broke it: from there the loss is still a number."""
    wild = replace(LONG, lr=1e30, warmup=0)
    with pytest.raises(ArithmeticError, match="denoising loss is nan at step 1 of 9"):
        wild.fit(POOL, stream(4), keep=keep)
    state = torch.load(keep, weights_only=True)
    assert state["step"] == 0
    assert all(torch.isfinite(w).all() for w in state["weights"].values())


def test_a_write_that_fails_leaves_the_state_before(keep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_short(keep, 3)
    before = keep.read_bytes()

    def full(_: Any, file: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        LONG.fit(POOL, stream(4), keep=keep)
    assert keep.read_bytes() == before
    assert list(keep.parent.iterdir()) == [keep]
