"""Who listens while a long job works?

Code that takes long calls `tick("training", done, total)`; whoever runs it decides what becomes of that: a bar on a
terminal, a message to the parent process, nothing. Results never depend on it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["Listener", "listening", "tick"]

Listener = Callable[[str, int, int], None]

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def tick(what: str, done: int, total: int) -> None:
    """Say that `done` of `total` steps of `what` are done."""
    listener = _listener.get()
    if listener is not None:
        listener(what, done, total)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Within this context `listener(what, done, total)` hears every tick."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
