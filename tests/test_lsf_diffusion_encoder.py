"""The encoder on every kind of diffusion model: what it computes, a sample is alone, the model comes back unchanged."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler
from sklearn.base import clone

from lsf import LatentSpaceFilter, hooks, stream
from lsf.architectures import MeanOfVAE
from lsf.blocks import Blocks
from lsf.diffusion_encoder import DiffusionEncoder
from lsf.filter import held_out
from lsf.hooks import lent
from lsf.probe import Probe
from tests import tiny_models
from tests.tolerances import FLOAT32, close

SCHEDULER = DDPMScheduler()
ABAR = SCHEDULER.alphas_cumprod.numpy()
TEXT = np.linspace(-1, 1, 24).reshape(3, 8)
KINDS = ("unet", "latent", "dit", "latent-dit")


@cache
def parts(kind: str, seed: int) -> dict[str, Any]:
    """Parameters of an encoder: the model, and what it needs beside."""
    if kind == "unet":
        return {"model": tiny_models.unet(seed)}
    if kind == "dit":
        return {"model": tiny_models.dit(seed)}
    vae = tiny_models.vae(seed + 1)
    if kind == "latent-dit":
        return {"model": tiny_models.dit(seed, channels=2, size=4), "vae": vae}
    return {"model": tiny_models.conditional(seed), "vae": vae, "null_embedding": TEXT}


def encoder(kind: str, seed: int, timesteps: Any = (50, 300), **settings: Any) -> DiffusionEncoder:
    """Of parts of its own, so that a test may change them."""
    return DiffusionEncoder.from_model(
        **copy.deepcopy(parts(kind, seed)), timesteps=timesteps, **{"batch_size": 4, **settings}
    )


@pytest.fixture
def x(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((9, 1, 8, 8))


def by_hand(made: DiffusionEncoder, layer: str, z: np.ndarray, t: int, label: int | None) -> torch.Tensor:
    """The output of a layer, read while the whole model runs in one batch."""
    model, kept = made.model, []
    hook = model.get_submodule(layer).register_forward_hook(lambda module, inputs, out: kept.append(out))
    more: dict[str, Any] = {} if label is None else {"class_labels": torch.full((len(z),), label)}
    if made.null_embedding is not None:
        more["encoder_hidden_states"] = torch.tensor(TEXT, dtype=torch.float32).expand(len(z), 3, 8)
    model.eval()
    with torch.no_grad():
        model(torch.tensor(z, dtype=torch.float32), torch.full((len(z),), t), **more)
    model.train()
    hook.remove()
    return kept[0]


def z_by_hand(made: DiffusionEncoder, x: np.ndarray) -> np.ndarray:
    if made.vae is None:
        return x
    vae = copy.deepcopy(made.vae).eval()
    with torch.no_grad():
        return vae.encode(torch.tensor(x, dtype=torch.float32)).latent_dist.mode().numpy() * 0.18215


MIDDLE = {
    "unet": ("mid_block", 3),
    "latent": ("mid_block", None),
    "dit": ("transformer_blocks.1", 3),
    "latent-dit": ("transformer_blocks.1", 3),
}


@pytest.mark.parametrize("kind", KINDS)
def test_latents_are_the_middle_layer_without_a_class(kind: str, seed: int, x: np.ndarray) -> None:
    made = encoder(kind, seed, noised=True, alphas_cumprod=ABAR, random_state=3).fit(x)
    layer, null = MIDDLE[kind]
    z = z_by_hand(made, x)
    noised = np.sqrt(ABAR[300]) * z + np.sqrt(1 - ABAR[300]) * made.noise_[1]
    expected = by_hand(made, layer, noised, 300, null).flatten(1)
    assert close(made.latents(x)[1], expected, FLOAT32, 100)
    clean = encoder(kind, seed, 300).fit(x)
    assert close(clean.transform(x), by_hand(made, layer, z, 300, null).flatten(1), FLOAT32, 100)
    assert not close(clean.transform(x), expected, FLOAT32, 1000), "control: clean is not noised"
    if null is not None:
        other = by_hand(made, layer, z, 300, 0).flatten(1)
        assert not close(clean.transform(x), other, FLOAT32, 1000), "control: another class"


@pytest.mark.parametrize("pooling", ["mean", "max"])
@pytest.mark.parametrize(("kind", "shape"), [("latent", (8, 4)), ("dit", (16, 8))])
def test_pooling(kind: str, shape: tuple[int, int], pooling: str, seed: int, x: np.ndarray) -> None:
    """Over space of a U-Net (width, space), over tokens of a transformer (tokens, width)."""
    flat = encoder(kind, seed, 10).fit_transform(x).reshape(9, *shape)
    over = 2 if kind == "latent" else 1
    found = encoder(kind, seed, 10, pooling=pooling).fit_transform(x)
    assert close(found, getattr(flat, pooling)(axis=over), FLOAT32)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_is_alone(kind: str, seed: int, x: np.ndarray) -> None:
    """Its latents are the same, bit for bit, whatever is beside it and wherever it stands."""
    made = encoder(kind, seed, noised=True, alphas_cumprod=ABAR, random_state=0).fit(x)
    h = made.transform(x)
    for part in (np.array([8]), np.arange(5), np.arange(9)[::-1], np.array([7, 7, 2])):
        np.testing.assert_array_equal(made.transform(x[part]), h[part])
    relative = made.transform(x - x[:1])
    assert not np.array_equal(made.transform(x[3:] - x[3:4]), relative[3:]), (
        "control: relative to a neighbour"
    )


def test_strides_reach_no_bit(rng: np.random.Generator, seed: int) -> None:
    """Kernels round by strides: a VAE gives latents channels last, padding makes C order. All are laid out alike."""
    z = rng.standard_normal((35, 8, 8, 4)).astype(np.float32).transpose(0, 3, 1, 2)
    model = tiny_models.conditional(
        seed, sample_size=8, in_channels=4, out_channels=4, block_out_channels=(8, 16)
    )
    made = DiffusionEncoder.from_model(model, timesteps=50, null_embedding=TEXT, batch_size=16).fit(z)
    h = made.transform(np.ascontiguousarray(z))
    np.testing.assert_array_equal(made.transform(z), h)
    for i in range(0, 35, 6):
        np.testing.assert_array_equal(made.transform(z[i : i + 1])[0], h[i])


def test_batch_size_is_cut_where_a_place_in_the_batch_matters(seed: int, x: np.ndarray) -> None:
    """A layer that rounds otherwise beyond the third sample; the control, one that does not."""

    def uneven(module: Any, inputs: Any, out: Any) -> Any:
        return torch.cat([out[:3], out[3:] * (1 + 2**-20)])

    made = encoder("unet", seed, batch_size=8)
    made.fit(x)
    assert made.reading_.batch_size == 8, "control"
    made.model.mid_block.register_forward_hook(uneven)
    with pytest.warns(UserWarning, match="batch_size=8 lets a latent depend on .*; 2 is used") as told:
        made.fit(x * 0)
    assert [warning.filename for warning in told] == [__file__]
    h = made.transform(x)
    np.testing.assert_array_equal(made.transform(x[4:]), h[4:])


# --- labels ---


@pytest.mark.parametrize(
    ("kind", "null_label", "classes"), [("unet", None, 4), ("unet", 3, 3), ("unet", 0, 4), ("dit", None, 3)]
)
def test_mean_over_classes(kind: str, null_label: int | None, classes: int, seed: int, x: np.ndarray) -> None:
    made = encoder(kind, seed, 20, label="mean", null_label=null_label).fit(x)
    each = [
        by_hand(made, MIDDLE[kind][0], x, 20, c).flatten(1).numpy() for c in range(classes) if c != null_label
    ]
    assert close(made.transform(x), np.mean(each, axis=0), FLOAT32, 100)
    assert not close(made.transform(x), np.mean(each[1:], axis=0), FLOAT32, 1000), "control: one class less"


@pytest.mark.parametrize("kind", ["unet", "dit"])
def test_own_labels_warn_and_leak(kind: str, seed: int, x: np.ndarray) -> None:
    y = np.array([2, 0, 1, 1, 2, 0, 0, 1, 2])
    with pytest.warns(UserWarning, match="puts each sample's label into its latent") as told:
        made = encoder(kind, seed, 20, label="own").fit(x, y)
    assert [warning.filename for warning in told] == [__file__]
    h = made.transform(x, y)
    for c in range(3):
        expected = by_hand(made, MIDDLE[kind][0], x, 20, c).flatten(1)
        assert close(h[y == c], expected[y == c], FLOAT32, 100)
    np.testing.assert_array_equal(made.transform(x[2:], y[2:]), h[2:])
    assert not np.array_equal(made.transform(x, (y + 1) % 3), h), "control: the label matters"
    for wrong, match in ((None, "y must be given for label='own'"), (y[:3], "y has 3 labels"),
                         (y + 9, "y has labels 9 to 11, but the model has classes 0 to"),
                         (y.astype(str), "y must be the model's own class numbers")):  # fmt: skip
        with pytest.raises(ValueError, match=match):
            made.transform(x, wrong)


def test_a_class_of_y_is_not_taken_for_no_class(seed: int, x: np.ndarray) -> None:
    """Of a U-Net with four classes and no row for none, the last row is a class."""
    y = np.arange(9) % 4
    with pytest.raises(
        ValueError, match="the last class embedding, 3, is taken for 'no class', but is a label in y"
    ):
        encoder("unet", seed).fit(x, y)
    encoder("unet", seed).fit(x, y % 3)
    encoder("unet", seed).fit(x, (y % 3).astype(str))
    encoder("unet", seed, null_label=3).fit(x, y)
    encoder("unet", seed, label="mean").fit(x, y)


# --- the timestep chosen ---


def test_chosen_timestep_has_the_least_held_out_log_loss(seed: int, rng: np.random.Generator) -> None:
    y = np.repeat([0, 1], 20)
    x = rng.standard_normal((40, 1, 8, 8)) + 0.4 * y[:, None, None, None]
    settings = {
        "noised": True,
        "alphas_cumprod": ABAR,
        "random_state": 5,
        "pooling": "mean",
        "batch_size": 40,
    }
    made = encoder("latent", seed, None, candidates=(900, 20, 400), **settings).fit(x, y)
    losses = []
    out = held_out(y, np.random.default_rng(5).spawn(1)[0])
    rest = np.setdiff1d(np.arange(40), out)
    for trial in made.trials_:
        given = encoder("latent", seed, trial.timestep, **settings).fit(x)
        h = given.transform(x)
        probe = Probe().fit(h[rest], y[rest])
        losses.append(-probe.log_confidence(h[out], y[out]).mean())
        assert trial.log_loss == losses[-1]
        assert trial.accuracy == ((probe.log_odds(h[out], y[out]) > 0).mean())
        assert np.array_equal(h, made.transform(x)) == (trial.timestep == made.timesteps_[0])
    assert len(set(losses)) == 3, "control: timesteps differ"
    assert made.timesteps_ == [(900, 20, 400)[int(np.argmin(losses))]]


def test_timestep_is_chosen_inside_a_filter(seed: int, rng: np.random.Generator) -> None:
    y = np.repeat([0, 1], 6)
    x = rng.standard_normal((12, 1, 8, 8)) + y[:, None, None, None]
    fitted = LatentSpaceFilter(encoder("unet", seed, None, candidates=(5, 10), pooling="mean")).fit(x, y)
    assert len(fitted.encoder_.trials_) == 2
    assert np.isfinite(fitted.score_samples(x, y)).all()


@pytest.mark.parametrize(
    ("y", "match"),
    [
        (None, "timesteps=None is chosen by a probe and needs y"),
        (np.zeros(9, int), r"timesteps=None needs y with two .*, found \{0: 9\}"),
        (np.arange(9) // 8, r"timesteps=None needs y with two .*, found \{0: 8, 1: 1\}"),
        (np.zeros(3, int), "y has 3 labels, but x has 9 samples"),
    ],
)
def test_labels_that_cannot_choose(y: Any, match: str, seed: int, x: np.ndarray) -> None:
    with pytest.raises(ValueError, match=match):
        encoder("unet", seed, None).fit(x, y)


# --- the model comes back ---


class _Unplugged(Exception):
    pass


def unplug(*_: Any) -> None:
    raise _Unplugged


def state(made: DiffusionEncoder) -> list[Any]:
    """Modes, hooks, weights and the tensors they live in, of the model and its VAE."""
    models = [made.model] if made.vae is None else [made.model, made.vae]
    modules = [module for model in models for module in model.modules()]
    tensors = [t for model in models for t in (*model.parameters(), *model.buffers())]
    return [
        [(module.training, len(module._forward_hooks)) for module in modules],
        [(id(t), t.data_ptr(), t.dtype, t.device, t.requires_grad, t.detach().tolist()) for t in tensors],
    ]


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_model_comes_back(kind: str, dtype: str | None, seed: int, x: np.ndarray) -> None:
    """Also when the layer breaks down, or the VAE does."""
    made = encoder(kind, seed, dtype=dtype)
    next(iter(made.model.children())).eval()  # a mixture of modes must come back as that mixture
    before = state(made)
    made.fit(x).transform(x)
    assert state(made) == before
    at = [made.model.get_submodule(MIDDLE[kind][0])] + ([made.vae.encoder] if made.vae is not None else [])
    for module in at:
        handle = module.register_forward_pre_hook(unplug)
        with pytest.raises(_Unplugged):
            made.transform(x)
        handle.remove()
    assert state(made) == before
    assert not torch.is_inference_mode_enabled()
    made.model.train()
    assert state(made) != before, "control"


@pytest.mark.parametrize("kind", ["unet", "latent", "dit"])
def test_another_dtype_is_that_of_a_cast_model(kind: str, seed: int, x: np.ndarray) -> None:
    whole, half, cast = (encoder(kind, seed, batch_size=1, dtype=d) for d in (None, torch.bfloat16, None))
    whole.fit(x), half.fit(x)
    torch.nn.Module.to(cast.model, torch.bfloat16)
    h = half.transform(x)
    assert h.dtype == np.float32
    np.testing.assert_array_equal(h, cast.fit(x).transform(x))
    assert not np.array_equal(h, whole.transform(x)), "control"
    z = whole.reading_.encoded(x)  # the VAE keeps its own dtype
    np.testing.assert_array_equal(half.reading_.encoded(x), z)


def test_device_is_obeyed_and_left(seed: int, x: np.ndarray) -> None:
    """The meta device computes nothing, so that nothing comes back from it."""
    made = encoder("dit", seed).fit(x)
    before = state(made)
    with pytest.raises(NotImplementedError):
        made.set_params(device="meta").fit(x)
    assert state(made) == before
    expected = encoder("dit", seed).fit_transform(x)
    np.testing.assert_array_equal(made.set_params(device="cpu").fit_transform(x), expected)
    assert state(made) == before


def test_a_stream_copies_the_weights_once(seed: int, x: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the model and of the VAE, whatever the blocks; control: outside of the context each call copies them."""
    made: list[str] = []

    def counted(model: Any, *where: Any) -> Any:
        made.append(type(model).__name__)
        return copies(model, *where)

    copies = hooks._copies
    y = np.arange(len(x)) % 2
    settings = {"device": "cpu", "pooling": "mean", "batch_size": 1}
    plain = LatentSpaceFilter(encoder("latent", seed, 50, pooling="mean", batch_size=1)).fit(x, y)
    fitted = LatentSpaceFilter(encoder("latent", seed, 50, **settings)).fit(x, y)
    monkeypatch.setattr(hooks, "_copies", counted)
    blocks = Blocks([(x, y)] * 3, size=2)
    monkeypatch.setattr(stream, "Blocks", lambda _: blocks)
    once = ["MeanOfVAE", type(fitted.encoder_.model).__name__]
    scores, _ = stream.score_samples(fitted, [])
    assert made == once
    assert hooks.HELD.get() is None
    np.testing.assert_array_equal(
        scores, plain.score_samples(np.concatenate([x] * 3), np.concatenate([y] * 3))
    )
    made.clear()
    for part, labels in blocks:
        fitted.score_samples(part, labels)
    assert made == once * len(list(blocks))
    made.clear()
    encoder("latent", seed, [50, 300], **settings).fit_transform(x)
    assert made == once * 2, "once in fit, once in transform"


