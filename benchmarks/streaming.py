"""How near does scoring and selecting a large pool come to the product it cannot do without?

    score-select-vs-matmul   seconds of X @ W over seconds of `lsf.stream.select`: 1 when nothing but the product counts
    lsf-vs-cleanlab          seconds and memory of cleanlab's self-confidence over ours, for the same choice

Latents X are 1,000,000 x 512 float32 of 10 classes in a memory-mapped .npy file, read once before so that it lies in
memory. X @ W is numpy's, over the same blocks of 4096 rows, with the probe's weights W (512 x 10) as they are, float64:
scores need that precision. The product with W rounded to float32, which ranks by six digits, is told beside it.
"""

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bfloat16 import NotMeasured
from benchmarks.timing import Result, fastest
from lsf import stream
from lsf.blocks import BLOCK, Blocks
from lsf.chunks import Npy
from lsf.filter import LatentSpaceFilter
from lsf.probe import Probe
from sims import progress

__all__ = ["score_select_vs_matmul", "lsf_vs_cleanlab"]

ROWS, FEATURES, CLASSES = 1_000_000, 512, 10
MB = 1e6


@dataclass(frozen=True)
class Pool:
    """A pool in a file, and a filter fitted to data like it."""

    chunks: Npy
    fitted: LatentSpaceFilter
    budget: int


@contextmanager
def pool(rows: int = ROWS, features: int = FEATURES) -> Iterator[Pool]:
    """Noisy corners of a simplex, a tenth of them to be kept; the files go with it."""
    rng = np.random.default_rng(0)
    centres = 4 * rng.standard_normal((CLASSES, features)) / np.sqrt(features)
    y = rng.integers(CLASSES, size=rows)
    with tempfile.TemporaryDirectory() as folder:
        chunks = Npy(Path(folder) / "x.npy", Path(folder) / "y.npy")
        x = np.lib.format.open_memmap(chunks.x, "w+", np.float32, (rows, features))
        for start in range(0, rows, BLOCK):
            progress.tick("pool", start, rows)
            part = y[start : start + BLOCK]
            x[start : start + BLOCK] = centres[part] + rng.standard_normal((len(part), features))
        del x
        np.save(chunks.y, y)
        y_real = np.arange(2000) % CLASSES
        x_real = centres[y_real] + rng.standard_normal((2000, features))
        yield Pool(chunks, LatentSpaceFilter().fit(x_real, y_real), rows // 10)


def product(chunks: Npy, W: np.ndarray) -> None:
    """X @ W over the blocks that scoring sees."""
    for x, _ in Blocks(chunks):
        x @ W


def anonymous() -> int:
    """Bytes of memory of this process that are no pages of files (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return 1024 * int(line.split()[1])
    raise OSError("this system does not tell RssAnon")


def peak(call: Callable[[], Any]) -> int:
    """Bytes by which the process grew at most during the call, looked at every 5 milliseconds."""
    before = most = anonymous()
    done = threading.Event()

    def look() -> None:
        nonlocal most
        while not done.wait(0.005):
            most = max(most, anonymous())

    watch = threading.Thread(target=look)
    watch.start()
    try:
        call()
    finally:
        done.set()
        watch.join()
    return max(most, anonymous()) - before


def score_select_vs_matmul(rows: int = ROWS, features: int = FEATURES, repeats: int = 3) -> Result:
    """Scores and the most confident tenth; beside it memory beyond the scores and labels, 16 bytes a row."""
    with pool(rows, features) as p:
        W = p.fitted.probe_.regression_.coef_.T
        W_float32 = W.astype(np.float32)
        ours, float64, float32 = fastest(
            lambda: stream.select(p.fitted, p.chunks, p.budget),
            lambda: product(p.chunks, W),
            lambda: product(p.chunks, W_float32),
            repeats=repeats,
        )
        grown = peak(lambda: stream.select(p.fitted, p.chunks, p.budget)) - 16 * rows
    return Result(
        "score-select-vs-matmul",
        float64 / ours,
        f"{rows} x {features}: score and select {ours:.2f} s, X @ W {float64:.2f} s, with W in float32 {float32:.2f} s "
        f"({float32 / ours:.0%}); memory beyond scores and labels {grown / MB:.0f} MB",
    )


def by_cleanlab(p: Pool) -> np.ndarray:
    """The lines that cleanlab's documentation has one write: probabilities of the pool, scores, the best."""
    from cleanlab.rank import get_label_quality_scores

    x, y = np.load(p.chunks.x, mmap_mode="r"), np.load(p.chunks.y)
    probe: Probe = p.fitted.probe_
    pred_probs = probe.regression_.predict_proba(probe.scaler_.transform(x))
    scores = get_label_quality_scores(y, pred_probs, method="self_confidence")
    return np.sort(np.argsort(-scores, kind="stable")[: p.budget])


def lsf_vs_cleanlab(rows: int = ROWS, features: int = FEATURES, repeats: int = 2) -> Result | NotMeasured:
    """The same probe, pool and budget; how many of what is kept is common, and what either took."""
    try:
        import cleanlab
    except ImportError:
        return NotMeasured("lsf-vs-cleanlab", "cleanlab is not installed: pip install -e '.[dev]'")
    with pool(rows, features) as p:
        kept = stream.select(p.fitted, p.chunks, p.budget)
        common = len(np.intersect1d(kept, by_cleanlab(p))) / p.budget
        ours, theirs = fastest(
            lambda: stream.select(p.fitted, p.chunks, p.budget), lambda: by_cleanlab(p), repeats=repeats
        )
        memory = [
            peak(call) / MB
            for call in (lambda: stream.select(p.fitted, p.chunks, p.budget), lambda: by_cleanlab(p))
        ]
    return Result(
        "lsf-vs-cleanlab",
        theirs / ours,
        f"{rows} x {features}: lsf {ours:.2f} s, {memory[0]:.0f} MB; scikit-learn, cleanlab {cleanlab.__version__} "
        f"{theirs:.2f} s, {memory[1]:.0f} MB; {common:.2%} of the kept are common",
    )
