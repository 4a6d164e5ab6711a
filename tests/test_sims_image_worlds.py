"""Image worlds: what their instruments read, the geometry of class latents, and what a preset's row says."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch

from lsf.filter import LatentSpaceFilter
from lsf.pool import Pool
from paper_checks.image_theory import filters_on
from paper_checks.pair_models import LATENTS
from sims.curation import NAMES
from sims.denoising import noise_schedule
from sims.image_worlds import RefittedImages
from sims.instruments import class_geometry
from sims.loop import run
from sims.presets import EVERY, PRESETS, STRONG, STUDY, preset
from sims.record import device_name, model_file
from tests.tolerances import FLOAT32, close
from theory.subspaces import frames

TINY = replace(
    preset("digits-smoke"),
    name="tiny",
    world=replace(
        preset("digits-smoke").world,
        generator=replace(preset("digits-smoke").world.generator, steps=4, sampling_steps=2),
        ole_timesteps=(10, 200),
        ole_per_class=6,
        slow_spaces=(),
    ),
    budget=60,
    generations=1,
    checkpoints=False,
)


def test_geometry_reads_angles_and_floor(rng: np.random.Generator) -> None:
    """Latents on two subspaces at 60 degrees, and one part in five of their energy off them."""
    U = frames(np.full(4, np.pi / 3), dim=40)
    h = np.concatenate([rng.standard_normal((4000, 4)) @ u.T for u in U])
    y = np.repeat([0, 1], 4000)
    found = class_geometry(h, y, rank=4, centred=False)
    assert abs(found["cosines"] - 0.5) < 0.02
    assert found["noise_floor"] < 1e-12
    noisy = h + rng.standard_normal(h.shape) * np.sqrt(1 / 36)
    assert abs(class_geometry(noisy, y, rank=4, centred=False)["noise_floor"] - 0.2) < 0.02


def test_common_mean_looks_like_a_shared_direction_unless_centred(rng: np.random.Generator) -> None:
    h = rng.standard_normal((400, 200)) + 10
    y = np.arange(400) % 2
    assert class_geometry(h, y, 1, centred=False)["cosines"] > 0.99
    assert class_geometry(h, y, 1, centred=True)["cosines"] < 0.5


def test_thorough_readings_are_those_of_every_fifth_generation_and_the_last(tmp_path: Path) -> None:
    folder = run(replace(TINY, generations=6), 900, tmp_path / "a", ["SYN"])
    found = {r["generation"]: r["metrics"] for r in folder.records()}
    assert [k for k, m in found.items() if m["geometry"]] == [0, 5, 6]
    assert {r["input"] for r in found[5]["ole"]} == {"clean", "noised"}
    assert {r["input"] for r in found[4]["ole"]} == {"clean"}
    assert all(m.keys() == folder.floor.keys() for m in found.values())
    assert set(found[4]["spaces"]) == {"pixels-pca-30"}
    assert set(found[4]["spaces"]["pixels-pca-30"]) <= set(found[4])


def test_more_samples_can_be_measured_than_the_loop_goes_on_with(tmp_path: Path) -> None:
    few, many = (run(replace(TINY, evaluated=n), 900, tmp_path / str(n), ["SYN"]) for n in (None, 120))
    assert [r["metrics"]["n"] for r in few.records()] == [60, 60]
    assert [r["metrics"]["n"] for r in many.records()] == [120, 120]
    assert [r["samples"] for r in few.records()] == [r["samples"] for r in many.records()]
    cost = [f.records()[1]["cost"]["sampling_evaluations"] for f in (few, many)]
    assert cost == [2 * 60, 2 * 180]


def test_runs_share_as_many_models_as_the_preset_says(tmp_path: Path) -> None:
    row = replace(TINY, models=2)
    a, b, c = (run(row, seed, tmp_path / str(seed), ["REAL"]) for seed in (0, 2, 1))
    files = [model_file(tmp_path, f.settings) for f in (a, b, c)]
    assert files[0] == files[1] != files[2]
    assert a.records()[0]["samples"] != b.records()[0]["samples"]  # the same model, other draws


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_every_policy_runs_on_images(name: str, tmp_path: Path) -> None:
    record = run(TINY, 900, tmp_path / "a", [name]).records()[1]
    assert record["trained_on"]["n"] == (780 if name in ("ACU", "ACU-EQUAL-STEPS") else 60)
    real = record["trained_on"]["share_real"]
    assert real == 1 if name in ("REAL", "ORACLE") else real == 0 if name == "SYN" else real > 0
    steps = record["cost"]["gradient_steps"]
    assert steps == {"ACU": 21, "ACUR-SIMS": 6}.get(name, 3)


def test_what_pools_give_is_read_where_a_world_says_so(tmp_path: Path) -> None:
    """... of ACUR, at its last generation."""
    again = replace(TINY, world=RefittedImages(**vars(TINY.world)))
    plain, refitted = (
        run(replace(row, generations=3), 900, tmp_path / name, ["ACUR"])
        for name, row in (("a", TINY), ("b", again))
    )
    assert [("pools" in r) for r in refitted.records()] == [False, False, False, True]
    assert not any("pools" in r for r in plain.records())
    assert [r["metrics"] for r in plain.records()] == [r["metrics"] for r in refitted.records()]
    pools = refitted.records()[-1]["pools"]
    assert [p["n"] for p in pools] == [90, 120, 240]
    for name in ("digits-weak-pools", "digits-strong-pools"):
        assert preset(name).world.build(0).refits
        assert not preset(name.removesuffix("-pools")).world.build(0).refits


def test_the_study_runs_what_the_issue_of_images_asks() -> None:
    assert set(EVERY) <= set(NAMES)
    assert len(EVERY) == len(set(EVERY)) == 21
    assert {row.name for row in STUDY} <= set(PRESETS)
    assert STRONG.models == 3
    assert len({len(row.seeds) for row in STUDY if row.name.endswith("-long")}) == 1


def test_the_kit_has_every_convention_of_a_latent_that_ole_reads() -> None:
    """Read at one timestep, so that both draw the same noise; by hand: what diffusers' schedule adds, then clean."""
    built = replace(TINY.world, ole_timesteps=(200,)).build(0)  # type: ignore[type-var]
    instruments = built.instruments(built.generator.fit(built.train, np.random.default_rng(0)))
    x, y = built.reference.x[:30], built.reference.y[:30]
    filters = filters_on(instruments)
    rows = {f"{c['input']}, {c['latent']}": h for c, h in instruments.latents(x, ("clean", "noised"))}
    assert tuple(filters) == tuple(rows) == LATENTS
    for latents, h in rows.items():
        assert np.array_equal(filters[latents].transform(x), h)
        assert filters[latents].probe_.n_features_in_ == h.shape[1]
        probe = LatentSpaceFilter().fit(filters[latents].transform(built.train.x), built.train.y)
        assert close(filters[latents].score_samples(x, y), probe.score_samples(h, y))
    noise = np.random.default_rng(0).standard_normal((1, *x.shape[1:])).astype(np.float32)
    schedule, t = noise_schedule(built.generator), torch.full((30,), 200)
    dirty = schedule.add_noise(torch.from_numpy(x), torch.from_numpy(noise).expand(*x.shape), t).numpy()
    assert close(filters["clean, flattened"].transform(dirty), rows["noised, flattened"], FLOAT32, 100)
    clean, noised = rows["clean, pooled"], rows["noised, pooled"]
    assert clean.shape == noised.shape
    assert not np.allclose(clean, noised, rtol=0.1), "control: noise changes what is read"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said_before_any_work(tmp_path: Path) -> None:
    world = replace(TINY.world, generator=replace(TINY.world.generator, device="cuda"))  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="device is 'cuda', but torch finds no GPU here"):
        run(replace(TINY, world=world), 0, tmp_path / "a", ["SYN"])
    assert not (tmp_path / "a").exists()


def test_device_and_sampler_are_noted() -> None:
    notes = preset("digits-smoke").world.build(0).notes
    assert notes["sampler"] == "DPM-Solver++, 5 steps, no guidance"
    assert notes["device"] == device_name()
    assert torch.backends.cpu.get_cpu_capability() in notes["device"]


def test_pool_of_trusted_data_is_in_no_other_part() -> None:
    built = preset("digits-smoke").world.build(0)
    assert isinstance(built.train, Pool)
    ids = built.notes["ids"]
    assert sorted(ids) == ["classifiers", "reference", "train", "trusted"]
    every = [*chain(*ids.values())]
    assert len(every) == len(set(every)) == 1797


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"size": 16}, r"makes images of shape \(1, 16, 16\), the data have \(1, 8, 8\)"),
        ({"image_channels": 3}, r"shape \(3, 8, 8\), the data"),
        ({"classes": 11}, "has 11 classes, the data have 10"),
    ],
)
def test_a_generator_of_other_images_is_refused_before_any_work(other: dict[str, int], message: str) -> None:
    world = TINY.world
    with pytest.raises(ValueError, match=message):
        replace(world, generator=replace(world.generator, **other)).build(0)
