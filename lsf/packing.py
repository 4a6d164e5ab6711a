"""How does a fitted filter become data, and data a filter, with no code among them?

A value is a tree: numbers, texts, lists; arrays, kept apart by the name of their place; objects of the classes in
`KNOWN`, each as the arguments of its constructor and its fitted attributes. Nothing else is packed, and nothing else
comes back: a pickle could run anything. Arrays keep the order of their axes in memory, since a matrix product may
round by it. A model is packed as the fingerprint of its weights; it must be given again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.preprocessing import FunctionTransformer

from lsf.encoders import as_encoder, flatten

__all__ = ["KNOWN", "Parts", "pack", "unpack", "fingerprint"]

KNOWN = {
    "LatentSpaceFilter": "lsf.filter",
    "DensityRatioFilter": "lsf.density_ratio",
    "RankSumFilter": "lsf.density_ratio",
    "ClassScale": "lsf.density_ratio",
    "TrimHerdFilter": "lsf.herding",
    "ShrunkHerdFilter": "lsf.shrunk_herding",
    "UnlabelledRatioFilter": "lsf.unlabelled",
    "SubspaceFilter": "lsf.unlabelled",
    "Top": "lsf.rules",
    "Random": "lsf.rules",
    "Threshold": "lsf.rules",
    "Matched": "lsf.rules",
    "Probe": "lsf.probe",
    "FlattenedPCA": "lsf.encoders",
    "EnergyFeatures": "lsf.encoders",
    "DiffusionEncoder": "lsf.diffusion_encoder",
    "Reading": "lsf.reading",
    "UNet": "lsf.architectures",
    "ConditionalUNet": "lsf.architectures",
    "DiT": "lsf.architectures",
    "Trial": "lsf.timestep_choice",
    "PCA": "sklearn.decomposition",
    "StandardScaler": "sklearn.preprocessing",
    "LogisticRegression": "sklearn.linear_model",
}
"""Every class that is packed, and the module it comes from."""
IDENTITY = "identity"
"""What `as_encoder(None)` gives."""
FUNCTION = (
    "a function is not saved, for to load it would be to run what a file says: give an encoder of lsf, "
    "or encode the samples first and fit the filter on latents (encoder=None)"
)
CURES: tuple[tuple[Callable[[Any], bool], str], ...] = (
    (lambda value: isinstance(value, np.random.Generator), "give an integer seed instead of a Generator"),
    (
        lambda value: (
            isinstance(value, FunctionTransformer) or (callable(value) and not hasattr(value, "fit"))
        ),
        FUNCTION,
    ),
    (lambda value: True, f"only these are saved: {', '.join(KNOWN)}, numbers, texts and their arrays"),
)


@dataclass
class Parts:
    """What does not go into the tree: arrays by the names of their places, and fingerprints of models by their ids."""

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    prints: dict[int, str] = field(default_factory=dict)


def pack(value: Any, at: str, parts: Parts) -> Any:
    """`value`, found at the place `at`, as JSON data, and its arrays in `parts`.

    Raises TypeError, naming the place and the cure, for what is not packed.
    """
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": repr(float(value))}
    if isinstance(value, np.generic):
        return {"scalar": pack(np.asarray(value), at, parts)}
    if isinstance(value, np.ndarray):
        return _packed_array(value, at, parts)
    if type(value) in (list, tuple):
        return {type(value).__name__: [pack(part, f"{at}.{i}", parts) for i, part in enumerate(value)]}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: pack(part, f"{at}.{key}", parts) for key, part in value.items()}}
    if type(value).__module__ == "torch":
        return _packed_torch(value, at, parts)
    if hasattr(value, "state_dict") and hasattr(value, "parameters"):
        if id(value) not in parts.prints:
            parts.prints[id(value)] = fingerprint(value)
        return {"model": parts.prints[id(value)], "kind": type(value).__name__}
    return _packed_object(value, at, parts)


def unpack(node: Any, arrays: Mapping[str, np.ndarray], models: Mapping[str, Any]) -> Any:
    """The value that `pack` made `node` and `arrays` of; `models` by their fingerprints.

    Raises ValueError for a node that `pack` does not make, or a model that is not given.
    """
    if not isinstance(node, dict):
        return node
    if "float" in node:
        return float(node["float"])
    if "scalar" in node:
        return unpack(node["scalar"], arrays, models)[()]
    if "array" in node:
        return _unpacked_array(node, arrays)
    if "dict" in node:
        return {key: unpack(part, arrays, models) for key, part in node["dict"].items()}
    for kind in (list, tuple):
        if kind.__name__ in node:
            return kind(unpack(part, arrays, models) for part in node[kind.__name__])
    if "dtype" in node or "device" in node:
        return _unpacked_torch(node)
    if "model" in node:
        if node["model"] not in models:
            given = " and ".join(f"weights {found[:12]}..." for found in models) or "no model"
            needed = f"the {node['kind']} of its fit, with weights {node['model'][:12]}..."
            raise ValueError(f"model must be {needed}, found {given}")
        return models[node["model"]]
    return _unpacked_object(node, arrays, models)


def fingerprint(model: Any) -> str:
    """SHA-256 of the weights of a torch module: names, dtypes, shapes and bytes, wherever they lie."""
    import torch

    sha = hashlib.sha256()
    for name, weights in sorted(model.state_dict().items()):
        sha.update(f"{name} {weights.dtype} {tuple(weights.shape)};".encode())
        sha.update(weights.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


def _packed_torch(value: Any, at: str, parts: Parts) -> dict[str, Any]:
    """A dtype or device by its name; a tensor as an array."""
    kind = type(value).__name__
    if kind in ("dtype", "device"):
        return {kind: str(value).removeprefix("torch.")}
    if kind != "Tensor":
        return _packed_object(value, at, parts)
    return _packed_array(np.asarray(value.detach().cpu()), at, parts)


def _unpacked_torch(node: dict[str, Any]) -> Any:
    import torch

    if "device" in node:
        return torch.device(node["device"])
    found = getattr(torch, node["dtype"])
    if not isinstance(found, torch.dtype):
        raise ValueError(f"{node['dtype']} is no dtype of torch")
    return found


# --- arrays ---


def _packed_array(array: np.ndarray, at: str, parts: Parts) -> dict[str, Any]:
    node: dict[str, Any] = {"array": at}
    if array.dtype == object:
        words = array.astype(str)
        if not (words.astype(object) == array).all():
            raise TypeError(
                f"{at} is an array of objects, which are not saved: give labels as texts or integers"
            )
        node["objects"], array = True, words
    if array.dtype.kind == "U":
        node["text"] = True
        letters = np.ascontiguousarray(array).view(np.uint32)
        array = letters.reshape(*array.shape, array.dtype.itemsize // 4)
    elif array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise TypeError(
            f"{at} is an array of {array.dtype}, which is not saved: give labels as texts or integers"
        )
    order = np.argsort([-stride for stride in array.strides], kind="stable")
    if (order != np.arange(array.ndim)).any():
        node["order"] = order.tolist()
        array = array.transpose(order)
    parts.arrays[at] = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(array.shape)
    return node


def _unpacked_array(node: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    array = arrays[node["array"]]
    if "order" in node:
        array = array.transpose(np.argsort(node["order"]))
    if "text" in node:
        array = np.ascontiguousarray(array).view(f"<U{array.shape[-1]}")[..., 0]
    return array.astype(object) if "objects" in node else array


# --- objects ---


def _packed_object(value: Any, at: str, parts: Parts) -> dict[str, Any]:
    name = _name_of(value)
    if name is None:
        cure = next(cure for fits, cure in CURES if fits(value))
        raise TypeError(f"{at} is of type {type(value).__name__}, which is not saved: {cure}")
    given, fitted = _parameters(value), _fitted(value)
    return {
        "class": name,
        "given": {key: pack(part, f"{at}.{key}", parts) for key, part in given.items()},
        "fitted": {key: pack(part, f"{at}.{key}", parts) for key, part in fitted.items()},
    }


def _unpacked_object(
    node: dict[str, Any], arrays: Mapping[str, np.ndarray], models: Mapping[str, Any]
) -> Any:
    given, fitted = (
        {key: unpack(part, arrays, models) for key, part in node[which].items()}
        for which in ("given", "fitted")
    )
    if node["class"] == IDENTITY:
        made = as_encoder(None)
    else:
        kind = _class(node["class"])
        made = object.__new__(kind) if _is_bare(kind) else kind(**given)
    for key, part in fitted.items():
        if not (_is_bare(type(made)) or _is_fitted_name(key)):
            raise ValueError(f"{node['class']} has no fitted attribute {key!r}")
        setattr(made, key, part)
    return made


def _name_of(value: Any) -> str | None:
    """The name of the value's class in the file, None if it is not packed: a subclass may do anything."""
    if isinstance(value, FunctionTransformer):
        return IDENTITY if type(value) is FunctionTransformer and value.func is flatten else None
    name = type(value).__name__
    return name if name in KNOWN and _class(name) is type(value) else None


