"""How is a fitted filter kept, so that it scores the same to the last bit when it comes back?

    save(fitted, "filter.safetensors");      load("filter.safetensors").score_samples(x, y)

One safetensors file: arrays as tensors, all else as JSON in its header (`lsf.packing`), behind a SHA-256 of the whole
file, that sum left as zeros. No pickle, no code: to load a file of a stranger runs nothing of it. Equal bits need
equal libraries and an equal processor, as for any filter. The model of a diffusion encoder is not saved, but a
fingerprint of its weights is: it is given to `load`, and another one is refused; its configuration is not compared.

Memory: twice the arrays of the filter. Needs safetensors (extra "files").
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from safetensors.numpy import load as tensors_of
from safetensors.numpy import save as bytes_of
from sklearn.utils.validation import check_is_fitted

from lsf.packing import Parts, fingerprint, pack, unpack
from lsf.whole_files import replacing

__all__ = ["FORMAT", "save", "load"]

FORMAT = 1
"""Of the file; a filter in another one is refused, never guessed at."""
BEGINNING = b'{"__metadata__":{"lsf_filter":"'
"""The first bytes after the 8 of safetensors' own; then 64 of the checksum."""
START = 8 + len(BEGINNING)
ZEROS = "0" * 64


def save(fitted: Any, path: str | Path) -> None:
    """Writes a fitted filter to a file, whole or not at all; what was there stays until all is written.

    Raises NotFittedError before fit; TypeError, naming the place and the cure, for a filter that is none of lsf's, or
    holds what is not saved: a function or an encoder of another library, a random Generator; OSError.
    """
    if not hasattr(fitted, "select"):
        raise TypeError(f"filter must be a fitted filter of lsf, found {type(fitted).__name__}")
    check_is_fitted(fitted)
    parts = Parts()
    node = pack(fitted, "filter", parts)
    note = json.dumps({"format": FORMAT, "lsf": _version(), "filter": node}, allow_nan=False)
    data = bytes_of(parts.arrays, {"lsf_filter": ZEROS + note})
    if not data[8:].startswith(BEGINNING):
        raise RuntimeError("this version of safetensors writes its header in another order: use 0.5 to 0.8")
    _write(Path(path), [data[:START], _checksum(data), data[START + 64 :]])


def load(path: str | Path, model: Any = None) -> Any:
    """The filter in a file that `save` wrote; `model`: that of its diffusion encoder, or a list of all it needs.

    Raises ValueError if the file is of something else, damaged, or of another format; if a model is missing, has other
    weights than that of fit, or is given where none belongs; TypeError if it is no torch module; OSError.
    """
    models = {fingerprint(one): one for one in _models(model)}
    data = Path(path).read_bytes()
    try:
        note = _checked(data)
        if models and '"model": ' not in json.dumps(note["filter"]):
            raise ValueError("the filter has no diffusion encoder: leave out model")
        return unpack(note["filter"], tensors_of(data), models)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:  # sound, but not of what `save` writes
        raise ValueError(f"{path}: no filter that can be made again ({error!r})") from error


def _checked(data: bytes) -> dict[str, Any]:
    """The JSON of a file whose beginning, checksum and format are right."""
    if not data[8:].startswith(BEGINNING):
        raise ValueError("no filter that lsf.saving.save wrote, or its first bytes are damaged")
    if data[START : START + 64] != _checksum(data):
        raise ValueError("damaged: its checksum is not that of its bytes; put a good copy in its place")
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    note = json.loads(header["__metadata__"]["lsf_filter"][64:])
    if note["format"] != FORMAT:
        raise ValueError(
            f"in format {note['format']}, written by lsf {note['lsf']}; this is lsf {_version()}, which reads format "
            f"{FORMAT}: load it with that version, or fit it again"
        )
    return note


def _checksum(data: bytes) -> bytes:
    sha = hashlib.sha256(data[:START])
    sha.update(ZEROS.encode())
    sha.update(memoryview(data)[START + 64 :])
    return sha.hexdigest().encode()


def _write(path: Path, parts: list[bytes]) -> None:
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.writelines(parts)


def _models(model: Any) -> Sequence[Any]:
    models = [] if model is None else model if isinstance(model, list | tuple) else [model]
    for one in models:
        if not hasattr(one, "state_dict"):
            raise TypeError(f"model must be a torch module, or a list of them, found {type(one).__name__}")
    return models


def _version() -> str:
    try:
        return version("lsf-testbed")
    except PackageNotFoundError:  # lsf used from a copy of its folder
        return "unknown"
