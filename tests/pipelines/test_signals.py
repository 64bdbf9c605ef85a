"""SIGTERM is kept from what the runner starts for itself, and from nothing else."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from trunkline.pipelines.signals import unheard_by_children

IGNORES = "import signal; raise SystemExit(signal.getsignal(signal.SIGTERM) is signal.SIG_IGN)"


def ignores() -> bool:
    """Whether a program ignores it that is started as pyspark starts its JVM, with something to do before."""
    return bool(subprocess.call([sys.executable, "-c", IGNORES], preexec_fn=lambda: None))


def test_what_is_started_meanwhile_does_not_hear_it_and_what_comes_after_does() -> None:
    assert not ignores()
    with unheard_by_children():
        assert ignores()
    assert not ignores()
    with pytest.raises(ValueError, match="no Spark"), unheard_by_children():
        raise ValueError("no Spark")
    assert not ignores()


def alone(what: Callable[[], bool]) -> bool:
    """Run it in a process of its own: a fork in a thread closes the connections of other threads to Spark."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(what).result(60)


def started_by_another_thread() -> bool:
    found: list[bool] = []
    with unheard_by_children():
        thread = threading.Thread(target=lambda: found.append(ignores()))
        thread.start()
        thread.join()
    return found[0]


def started_when_that_of_another_thread_has_ended() -> bool:
    begun, over = threading.Event(), threading.Event()
    found: list[bool] = []

    def start_another() -> None:
        with unheard_by_children():
            begun.set()
            over.wait(60)
            found.append(ignores())

    thread = threading.Thread(target=start_another)
    thread.start()
    begun.wait(60)
    with unheard_by_children():
        pass
    over.set()
    thread.join()
    return found[0]


def test_what_another_thread_starts_meanwhile_hears_it() -> None:
    """A signal that a program is begun with stays as it is for good: such a process could not be ended any more."""
    assert not alone(started_by_another_thread)


def test_one_that_ends_does_not_end_that_of_another_thread() -> None:
    assert alone(started_when_that_of_another_thread_has_ended)
