"""The tables of the image loops on the pages are what the records say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from paper_checks.image_records import load
from paper_checks.image_tables import number, policy_table, pools_table, side_by_side, table, with_tables

PAGE = Path(__file__).parent.parent / "docs" / "images.md"


def test_the_page_says_what_the_records_say() -> None:
    page = PAGE.read_text()
    assert with_tables(page) == page


def test_control_a_number_changed_by_hand_is_written_again() -> None:
    page = PAGE.read_text()
    row = next(line for line in page.splitlines() if line.startswith("| SYN | "))
    forged = page.replace(row, row.replace("| SYN | ", "| SYN | 1"), 1)
    assert forged != page
    assert with_tables(forged) == page


def test_a_page_without_a_place_and_a_table_without_a_record_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no place for a table"):
        with_tables("# A page\n")
    for open in (
        "<!-- table lengths -->\ntext\n<!-- table pools -->\n<!-- end -->",
        "<!-- end --><!-- table pools -->\n<!-- end -->",
    ):
        with pytest.raises(ValueError, match="must close every"):
            with_tables(open)
    with pytest.raises(ValueError, match=r"images-digits-weak\.jsonl is missing"):
        table("digits-weak", tmp_path)
    with pytest.raises(ValueError, match=r"image-theory-digits-weak\.jsonl is missing"):
        table("theory digits-weak", tmp_path)


def test_policies_come_by_gain_with_the_interval_of_the_seeds() -> None:
    """The interval by hand: mean and t_{.975, 4} = 2.776 standard errors of five paired differences of logarithms."""
    runs = load("digits-weak").runs
    lines = policy_table(runs).splitlines()[2:]
    gains = {}
    for policy in ("SYN", "ACU-LSF"):
        values = [[run.of(p, 5)["metrics"]["frechet"] for run in runs] for p in ("ACUR", policy)]
        D = np.diff(np.log(values)[::-1], axis=0)[0]
        gains[policy] = D.mean()
        half = 2.776 * D.std(ddof=1) / np.sqrt(5)
        line = next(line for line in lines if line.startswith(f"| {policy} |"))
        assert f"| {number(D.mean())} [{number(D.mean() - half)}, {number(D.mean() + half)}] |" in line
    first, last = ([line.split("|")[1].strip() for line in lines].index(p) for p in ("SYN", "ACU-LSF"))
    assert (first < last) == (gains["SYN"] < gains["ACU-LSF"])


def test_presets_stand_side_by_side_with_the_gains_of_their_seeds() -> None:
    weak, strong = (load(name).runs for name in ("digits-weak", "digits-strong"))
    head, _, *rows = side_by_side("solver", {"one": weak, "other": strong}).splitlines()
    assert head.startswith("| solver |")
    assert [row.split("|")[1].strip() for row in rows] == ["one", "other"]
    for runs, row in zip((weak, strong), rows, strict=True):
        assert policy_table(runs).split("| ACU-SHRUNK |")[1].split("|")[1].strip() in row
    for name in ("lengths", "lengths with noise"):
        lengths = table(name).splitlines()[2:]
        assert [line.split("|")[1].strip() for line in lengths] == ["60", "125", "250", "500", "1000", "2000"]


def test_pools_by_size_with_the_gain_of_the_seeds() -> None:
    runs = load("digits-strong-pools").runs
    head, _, *rows = pools_table({"strong": runs}).splitlines()
    assert head == "| pool | strong: random N | strong: top N | strong: gain |"
    assert [row.split("|")[1].strip() for row in rows] == ["1.5 N", "2 N", "4 N"]
    largest = [run.of("ACUR", 5)["pools"][2] for run in runs]
    D = np.log([p["random"] / p["top"] for p in largest])
    half = 2.776 * D.std(ddof=1) / np.sqrt(5)
    assert rows[2].endswith(f"| {number(D.mean())} [{number(D.mean() - half)}, {number(D.mean() + half)}] |")
    assert not rows[0].endswith(rows[2].split("|")[-2] + "|")  # control


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.567, ".57"),
        (-0.567, "-.57"),
        (-0.001, ".00"),
        (-1.414, "-1.41"),
        (12.94, "12.9"),
        (200.6, "201"),
        (0.3, ".30"),
    ],
)
def test_numbers_have_three_digits_and_no_needless_zero(value: float, text: str) -> None:
    assert number(value) == text