def test_latents_that_overflow_are_refused(seed: int, x: np.ndarray) -> None:
    made = encoder("unet", seed, dtype="float16").fit(x)
    with pytest.raises(
        ValueError, match=r"latents at timestep 50, computed in torch.float16, has .* the first in sample"
    ):
        made.transform(x * 1e9)


# --- VAE and text ---


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, lambda mean: mean * 0.18215),
        ({"scaling_factor": 0.5, "shift_factor": 0.25}, lambda mean: (mean - 0.25) * 0.5),
        (
            {"latents_mean": (1.0, 2.0), "latents_std": (2.0, 4.0)},
            lambda mean: (mean - np.array([1, 2])[:, None, None]) * 0.18215 / np.array([2, 4])[:, None, None],
        ),
    ],
)
def test_scale_of_a_vae(settings: dict[str, Any], expected: Any, seed: int, x: np.ndarray) -> None:
    vae = tiny_models.vae(seed, **settings)
    images = x.astype(np.float32)
    with lent(MeanOfVAE(vae)) as on:
        z, mean = on.call(on.numbers(images)), vae.encode(on.numbers(images)).latent_dist.mode()
    assert close(z, expected(mean.numpy()), FLOAT32)


def test_added_conditions(seed: int, x: np.ndarray) -> None:
    """As a model of SDXL's kind asks for them."""
    more = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 4,
        "projection_class_embeddings_input_dim": 13,
    }
    text = {"encoder_hidden_states": TEXT, "text_embeds": np.ones(5), "time_ids": np.array([8.0, 8.0])}
    model, z = tiny_models.conditional(seed, **more), x[:, :, :4, :4].repeat(2, axis=1)
    h = DiffusionEncoder.from_model(model, timesteps=9, null_embedding=text).fit_transform(z)
    other = text | {"text_embeds": np.zeros(5)}
    assert not np.array_equal(h, DiffusionEncoder(model, timesteps=9, null_embedding=other).fit_transform(z))
    with pytest.raises(ValueError, match=r"the model cannot take, .*: .*text_embeds"):
        DiffusionEncoder(model, timesteps=9, null_embedding=TEXT).fit(z)


