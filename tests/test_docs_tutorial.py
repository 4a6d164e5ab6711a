"""docs/tutorial.md runs as it stands, in Python and in the shell, and prints what it shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.doc_blocks import BLOCK, faults
from tests.test_docs_theory import LINK, prose

PAGE = Path(__file__).parents[1] / "docs" / "tutorial.md"


def test_the_page_runs_and_prints_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert faults(PAGE.read_text()) == []
    for name in ("report.html", "page.html"):
        assert "class 1 is starved" in (tmp_path / name).read_text(encoding="utf-8")
    assert len((tmp_path / "kept.txt").read_text().splitlines()) == 600


def test_no_block_is_passed_over() -> None:
    """Every fence opens a block that runs, or is the output of the one before it."""
    text = PAGE.read_text()
    shown = sum(bool(output) for _, _, output in BLOCK.findall(text))
    assert len(re.findall(r"^```", text, re.M)) == 2 * (len(BLOCK.findall(text)) + shown)


def test_links_lead_somewhere() -> None:
    targets = [target for _, target, _ in LINK.findall(prose(PAGE.read_text())) if target]
    assert targets
    assert all((PAGE.parent / target).exists() for target in targets)


def test_control_other_output_of_the_shell_is_seen() -> None:
    assert faults("```sh\necho 2\n```\n```text\n3\n```\n") == ["2\n"]
    assert faults("```sh\necho 2\n```\n```text\n...\n```\n") == []
    with pytest.raises(AssertionError, match="exit code 1"):
        faults("```sh\nfalse\necho 2\n```\n```text\n2\n```\n")
