"""Does docs/theory.md point at what is there: files, names, figures, sections? Is its mathematics closed?"""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "theory.md"
LINK = re.compile(r"!?\[([^\]]*)\]\(([^)#\s]*)(#[^)\s]*)?\)")


def prose(text: str) -> str:
    """The page without its mathematics, in which brackets are no links."""
    return re.sub(r"\$`.*?`\$", "", re.sub(r"```math\n.*?```", "", text, flags=re.S), flags=re.S)


def faults(text: str) -> list[str]:
    """Every link that leads nowhere, and every name in backticks that its target does not hold."""
    found = []
    anchors = {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)", text, flags=re.M)
    }
    for words, target, anchor in LINK.findall(prose(text)):
        path = PAGE.parent / target
        if not target and anchor[1:] not in anchors:
            found.append(f"no section {anchor}")
        elif target and not path.exists():
            found.append(f"no file {target}")
        elif path.suffix == ".py":
            source = path.read_text()
            found += [
                f"no {name} in {target}" for name in re.findall(r"`([^`]+)`", words) if name not in source
            ]
    return found


def test_links_lead_somewhere() -> None:
    assert not faults(PAGE.read_text())


@pytest.mark.parametrize(
    "wrong",
    [
        "[`expected_konfidence`](../theory/confidence.py)",
        "[code](../theory/konfidence.py)",
        "![x](figures/none.png)",
        "[to](#12-nowhere)",
    ],
)
def test_control_a_wrong_link_is_seen(wrong: str) -> None:
    assert len(faults(PAGE.read_text() + wrong)) == 1


def test_mathematics_is_closed_and_renders() -> None:
    """GitHub: blocks fenced as math, the rest between $` and `$, ASCII, braces and left/right in pairs, no bare $."""
    text = PAGE.read_text()
    pieces = re.findall(r"```math\n(.*?)```", text, flags=re.S) + re.findall(r"\$`(.*?)`\$", text)
    assert len(pieces) > 100
    for piece in pieces:
        bare = piece.replace(r"\{", "").replace(r"\}", "")
        assert piece.isascii(), piece
        assert "operatorname" not in piece, piece
        assert bare.count("{") == bare.count("}"), piece
        assert len(re.findall(r"\\left\b", piece)) == len(re.findall(r"\\right\b", piece)), piece
    assert "$" not in prose(text)
    assert text.count("```") % 2 == 0
