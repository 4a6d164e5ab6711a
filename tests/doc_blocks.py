"""Pages of the documentation run: every block of Python or shell, in order, held to the output shown below it.

```python blocks of a page share their names; ```sh blocks run in bash, -e, in the same folder, `lsf` being
`python -m lsf` of this tree. A ```text block after one is what it prints, "..." standing for anything; none: nothing.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import subprocess
import sys
from pathlib import Path

__all__ = ["faults"]

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```\n(?:```text\n(.*?)^```)?", re.M | re.S)
LSF = 'lsf() { "$PYTHON" -m lsf "$@"; }\n'


def faults(page: str) -> list[str]:
    """What the blocks of a page print that is not shown; they run in the current folder."""
    names: dict[str, object] = {"__name__": "page"}
    found = []
    for language, code, shown in BLOCK.findall(page):
        printed = _python(code, names) if language == "python" else _shell(code)
        if not doctest.OutputChecker().check_output(shown, printed, doctest.ELLIPSIS):
            found.append(printed)
    return found


def _python(code: str, names: dict[str, object]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, names)
    return out.getvalue()


def _shell(code: str) -> str:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHON": sys.executable}
    run = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", LSF + code], env=environment, capture_output=True, text=True
    )
    if run.returncode:
        raise AssertionError(f"exit code {run.returncode} of\n{code}\n{run.stdout}{run.stderr}")
    return run.stdout
