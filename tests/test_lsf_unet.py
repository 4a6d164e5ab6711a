"""The encoder on a tiny random `UNet2DModel`: what it computes, a sample is alone, and the model comes back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UNet2DModel
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from lsf import LatentSpaceFilter, laws
from lsf.diffusion_encoder import DiffusionEncoder
from tests.tolerances import FLOAT32, close

ABAR = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def _model(seed: int, classes: int | None = 4) -> Any:
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return UNet2DModel(
            sample_size=8,
            in_channels=1,
            out_channels=1,
            layers_per_block=1,
            block_out_channels=(8, 16),
            down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"),
            norm_num_groups=4,
            num_class_embeds=classes,
            add_attention=False,
            dropout=0.5,
        )


def _encoder(model: Any, timesteps: Any = 200, **settings: Any) -> DiffusionEncoder:
    return DiffusionEncoder.from_model(model, timesteps=timesteps, **settings)


@pytest.fixture(scope="module")
def model(seed: int) -> Any:
    return _model(seed)


@pytest.fixture
def x(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((21, 1, 8, 8))


def _by_hand(model: Any, x: np.ndarray, t: int, label: int | None) -> np.ndarray:
    """The bottleneck, read while the whole model runs; (n, 16, 4, 4)."""
    kept = []
    hook = model.mid_block.register_forward_hook(lambda module, inputs, output: kept.append(output))
    model.eval()
    labels = None if label is None else torch.full((len(x),), label)
    with torch.no_grad():
        model(torch.tensor(x, dtype=torch.float32), t, class_labels=labels)
    hook.remove()
    model.train()
    return kept[0].numpy()


@pytest.mark.parametrize("t", [0, 200])
def test_latents_are_the_bottleneck_with_the_null_label(model: Any, x: np.ndarray, t: int) -> None:
    expected = _by_hand(model, x, t, label=3)  # of 4 class embeddings the last
    flat = _encoder(model, timesteps=t).fit_transform(x)
    assert flat.dtype == np.float32
    assert close(flat, expected.reshape(21, -1), FLOAT32)
    assert close(_encoder(model, t, pooling="mean").fit_transform(x), expected.mean(axis=(2, 3)), FLOAT32)
    other = _encoder(model, t, null_label=1).fit_transform(x)
    assert close(other, _by_hand(model, x, t, label=1).reshape(21, -1), FLOAT32)
    assert not close(other, flat, 100 * FLOAT32), "control: another label is another latent"


def test_a_model_without_classes_is_given_no_label(seed: int, x: np.ndarray) -> None:
    plain = _model(seed, classes=None)
    assert close(_encoder(plain).fit_transform(x), _by_hand(plain, x, 200, None).reshape(21, -1), FLOAT32)


def test_timesteps_are_concatenated_in_order(model: Any, x: np.ndarray) -> None:
    both = _encoder(model, timesteps=(400, 100), pooling="mean").fit(x)
    apart = [_encoder(model, timesteps=t, pooling="mean").fit_transform(x) for t in (400, 100)]
    np.testing.assert_array_equal(both.transform(x), np.hstack(apart))
    np.testing.assert_array_equal(both.latents(x), np.stack(apart))


@pytest.mark.parametrize("noised", [False, True])
def test_a_sample_is_alone(model: Any, x: np.ndarray, noised: bool) -> None:
    """Its latents are the same, bit for bit, whatever is beside it; the control has another batch size."""
    encoder = _encoder(
        model, (50, 300), noised=noised, alphas_cumprod=ABAR, batch_size=8, random_state=0
    ).fit(x)
    latents = encoder.transform(x)
    for part in (np.arange(1), np.arange(5), np.arange(3, 20), np.arange(21)[::-1], np.array([7, 7, 2])):
        np.testing.assert_array_equal(encoder.transform(x[part]), latents[part])


class _Relative(DiffusionEncoder):
    """The control: encodes samples relative to the first of those it is given."""

    def latents(self, x: Any, y: Any = None) -> np.ndarray:
        return super().latents(x - x[:1], y)


@pytest.mark.parametrize("law", [laws.scores_follow_samples, laws.scores_ignore_neighbours])
def test_filter_on_a_unet_keeps_the_laws(model: Any, law: Any, seed: int) -> None:
    world = laws.world_from(classes=3, features=64, per_class=8, share=0.5, seed=seed)
    images = laws.World(
        world.x_real.reshape(-1, 1, 8, 8), world.y_real, world.x.reshape(-1, 1, 8, 8), world.y, 5, 9, seed
    )
    law(lambda: LatentSpaceFilter(_encoder(model, batch_size=16)), images)
    with pytest.raises(AssertionError):
        law(lambda: LatentSpaceFilter(_Relative(model, timesteps=200, batch_size=16)), images)


# --- noise ---


def test_noised_uses_one_tensor_a_timestep(model: Any, x: np.ndarray) -> None:
    encoder = _encoder(model, (50, 300), noised=True, alphas_cumprod=ABAR, random_state=4).fit(x)
    assert encoder.noise_.shape == (2, 1, 8, 8)
    noisy = np.sqrt(ABAR[300]) * x + np.sqrt(1 - ABAR[300]) * encoder.noise_[1]
    assert close(encoder.latents(x)[1], _by_hand(model, noisy, 300, 3).reshape(21, -1), FLOAT32)
    twins = encoder.transform(np.stack([x[0], x[1], x[0]]))
    np.testing.assert_array_equal(twins[0], twins[2])
    again = clone(encoder).fit(x[:3])
    np.testing.assert_array_equal(again.noise_, encoder.noise_)
    assert not np.array_equal(again.set_params(random_state=5).fit(x).noise_, encoder.noise_)
    assert not close(_encoder(model, (50, 300)).fit_transform(x), encoder.transform(x), 100 * FLOAT32)


# --- the model comes back ---


class _Unplugged(Exception):
    pass


def _state(model: Any) -> list[Any]:
    return [
        [module.training for module in model.modules()],
        [len(module._forward_hooks) for module in model.modules()],
        [(p.dtype, p.requires_grad, p.detach().clone().tolist()) for p in model.parameters()],
    ]


@pytest.mark.parametrize("fails", [False, True])
def test_model_comes_back(seed: int, x: np.ndarray, fails: bool) -> None:
    """Modes module by module, hooks, dtype and weights, also when the forward pass breaks down."""
    model = _model(seed)
    model.train()
    model.conv_in.eval()  # a mixture of modes must come back as that mixture
    before = _state(model)
    encoder = _encoder(model).fit(x)
    if fails:
        handle = model.down_blocks[1].register_forward_hook(lambda *_: (_ for _ in ()).throw(_Unplugged()))
        with pytest.raises(_Unplugged):
            encoder.transform(x)
        handle.remove()
    else:
        encoder.transform(x)
    assert _state(model) == before
    assert not torch.is_inference_mode_enabled()


def test_stops_at_the_layer(seed: int, x: np.ndarray) -> None:
    model = _model(seed)
    ran = []
    model.up_blocks[0].register_forward_hook(lambda *_: ran.append(True))
    _encoder(model).fit_transform(x)
    assert not ran
    _encoder(model, layer="conv_out").fit_transform(x)
    assert ran, "control: a later layer needs the other half"


def test_model_in_half_precision_stays_so(seed: int, x: np.ndarray) -> None:
    model = _model(seed).to(torch.bfloat16)
    latents = _encoder(model).fit_transform(x)
    assert latents.dtype == np.float32
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_clone_shares_the_model(model: Any) -> None:
    copy = clone(LatentSpaceFilter(_encoder(model, timesteps=(7,))))
    assert copy.encoder.model is model
    assert copy.encoder.timesteps == (7,)


# --- bad input ---


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        (
            {"layer": "middle"},
            r"layer 'middle' is not in the model; at its top level are \['conv_in'.*'mid_block'",
        ),
        ({"layer": ""}, "layer '' is not in the model"),
        ({"layer": "mid_block.resnets.9"}, "layer 'mid_block.resnets.9' is not in the model"),
        ({"noised": True}, "noised=True needs alphas_cumprod"),
        ({"noised": True, "alphas_cumprod": ABAR[:100]}, "timesteps reach 200, alphas_cumprod has 100"),
        ({"alphas_cumprod": ABAR[:100]}, "timesteps reach 200, alphas_cumprod has 100"),
        ({"layer": "idle"}, "layer 'idle' is never reached"),
        (
            {"layer": "time_embedding", "pooling": "mean"},
            r"pooling='mean' needs a layer with space or tokens, 'time_embedding' gives \(1, 32\)",
        ),
        ({"noised": True, "alphas_cumprod": ABAR, "random_state": "a"}, "random_state must be"),
        ({"timesteps": ()}, "timesteps must be whole numbers"),
        ({"timesteps": (-1,)}, "timesteps must be whole numbers"),
        ({"timesteps": 0.5}, "timesteps must be whole numbers, at least one, not negative; found 0.5"),
        ({"pooling": "sum"}, r"pooling must be one of \('flatten', 'mean', 'max'\), found 'sum'"),
        ({"null_label": 4}, "null_label is 4, but the model has class embeddings 0 to 3"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
    ],
)
def test_bad_settings(seed: int, x: np.ndarray, settings: dict[str, Any], match: str) -> None:
    model = _model(seed)
    model.idle = torch.nn.Identity()
    with pytest.raises((ValueError, TypeError), match=match):
        _encoder(model, **settings).fit(x)


def test_timesteps_are_those_of_fit(model: Any, x: np.ndarray) -> None:
    encoder = _encoder(model, (50, 300)).fit(x)
    before = encoder.transform(x)
    assert encoder.timesteps_ == [50, 300]
    np.testing.assert_array_equal(encoder.set_params(timesteps=7).transform(x), before)


def test_bad_samples(model: Any, x: np.ndarray) -> None:
    encoder = _encoder(model)
    with pytest.raises(NotFittedError):
        encoder.transform(x)
    with pytest.raises(ValueError, match=r"x must be images \(n, C, H, W\), found shape \(21, 64\)"):
        encoder.fit(x.reshape(21, -1))
    with pytest.raises(ValueError, match=r"x has samples that the model cannot take, of shape \(3, 8, 8\)"):
        encoder.fit(x.repeat(3, axis=1))
    with pytest.raises(ValueError, match="x has values beyond float32"):
        encoder.fit(x * 1e300)
    with pytest.raises(NotFittedError):  # a fit that raises leaves nothing behind
        encoder.transform(x)
    with pytest.raises(ValueError, match="fit saw"):
        encoder.fit(x).transform(x[:, :, :4])
    x[3] = np.nan
    with pytest.raises(ValueError, match="first in sample 3"):
        encoder.transform(x)


def test_label_for_a_model_without_classes(seed: int, x: np.ndarray) -> None:
    with pytest.raises(ValueError, match="null_label is 2, but the model has no class embeddings"):
        _encoder(_model(seed, classes=None), null_label=2).fit(x)