# --- scikit-learn ---


def test_parameters(seed: int, x: np.ndarray) -> None:
    given = parts("latent", seed)
    made = DiffusionEncoder.from_model(**given, scheduler=SCHEDULER)
    assert {name: made.get_params()[name] for name in given} == given
    assert (made.batch_size, made.timesteps) == (16, None)
    np.testing.assert_array_equal(made.alphas_cumprod, ABAR)
    assert DiffusionEncoder.from_model(parts("unet", seed)["model"]).batch_size == 256
    again = clone(made.set_params(timesteps=[3, 4]))
    assert all(again.get_params()[name] is value for name, value in made.get_params().items())
    assert not hasattr(clone(made.fit(x)), "reading_")


def test_settled_in_fit(seed: int, x: np.ndarray) -> None:
    made = encoder("unet", seed).fit(x)
    before = made.transform(x)
    made.set_params(pooling="mean", timesteps=3, label="mean", noised=True, layer="conv_in")
    np.testing.assert_array_equal(made.transform(x), before)


def test_a_pipeline_gives_its_parts(seed: int, x: np.ndarray) -> None:
    model = parts("unet", seed)["model"]
    made = DiffusionEncoder.from_model(DDPMPipeline(model, SCHEDULER), timesteps=7)
    assert made.model is model
    np.testing.assert_array_equal(made.alphas_cumprod, ABAR)
    assert DiffusionEncoder.from_model(
        DDPMPipeline(model, SCHEDULER), alphas_cumprod=[1.0]
    ).alphas_cumprod == [1.0]


