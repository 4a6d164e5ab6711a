"""How is a latent read out of the middle of a model that must come back as it was?

    h = the first output of a layer while model(x) runs, which is broken off there.

The model is lent, never changed: it runs in evaluation mode and without gradients, each module's own mode comes back
and the hook goes, also after an exception. On another device or in another dtype it runs on copies of its weights
(`torch.func.functional_call`): weights cast to half precision and back would not be the same. Within `one_copy` they
are made once, however often the model is lent. Needs torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch.func import functional_call

__all__ = ["Lent", "lent", "one_copy", "first_output", "layer_of", "device_named", "dtype_named", "Unreached"]


Weights = dict[str, torch.Tensor]
HELD: ContextVar[dict[Any, tuple[Any, Weights]] | None] = ContextVar("HELD", default=None)
"""Copies made within `one_copy`, by model, device and dtype; beside each what it is of, so that it stays alive."""


@dataclass(frozen=True)
class Lent:
    """`call` is the model as a function; `device` and `dtype` are what its inputs must have."""

    call: Callable[..., Any]
    device: torch.device
    dtype: torch.dtype

    def numbers(self, array: np.ndarray) -> torch.Tensor:
        """An array of floats as an input of the model: a copy in C order, since kernels may round by where memory
        begins and by strides.
        """
        return torch.tensor(np.ascontiguousarray(array), device=self.device, dtype=self.dtype)

    def whole(self, value: int, count: int) -> torch.Tensor:
        """(count,) times the same integer."""
        return torch.full((count,), value, device=self.device)


@contextmanager
def one_copy() -> Iterator[None]:
    """Within it a model on another device or in another dtype is copied once, and its weights must stay as they are.

    One within another is the same as the outer one. The copies go at its end.
    """
    if HELD.get() is not None:
        yield
        return
    token = HELD.set({})
    try:
        yield
    finally:
        HELD.reset(token)


@contextmanager
def lent(model: Any, device: Any = None, dtype: Any = None) -> Iterator[Lent]:
    """The model in evaluation mode, without gradients, on `device` and in `dtype` (None: its own)."""
    modes = [(module, module.training) for module in model.modules()]
    own = next(model.parameters())
    where, kind = device_named(device) or own.device, dtype_named(dtype) or own.dtype
    try:
        model.eval()
        with torch.inference_mode():
            moved = device is not None or dtype is not None
            yield Lent(_on_copies(model, where, dtype_named(dtype)) if moved else model, where, kind)
    finally:
        for module, training in modes:
            module.training = training


def first_output(layer: torch.nn.Module, run: Callable[[], Any]) -> Any:
    """What `layer` gives first while `run()` runs, which goes no further (of a tuple its first part).

    Raises Unreached if `run()` ends without it.
    """
    hook = layer.register_forward_hook(_raise_output)
    try:
        run()
    except _Reached as reached:
        return reached.output
    finally:
        hook.remove()
    raise Unreached


class Unreached(Exception):
    """The forward pass ended without the layer."""


def layer_of(model: Any, name: str) -> torch.nn.Module:
    """The module of that dotted name; ValueError lists the names at the top level where there is none."""
    try:
        module = model.get_submodule(name)
    except AttributeError:
        module = model
    if module is model:  # also for the empty name
        there = [child for child, _ in model.named_children()]
        raise ValueError(f"layer {name!r} is not in the model; at its top level are {there}")
    return module


def device_named(device: Any) -> torch.device | None:
    """A torch device from its name; ValueError if there is none such here."""
    if device is None:
        return None
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(f"device is {device!r}, which torch cannot use here: {error}") from None


def dtype_named(dtype: Any) -> torch.dtype | None:
    """A torch dtype of floats from itself or its name, as "bfloat16"; ValueError for anything else."""
    if dtype is None:
        return None
    named = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(named, torch.dtype) or not named.is_floating_point:
        raise ValueError(f"dtype must be a torch dtype of floats or its name, as 'bfloat16', found {dtype!r}")
    return named


class _Reached(Exception):
    """Carries the output out of the forward pass: the rest of the model need not run."""

    def __init__(self, output: Any) -> None:
        self.output = output[0] if isinstance(output, tuple) else output


def _raise_output(_module: torch.nn.Module, _inputs: Any, output: Any) -> None:
    raise _Reached(output)


def _on_copies(model: Any, device: torch.device, dtype: torch.dtype | None) -> Callable[..., Any]:
    """The model as a function, on copies of its weights where they are elsewhere or of another dtype."""
    weights = _held(model, device, dtype)
    return lambda *inputs, **more: functional_call(model, weights, inputs, more)


def _held(model: Any, device: torch.device, dtype: torch.dtype | None) -> Weights:
    """Copies of the weights, within `one_copy` those that are there."""
    held, own = HELD.get(), next(model.parameters())
    if held is None:
        return _copies(model, device, dtype)
    key = type(model), id(own), device, dtype  # a VAE is wrapped anew for each call: its weights are the same
    if key not in held:
        held[key] = own, _copies(model, device, dtype)
    return held[key][1]


def _copies(model: Any, device: torch.device, dtype: torch.dtype | None) -> Weights:
    return {
        name: tensor.to(device, dtype if tensor.is_floating_point() else None)
        for name, tensor in chain(model.named_parameters(), model.named_buffers())
    }
