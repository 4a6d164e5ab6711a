"""What did a filter do to a pool: one page of HTML, for whoever trains on what was kept.

    Path("report.html").write_text(page(fitted, samples, kept, real=held_out), encoding="utf-8")

Numbers and warnings are those of `lsf.report`, with how many samples each rests on; pictures of kept and dropped
samples stand side by side. All is in the one file: no script, nothing fetched. Names of classes and files are text
of strangers, and are written as text. Equal arguments and versions give equal bytes.

One pass over the samples, and one more where scores are not given; a pass encodes them. Memory beside a block: 30 bytes
a sample, one latent a class, the pictures, and 24 T C d (d + max(d, 1024)) bytes for OLE of d numbers at T timesteps,
which is left out, and said to be, above `lsf.seen.MOST_OLE`. Needs jinja2, matplotlib and Pillow (extra "report").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import is_dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from sklearn.utils.validation import check_is_fitted

from lsf import charts, checks, stream
from lsf.blocks import Blocks
from lsf.encoders import holding
from lsf.label_free import labelled
from lsf.pictures import Shown, shown
from lsf.report import PROBABILITIES, HeldOut, Report, chosen, told
from lsf.samples import Samples
from lsf.seen import Part, Seen
from lsf.unlabelled import SubspaceFilter

__all__ = ["page", "page_and_report"]

NARROW = 0.9
"""Red is a class whose spread, over that of real data or else of the pool, is below it."""
LIBRARIES = (
    "lsf-testbed",
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "diffusers",
    "matplotlib",
    "jinja2",
    "pillow",
)


def page(
    fitted: Any,
    samples: Samples,
    kept: Any,
    *,
    scores: Any = None,
    real: Samples | None = None,
    title: str | None = None,
    seed: int = 0,
) -> str:
    """HTML on what the fitted filter did when it kept the indices `kept` of a pool. The labels are those of the
    samples; for a filter that needs none, class 0 or its own subspaces (`lsf.label_free`).

    scores (n,): those of the filter, where they are known; None: `lsf.stream.score_samples`, if it gives any. real:
    held-out real data, seen neither by fit nor by the pool; None: what the filter held out itself, if it did. seed
    draws the samples that are shown.

    Raises NotFittedError before fit; TypeError if `kept` or `seed` are no integers; ValueError if `kept` are not
    indices of the pool, each at most once and at least one, scores are not one finite number a sample, a label was
    never seen in fit, or a sample cannot be read.
    """
    return page_and_report(fitted, samples, kept, scores=scores, real=real, title=title, seed=seed)[0]


def page_and_report(
    fitted: Any,
    samples: Samples,
    kept: Any,
    *,
    scores: Any = None,
    real: Samples | None = None,
    title: str | None = None,
    seed: int = 0,
) -> tuple[str, Report]:
    """`page`, and the report that it shows: that of `fitted.report` of the whole pool, which is never held here."""
    check_is_fitted(fitted)
    if checks.whole("seed", seed) < 0:
        raise ValueError(f"seed must not be negative, found {seed}")
    inner, chunks = labelled(fitted, samples)
    y = samples.y if inner is fitted else np.concatenate([y.copy() for _, y in Blocks(chunks)])
    own = checks.known("y", y, inner.classes_)
    which = chosen(kept, len(own))
    is_kept = np.zeros(len(own), dtype=bool)
    is_kept[which] = True
    with holding(inner.encoder_):
        s = _scores(inner, chunks, len(own), scores)
        shows = shown(own, is_kept, s, seed)
        seen = Seen.of(inner, chunks, samples, is_kept, {int(i) for one in shows for i in one.all()})
        there = None if real is None else labelled(fitted, real)[1]
        held = None if real is None else Seen.of(inner, there, real, np.zeros(len(real.y), dtype=bool), set())
        known = HeldOut.of(inner, None if there is None else Blocks(there))
    report = told(inner, own, which, s, known, seen.parts["pool"].spread, seen.parts["kept"].spread)
    if isinstance(fitted, SubspaceFilter):  # the labels are the probe's own: it cannot be judged by them
        report = replace(report, accuracy=None, n_real=None, chance=None)
    parts = dict(seen.parts) if held is None else {"real": held.parts["pool"], **seen.parts}
    text = _template().render(
        title=title or "What the filter kept",
        filter=_filter(fitted),
        report=report,
        n=len(own),
        n_kept=len(which),
        classes=len(inner.classes_),
        there=len(np.unique(own)),
        skipped=samples.skipped,
        probabilities=PROBABILITIES,
        seed=seed,
        shape=f"of shape {seen.shape}",
        settings=list(_settings(fitted, inner)),
        trials=getattr(getattr(fitted, "encoder_", inner.encoder_), "trials_", None),
        versions=[(name, found) for name in LIBRARIES if (found := _version(name))],
        rows=list(_rows(report, own, s, parts)),
        pictures=list(_pictures(shows, seen.pictures, samples, inner.classes_, is_kept, s)),
        **_on_spread(report, parts),
        **_on_scores(inner, report, s, which, known),
        **_on_ole(parts, seen),
    )
    return text, report


def _scores(fitted: Any, chunks: Any, n: int, scores: Any) -> np.ndarray | None:
    if scores is not None:
        given = checks.finite("scores", scores)
        if given.shape != (n,):
            raise ValueError(f"scores must be one a sample, ({n},), found shape {given.shape}")
        return given.astype(np.float64)
    if hasattr(fitted, "score_samples") or hasattr(fitted, "score_latents"):
        return stream.score_samples(fitted, chunks)[0]
    return None


def _rows(
    report: Report, own: np.ndarray, scores: np.ndarray | None, parts: dict[str, Part]
) -> Iterator[dict[str, Any]]:
    """The table of classes, one row each."""
    real = parts["real"].spread if "real" in parts else None
    to_real = None if real is None else real.over(parts["pool"].spread)
    for k, name in enumerate(_names(report.classes)):
        n, spread = int(report.in_pool[k]), report.spread[k]
        yield {
            "name": name,
            "pool": n,
            "kept": int(report.kept[k]),
            "share": _share(report.kept[k] / n) if n else "–",
            "spread": _number(spread),
            "narrow": spread < NARROW * (1 if to_real is None or np.isnan(to_real[k]) else to_real[k]),
            "real": None if to_real is None else _number(to_real[k]),
            "n_real": None if real is None else int(real.n[k]),
            "median": _number(np.median(scores[own == k])) if scores is not None and n else "–",
        }


def _on_spread(report: Report, parts: dict[str, Part]) -> dict[str, Any]:
    known = report.spread[~np.isnan(report.spread)]
    of = len(report.classes)
    few = f", the {charts.BARS} narrowest" if of > charts.BARS else ""
    told = (
        f"Of {len(known)} classes, {int((known < 1).sum())} are narrower among the kept than in the pool; "
        f"median ratio {_number(np.median(known))}, least {_number(known.min())}."
        if len(known)
        else "No class has two kept samples and some spread in the pool: nothing is known."
    )
    caption = (
        f"Spread of each class{few}, {parts['kept'].n} kept over {parts['pool'].n} in the pool; dashed line: "
        f"unchanged. {told}"
    )
    return {
        "spread_figure": Markup(charts.spread_bars(_names(report.classes), report.spread)),
        "spread_caption": caption,
    }


def _on_scores(
    fitted: Any, report: Report, scores: np.ndarray | None, kept: np.ndarray, known: HeldOut | None
) -> dict[str, Any]:
    if scores is None:
        return {"has_scores": False}
    by_name = {} if known is None else {"real": known.scores}
    by_name |= {"pool": scores, "kept": scores[kept]}
    medians = ", ".join(f"{name} {_number(np.median(v))} (n = {len(v)})" for name, v in by_name.items())
    figure = charts.histogram(by_name, hasattr(fitted, "predict_proba"))
    return {
        "has_scores": True,
        "score_figure": Markup(figure),
        "score_caption": f"Scores, as shares of each kind. Medians: {medians}.",
        "counts": {name: len(v) for name, v in by_name.items()},
    }


def _on_ole(parts: dict[str, Part], seen: Seen) -> dict[str, Any]:
    rows = [
        {
            "step": step,
            "name": name,
            "n": part.n,
            "ole": part.norms[at].ole(),
            "normalised": _normalised(part, at),
        }
        for at, step in enumerate(seen.steps)
        for name, part in parts.items()
        if part.norms
    ]
    figure = ""
    if rows and len(seen.steps) > 1:
        values = {
            name: [_normalised(part, at) for at in range(len(seen.steps))] for name, part in parts.items()
        }
        figure = charts.by_timestep(seen.steps, values, {name: part.n for name, part in parts.items()})
    return {
        "ole": rows,
        "width": seen.width,
        "ole_bytes": f"{seen.ole_bytes / 1e9:.1f}",
        "ole_figure": Markup(figure),
        "ole_caption": "Normalised OLE by timestep; its numbers are in the table.",
    }


def _normalised(part: Part, at: int) -> float:
    by_class, total, _ = part.norms[at].scaled()
    return 1 - total / by_class.sum() if by_class.sum() > 0 else float("nan")


def _pictures(
    shows: list[Shown],
    uris: dict[int, str | None],
    samples: Samples,
    classes: np.ndarray,
    is_kept: np.ndarray,
    scores: np.ndarray | None,
) -> Iterator[dict[str, Any]]:
    """What the page shows of each class; nothing where a sample is no image."""
    if None in uris.values():
        return

    def shot(i: int) -> dict[str, Any]:
        done, where = "kept" if is_kept[i] else "dropped", samples.where(i)
        score = "" if scores is None else f", score {_number(scores[i])}"
        return {"uri": uris[i], "kept": is_kept[i], "where": where, "alt": f"{done}{score}: {where}"}

    names = _names(classes)
    for one in shows:
        strips = [_strip("kept", one.kept, one.n_kept), _strip("dropped", one.dropped, one.n - one.n_kept)]
        if scores is not None:
            strips += [
                ("highest scores, highest first", one.most),
                ("lowest scores, lowest first", one.least),
            ]
        yield {
            "name": names[one.k],
            "pool": one.n,
            "kept": one.n_kept,
            "strips": [
                {"caption": words, "shots": [shot(int(i)) for i in numbers]} for words, numbers in strips
            ],
        }


def _strip(kind: str, numbers: np.ndarray, n: int) -> tuple[str, np.ndarray]:
    return f"{len(numbers)} of {n} {kind}, at random" if n else f"none {kind}", numbers


def _filter(fitted: Any) -> str:
    rule = getattr(fitted, "rule", None)
    return f"{type(fitted).__name__}({'' if rule is None else f'rule={_plain(rule)}'})"


def _settings(fitted: Any, inner: Any) -> Iterator[tuple[str, str]]:
    for name, value in fitted.get_params().items():
        yield name.replace("__", "."), _plain(value)
    encoder = getattr(fitted, "encoder_", inner.encoder_)
    for name in ("timesteps_", "shape_"):
        if hasattr(encoder, name):
            yield f"encoder_.{name}", _plain(getattr(encoder, name))


def _plain(value: Any) -> str:
    """A parameter in few words, the same in every run: what has no value of its own is named by its class."""
    if isinstance(value, np.ndarray):
        return f"array {value.shape}"
    simple = value is None or isinstance(value, bool | int | float | str) or is_dataclass(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_plain, value))}]"[:200]
    return repr(value)[:200] if simple else type(value).__name__


def _names(classes: np.ndarray) -> list[str]:
    """Names of classes, on one line and of one line's length."""
    names = [" ".join(str(c).split()) for c in classes]
    return [name if len(name) <= 40 else f"{name[:39]}…" for name in names]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _share(value: float) -> str:
    return f"{value:.1%}"


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3g}".replace("-", "−")


def _template() -> jinja2.Template:
    # strangers' names go into it: everything is escaped but the figures, which matplotlib escapes
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {"share": _share, "number": _number}
    return environment.from_string(files("lsf").joinpath("page.html").read_text(encoding="utf-8"))
