"""The command line gives what the library gives, refuses in one line, and leaves nothing half-done behind."""

from __future__ import annotations

import errno
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from diffusers import DDPMPipeline, DDPMScheduler
from PIL import Image
from pyarrow import csv
from sklearn.datasets import load_digits

import lsf
from lsf import FlattenedPCA, LatentSpaceFilter, saving
from lsf.__main__ import main
from lsf.command_fit import FILTERS, RULES
from lsf.diffusion_encoder import DiffusionEncoder
from lsf.ole import normalised_ole, ole
from lsf.pool_files import read
from tests import tiny_models

CLASSES, FEATURES = 3, 4
IMAGES = ["--size", "8", "--channels", "1"]
COMMANDS = ["fit", "score", "select", "ole", "report"]
FILTER = "filter.safetensors"


def cli(*arguments: str | Path, at: Path) -> Result:
    """`lsf arguments` in the folder `at`."""
    here = os.getcwd()
    os.chdir(at)
    try:
        return CliRunner().invoke(main, [str(a) for a in arguments], prog_name="lsf")
    finally:
        os.chdir(here)


def done(*arguments: str | Path, at: Path) -> Result:
    result = cli(*arguments, at=at)
    assert result.exit_code == 0, result.output
    assert result.exception is None
    return result


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(p): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def refused(*arguments: str | Path, at: Path, code: int = 1) -> str:
    """What it said, in one line, having changed nothing."""
    before = contents(at)
    result = cli(*arguments, at=at)
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    assert contents(at) == before
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    if code == 1:
        assert result.stderr.splitlines()[-1] == line
    return line


def pictures(folder: Path, rows: range) -> Path:
    """Digits as images, one folder a class."""
    digits = load_digits()
    for i in rows:
        if (c := digits.target[i]) < CLASSES:
            (folder / f"digit {c}").mkdir(parents=True, exist_ok=True)
            Image.fromarray((digits.images[i] * 15).astype(np.uint8)).save(folder / f"digit {c}" / f"{i}.png")
    return folder


