"""docs/laws.md runs as it stands, prints what it shows, and lists the checks that do not apply as the tests do."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsf.laws import LAWS
from tests.doc_blocks import faults
from tests.test_docs_theory import LINK, prose
from tests.test_lsf_estimators import ALL, DOES_NOT_APPLY

PAGE = Path(__file__).parents[1] / "docs" / "laws.md"


@pytest.mark.filterwarnings("ignore")
def test_the_page_runs_and_prints_what_it_shows() -> None:
    assert faults(PAGE.read_text()) == []


def test_control_other_output_is_seen() -> None:
    assert faults("```python\nprint(2)\n```\n```text\n3\n```\n") == ["2\n"]
    assert faults("```python\nprint(2)\n```\n") == ["2\n"]
    assert faults("```python\nprint(2)\n```\n```text\n...\n```\n") == []


def test_the_table_is_that_of_the_tests() -> None:
    def names(of: tuple[type, ...]) -> str:
        return "all" if of == ALL else ", ".join(f"`{kind.__name__}`" for kind in of)

    rows = [f"| `{check}` | {names(of)} | {reason} |" for check, of, reason in DOES_NOT_APPLY]
    assert PAGE.read_text().endswith("| --- | --- | --- |\n" + "\n".join(rows) + "\n")


def test_links_lead_somewhere_and_every_law_is_named() -> None:
    text = PAGE.read_text()
    targets = [PAGE.parent / target for _, target, _ in LINK.findall(prose(text))]
    assert targets
    assert all(target.exists() for target in targets)
    assert {name for name in LAWS if name not in text} == set()