def _class(name: str) -> type:
    if name not in KNOWN:
        raise ValueError(f"class {name!r} is not known to this version of lsf")
    return getattr(import_module(KNOWN[name]), name)


def _is_bare(kind: type) -> bool:
    """Made of its attributes alone, as `ClassScale`."""
    return not (issubclass(kind, BaseEstimator | tuple) or dataclasses.is_dataclass(kind))


def _is_fitted_name(name: str) -> bool:
    return name.endswith("_") and not name.startswith("_")


def _parameters(value: Any) -> dict[str, Any]:
    """Arguments of the constructor; of scikit-learn's classes those that are no default, for defaults change."""
    if dataclasses.is_dataclass(value):
        return {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
    if isinstance(value, tuple):  # a named one
        return value._asdict()  # type: ignore[attr-defined]
    if not isinstance(value, BaseEstimator) or isinstance(value, FunctionTransformer):
        return {}
    given = value.get_params(deep=False)
    if type(value).__module__.startswith("sklearn."):
        usual = type(value)().get_params(deep=False)
        return {key: part for key, part in given.items() if part is not usual[key] and part != usual[key]}
    return given


def _fitted(value: Any) -> dict[str, Any]:
    """Fitted attributes; an attribute of ours that is neither that nor a parameter would be lost, and is refused."""
    if dataclasses.is_dataclass(value) or isinstance(value, tuple):
        return {}
    if _is_bare(type(value)):
        return dict(vars(value))
    rest = {key: part for key, part in vars(value).items() if key not in value.get_params(deep=False)}
    lost = [key for key in rest if not _is_fitted_name(key)]
    if lost and not type(value).__module__.startswith("sklearn."):
        raise TypeError(f"{type(value).__name__} has attributes that are not saved: {lost}; delete them")
    return {key: part for key, part in rest.items() if _is_fitted_name(key)}
