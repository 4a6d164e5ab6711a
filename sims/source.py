"""Which lines of source decide a number?

A record depends on all of sims/ and lsf/. A generation-0 model, which costs more than all else, depends on its
generator's module and on what that imports of ours, directly or not: an edit elsewhere leaves it good.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

import lsf
import sims

__all__ = ["source_digest", "training_digest", "closure", "sources"]


@cache
def sources() -> dict[str, bytes]:
    """The text of every module of sims/ and lsf/ by its dotted name; command lines decide nothing and are left out.

    Taken once, on import: what is edited while a sweep is under way does not pass for the source that made its records.
    """
    text = {}
    for package in (sims, lsf):
        for file in sorted(Path(str(package.__file__)).parent.glob("*.py")):
            text[f"{package.__name__}.{file.stem}".removesuffix(".__init__")] = file.read_bytes()
    return {name: own for name, own in text.items() if not name.endswith(".__main__")}


sources()


def source_digest() -> str:
    """Changes with any line of sims/ or lsf/: a record of older source is never taken for a new one."""
    return digest_of(sources())


def training_digest(generator: type) -> str:
    """Changes with any line that can change what `generator` trains: its module, its bases', and their `closure`.

    The stream that the loop hands it (sims.loop.generation_zero) is no part: whoever changes that changes
    `sims.record.FORMAT`.
    """
    names = {base.__module__ for base in generator.__mro__} & sources().keys()
    if not names:
        raise ValueError(f"generator must be defined in sims or lsf, found {generator.__module__}")
    return digest_of({name: sources()[name] for name in sorted(closure(names))})


def closure(names: set[str]) -> set[str]:
    """These modules of ours and all that they import, directly or not, at the top or within a function."""
    found: set[str] = set()
    while names:
        found |= names
        names = {name for own in names for name in imports(sources()[own])} & sources().keys() - found
    return found


@cache
def imports(text: bytes) -> frozenset[str]:
    """The modules that a text may name in an import: of `from a import b`, a.b if that is one of ours, else a."""
    named: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            named |= full if full <= sources().keys() else full | {str(node.module)}
    return frozenset(named)


def digest_of(text: dict[str, bytes]) -> str:
    return hashlib.sha256(b"\0".join(text.values())).hexdigest()[:16]
