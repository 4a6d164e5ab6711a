"""Who may import whom: a simulation must never see the formula that is to judge it, nor the library its users."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {"theory", "lsf", "sims", "figures", "tests", "paper_checks", "benchmarks"}
ALLOWED: dict[str, set[str]] = {
    "theory": set(),
    "lsf": set(),
    "sims": {"lsf"},
    "figures": {"sims", "theory", "lsf"},
}


def imported_rooms(source: str, package: str) -> set[str]:
    """The rooms that a source file of `package` imports, at the top or anywhere inside; itself left out."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(package if node.level == 1 else node.module or "")
            names |= {alias.name for alias in node.names if node.level > 1}
            names |= {node.module} if node.level > 1 and node.module else set()
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "__import__",
            "importlib.import_module",
        ):
            names |= {a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)}
    return {name.split(".")[0] for name in names} & ROOMS - {package}


@pytest.mark.parametrize("room", ALLOWED)
def test_directions(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files, f"{room} has no source"
    wrong = {
        str(file.relative_to(ROOT)): found
        for file in files
        if (found := imported_rooms(file.read_text(), room) - ALLOWED[room])
    }
    assert not wrong


@pytest.mark.parametrize(
    "source",
    [
        "import theory",
        "import numpy, theory.ole as formula",
        "from theory.ole import expected_ole",
        "def f():\n    from theory import ole",
        "if True:\n    try:\n        import theory.confidence\n    except ImportError: pass",
        "from .. import theory",
        "from ..theory import ole",
        "import importlib; importlib.import_module('theory.ole')",
        "__import__('theory')",
    ],
)
def test_control_forbidden_imports_are_seen(source: str) -> None:
    assert imported_rooms(source, "sims") == {"theory"}


@pytest.mark.parametrize(
    "source",
    [
        "import theory_of_mind",
        "from . import loop",
        "from .theory import x",
        "x = 'import theory'",
        "import numpy",
    ],
)
def test_control_other_imports_are_not(source: str) -> None:
    assert imported_rooms(source, "sims") == set()


def test_library_needs_no_extra_to_be_imported() -> None:
    """`import lsf` works on the base dependencies: torch and diffusers are imported where they are used."""
    heavy = {"torch", "diffusers", "safetensors", "rich", "click", "joblib", "filelock", "ray"}
    names = {
        alias.name.split(".")[0]
        for node in ast.parse((ROOT / "lsf" / "__init__.py").read_text()).body
        for alias in (node.names if isinstance(node, ast.Import) else [])
    }
    assert not names & heavy
