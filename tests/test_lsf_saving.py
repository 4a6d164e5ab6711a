"""A saved filter comes back to the last bit, and no other file comes in: not one with a single bit changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DModel
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from lsf import (
    DensityRatioFilter,
    EnergyFeatures,
    FlattenedPCA,
    LatentSpaceFilter,
    Matched,
    Probe,
    Random,
    RankSumFilter,
    ShrunkHerdFilter,
    SubspaceFilter,
    Threshold,
    Top,
    TrimHerdFilter,
    UnlabelledRatioFilter,
    saving,
)
from lsf.diffusion_encoder import DiffusionEncoder
from lsf.packing import Parts, fingerprint, pack
from lsf.saving import load, save
from lsf.whole_files import replacing

CLASSES, PER_CLASS, FEATURES = 3, 12, 4


def data(seed: int, labels: str = "integers") -> tuple[np.ndarray, np.ndarray]:
    y = np.repeat(np.arange(CLASSES), PER_CLASS)
    x = 2 * np.eye(CLASSES, FEATURES)[y] + np.random.default_rng(seed).standard_normal((len(y), FEATURES))
    words = np.array(["a", "ñandú", "\U0001f600 c"])[y]
    kinds = {"integers": 3 * y - 1, "small": y.astype(np.int8), "big-endian": y.astype(">i4"), "words": words}
    return x, (kinds | {"objects": words.astype(object)})[labels]


def answers(fitted: Any, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """All that a filter says of a pool: scores where it has them, latents where it makes them, and a choice."""
    scores = [
        getattr(fitted, name)(x, y) for name in ("score_samples", "score_pool") if hasattr(fitted, name)
    ]
    latents = [fitted.transform(x)] if hasattr(fitted, "transform") else []
    return [*scores, *latents, fitted.select(x, y, 10, rng=7)]


def assert_the_same(found: Any, fitted: Any, x: np.ndarray, y: np.ndarray) -> None:
    assert type(found) is type(fitted)
    for a, b in zip(answers(found, x, y), answers(fitted, x, y), strict=True):
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()
    assert found.classes_.dtype.newbyteorder("=") == fitted.classes_.dtype.newbyteorder("=")
    assert repr(found) == repr(fitted)
    assert vars(found).keys() == vars(fitted).keys()


ENCODERS = st.sampled_from(
    [None, FlattenedPCA(2), EnergyFeatures(1), PCA(2, whiten=True), StandardScaler(), PCA(n_components=0.9)]
)
QUOTAS = st.sampled_from(["global", "class"])
PENALTIES = st.floats(1e-3, 1e3) | st.integers(1, 9) | st.just(np.float32(0.3)) | st.just(np.int64(2))
RULES = st.one_of(
    st.builds(Top, quota=QUOTAS),
    st.builds(Random, quota=QUOTAS),
    st.builds(Threshold, quota=QUOTAS, shortfall=st.just("fill"), quantile=st.floats(0, 1)),
    st.builds(Matched, quota=QUOTAS, shortfall=st.just("fill"), bins=st.integers(1, 12)),
)
FILTERS = st.one_of(
    st.builds(LatentSpaceFilter, ENCODERS, RULES, st.none() | st.integers(0, 2**40)),
    st.builds(DensityRatioFilter, ENCODERS, QUOTAS, PENALTIES),
    st.builds(RankSumFilter, ENCODERS, st.sampled_from([None, EnergyFeatures(1)]), QUOTAS, PENALTIES),
    st.builds(TrimHerdFilter, ENCODERS, st.sampled_from([None, EnergyFeatures(1)]), PENALTIES, st.booleans()),
    st.builds(ShrunkHerdFilter, ENCODERS),
)
LABELS = st.sampled_from(["integers", "small", "big-endian", "words", "objects"])


@given(prototype=FILTERS, labels=LABELS, seed=st.integers(0, 2**32 - 1), other=st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_any_filter_comes_back_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, prototype: Any, labels: str, seed: int, other: int
) -> None:
    path = tmp_path_factory.mktemp("saved") / "filter.safetensors"
    x, y = data(seed, labels)
    fitted = clone(prototype).fit(x, y)
    save(fitted, path)
    found = load(path)
    assert_the_same(found, fitted, *data(other, labels))
    again = path.with_name("again")
    save(found, again)
    assert again.read_bytes() == path.read_bytes()
    if getattr(prototype, "random_state", 0) is None:
        return  # a fit of its own draws anew
    assert_the_same(found.fit(*data(other, labels)), fitted.fit(*data(other, labels)), x, y)


NO_LABELS = ENCODERS.filter(lambda encoder: not isinstance(encoder, EnergyFeatures))
UNLABELLED = st.one_of(
    st.builds(UnlabelledRatioFilter, NO_LABELS, PENALTIES),
    st.builds(
        SubspaceFilter,
        n_subspaces=st.none() | st.integers(2, 3),
        encoder=NO_LABELS,
        rule=RULES.filter(
            lambda rule: not rule.uses_reference
        ),  # of a subspace of one sample none is held out
        max_subspaces=st.just(4),
        random_state=st.integers(0, 2**40),
    ),
)


def answers_without_labels(fitted: Any, x: np.ndarray) -> list[np.ndarray]:
    score = fitted.score_samples if hasattr(fitted, "score_samples") else fitted.score_pool
    return [score(x), fitted.transform(x), fitted.select(x, 10, rng=7)]


@given(prototype=UNLABELLED, seed=st.integers(0, 2**32 - 1), other=st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_filters_without_labels_come_back_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, prototype: Any, seed: int, other: int
) -> None:
    path = tmp_path_factory.mktemp("saved") / "filter.safetensors"
    fitted = clone(prototype).fit(data(seed)[0])
    save(fitted, path)
    found, (x, _) = load(path), data(other)
    assert type(found) is type(fitted)
    assert repr(found) == repr(fitted)
    assert vars(found).keys() == vars(fitted).keys()
    for a, b in zip(answers_without_labels(found, x), answers_without_labels(fitted, x), strict=True):
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()


def test_axes_keep_their_order_in_memory(seed: int, tmp_path: Path) -> None:
    """A matrix product may round by it: L-BFGS leaves the weights of the probe column by column."""
    x, y = data(seed)
    fitted = LatentSpaceFilter(FlattenedPCA(2)).fit(x, y)
    save(fitted, tmp_path / "f")
    found = load(tmp_path / "f")
    for one in (lambda f: f.probe_.regression_.coef_, lambda f: f.encoder_.pca_.components_):
        assert one(found).strides == one(fitted).strides
    parts = Parts()
    node = pack(np.zeros((2, 3, 4, 5)).transpose(2, 0, 3, 1), "a", parts)
    assert parts.arrays["a"].shape == (2, 3, 4, 5)
    assert node["order"] == [1, 3, 0, 2]


def test_another_process_finds_the_same(seed: int, tmp_path: Path) -> None:
    x, y = data(seed)
    fitted = LatentSpaceFilter(FlattenedPCA(3), Matched(shortfall="fill"), random_state=seed).fit(x, y)
    save(fitted, tmp_path / "f")
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    code = (
        "import sys, numpy as np; from lsf.saving import load; x, y = np.load('x.npy'), np.load('y.npy'); "
        "np.save('scores.npy', load('f').score_samples(x, y)); assert 'torch' not in sys.modules"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(saving.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    assert np.load(tmp_path / "scores.npy").tobytes() == fitted.score_samples(x, y).tobytes()


# --- a model ---


def network(seed: int) -> Any:
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return UNet2DModel(
            sample_size=8,
            in_channels=1,
            out_channels=1,
            layers_per_block=1,
            block_out_channels=(4, 8),
            down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"),
            norm_num_groups=4,
            num_class_embeds=3,
            add_attention=False,
        )


@pytest.mark.parametrize("kind", [LatentSpaceFilter, RankSumFilter, ShrunkHerdFilter])
def test_model_is_given_again_and_must_be_the_same(kind: Any, seed: int, tmp_path: Path) -> None:
    rng, model, path = np.random.default_rng(seed), network(seed), tmp_path / "f"
    x, y = rng.standard_normal((24, 1, 8, 8)), np.arange(24) % 2
    noise = {"noised": True, "alphas_cumprod": np.linspace(0.99, 0.01, 1000), "random_state": 3}
    fitted = kind(DiffusionEncoder(model, timesteps=(20, 500), pooling="mean", batch_size=8, **noise)).fit(
        x, y
    )
    save(fitted, path)
    weights = model.conv_in.weight.detach().numpy().tobytes()
    assert weights not in path.read_bytes()
    assert_the_same(load(path, model=network(seed)), fitted, x, y)
    assert load(path, model=[network(seed + 1), model]).encoder_.model is model
    with pytest.raises(
        ValueError,
        match=r"model must be the UNet2DModel of its fit, with weights [0-9a-f]{12}\.\.\., found no",
    ):
        load(path)
    with pytest.raises(ValueError, match=r"found weights [0-9a-f]{12}"):
        load(path, model=network(seed + 1))
    with pytest.raises(TypeError, match="model must be a torch module, or a list of them, found OrderedDict"):
        load(path, model=model.state_dict())


def autoencoder(seed: int) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AutoencoderKL(
            in_channels=3, out_channels=3, latent_channels=1, block_out_channels=(4, 4), norm_num_groups=2,
            down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        )  # fmt: skip


def test_latent_diffusion_needs_both_models_and_keeps_its_choice(seed: int, tmp_path: Path) -> None:
    """A timestep that was chosen, a dtype and a device are kept too; an encoder's noise is drawn once."""
    rng, path, nets = np.random.default_rng(seed), tmp_path / "f", [network(seed), autoencoder(seed)]
    x, y = rng.standard_normal((24, 3, 16, 16)).astype(np.float32), np.arange(24) % 2
    abar = torch.linspace(0.99, 0.01, 1000)
    settings = {"candidates": (20, 500), "noised": True, "alphas_cumprod": abar, "random_state": 3}
    placed = {"dtype": torch.float32, "device": torch.device("cpu"), "batch_size": 8, "null_label": 2}
    fitted = LatentSpaceFilter(DiffusionEncoder(nets[0], vae=nets[1], **settings, **placed)).fit(x, y)
    save(fitted, path)
    found = load(path, model=[autoencoder(seed), network(seed)])
    for a, b in zip(answers(found, x, y), answers(fitted, x, y), strict=True):
        assert a.tobytes() == b.tobytes()
    assert found.encoder_.trials_ == fitted.encoder_.trials_
    assert (found.encoder.dtype, found.encoder.device) == (torch.float32, torch.device("cpu"))
    with pytest.raises(
        ValueError, match=r"model must be the AutoencoderKL of its fit, with weights .*\.\.\., found"
    ):
        load(path, model=nets[0])


