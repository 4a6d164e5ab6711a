"""What CONTRIBUTING.md shows of the tree stands there, word for word, and is as short as it says."""

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHOWN = re.findall(r"^```python\n# (\S+)\n(.*?)^```$", (ROOT / "CONTRIBUTING.md").read_text(), re.M | re.S)


def stands_in(path: str, snippet: str) -> bool:
    """Is the snippet in that file, as it is or inside a list?"""
    text = (ROOT / path).read_text()
    return any(textwrap.indent(snippet, "    " * level) in text for level in (0, 1))


def test_snippets_are_those_of_the_tree():
    assert [path.split("/")[0] for path, _ in SHOWN] == ["theory", "paper_checks", "paper_checks"]
    for path, snippet in SHOWN:
        assert stands_in(path, snippet), path
        assert not stands_in(path, snippet.replace("e", "E", 1)), "the control, one letter off, was accepted"


def test_a_statement_takes_thirty_lines_beside_its_formula():
    lines = [line for _, snippet in SHOWN[1:] for line in snippet.splitlines() if line.strip()]
    assert 5 < len(lines) < 30