def latents(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(CLASSES, size=count)
    return 2 * np.eye(CLASSES, FEATURES)[y] + rng.standard_normal((count, FEATURES)), y


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with real, pool and held-out images and a filter fitted on the real ones."""
    for name, rows in (("real", range(100)), ("pool", range(100, 200)), ("held", range(200, 260))):
        pictures(tmp_path / name, rows)
    done("fit", "real", *IMAGES, "--pca", "5", "--out", FILTER, at=tmp_path)
    return tmp_path


@pytest.fixture
def numbers(seed: int, tmp_path: Path) -> Path:
    """A folder with real latents, a pool and a filter."""
    for name, count in (("real", 90), ("pool", 200)):
        x, y = latents(seed + count, count)
        np.savez(tmp_path / f"{name}.npz", x=x, y=y)
    done("fit", "real.npz", "--out", FILTER, at=tmp_path)
    return tmp_path


def arrays(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path) as file:
        return file["x"], file["y"]


# --- help ---


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_has_examples_and_exit_codes(command: str, tmp_path: Path) -> None:
    text = done(*([command] if command else []), "--help", at=tmp_path).output
    assert "Examples" in text
    assert f"  lsf {command}" in text
    assert re.search(r"Exit\s+codes:\s+0\s+done;.*130\s+Ctrl-C", text, re.DOTALL)


def test_examples_of_the_help_are_of_options_that_there_are(tmp_path: Path) -> None:
    lines = [line.strip() for c in COMMANDS for line in done(c, "-h", at=tmp_path).output.splitlines()]
    examples = [shlex.split(line)[1:] for line in [*lines, *map(str.strip, (main.epilog or "").splitlines())]
                if line.startswith("lsf ")]  # fmt: skip
    assert len(examples) >= 12
    for name, *arguments in examples:
        known = {
            option for p in main.commands[name].params for option in p.opts if isinstance(p, click.Option)
        }
        assert {a for a in arguments if a.startswith("--")} <= known


# --- what the library gives ---


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_scores_and_choice_are_those_of_memory(ending: str, images: Path) -> None:
    out = done("score", FILTER, "pool", *IMAGES, "--out", f"s{ending}", at=images).output
    assert f"scores: s{ending}" in out
    told = done("select", FILTER, "pool", *IMAGES, "--budget", "9", "--out", f"k{ending}", at=images).output
    real, pool = (read(images / name, size=8, channels=1) for name in ("real", "pool"))
    (x_real, y_real), (x, y) = (next(iter(samples)) for samples in (real, pool))
    fitted = LatentSpaceFilter(FlattenedPCA(5), random_state=0).fit(x_real, y_real)
    kept = table(images / f"k{ending}")
    assert kept.columns.tolist() == ["index", "path", "label", "score", "kept"]
    assert kept["index"].tolist() == list(range(len(y)))
    assert kept["label"].tolist() == y.tolist()
    assert [str(images / path) for path in kept["path"]] == [pool.where(i) for i in range(len(y))]
    assert kept["score"].to_numpy().tobytes() == fitted.score_samples(x, y).tobytes()
    assert np.flatnonzero(kept["kept"]).tolist() == fitted.select(x, y, 9).tolist()
    assert table(images / f"s{ending}").equals(kept.drop(columns="kept"))
    rows = {line[:12].strip(): line.split()[-2:] for line in told.splitlines()}
    assert rows["digit 1"] == [str((y == "digit 1").sum()), str((y[kept.kept] == "digit 1").sum())]
    assert rows["all"] == [str(len(y)), "9"]


def table(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return csv.read_csv(path).to_pandas()


CASES = [(kind, None) for kind in FILTERS] + [
    (kind, rule) for kind in ("latent-space", "subspace") for rule in RULES if rule != "top"
]


@pytest.mark.parametrize(("kind", "rule"), CASES)
def test_every_filter_chooses_as_in_memory(kind: str, rule: str | None, numbers: Path, seed: int) -> None:
    """Whatever the chunks; the rules that draw, by the seed."""
    ruled = ["--rule", rule, "--shortfall", "fill"] if rule else []
    done("fit", "real.npz", "--filter", kind, *ruled, "--seed", "5", "--out", "f.safetensors", at=numbers)
    fitted = saving.load(numbers / "f.safetensors")
    x, y = arrays(numbers / "pool.npz")
    given = (x,) if kind in ("unlabelled-ratio", "subspace") else (x, y)
    for chunk, rng in ((1024, None), (7, seed + 9)):
        drawn = [] if rng is None else ["--seed", rng]
        done("select", "f.safetensors", "pool.npz", "--budget", "61", "--chunk", chunk,
             *map(str, drawn), "--out", "k.parquet", "--force", at=numbers)  # fmt: skip
        kept = pd.read_parquet(numbers / "k.parquet")
        assert np.flatnonzero(kept["kept"]).tolist() == fitted.select(*given, 61, rng).tolist()
        score = getattr(fitted, "score_samples", None) or getattr(fitted, "score_pool", None)
        if score is None:
            assert kept["score"].isna().all()
        else:
            assert kept["score"].to_numpy().tobytes() == score(*given).tobytes()


def test_known_scores_choose_the_same(numbers: Path) -> None:
    for kind in ("latent-space", "rank-sum", "unlabelled-ratio"):
        done("fit", "real.npz", "--filter", kind, "--out", "f.safetensors", "--force", at=numbers)
        done("score", "f.safetensors", "pool.npz", "--out", "s.csv", "--force", at=numbers)
        for name, scores in (("a.csv", []), ("b.csv", ["--scores", "s.csv"])):
            done("select", "f.safetensors", "pool.npz", "--budget", "20.5%", *scores, "--out", name, "--force",
                 at=numbers)  # fmt: skip
        assert (numbers / "a.csv").read_bytes() == (numbers / "b.csv").read_bytes()
        assert table(numbers / "a.csv")["kept"].sum() == 41


def change(path: Path, column: str, value: Any) -> None:
    changed = pd.read_parquet(path)
    changed[column] = changed[column].astype(object) if isinstance(value, str) else changed[column]
    changed.loc[3, column] = value
    changed.to_parquet(path)


@pytest.mark.parametrize(
    ("column", "value"),
    [("index", 5), ("path", "pool.npz:4"), ("label", 9), ("score", np.nan), ("score", np.inf)],
)
def test_scores_of_another_pool_are_refused(column: str, value: Any, numbers: Path) -> None:
    done("score", FILTER, "pool.npz", "--out", "s.parquet", at=numbers)
    arguments = ["select", FILTER, "pool.npz", "--budget", "20", "--scores", "s.parquet", "--out", "k.csv"]
    done(*arguments, "--dry-run", at=numbers)  # control
    change(numbers / "s.parquet", column, value)
    message = refused(*arguments, at=numbers)
    assert "--scores: s.parquet" in message
    assert ("missing or infinite" if column == "score" else "another pool: row 3") in message


def test_scores_that_are_fewer_more_or_no_table(numbers: Path) -> None:
    done("score", FILTER, "pool.npz", "--out", "s.csv", at=numbers)
    done("score", FILTER, "real.npz", "--out", "r.parquet", at=numbers)
    lines = (numbers / "s.csv").read_text().splitlines(keepends=True)
    cases = {
        "less.csv": ("".join(lines[:-1]), "has 199 rows, the pool 200 samples"),
        "more.csv": ("".join([*lines, lines[-1]]), "more rows than the pool has samples, 200"),
        "lacks.csv": ("".join(line.partition(",")[2] for line in lines), "it has no column index"),
        "words.csv": ("".join(lines).replace(",-", ",x-", 1), "no table of this pool"),
        "cut.parquet": ("PAR1", "no table of this pool"),
        "s.txt": ("a", "must end in .parquet or .csv"),
    }
    for name, (text, message) in cases.items():
        (numbers / name).write_text(text)
        assert message in refused(
            "select", FILTER, "pool.npz", "--budget", "2", "--scores", name, "--out", "k.csv", at=numbers
        )
    assert "another pool" in refused(
        "select", FILTER, "pool.npz", "--budget", "2", "--scores", "r.parquet", "--out", "k.csv", at=numbers
    )


def test_ole_is_that_of_the_library(numbers: Path) -> None:
    x, y = arrays(numbers / "pool.npz")
    done("fit", "real.npz", "--pca", "2", "--out", "p.safetensors", at=numbers)
    done("ole", "pool.npz", "--chunk", "7", "--out", "a.csv", at=numbers)
    done("ole", "pool.npz", "--through", "p.safetensors", "--out", "b.parquet", at=numbers)
    h = saving.load(numbers / "p.safetensors").transform(x)
    for name, m in (("a.csv", x), ("b.parquet", h)):
        row = table(numbers / name).iloc[0]
        assert (row["ole"], row["normalised_ole"]) == (ole(m, y), normalised_ole(m, y))
        assert pd.isna(row["timestep"])


# --- a model ---


@pytest.fixture
def model(images: Path, seed: int) -> Path:
    tiny_models.unet(seed).save_pretrained(images / "unet")
    tiny_models.unet(seed + 1).save_pretrained(images / "other")
    return images


def test_timestep_is_chosen_and_told(model: Path, seed: int) -> None:
    chosen = ["--model", "unet", "--pooling", "mean", "--seed", "3"]
    told = done("fit", "real", *IMAGES, *chosen, "--out", "m.safetensors", at=model).output
    rows = [line for line in told.splitlines() if re.match(r" +[0-9]+ ", line)]
    done("score", "m.safetensors", "pool", *IMAGES, "--model", "unet", "--out", "s.parquet", at=model)
    x_real, y_real = next(iter(read(model / "real", size=8, channels=1)))
    x, y = next(iter(read(model / "pool", size=8, channels=1)))
    encoder = DiffusionEncoder.from_pretrained(model / "unet", pooling="mean", random_state=3)
    fitted = LatentSpaceFilter(encoder, random_state=3).fit(x_real, y_real)
    assert [int(row.split()[0]) for row in rows] == [trial.timestep for trial in fitted.encoder_.trials_]
    (best,) = [int(row.split()[0]) for row in rows if row.endswith("chosen")]
    assert [best] == fitted.encoder_.timesteps_
    assert table(model / "s.parquet")["score"].to_numpy().tobytes() == fitted.score_samples(x, y).tobytes()


def test_ole_by_timestep_and_the_model_must_be_the_same(model: Path) -> None:
    steps = ["--timestep", "10", "--timestep", "400", "--dtype", "float16", "--batch-size", "4"]
    done(
        "fit",
        "real",
        *IMAGES,
        "--model",
        "unet",
        *steps,
        "--label",
        "mean",
        "--out",
        "m.safetensors",
        at=model,
    )
    encoder = saving.load(
        model / "m.safetensors", DiffusionEncoder.from_pretrained(model / "unet").model
    ).encoder_
    assert encoder.reading_.classes == (0, 1, 2, 3)
    x, y = next(iter(read(model / "pool", size=8, channels=1)))
    arguments = ["ole", "pool", *IMAGES, "--through", "m.safetensors"]
    done(*arguments, "--model", "unet", "--out", "o.csv", at=model)
    found = table(model / "o.csv")
    assert found["timestep"].tolist() == [10, 400]
    assert found["ole"].tolist() == [ole(h, y) for h in encoder.latents(x)]
    needed = r"FILTER: .*--model must be the folder of the UNet2DModel of its fit, with weights [0-9a-f]{12}"
    assert re.search(needed, refused(*arguments, at=model))
    assert re.search(needed, refused(*arguments, "--model", "other", at=model))
    assert "leave out --model" in refused(
        "ole", "pool", *IMAGES, "--through", FILTER, "--model", "unet", at=model
    )
    assert "--model: path must be a diffusers" in refused(*arguments, "--model", "pool", at=model)


def test_noised_needs_a_pipeline(model: Path, seed: int) -> None:
    fit = [
        "fit",
        "real",
        *IMAGES,
        "--timestep",
        "100",
        "--noised",
        "--null-label",
        "3",
        "--out",
        "m.safetensors",
    ]
    assert "--noised needs a scheduler" in refused(*fit, "--model", "unet", at=model)
    DDPMPipeline(tiny_models.unet(seed), DDPMScheduler()).save_pretrained(model / "pipe")
    done(*fit, "--model", "pipe", at=model)
    np.save(model / "text.npy", np.array([{}], dtype=object))
    assert "--null-embedding: text.npy is no .npy file of numbers" in refused(
        *fit[:-1], "n.safetensors", "--model", "pipe", "--null-embedding", "text.npy", at=model
    )


# --- refusals ---

FIT = ["fit", "real.npz", "--out", "f.safetensors"]
SELECT = ["select", FILTER, "pool.npz", "--out", "k.csv", "--budget"]
SCORE = ["score", FILTER, "pool.npz", "--out"]
REFUSED = [
    (["fit", "nowhere", "--out", "f.safetensors"], 1, "REAL: nowhere is not there"),
    (["fit", "", "--out", "f.safetensors"], 2, "the path is empty"),
    (["fit", "real.npz"], 2, "Missing option '--out'"),
    (["fit", "real.npz", "--out", "f.pkl"], 1, "--out: f.pkl must end in .safetensors"),
    (["fit", "real.npz", "--out", FILTER], 1, f"--out: {FILTER} is there already: give another name, or --force"),
    (["fit", "real.npz", "--out", "no/f.safetensors"], 1, "--out: no is no folder: make it first"),
    (["fit", FILTER, "--out", "f.safetensors"], 1, "is of no known format"),
    ([*FIT, "--pca", "9"], 1, "REAL: "),
    ([*FIT, "--size", "8"], 1, "REAL: size is not for real.npz"),
    ([*FIT, "--size", "8x"], 2, "must be a side in pixels"),
    ([*FIT, "--layer", "mid_block", "--timestep", "3"], 2, "--layer, --timestep is of a model: give --model"),
    ([*FIT, "--rule", "matched", "--filter", "rank-sum"], 2, "--rule and --shortfall are not for --filter rank-sum"),
    ([*FIT, "--rule", "best"], 2, "'best' is not one of"),
    ([*FIT, "--samples", "z"], 1, "holds no array 'z', but ['x', 'y']: name it with --samples or --labels"),
    (["select", "real.npz", "pool.npz", "--budget", "3", "--out", "k.csv"], 1, "FILTER: real.npz: no filter that"),
    ([*SELECT, "201"], 1, "--budget: budget is 201, but the pool has only 200 samples"),
    ([*SELECT, "0"], 1, "--budget: budget must be positive"),
    ([*SELECT, "101%"], 1, "--budget: 101% of 200 samples is 202"),
    ([*SELECT, "0.1%"], 1, "--budget: 0.1% of 200 samples is 0: give a share that leaves 1"),
    ([*SELECT, "-1"], 2, "must be a number of samples, as 5000, or a share, as 30%"),
    ([*SELECT, "1e3"], 2, "must be a number of samples"),
    ([*SCORE, "s.xlsx"], 1, "--out: s.xlsx must end in .parquet or .csv"),
    ([*SCORE, "s.csv", "--device", "cpu"], 2, "give --model too"),
    (["score", FILTER, "wide.npz", "--out", "s.csv"], 1, "POOL: the pool has 5 features, fit saw 4"),
    (["score", FILTER, "new.npz", "--out", "s.csv"], 1, "POOL: the pool has labels never seen in fit: [7]"),
    (["score", FILTER, "words.npz", "--out", "s.csv"], 1, "POOL: labels are texts, the filter was fitted on integers"),
    (["score", FILTER, "nan.npz", "--out", "s.csv"], 1, "nan.npz:5: it has NaN or infinite values; --on-error skip"),
    (["score", FILTER, "pickle.npz", "--out", "s.csv"], 1, "an array of objects, which only pickle could load"),
    (["ole", "pool.npz", "--model", "."], 2, "--model is that of a filter: give --through too"),
    (["mend"], 2, "No such command 'mend'"),
]  # fmt: skip


@pytest.fixture
def bad(numbers: Path) -> Path:
    x, y = arrays(numbers / "pool.npz")
    np.savez(numbers / "wide.npz", x=np.hstack([x, x[:, :1]]), y=y)
    np.savez(numbers / "new.npz", x=x, y=np.where(y == 0, 7, y))
    np.savez(numbers / "words.npz", x=x, y=y.astype(str))
    np.savez(numbers / "nan.npz", x=np.where(np.arange(len(x))[:, None] == 5, np.nan, x), y=y)
    np.savez(numbers / "pickle.npz", x=x.astype(object), y=y)
    return numbers


@pytest.mark.parametrize(("arguments", "code", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_refusal_is_one_line_and_leaves_nothing(
    arguments: Sequence[str], code: int, message: str, bad: Path
) -> None:
    assert message in refused(*arguments, at=bad, code=code)
    if code == 1:
        assert refused(*arguments, "--dry-run", at=bad) if "--pca" not in arguments else True


def test_output_is_never_what_is_read(images: Path) -> None:
    """Not even by force: a pool is more than a table."""
    for out in (images / "pool" / "digit 1" / "s.csv", images / "pool" / ".." / "pool" / "s.csv"):
        message = refused("score", FILTER, "pool", *IMAGES, "--out", out, "--force", at=images)
        assert "is, or lies in, pool, which is read: choose another place" in message
    (images / "link.csv").symlink_to("pool/digit 1/s.csv")
    assert "is, or lies in" in refused(
        "score", FILTER, "pool", *IMAGES, "--out", "link.csv", "--force", at=images
    )
    assert "--out" in refused("fit", "real", *IMAGES, "--out", "real/f.safetensors", "--force", at=images)
    (images / "d.csv").mkdir()
    assert "is a folder" in refused("score", FILTER, "pool", *IMAGES, "--out", "d.csv", "--force", at=images)


@pytest.mark.parametrize("name", ["s.csv", "s.parquet"])
def test_what_was_there_stays_until_all_is_written(
    name: str, numbers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (numbers / name).write_text("mine")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        assert "No space left" in refused(*SCORE, name, "--force", at=numbers)
        assert "No space left" in refused(*FIT, at=numbers)
    done(*SCORE, name, "--force", at=numbers)  # control
    assert (numbers / name).read_bytes() != b"mine"


def test_dry_run_says_what_it_would_take_and_writes_nothing(images: Path) -> None:
    before = contents(images)
    fit = done("fit", "real", *IMAGES, "--out", "f.safetensors", "--dry-run", at=images).output
    assert re.search(r"would fit latent-space on [0-9]+ samples of 3 classes, shape \(1, 8, 8\)", fit)
    for command, more in (("score", []), ("select", ["--budget", "50%"])):
        said = done(command, FILTER, "pool", *IMAGES, *more, "--out", "t.csv", "--dry-run", at=images).output
        assert re.search(r"[0-9]+ samples of 3 classes", said)
        assert "1 pass over the pool; about" in said
        assert "t.csv; nothing is written" in said or "to t.csv" in said
    assert contents(images) == before


@pytest.mark.parametrize("kind", FILTERS)
def test_cost_is_that_of_the_documentation(kind: str, numbers: Path) -> None:
    """n = 200 samples of 4 numbers with labels of 8 bytes; a block of 4096 beside."""
    done("fit", "real.npz", "--filter", kind, "--out", "f.safetensors", at=numbers)
    select = ["select", "f.safetensors", "pool.npz", "--budget", "9", "--out", "k.csv", "--dry-run"]
    said = done(*select, at=numbers).output
    block, ratio = 4096 * (32 + 32), 24 * 9 * (4097 + 8)
    memory = {
        "latent-space": ("1 pass", 48 * 200), "subspace": ("1 pass", 48 * 200),
        "trim-herd": ("3 to 13 passes", (68 + 32) * 200), "shrunk-herd": ("2 passes", (68 + 32) * 200),
    }.get(kind, ("about 10 passes", 58 * 200 + ratio))  # fmt: skip
    found = re.search(r"(.*) over the pool; about (\S+) (MB|kB) of memory", said)
    assert found is not None
    assert found[1] == memory[0]
    told = float(found[2]) * {"MB": 1e6, "kB": 1e3}[found[3]]
    assert abs(told / (memory[1] + block) - 1) < 0.01  # three digits are printed


# --- what cannot be read, and what others may run ---


def test_bad_samples_are_left_out_and_counted(images: Path) -> None:
    for i in range(7):
        (images / "pool" / "digit 1" / f"0{i}\x1b[2J.png").write_bytes(b"no image")
    select = ["select", FILTER, "pool", *IMAGES, "--budget", "9", "--out", "k.csv"]
    message = refused(*select, at=images)
    assert "\\x1b[2J.png: no image that can be read" in message  # shown, not sent to the terminal
    assert message.endswith("--on-error skip leaves such samples out and lists them")
    result = done(*select, "--on-error", "skip", at=images)
    lines = result.stderr.splitlines()
    rows = table(images / "k.csv")
    assert lines[0] == f"POOL: left out 7, read {len(rows)}"
    assert len(lines) == 7
    assert lines[-1] == "  and 2 more"
    assert "\x1b" not in result.output
    assert not rows["path"].str.contains("x1b").any()


AWKWARD = ['a, b', 'say "no"', "two\nlines", "'", "ñandú", "7"]  # fmt: skip
FORMULAS = ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\tx"]


def named_classes(at: Path, names: Sequence[str]) -> Path:
    x, y = latents(0, 30)
    np.savez(at / "n.npz", x=x, y=np.array([names[c % len(names)] for c in y]))
    return at / "n.npz"


def test_awkward_names_come_back_from_csv(tmp_path: Path, seed: int) -> None:
    x, _ = latents(seed, 60)
    y = np.array(AWKWARD)[np.arange(60) % len(AWKWARD)]
    np.savez(tmp_path / "n.npz", x=x, y=y)
    done("fit", "n.npz", "--out", FILTER, at=tmp_path)
    done("score", FILTER, "n.npz", "--out", "s.csv", at=tmp_path)
    assert pd.read_csv(tmp_path / "s.csv", dtype={"label": str})["label"].tolist() == y.tolist()
    done("select", FILTER, "n.npz", "--budget", "9", "--scores", "s.csv", "--out", "k.csv", at=tmp_path)


@pytest.mark.parametrize("name", FORMULAS)
def test_formula_is_refused_in_csv(name: str, tmp_path: Path) -> None:
    named_classes(tmp_path, ["a", name])
    done("fit", "n.npz", "--out", FILTER, at=tmp_path)
    assert "could run as a formula" in refused("score", FILTER, "n.npz", "--out", "s.csv", at=tmp_path)
    done("score", FILTER, "n.npz", "--out", "s.parquet", at=tmp_path)  # control
    assert set(pd.read_parquet(tmp_path / "s.parquet")["label"]) == {"a", name}


def test_warnings_are_one_line(numbers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lsf.probe.Probe.__init__, "__defaults__", (1.0, 1))
    lines = done(*FIT, at=numbers).stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("warning: lbfgs failed to converge")


# --- report ---


@pytest.mark.parametrize("kind", ["latent-space", "trim-herd", "unlabelled-ratio", "subspace"])
def test_report_is_text_and_a_page(kind: str, images: Path) -> None:
    done("fit", "real", *IMAGES, "--pca", "5", "--filter", kind, "--out", "f.safetensors", at=images)
    done("select", "f.safetensors", "pool", *IMAGES, "--budget", "30%", "--out", "k.csv", at=images)
    arguments = ["report", "f.safetensors", "pool", "k.csv", *IMAGES, "--out", "r.html"]
    done(*arguments, "--real", "held", "--dry-run", at=images)
    assert not (images / "r.html").exists()
    told = done(*arguments, "--real", "held", at=images).output
    count = table(images / "k.csv")["kept"].sum()
    assert told.startswith(f"kept {count} of ")
    assert told.endswith("page: r.html\n")
    assert "</html>" in (images / "r.html").read_text()
    assert "is there already" in refused(*arguments, at=images)
    change_csv(images / "k.csv")
    assert "KEPT: k.csv is of another pool" in refused(*arguments, "--force", at=images)


def change_csv(path: Path) -> None:
    first, second, third, *rest = path.read_text().splitlines(keepends=True)
    path.write_text("".join([first, third, second, *rest]))


# --- processes ---

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(lsf.__file__).parents[1])}
PROGRAM = [sys.executable, "-m", "lsf"]


def test_a_process_says_results_on_stdout_and_nothing_else(numbers: Path) -> None:
    run = subprocess.run(
        [*PROGRAM, *SELECT, "10%"], cwd=numbers, env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert run.stderr == ""  # no bar: it is no terminal
    assert run.stdout.endswith("kept: k.csv\n")
    first = (numbers / "k.csv").read_bytes()
    done(*SELECT, "10%", "--force", at=numbers)
    assert (numbers / "k.csv").read_bytes() == first
    wrong = subprocess.run(
        [*PROGRAM, *SELECT, "0"], cwd=numbers, env=ENVIRONMENT, capture_output=True, text=True
    )
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith("Error: --out: k.csv is there")


def test_ctrl_c_ends_with_130(numbers: Path) -> None:
    """It waits for the filter in a pipe nobody writes to."""
    os.mkfifo(numbers / "pipe")
    command = [*PROGRAM, "score", "pipe", "pool.npz", "--out", "s.csv"]
    process = subprocess.Popen(
        command,
        cwd=numbers,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # jobs in the background ignore it
    )
    pipe = opened_for_writing(numbers / "pipe")
    try:
        said = interrupted(process)
    finally:
        os.close(pipe)
        process.kill()
    assert process.returncode == 130
    assert said == "stopped; no output was written\n"
    assert not (numbers / "s.csv").exists()


def interrupted(process: Any) -> str:
    """What it says on stderr. A signal that comes in the very moment before a read begins is seen after the read only:
    then another one.
    """
    for _ in range(9):
        process.send_signal(signal.SIGINT)
        try:
            return process.communicate(timeout=10)[1]
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError("it does not stop")


def opened_for_writing(pipe: Path) -> int:
    """As soon as somebody reads."""
    for _ in range(600):
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            time.sleep(0.05)
    raise AssertionError("nobody read the pipe")