def test_fingerprint_is_of_every_weight(seed: int) -> None:
    def changed(change: Any) -> str:
        model = network(seed)
        with torch.no_grad():
            change(model)
        return fingerprint(model)

    first = fingerprint(network(seed))
    assert changed(lambda m: m.train().requires_grad_(False)) == first
    assert changed(lambda m: m.conv_out.bias[:1].add_(1e-6)) != first
    assert changed(lambda m: m.conv_in.weight.copy_(m.conv_in.weight.flip(0))) != first
    assert changed(lambda m: m.bfloat16()) != first


def test_model_where_none_belongs(seed: int, tmp_path: Path) -> None:
    save(LatentSpaceFilter().fit(*data(seed)), tmp_path / "f")
    with pytest.raises(ValueError, match="the filter has no diffusion encoder: leave out model"):
        load(tmp_path / "f", model=network(seed))


# --- files that are not it ---


@pytest.fixture(scope="module")
def saved(seed: int, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("good") / "f"
    save(LatentSpaceFilter(rule=Matched(shortfall="fill"), random_state=0).fit(*data(seed)), path)
    load(path)  # control
    return path.read_bytes()


def refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("bad") / "f"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=f"{path}: (damaged: its checksum|no filter that lsf.saving.save wrote)"
    ):
        load(path)


