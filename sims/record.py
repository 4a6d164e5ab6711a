"""How is a run kept so that it can be trusted, resumed and drawn without being run again?

A run folder belongs to one preset and one seed:
  settings.json       written first: preset, seed, versions, digests of data and source, and the key made of them
  floor.json          every metric for real data against real data
  generations.jsonl   one JSON line a generation: generation 0 (policy null), then each policy's generations
  times.jsonl         wall times, apart, so that the records of equal runs are equal byte for byte
  state/              samples of every generation, and each policy's last model (safetensors)
Files are replaced whole, never half-written; a generation's line is written after its state. Settings, floor and every
line end with a `sum` of their own content: one digit changed by hand or by a disk is noticed on reading.

A kill, a full disk or a failed training costs the generation under way and no other; the same command goes on from
there. What kills leave of half-written files is swept up by the next run of that folder (in the store of generation-0
models, which processes share, it stays: no reader sees it, and no two processes use one name).
"""

import hashlib
import json
import os
import platform
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lsf.pool import Pool
from sims.source import source_digest, training_digest

__all__ = [
    "RunFolder",
    "digest",
    "key_of",
    "run_settings",
    "source_digest",
    "versions",
    "device_name",
    "model_file",
    "model_seed",
    "check_ours",
]

FORMAT = 3
SETTINGS = ("preset", "seed", "data", "versions", "source", "training", "key", "notes")
METRICS = (
    "n_reference",
    "frechet",
    "precision",
    "recall",
    "coverage",
    "accuracy",
    "variance_ratio",
    "log_odds",
)
"""What a floor, and so every generation, must have at least."""
TIMES, GENERATIONS = "times.jsonl", "generations.jsonl"
LEFTOVER = re.compile(r"\.(settings\.json|floor\.json|times\.jsonl|generations\.jsonl|.+\.safetensors)\.\d+")
PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "diffusers")


def digest(*arrays: np.ndarray) -> str:
    """16 hexadecimal digits that change with any byte, shape or type of the arrays."""
    sha = hashlib.sha256()
    for a in arrays:
        sha.update(f"{a.dtype}{a.shape}".encode() + np.ascontiguousarray(a).tobytes())
    return sha.hexdigest()[:16]


