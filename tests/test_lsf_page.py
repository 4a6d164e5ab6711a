"""The page says what the report says, fetches nothing, runs nothing of a stranger's, and is laid out by a browser."""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.exceptions import NotFittedError

from lsf import (
    FlattenedPCA,
    LatentSpaceFilter,
    Matched,
    ShrunkHerdFilter,
    SubspaceFilter,
    Top,
    UnlabelledRatioFilter,
    seen,
    stream,
)
from lsf.ole import normalised_ole, ole
from lsf.page import page
from lsf.pictures import CLASSES, EACH, EXTREME, shown, thumbnail
from lsf.samples import Samples, Source

EVIL = "<script>x</script> $\\frac12$"
VOID = {"meta", "link", "img", "br"}
ALONE = re.compile(r"^(data:|#)")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Read(HTMLParser):
    """What a browser would make of a page: its faults, its rows of tables, its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.rows: list[list[str]] = []
        self.text: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self._open: list[str] = []
        self._ids: Counter[str | None] = Counter()
        self._refers: list[str] = []
        self.feed(html)
        self.close()
        self.faults += [f"{tag} is not closed" for tag in self._open]
        self.faults += [f"two elements of id {id_}" for id_, times in self._ids.items() if times > 1]
        self.faults += [f"no element of id {to}" for to in self._refers if to not in self._ids]
        if not html.startswith("<!DOCTYPE html>\n<html lang="):
            self.faults.append("no language")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "iframe", "object", "embed", "base", "form") or any(
            name.startswith("on") for name in given
        ):
            self.faults.append(f"{tag} {given}")
        for name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
            if not ALONE.match(given.get(name) or "#"):
                self.faults.append(f"{tag} fetches {given[name]}")
        self._styled(given.get("style") or "")
        self._refers += [(given.get(name) or "")[1:] for name in ("xlink:href",) if given.get(name)]
        self._refers += [given["aria-labelledby"] or ""] if "aria-labelledby" in given else []
        self._ids.update([given["id"]] if "id" in given else [])
        if tag == "img":
            self.images.append(given)
            self.faults += [] if given.get("alt") else ["an img without alt"]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self._open += [] if tag in VOID else [tag]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"{tag} is closed before what is in it")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            self._styled(data)
            return
        self.text.append(data)
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data.strip()

    def row(self, *beginning: str) -> list[str]:
        """The one row of a table that begins so."""
        (found,) = [row for row in self.rows if tuple(row[: len(beginning)]) == beginning]
        return found

    def words(self) -> str:
        return " ".join(" ".join(self.text).split())

    def _styled(self, style: str) -> None:
        fetched = re.findall(r"@import|url\((?!['\"]?(?:data:|#))[^)]*", style)
        self.faults += [f"style fetches {found}" for found in fetched]


def _number(text: str) -> float:
    return float(text.replace("−", "-"))


def _samples(x: np.ndarray, y: np.ndarray, chunk: int = 7) -> Samples:
    def blocks(size: int) -> Any:
        return ((x[start : start + size], {}) for start in range(0, len(x), size))

    return Samples(Source(y, lambda i: f"<b>{i}</b>.png", blocks), chunk)


def _drawn(
    rng: np.random.Generator, n: int, names: tuple[str, ...] = ("a", "b", EVIL), blur: float = 0.0
) -> Any:
    """Images 1 x 4 x 4 in [-1, 1], n a class; those of the last class blurred."""
    own = np.repeat(np.arange(len(names)), n)
    x = np.eye(len(names), 16)[own] + 0.2 * rng.standard_normal((len(own), 16))
    x[own == len(names) - 1] += blur * rng.standard_normal((n, 16))
    return np.clip(x, -1, 1).astype(np.float32).reshape(-1, 1, 4, 4), np.array(names)[own]


@pytest.fixture(scope="module")
def made(seed: int) -> dict[str, Any]:
    """A fitted filter, a pool whose last class is blurred, what is kept, held-out real data."""
    rng = np.random.default_rng([seed, 1])
    fitted = LatentSpaceFilter(FlattenedPCA(5)).fit(*_drawn(rng, 60))
    x, y = _drawn(rng, 50, blur=1.5)
    return {"fitted": fitted, "x": x, "y": y, "kept": fitted.select(x, y, 60), "real": _drawn(rng, 40)}


@pytest.fixture(scope="module")
def html(made: dict[str, Any]) -> str:
    return _page(made)


def _page(made: dict[str, Any], **more: Any) -> str:
    return page(
        made["fitted"], _samples(made["x"], made["y"]), made["kept"], real=_samples(*made["real"]), **more
    )


# --- its numbers ---


def test_numbers_are_those_of_the_report(made: dict[str, Any], html: str) -> None:
    read = Read(html)
    told = made["fitted"].report(made["x"], made["y"], made["kept"], real=made["real"])
    assert "Kept 60 of 150 samples (40.0%), in 3 classes" in read.words()
    for name, pool, kept, spread in zip(told.classes, told.in_pool, told.kept, told.spread, strict=True):
        row = read.row(str(name))
        assert row[1:4] == [str(pool), str(kept), f"{kept / pool:.1%}"]
        assert row[4] == f"{spread:.3g}"
        assert row[6] == "40"
    for name, n in (("real", 120), ("pool", 150), ("kept", 60)):
        row = read.row(name, str(n), f"{told.quantiles[name][0]:.3g}".replace("-", "−"))
        assert [_number(value) for value in row[2:]] == [float(f"{q:.3g}") for q in told.quantiles[name]]
    assert told.accuracy is not None
    assert f"Of 120 held-out real samples the probe finds the label of {told.accuracy[0]:.1%}" in read.words()
    assert told.warnings
    assert f"{len(told.warnings)} warning" in read.words()
    for text in told.warnings:
        assert " ".join(text.split()) in read.words()


def test_a_starved_class_is_said_before_any_table(made: dict[str, Any], html: str) -> None:
    words = Read(html).words()
    assert f"class {EVIL} is starved" in words
    assert words.index("is starved") < words.index("Class by class")
    fair = (
        LatentSpaceFilter(FlattenedPCA(5), Top("class")).fit(*made["real"]).select(made["x"], made["y"], 60)
    )
    assert "is starved" not in Read(_page({**made, "kept": fair})).words()


def test_ole_is_that_of_the_library(made: dict[str, Any], html: str) -> None:
    read, fitted, kept = Read(html), made["fitted"], made["kept"]
    h, y = fitted.transform(made["x"]), made["y"]
    h_real = fitted.transform(made["real"][0])
    for name, latents, labels in (
        ("pool", h, y),
        ("kept", h[kept], y[kept]),
        ("real", h_real, made["real"][1]),
    ):
        told = [f"{value(latents, labels):.3g}" for value in (ole, normalised_ole)]
        assert read.row(name, str(len(labels)), told[0]) == [name, str(len(labels)), *told]


def test_ole_at_each_timestep_of_a_diffusion_encoder(rng: np.random.Generator, seed: int) -> None:
    from lsf.diffusion_encoder import DiffusionEncoder
    from tests.tiny_models import unet

    x, y = rng.standard_normal((40, 1, 8, 8)).astype(np.float32).clip(-1, 1), np.arange(40) % 2
    fitted = LatentSpaceFilter(
        DiffusionEncoder.from_model(unet(seed), timesteps=[10, 200], pooling="mean")
    ).fit(x, y)
    read = Read(page(fitted, _samples(x, y), np.arange(20)))
    for step, latents in zip((10, 200), fitted.encoder_.latents(x), strict=True):
        assert read.row(str(step), "pool")[2:] == [
            "40",
            f"{ole(latents, y):.3g}",
            f"{normalised_ole(latents, y):.3g}",
        ]
        assert read.row(str(step), "kept")[2] == "20"
    assert "Normalised OLE by timestep" in read.words()
    assert "UNet2DModel" in read.row("encoder.model")[1]


def test_scores_given_are_not_computed_again(
    made: dict[str, Any], html: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores, _ = stream.score_samples(made["fitted"], _samples(made["x"], made["y"]))
    monkeypatch.setattr(stream, "score_samples", None)
    assert _page(made, scores=scores) == html


def test_chunks_make_no_difference_and_equal_seeds_equal_bytes(made: dict[str, Any]) -> None:
    def at(chunk: int, seed: int) -> str:
        return page(made["fitted"], _samples(made["x"], made["y"], chunk), made["kept"], seed=seed)

    assert at(3, 0) == at(1000, 0)
    assert at(3, 0) != at(3, 1)


# --- filters and pools of other kinds ---


def test_latents_have_no_pictures(rng: np.random.Generator) -> None:
    x, y = _drawn(rng, 20)
    x = x.reshape(len(x), -1)
    fitted = LatentSpaceFilter(rule=Matched(shortfall="fill"), random_state=0).fit(x, y)
    read = Read(page(fitted, _samples(x, y), np.arange(0, 60, 2)))
    assert not read.faults
    assert not read.images
    assert "There are no pictures: the samples are of shape (16,)" in read.words()
    assert "held-out real samples the probe" in read.words(), "those of the rule"


def test_a_filter_without_scores(rng: np.random.Generator) -> None:
    x, y = _drawn(rng, 20)
    fitted = ShrunkHerdFilter(FlattenedPCA(4)).fit(x, y)
    read = Read(page(fitted, _samples(x, y), fitted.select(x, y, 30), real=_samples(*_drawn(rng, 10))))
    assert not read.faults
    assert "Not checked" in read.words()
    assert "at quantiles" not in read.words()
    assert read.row("a")[6] == "10"


@pytest.mark.parametrize(
    "prototype", [UnlabelledRatioFilter(FlattenedPCA(3)), SubspaceFilter(3, random_state=0)]
)
def test_filters_without_labels(prototype: Any, rng: np.random.Generator) -> None:
    """Classes are their own; pictures are those of the samples all the same."""
    x, y = _drawn(rng, 40)
    fitted = prototype.fit(x)
    kept, (x_real, y_real) = fitted.select(x, 30), _drawn(rng, 30)
    html = page(fitted, _samples(x, y), kept, real=_samples(x_real, y_real))
    read = Read(html)
    told = fitted.report(x, kept) if hasattr(fitted, "ratio_") else fitted.report(x, kept, x_real)
    for name, n, of_kept, spread in zip(told.classes, told.in_pool, told.kept, told.spread, strict=True):
        assert read.row(str(name), str(n), str(of_kept))[4] == f"{spread:.3g}"
    assert not read.faults
    assert f"Kept 30 of 120 samples (25.0%), in {len(told.classes)} class" in read.words()
    assert "finds the label" not in read.words()
    assert len(read.images) >= EACH
    with pytest.raises(NotFittedError):
        page(prototype.__class__(), _samples(x, y), kept)


def test_one_kept_of_a_class_and_one_absent(rng: np.random.Generator) -> None:
    """Nothing is known of their spread, which is said."""
    x, y = _drawn(rng, 20)
    fitted = LatentSpaceFilter().fit(x, y)
    read = Read(page(fitted, _samples(x[y != "a"], y[y != "a"]), [0, 25]))
    assert not read.faults
    assert read.row("a")[1:5] == ["0", "0", "–", "–"]
    assert "No class has two kept samples" in read.words()
    assert "class a is absent" in read.words()


def test_latents_too_wide_for_ole_are_said_to_be(
    made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "MOST_OLE", 1000)
    assert "Not computed: 150 latents of 5 numbers in 3 classes" in Read(_page(made)).words()


# --- what is shown ---


def test_pictures_are_those_of_the_samples(made: dict[str, Any], html: str) -> None:
    read = Read(html)
    assert len(read.images) <= 3 * 2 * (EACH + EXTREME)
    for image in read.images:
        i = int(re.findall(r"<b>(\d+)</b>", image["title"] or "")[0])
        data = base64.b64decode((image["src"] or "").partition(",")[2])
        assert np.array_equal(
            np.asarray(Image.open(io.BytesIO(data))), np.rint((made["x"][i, 0] + 1) * 127.5)
        )
        assert (image["alt"] or "").startswith("kept" if i in made["kept"] else "dropped")


def test_what_is_shown_is_drawn_from_the_whole_class(rng: np.random.Generator) -> None:
    own, is_kept, scores = np.repeat(np.arange(20), 50), rng.random(1000) < 0.5, rng.standard_normal(1000)
    is_kept[own == 7] = False
    shows = shown(own, is_kept, scores, 0)
    assert len(shows) == CLASSES
    assert 7 in [one.k for one in shows]
    for one in shows:
        mine = np.flatnonzero(own == one.k)
        assert set(one.all()) <= set(mine)
        assert is_kept[one.kept].all()
        assert not is_kept[one.dropped].any()
        assert len(one.dropped) == EACH
        assert scores[one.most[0]] == scores[mine].max()
        assert scores[one.least[0]] == scores[mine].min()
    assert {i for s in range(40) for i in shown(own[:50], is_kept[:50], None, s)[0].kept} == set(
        np.flatnonzero(is_kept[:50])
    )


def test_what_is_no_image_has_no_thumbnail(rng: np.random.Generator) -> None:
    good = rng.random((3, 200, 100)).astype(np.float32)
    uri = thumbnail(good)
    assert uri is not None
    assert Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).size == (32, 64)
    assert thumbnail((255 * good).astype(np.uint8)) is not None
    for bad in (good[0], good[:2], 3 * good, (9 * good).astype(int)):
        assert thumbnail(bad) is None


# --- alone, and safe ---


def test_it_is_whole_by_itself(html: str) -> None:
    assert Read(html).faults == []


def test_strangers_text_is_text(made: dict[str, Any]) -> None:
    html = _page(made, title="<img src=x onerror=alert(1)>")
    read = Read(html)
    assert not read.faults
    assert "<script" not in html
    assert "<b>" not in html
    assert "<img src=x onerror=alert(1)>" in read.words()
    assert read.words().count(EVIL) >= 4, "in the warning, the table, the figure and over the pictures"


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("</main>", "<script>1</script></main>", "script"),
        ("</main>", "<img alt='x' src='https://example.org/x.png'></main>", "fetches https"),
        ("</main>", "<img src='data:,'></main>", "without alt"),
        ("</main>", "<p onclick='x'></p></main>", "onclick"),
        ("</main>", "", "closed before"),
        ("</style>", "p { background: url(//example.org/x) }</style>", "style fetches"),
        ("</style>", "@import 'x.css';</style>", "style fetches"),
        ('href="data:,"', 'href="x.ico"', "fetches x.ico"),
        (' id="warnings"', ' id="gone"', "no element of id warnings"),
        (' id="table2"', ' id="table1"', "two elements of id"),
        ('lang="en"', "", "no language"),
    ],
)
def test_control_a_broken_page_is_rejected(old: str, new: str, fault: str, html: str) -> None:
    assert old in html
    assert any(fault in found for found in Read(html.replace(old, new, 1)).faults)


@pytest.mark.parametrize(
    ("more", "error", "match"),
    [
        ({"scores": np.zeros(3)}, ValueError, "scores must be one a sample"),
        ({"scores": np.full(150, np.nan)}, ValueError, "scores has 150 NaN"),
        ({"seed": -1}, ValueError, "seed must not be negative"),
        ({"seed": 0.5}, TypeError, "seed must be an integer"),
    ],
)
def test_bad_arguments(more: Any, error: type[Exception], match: str, made: dict[str, Any]) -> None:
    with pytest.raises(error, match=match):
        _page(made, **more)


def test_bad_pools(made: dict[str, Any]) -> None:
    samples = _samples(made["x"], made["y"])
    with pytest.raises(NotFittedError):
        page(LatentSpaceFilter(), samples, [0])
    with pytest.raises(ValueError, match="from 0 to 149"):
        page(made["fitted"], samples, [150])
    with pytest.raises(ValueError, match="never seen in fit"):
        page(made["fitted"], _samples(made["x"], np.full(150, "z")), [0])
    with pytest.raises(ValueError, match="never seen in fit"):
        page(made["fitted"], samples, [0], real=_samples(made["x"], np.full(150, "z")))


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium to look at the page with: apt-get install chromium")
@pytest.mark.parametrize("width", [375, 1200])
def test_a_browser_lays_it_out(width: int, html: str, tmp_path: Path) -> None:
    """Nothing but what scrolls by itself is wider than the window; every picture is decoded."""
    probe = (
        "<script>addEventListener('load', () => { document.title = [document.documentElement.scrollWidth, "
    )
    probe += "[...document.images].filter(i => !i.naturalWidth).length, document.images.length].join(' ') })</script>"
    (tmp_path / "page.html").write_text(html.replace("</main>", f"</main>{probe}"), encoding="utf-8")
    frame = f"<iframe src='page.html' style='width:{width}px;height:900px;border:0'></iframe><script>setInterval(() => "
    frame += "document.title = frames[0].document.title, 50)</script>"
    (tmp_path / "frame.html").write_text(frame)
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--allow-file-access-from-files",
        "--virtual-time-budget=3000",
    ]
    run = subprocess.run(
        [str(CHROMIUM), *flags, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", str(tmp_path / "frame.html")],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    (title,) = re.findall(r"<title>(\d+ \d+ \d+)</title>", run.stdout)
    wide, broken, images = map(int, title.split())
    assert wide <= width
    assert broken == 0
    assert images > 30