@given(where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
@settings(max_examples=50)
def test_any_flipped_byte_is_seen(
    saved: bytes, tmp_path_factory: pytest.TempPathFactory, where: float, flip: int
) -> None:
    damaged = bytearray(saved)
    damaged[int(where * len(saved))] ^= flip
    refused(tmp_path_factory, bytes(damaged))


def test_every_byte_of_the_beginning_is_seen(saved: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Among them the spaces of the header, which JSON does not care for, and the case of the checksum's letters."""
    header = 8 + int.from_bytes(saved[:8], "little")
    for i in [*range(saving.START + 64), *range(header - 16, header)]:
        damaged = bytearray(saved)
        damaged[i] ^= 0x20 if chr(saved[i]).isalpha() else 0x29  # a space becomes a tab
        refused(tmp_path_factory, bytes(damaged))


@given(cut=st.floats(0, 1, exclude_max=True), more=st.binary(min_size=1, max_size=20))
@settings(max_examples=20)
def test_cut_or_longer_file_is_seen(
    saved: bytes, tmp_path_factory: pytest.TempPathFactory, cut: float, more: bytes
) -> None:
    refused(tmp_path_factory, saved[: int(cut * len(saved))])
    refused(tmp_path_factory, saved + more)


def test_file_of_something_else(saved: bytes, tmp_path: Path) -> None:
    save_file({"weight": np.zeros(3)}, tmp_path / "model", {"format": "pt"})
    np.savez(tmp_path / "f.npz", x=1)
    (tmp_path / "text").write_text("a filter")
    for name in ("model", "f.npz", "text"):
        with pytest.raises(ValueError, match=f"{name}: no filter that lsf.saving.save wrote"):
            load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nowhere")


def test_another_format_is_refused(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "FORMAT", 2)
    save(LatentSpaceFilter().fit(*data(seed)), tmp_path / "f")
    load(tmp_path / "f")  # control
    monkeypatch.undo()
    with pytest.raises(
        ValueError, match=r"in format 2, written by lsf .*, which reads format 1: load it with that"
    ):
        load(tmp_path / "f")


FORGED = [
    {"class": "system", "given": {"command": "touch owned"}, "fitted": {}},
    {"class": "Probe", "given": {}, "fitted": {"__class__": 1}},
    {"class": "Probe", "given": {}, "fitted": {"fit": 1}},
    {"class": "Probe", "given": {"no_such": 1}, "fitted": {}},
    {"class": "Top", "given": {"quota": "all"}, "fitted": {}},
    {"array": "elsewhere"},
    {"unknown": 1},
]


@pytest.mark.parametrize("node", FORGED, ids=str)
def test_forged_file_with_a_right_checksum(
    node: dict, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a stranger may write: classes and attributes that `save` does not."""
    monkeypatch.setattr(saving, "pack", lambda *_: node)
    save(LatentSpaceFilter().fit(*data(seed)), tmp_path / "f")
    with pytest.raises(ValueError, match=str(tmp_path / "f")):
        load(tmp_path / "f")


# --- what is not saved ---


class Mine(LatentSpaceFilter):
    """A subclass, which may do anything."""


class EnergyFeaturesOfMine(EnergyFeatures):
    pass


EnergyFeaturesOfMine.__name__ = "EnergyFeatures"

UNSAVED = [
    (
        LatentSpaceFilter(np.tanh),
        r"filter.encoder is of type ufunc, which is not saved: a function .*encoder=None",
    ),
    (
        LatentSpaceFilter(FunctionTransformer(np.tanh)),
        r"filter.encoder is of type Func.*: a function is not saved",
    ),
    (
        LatentSpaceFilter(make_pipeline(PCA(2))),
        r"filter.encoder is of type Pipeline.*only these are saved: LatentS",
    ),
    (
        LatentSpaceFilter(EnergyFeaturesOfMine(1)),
        "filter.encoder is of type EnergyFeatures.*only these are saved",
    ),
    (
        LatentSpaceFilter(rule=lambda *_, **__: [0]),
        "filter.rule is of type function.* a function is not saved",
    ),
    (
        LatentSpaceFilter(random_state=np.random.default_rng(0)),
        "filter.random_state is of type Gen.*an integer seed",
    ),
    (Mine(), "filter is of type Mine, which is not saved"),
]


@pytest.mark.parametrize(("prototype", "message"), UNSAVED)
def test_what_is_not_saved_is_said_with_the_cure(
    prototype: Any, message: str, seed: int, tmp_path: Path
) -> None:
    with pytest.raises(TypeError, match=message):
        save(prototype.fit(*data(seed)), tmp_path / "f")
    assert list(tmp_path.iterdir()) == []


def test_other_refusals(seed: int, tmp_path: Path) -> None:
    x, y = data(seed)
    with pytest.raises(NotFittedError):
        save(LatentSpaceFilter(), tmp_path / "f")
    with pytest.raises(TypeError, match="filter must be a fitted filter of lsf, found Probe"):
        save(Probe().fit(x, y), tmp_path / "f")
    filter_ = DensityRatioFilter().fit(x, y)
    filter_.real_ = (filter_.real_[0], np.full(len(y), "2020", "datetime64[Y]"))
    with pytest.raises(
        TypeError, match=r"filter.real_.1 is an array of datetime64.*labels as texts or integers"
    ):
        save(filter_, tmp_path / "f")
    filter_ = LatentSpaceFilter().fit(x, y)
    filter_.note = 1
    with pytest.raises(TypeError, match=r"has attributes that are not saved: \['note'\]"):
        save(filter_, tmp_path / "f")
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_stays_until_all_is_written(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    save(LatentSpaceFilter().fit(*data(seed)), path)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(DensityRatioFilter().fit(*data(seed)), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_planted_link_is_not_written_through(tmp_path: Path) -> None:
    """Writers of one process do not meet in one temporary file either."""
    out, victim = tmp_path / "f.txt", tmp_path / "victim.txt"
    victim.write_text("mine")
    (tmp_path / f".f.txt.{os.getpid()}").symlink_to(victim)
    with replacing(out) as one, replacing(out) as other:
        assert one != other
        assert not one.is_symlink()
        for n, temporary in enumerate((one, other)):
            temporary.write_text(str(n))
    assert (out.read_text(), victim.read_text()) == ("0", "mine")
    assert len(out.name) < len(one.name) < 40, "a long name of the user's must not become longer"
    mode = os.umask(0)
    os.umask(mode)
    assert out.stat().st_mode & 0o777 == 0o666 & ~mode
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".lsf-")] == []