def key_of(settings: dict[str, Any]) -> str:
    """12 hexadecimal digits that change with any setting."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def versions() -> dict[str, str]:
    """Versions of the packages that numbers depend on."""
    return {name: version(name) for name in PACKAGES}


def run_settings(preset: Any, seed: int, train: Pool) -> dict[str, Any]:
    """What decides every number of a run: preset, seed, data, versions, source.

    Not the list of policies or of the report's seeds: a run folder may gain a policy later.
    """
    row = asdict(preset)
    del row["policies"], row["seeds"]
    row["world"]["kind"] = type(preset.world).__name__
    row["world"]["generator"]["kind"] = type(preset.world.generator).__name__
    settings = {
        "format": FORMAT,
        "preset": row,
        "seed": seed,
        "data": digest(train.x, train.y),
        "versions": versions(),
        "source": source_digest(),
        "training": training_digest(type(preset.world.generator)),
    }
    return json.loads(json.dumps(settings))  # as it reads back: tuples are lists


@cache
def device_name(device: str = "cpu") -> str:
    """What computes on a device: a GPU's name; or the processor's, its model and the instructions that torch takes.

    The same name, versions and seeds are expected to give the same numbers.
    """
    import torch

    if torch.device(device).type == "cuda":
        return str(torch.cuda.get_device_name(device))
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    found = dict(reversed([[part.strip() for part in line.split(":", 1)] for line in lines if ":" in line]))
    name = found.get("model name") or platform.processor() or platform.machine()
    model = "-".join(found[key] for key in ("cpu family", "model", "stepping") if key in found)
    return ", ".join(filter(None, (name, model, torch.backends.cpu.get_cpu_capability())))


def model_seed(settings: dict[str, Any]) -> int:
    """The seed of the run's generation-0 model: its own, or one of the preset's `models` in turn."""
    models = settings["preset"].get("models")
    return settings["seed"] % models if models else settings["seed"]


def model_file(store: Path, settings: dict[str, Any]) -> Path:
    """Where the generation-0 model of these settings lies: one model for all runs that start from it.

    Its name changes with generator, data, the model's seed, versions and the source of the training, and nothing else.
    """
    own = {k: settings[k] for k in ("format", "data", "versions", "training")} | {
        "generator": settings["preset"]["world"]["generator"],
        "seed": model_seed(settings),
    }
    return store / "generation-0" / f"{key_of(own)}.safetensors"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, moved onto it at the end of the block: all of the file, or none of it.

    File and folder are synced, so that a power loss leaves whole files, and no line without its state: measured
    on a solid-state disk, 1 ms for a kilobyte and 11 ms for 3 MB. Raises ValueError if the disk is full or will not.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    except OSError as error:
        why = error.strerror or error
        raise ValueError(
            f"{path} cannot be written ({why}); what was there before stays: mend that and run again"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def sync(path: Path) -> None:
    """Returns when a file, or the list of names in a folder, is on the disk itself."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """The arrays by name, as one safetensors file."""
    own = {k: np.ascontiguousarray(v) for k, v in arrays.items()}
    with replacing(
        path
    ) as temporary:  # by our own write: that of safetensors says only with its own words what failed
        temporary.write_bytes(save(own, {"sum": sum_of(own)}))


def sum_of(arrays: dict[str, np.ndarray]) -> str:
    """A digest of names and arrays, kept in the file's own header."""
    return key_of({name: digest(a) for name, a in arrays.items()})


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of `save_arrays`; raises ValueError on a file that is missing or damaged."""
    try:
        with safe_open(path, "numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            expected = (file.metadata() or {}).get("sum")
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path} is damaged or missing ({error}); delete its folder and run again"
        ) from error
    if sum_of(arrays) != expected:
        raise ValueError(
            f"{path} is damaged: not the arrays it was written with; delete its folder and run again"
        )
    return arrays


def is_leftover(path: Path) -> bool:
    """Is this what a kill in the middle of `replacing` the settings leaves?"""
    return path.name.startswith(".settings.json.")


def is_fresh(path: Path) -> bool:
    """May a run begin here: is there nothing, or nothing but leftovers? Raises ValueError if that cannot be read."""
    try:
        return not path.exists() or (path.is_dir() and all(is_leftover(f) for f in path.iterdir()))
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror})") from error


def check_ours(path: Path) -> None:
    """Raises ValueError if `path` is somebody else's; asked before anything, be it a lock, is written beside it."""
    if not is_fresh(path):
        read_text(path / "settings.json")


def write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text)


def damaged(path: Path, why: object) -> ValueError:
    cure = "delete it: only wall times are lost" if path.name == TIMES else "delete the folder and run again"
    return ValueError(f"{path} is damaged ({why}); {cure}")


def read_text(path: Path) -> str:
    """The text of a file; raises ValueError where there is none to be read."""
    try:
        return path.read_text()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ValueError(f"{path.parent} is no run folder of ours: it has no {path.name}") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise damaged(path, error) from error


def read_json(path: Path, text: str) -> dict[str, Any]:
    """One object of the file at `path`; raises ValueError if the text is none."""
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(path, error) from error
    if not isinstance(row, dict):
        raise damaged(path, "no JSON object where a record should be")
    return row


def sealed(row: dict[str, Any]) -> dict[str, Any]:
    """The row as it reads back, and a `sum` of it."""
    row = json.loads(json.dumps(row))  # keys are text, tuples are lists
    return {**row, "sum": key_of(row)}


def unsealed(path: Path, row: dict[str, Any]) -> dict[str, Any]:
    """The row that was sealed; raises ValueError if it is not what it was."""
    own = {k: v for k, v in row.items() if k != "sum"}
    if row.get("sum") != key_of(own):
        raise damaged(path, "changed after it was written")
    return own


