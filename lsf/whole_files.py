"""How is a file written whole, or not at all?

    with replacing(path) as temporary: ...write temporary...      then it takes the place of `path`, in one step.

What was there before stays until all is written and on the disk; whatever goes wrong, nothing else is left behind. The
temporary file has a name of its own that nobody can foresee, so that writers do not meet in it, nor a link that a
stranger put there.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["replacing"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, moved onto it at the end of the block; OSError if that cannot be done."""
    temporary = path.with_name(f".lsf-{secrets.token_hex(8)}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
