"""How does a command refuse, warn and end?

    0 done; 1 data, a file or an option is refused; 2 the command cannot be understood; 130 Ctrl-C,

and what is wrong is said in one line, without a traceback, in the words of the command line. Texts out of files may
hold anything: control characters are shown, never sent to the terminal. Needs click (extra "cli").
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from threadpoolctl import threadpool_limits

__all__ = ["Commands", "Coded", "plain", "shown", "named", "EXITS"]

EXITS = "Exit codes: 0 done; 1 data, a file or an option is refused; 2 unknown command or option; 130 Ctrl-C."
TERMS = {
    "on_error='skip'": "--on-error skip",
    "resize=True": "--resize",
    "shortfall='fill'": "--shortfall fill of lsf fit",
    "quota='class'": "--rule class-top of lsf fit",
    "samples= or labels=": "--samples or --labels",
    "size must be given": "--size must be given",
    "split must name": "--split must name",
    "label='mean' does": "--label mean does",
    "label is 'mean'": "--label is mean",
    "null_label": "--null-label",
    "labels must be given": "--labels must be given",
    "give them, or timesteps": "give --timestep",
    "model must be the": "--model must be the folder of the",
    "leave out model": "leave out --model",
    "real=(x, y), held out from fit and pool": "--real, held out from fit and pool",
}
"""What the library says in Python's words, and how it is said here."""
REFUSED = (ValueError, TypeError, OSError, ImportError, ArithmeticError, RuntimeError, MemoryError)
"""What the library, pyarrow and torch raise for what they cannot use."""


class Coded(click.Command):
    """A command whose help ends with the exit codes."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(EXITS)


class Commands(Coded, click.Group):
    """Commands that refuse in one line, compute on one thread and end with the codes above."""

    def invoke(self, ctx: click.Context) -> Any:
        # numpy is there already, so that no environment variable would reach it: equal runs are to be equal
        with one_line(), threadpool_limits(1):
            return super().invoke(ctx)


@contextmanager
def one_line() -> Iterator[None]:
    """Within it errors and warnings are one line on stderr, and Ctrl-C ends with 130."""
    with warnings.catch_warnings():
        warnings.showwarning = _warn
        try:
            yield
        except (click.exceptions.Exit, click.Abort, click.ClickException):
            raise
        except KeyboardInterrupt:
            click.echo("stopped; no output was written", err=True)
            raise click.exceptions.Exit(130) from None
        except REFUSED as error:
            raise click.ClickException(plain(str(error) or type(error).__name__)) from error


@contextmanager
def named(argument: str) -> Iterator[None]:
    """Within it what is refused is said to be of that argument."""
    try:
        yield
    except REFUSED as error:
        if isinstance(error, click.exceptions.Exit | click.Abort):
            raise
        raise ValueError(f"{argument}: {error}") from error


def plain(text: str) -> str:
    """One printable line, in the words of the command line."""
    return shown(" ".join(text.split()))


def shown(line: str) -> str:
    """A line in the words of the command line, its control characters as escapes."""
    for of_python, here in TERMS.items():
        line = line.replace(of_python, here)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(f"warning: {plain(str(message))}", err=True)