def check_settings(path: Path, row: dict[str, Any]) -> None:
    """Raises ValueError if these are not the settings of a run."""
    missing = [k for k in SETTINGS if k not in row]
    if missing:
        raise damaged(path, f"it lacks {', '.join(missing)}")
    for name, needed in {"preset": ("name", "generations"), "notes": ("feature_space",)}.items():
        if not isinstance(row[name], dict) or not set(needed) <= row[name].keys():
            raise damaged(path, f"{name} lacks {' or '.join(needed)}")


def check_records(path: Path, lines: list[dict[str, Any]]) -> None:
    """Raises ValueError unless it is generation 0, then 1, 2, ... of each policy, all with the same metrics."""
    last: dict[str | None, int] = {}
    for r in lines:
        if not {"policy", "generation", "metrics", "samples"} <= r.keys():
            raise damaged(path, "a line is no record")
        policy, k = r["policy"], r["generation"]
        if not isinstance(policy, str | None) or type(k) is not int:
            raise damaged(path, f"a line is of generation {k!r} of {policy!r}")
        if k != (0 if not last else last.get(policy, 0) + 1) or (policy is None) != (k == 0):
            raise damaged(path, f"generation {k} of {policy or 'all'} comes out of turn or twice")
        last[policy] = k
        if not isinstance(r["metrics"], dict) or r["metrics"].keys() != lines[0]["metrics"].keys():
            raise damaged(path, f"other metrics in generation {k} of {policy or 'all'}")


def check_times(path: Path, lines: list[dict[str, Any]]) -> None:
    """Raises ValueError unless every line is the time of a generation."""
    if not all({"policy", "generation", "seconds"} <= r.keys() for r in lines):
        raise damaged(path, "a line is no time of a generation")


