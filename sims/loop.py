"""What happens to a generator that lives on its own output?

The one self-consuming loop, for every world and policy:

    model_0 = fit(real);  made_0 ~ model_0;  history = [real, made_0]
    for k = 1..K:
        pool_k = policy(history, N);  model_k = fit(pool_k, start=model_{k-1});  made_k ~ model_k;  history += made_k

Everything before generation 1 (real data, model_0, made_0, instruments) is shared by the policies of a seed, and so
are the random streams of each generation: policies are compared in pairs.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lsf.pool import Pool, concat
from sims import curation, progress, refits
from sims.generator import Sampler
from sims.instruments import Instruments
from sims.presets import Preset
from sims.record import (
    RunFolder,
    check_ours,
    digest,
    key_of,
    load_arrays,
    model_file,
    model_seed,
    run_settings,
    save_arrays,
)
from sims.seeds import stream
from sims.turn import draw_made, equal_labels, turn
from sims.worlds import Built

__all__ = ["run", "run_path"]


@dataclass(frozen=True)
class Loop:
    """What the generations of one run share."""

    preset: Preset
    seed: int
    built: Built
    instruments: Instruments
    folder: RunFolder

    def draw(self, sampler: Sampler, generation: int) -> Pool:
        """N samples of the model of a generation."""
        return draw_made(sampler, self.built.train.classes, self.preset.budget, self.seed, generation)

    def measure(self, sampler: Sampler, generation: int, made: Pool) -> dict[str, Any]:
        """Every metric of a generation, thorough at every fifth and the last: of `made`, or of more samples drawn."""
        if (n := self.preset.evaluated) is not None:
            labels = equal_labels(self.built.train.classes, n)
            x = sampler.sample(labels, stream(self.seed, "evaluate", generation))
            made = Pool(x, labels, generation + 1)
        thorough = generation % 5 == 0 or generation == self.preset.generations
        return self.instruments.measure(made, thorough)


def run_path(preset: Preset, seed: int, root: Path = Path("runs")) -> Path:
    """The default folder of a run: its name changes with settings, data, versions and source."""
    settings = run_settings(preset, seed, preset.world.build(seed).train)
    return root / f"{preset.name}-seed{seed}-{key_of(settings)}"


def run(
    preset: Preset, seed: int, path: Path | None = None, policies: Sequence[str] | None = None
) -> RunFolder:
    """Run, or resume, the policies of a preset with a seed; gives the run folder.

    `path` is the run folder (default `run_path`); generation-0 models lie beside it, in `generation-0/`. Raises
    ValueError on a policy that is unknown or that the world's generator cannot follow, or a folder that holds something
    else, before anything is computed.
    """
    policies = preset.policies if policies is None else tuple(policies)
    for name in policies:
        if name not in curation.NAMES:
            raise ValueError(f"policy must be one of {', '.join(curation.NAMES)}, found {name!r}")
        curation.trained_by(name, preset.world.generator, preset.budget)
    built = preset.world.build(seed)
    settings = run_settings(preset, seed, built.train)
    path = run_path(preset, seed) if path is None else path
    check_ours(path)
    with locked(path):
        folder = RunFolder.create(path, settings, built.notes)
        began = time.perf_counter()
        sampler = generation_zero(built, model_seed(settings), model_file(path.parent, settings))
        loop = Loop(preset, seed, built, built.instruments(sampler), folder)
        start(loop, sampler, began)
        for name in policies:
            follow(loop, name, sampler)
    return folder


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the folder for one process; raises ValueError if another has it, or it cannot be written beside."""
    lock = FileLock(path.parent / f".{path.name}.lock", timeout=0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise ValueError(f"{path} is in use by another process") from error
    except OSError as error:
        raise ValueError(f"{path.parent} cannot be written to ({error}); choose another folder") from error
    try:
        yield
    finally:
        lock.release()


def generation_zero(built: Built, seed: int, file: Path) -> Sampler:
    """The model trained on real data alone: the one in `file`, or trained now and kept there.

    Runs side by side that start from one model train it once: the others wait. A training that was cut short goes on
    from its own file, where the generator can.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.parent.with_name(f".{file.stem}.lock")):
        if file.exists():
            return built.generator.restore(load_arrays(file))
        keep = {"keep": file.with_suffix(".training")} if hasattr(built.generator, "resumable") else {}
        sampler = built.generator.fit(built.train, stream(seed, "train", 0), **keep)
        save_arrays(file, sampler.state())
        return sampler


def start(loop: Loop, sampler: Sampler, began: float) -> None:
    """Floor and generation 0, unless they are there; its time counts from `began`, before the training."""
    if loop.folder.records():
        return
    made = loop.draw(sampler, 0)
    loop.folder.write_floor(
        loop.instruments.floor(loop.built.train, loop.preset.evaluated or loop.preset.budget)
    )
    record = {
        "policy": None,
        "generation": 0,
        "metrics": loop.measure(sampler, 0, made),
        "cost": cost(loop, loop.built.train, first=True),
        "samples": digest(made.x, made.y),
    }
    if loop.preset.checkpoints:
        loop.folder.save_state(None, 0, made, sampler.state())
    loop.folder.add(record, time.perf_counter() - began)


def cost(loop: Loop, pool: Pool, first: bool) -> dict[str, int]:
    """Network evaluations of a generation by cause, each time counted per sample."""
    drawn = loop.preset.budget + (loop.preset.evaluated or 0)
    sampling = getattr(loop.built.generator, "sampling_steps", 0) * drawn
    return {**loop.built.generator.evaluations(pool, first), "sampling_evaluations": sampling}


def resume(loop: Loop, name: str, sampler: Sampler) -> tuple[list[Pool], Sampler]:
    """The history of made pools of a policy and its last model, as far as the folder has them."""
    done = [r["generation"] for r in loop.folder.of(name) if r["policy"] == name]
    if done != list(range(1, len(done) + 1)):
        raise ValueError(
            f"{loop.folder.path} has generations {done} of {name}; delete the folder and run again"
        )
    if not loop.preset.checkpoints:
        if done and len(done) < loop.preset.generations:
            loop.folder.forget(name)
        return [loop.draw(sampler, 0)], sampler
    made = [loop.folder.samples(None, 0), *(loop.folder.samples(name, k) for k in done)]
    last = loop.built.generator.restore(loop.folder.model(name, done[-1])) if done else sampler
    return made, last


def follow(loop: Loop, name: str, sampler: Sampler) -> None:
    """Generations 1..K of one policy, each recorded as soon as it is made."""
    K = loop.preset.generations
    if [r["generation"] for r in loop.folder.of(name)] == list(range(K + 1)):
        loop.folder.drop_model(name, K - 1)  # a kill may have come between the last line and this
        return
    generator = curation.trained_by(name, loop.built.generator, loop.preset.budget)
    loop = replace(loop, built=replace(loop.built, generator=generator))
    made, sampler = resume(loop, name, sampler)
    loop.folder.drop_model(name, len(made) - 2)  # likewise: a line is there, the model before it still too
    policy = curation.policy(name, loop.instruments.kit)
    for k in range(len(made), K + 1):
        progress.tick(name, k - 1, K)
        began = time.perf_counter()
        sampler, pool, record = generation(loop, policy, name, k, made, sampler)
        made.append(pool)
        if loop.preset.checkpoints:
            loop.folder.save_state(name, k, pool, sampler.state())
        loop.folder.add(record, time.perf_counter() - began)
        if k > 1:
            loop.folder.drop_model(name, k - 1)
    progress.tick(name, K, K)


def generation(
    loop: Loop, policy: curation.Policy, name: str, k: int, made: list[Pool], previous: Sampler
) -> tuple[Sampler, Pool, dict[str, Any]]:
    """One turn of the loop: the new model, its samples, its record."""
    history = [loop.built.train, *made]
    pool, sampler, new = turn(
        policy, loop.built.generator, history, previous, loop.preset.budget, loop.seed, k
    )
    record = {
        "policy": name,
        "generation": k,
        "trained_on": curation.composition(pool, loop.built.train.classes),
        "metrics": loop.measure(sampler, k, new),
        "cost": cost(loop, pool, first=False),
        "samples": digest(new.x, new.y),
    }
    if name == "ACUR" or name.startswith("ACU-LSF"):  # what would the filter keep of this very pool?
        record["choices"] = loop.instruments.choices(concat(history), loop.preset.budget)
    if loop.built.refits:
        record |= refitted(loop, name, k, history, previous, pool, new)
    return sampler, new, record


def refitted(
    loop: Loop, name: str, k: int, history: list[Pool], previous: Sampler, pool: Pool, new: Pool
) -> dict[str, Any]:
    """Readings that train something anew: re-trained confidence of SYN and of its control REAL, and what ACUR's last
    history gives by pool size."""
    found: dict[str, Any] = {}
    if name in ("REAL", "SYN"):
        found["retrained_log_odds"] = refits.retrained_log_odds(loop.instruments.filter, pool, new)
    if name == "ACUR" and k == loop.preset.generations:
        found["pools"] = refits.pool_sizes(
            history,
            loop.built.generator,
            loop.instruments.filter,
            loop.instruments.distance,
            previous,
            loop.preset.budget,
            loop.seed,
            k,
        )
    return found