@pytest.mark.parametrize(
    ("kind", "settings", "match"),
    [
        ("unet", {"label": "none"}, r"label must be one of \('null', 'mean', 'own'\), found 'none'"),
        ("unet", {"null_embedding": TEXT}, "null_embedding is given, but a UNet2DModel takes none"),
        ("unet", {"device": "nowhere"}, "device is 'nowhere', which torch cannot use here"),
        ("unet", {"dtype": "int8"}, "dtype must be a torch dtype of floats or its name, .*, found 'int8'"),
        ("unet", {"dtype": 16}, "dtype must be a torch dtype of floats or its name, .*, found 16"),
        ("unet", {"timesteps": None, "candidates": (1.5,)}, "candidates must be whole numbers"),
        ("unet", {"timesteps": None, "alphas_cumprod": ABAR[:300]}, "candidates reach 700, alphas_cumprod has 300"),
        ("unet", {"label": "own", "timesteps": None}, "timesteps must be given for label='own'"),
        ("unet", {"label": "mean", "null_label": 4}, "null_label is 4, but the model has class embeddings 0 to 3"),
        ("unet", {"batch_size": 2.5}, "batch_size must be an integer, found 2.5"),
        ("unet", {"vae": 3}, "vae must be a diffusers AutoencoderKL, found int"),
        ("latent", {"null_embedding": None}, r"null_embedding must be given, \(tokens, width\) with width 8"),
        ("latent", {"null_embedding": TEXT[None]}, r"null_embedding must be \(tokens, width\), .* \(1, 3, 8\)"),
        ("latent", {"null_embedding": TEXT * np.nan}, "null_embedding has 24 NaN"),
        ("latent", {"null_embedding": TEXT[:, :5]}, "the model cannot take"),
        ("latent", {"label": "mean"}, "label is 'mean', but the model has no class embeddings"),
        ("latent", {"vae": None}, r"x has samples that the model cannot take, of shape \(1, 8, 8\) at timestep 300"),
        ("dit", {"null_label": 4}, "null_label is 4, but the model has class embeddings 0 to 3"),
        ("dit", {"layer": "mid_block"}, r"layer 'mid_block' is not in the model; .*'transformer_blocks'"),
    ],
)  # fmt: skip
def test_bad_settings(kind: str, settings: dict[str, Any], match: str, seed: int, x: np.ndarray) -> None:
    made = DiffusionEncoder(**{**parts(kind, seed), "timesteps": (50, 300), **settings})
    with pytest.raises((ValueError, TypeError), match=match):
        made.fit(x)
    assert not hasattr(made, "reading_")