def stamp(path: Path) -> tuple[int, ...]:
    """Changes when a file is replaced or written to."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


class RunFolder:
    """A folder with the records of one preset and one seed. Opening it checks that it is one, and whole."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._kept: dict[str, tuple[tuple[int, ...], list[dict[str, Any]]]] = {}
        file = self.path / "settings.json"
        written = read_json(file, read_text(file))
        if written.get("format") != FORMAT:
            raise ValueError(f"{self.path} is no run folder of format {FORMAT}")
        self.settings = unsealed(file, written)
        check_settings(file, self.settings)
        if self.settings["key"] != key_of(
            {k: v for k, v in self.settings.items() if k not in ("key", "notes")}
        ):
            raise damaged(file, "its key is not that of its settings")
        self.times()
        lines = self.records()
        if lines and lines[0]["metrics"].keys() != self.floor.keys():
            raise damaged(self.path / "floor.json", "its metrics are not those of the generations")

    @classmethod
    def create(cls, path: Path, settings: dict[str, Any], notes: dict[str, Any]) -> "RunFolder":
        """The run folder of these settings: a new one, or the one that is there already, swept of what kills left.

        Only for the one process that holds the folder (sims.loop.locked).

        Raises ValueError if `path` holds something else, or a run of other settings.
        """
        key = key_of(settings)
        if is_fresh(path):
            text = json.dumps(sealed({**settings, "key": key, "notes": notes}), indent=1)
            write_text(path / "settings.json", text + "\n")
        folder = cls(path)
        if folder.settings["key"] != key:
            old = ", ".join(k for k, v in settings.items() if folder.settings.get(k) != v)
            raise ValueError(f"{path} holds a run that differs in: {old}; choose another folder")
        for file in (*path.glob(".*"), *path.glob("state/.*")):
            if LEFTOVER.fullmatch(file.name):
                file.unlink()
        return folder

    def records(self) -> list[dict[str, Any]]:
        """The lines of generations.jsonl; raises ValueError if one is damaged, missing or there twice."""
        return self._lines(GENERATIONS, check_records)

    def times(self) -> list[dict[str, Any]]:
        """The lines of times.jsonl."""
        return self._lines(TIMES, check_times)

    def of(self, policy: str) -> list[dict[str, Any]]:
        """Generation 0, which all policies share, and then the generations of `policy`."""
        return [r for r in self.records() if r["policy"] in (None, policy)]

    def policies(self) -> list[str]:
        """The policies with a record, in the order they were run."""
        return list(dict.fromkeys(r["policy"] for r in self.records() if r["policy"] is not None))

    @property
    def floor(self) -> dict[str, Any]:
        """Every metric for real data."""
        path = self.path / "floor.json"
        floor = unsealed(path, read_json(path, read_text(path)))
        if not floor.keys() >= set(METRICS):
            raise damaged(path, "it lacks metrics")
        return floor

    def _lines(self, name: str, check: Callable[[Path, list[dict[str, Any]]], None]) -> list[dict[str, Any]]:
        """The lines of a file without their sums, read and checked anew only where the file is another than it was."""
        path = self.path / name
        if not os.path.lexists(path):
            return []
        now = stamp(path)
        if name not in self._kept or self._kept[name][0] != now:
            lines = [unsealed(path, read_json(path, line)) for line in read_text(path).splitlines()]
            check(path, lines)
            self._kept[name] = now, lines
        return list(self._kept[name][1])

    def write_floor(self, floor: dict[str, Any]) -> None:
        """Every metric for real data, and a sum."""
        write_text(self.path / "floor.json", json.dumps(sealed(floor)) + "\n")

    def write_lines(self, name: str, lines: list[dict[str, Any]]) -> None:
        """All lines of a file, with a sum each."""
        write_text(self.path / name, "".join(json.dumps(sealed(r)) + "\n" for r in lines))

    def add(self, record: dict[str, Any], seconds: float) -> None:
        """One more generation; the lines before it are checked, and stay as they are."""
        policy, generation = record["policy"], record["generation"]
        time = {"policy": policy, "generation": generation, "seconds": round(seconds, 3)}
        earlier = [t for t in self.times() if (t["policy"], t["generation"]) != (policy, generation)]
        self.write_lines(TIMES, [*earlier, time])
        path, line = self.path / GENERATIONS, sealed(record)
        lines = [*self.records(), unsealed(path, line)]
        text = read_text(path) if len(lines) > 1 else ""
        write_text(path, text + json.dumps(line) + "\n")
        self._kept[GENERATIONS] = stamp(path), lines

    def forget(self, policy: str) -> None:
        """Drop the records of a policy that cannot be resumed."""
        for name, lines in ((TIMES, self.times()), (GENERATIONS, self.records())):
            self.write_lines(name, [r for r in lines if r["policy"] != policy])

    def save_state(
        self, policy: str | None, generation: int, made: Pool, model: dict[str, np.ndarray]
    ) -> None:
        """Samples and model of a generation."""
        arrays = {"x": made.x, "y": made.y, "born": np.asarray(made.born)}
        save_arrays(self.samples_file(policy, generation), arrays)
        if policy is not None:  # generation 0 lies in the store that runs share
            save_arrays(self._model_file(policy, generation), model)

    def drop_model(self, policy: str, generation: int) -> None:
        """The model of a generation that has been followed by a complete one."""
        self._model_file(policy, generation).unlink(missing_ok=True)

    def samples(self, policy: str | None, generation: int) -> Pool:
        """The samples of a recorded generation; raises ValueError if they are not those of the record."""
        path = self.samples_file(policy, generation)
        pool = Pool(**load_arrays(path))
        line = next(
            (r for r in self.records() if (r["policy"], r["generation"]) == (policy, generation)), None
        )
        if line is None or line["samples"] != digest(pool.x, pool.y):
            raise ValueError(f"{path} does not match its record; delete {self.path} and run again")
        return pool

    def model(self, policy: str, generation: int) -> dict[str, np.ndarray]:
        """The state of the model of a recorded generation."""
        return load_arrays(self._model_file(policy, generation))

    def samples_file(self, policy: str | None, generation: int) -> Path:
        """Where the samples of a generation lie."""
        return self.path / "state" / f"{policy or 'generation'}-{generation}.samples.safetensors"

    def _model_file(self, policy: str, generation: int) -> Path:
        return self.path / "state" / f"{policy}-{generation}.model.safetensors"
