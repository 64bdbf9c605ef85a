"""SIGTERM, by which orchestrators tell a process to end: heard by the runner, and not by the Spark that it starts.

    with heard(lambda: stopped.append("told to end")):
        with unheard_by_children():
            spark = get_spark()

Many send it to the whole process group (`kill -TERM -PID`, Airflow's BashOperator). A Spark that heard it would go down
at once, with the micro-batch that the runner is waiting for.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Whether a process that this thread starts now shall not hear it: others may start theirs at the same time.
_sheltered = threading.local()


class TerminatedError(BaseException):
    """SIGTERM came while a step ran."""


@contextmanager
def heard(told: Callable[[], None]) -> Iterator[None]:
    """Have SIGTERM call this, which may raise; in another thread than the main one nothing can be heard.

    Args:
        told: Called in the main thread, wherever that is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: told())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def unheard_by_children() -> Iterator[None]:
    """Processes that this thread starts meanwhile ignore SIGTERM; a JVM ends all the same when its runner is gone.

    A signal that is ignored stays so in the program that a child becomes, and in the JVM as in any other. pyspark has
    SIGINT ignored in this way too.
    """
    try:
        _sheltered.now = True
        yield
    finally:
        _sheltered.now = False


def _shelter() -> None:
    if getattr(_sheltered, "now", False):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_shelter)