def test_other_models_are_refused(seed: int, x: np.ndarray) -> None:
    for model in (torch.nn.Linear(2, 2), tiny_models.vae(seed), None):
        with pytest.raises(TypeError, match=r"model must be a diffusers UNet2DModel, .*, found"):
            DiffusionEncoder.from_model(model)
    with pytest.raises(ValueError, match=r"x has samples that the vae cannot take, of shape \(3, 8, 8\)"):
        encoder("latent", seed).fit(x.repeat(3, axis=1))


def test_as_many_classes_as_embeddings_leave_no_row_for_none(seed: int) -> None:
    """Also where labels are words: the last embedding is then one of theirs."""
    x, words = np.zeros((8, 1, 8, 8)), np.repeat(["a", "b", "c", "d"], 2)
    with pytest.raises(ValueError, match="null_label must be given: the last class embedding, 3"):
        encoder("unet", seed).fit(x, words)
    encoder("unet", seed).fit(x, np.where(words == "d", "c", words))  # control: three of four
    encoder("unet", seed, null_label=3).fit(x, words)


def test_channels_last_is_said(seed: int, x: np.ndarray) -> None:
    made = encoder("unet", seed).fit(x)
    with pytest.raises(ValueError, match=r"fit saw \(1, 8, 8\): channels come first, x.transpose"):
        made.transform(x.transpose(0, 2, 3, 1))
    with pytest.raises(ValueError, match=r"fit saw \(1, 8, 8\)$"):
        made.transform(x[..., :4])
