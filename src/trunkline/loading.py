"""Loading late: what a data source does when Spark asks it for a reader or writer, and what users name in options."""

from __future__ import annotations

import functools
import importlib
import sys
from types import ModuleType, TracebackType
from typing import Any

from trunkline.errors import MissingExtraError, OptionError, TrunklineError


class WithoutFrames:
    """Lets an error of ours out without the frames it went through.

    With `tracebackWithLocals`, Spark 4.3 prints the local variables of each of them: on the way from the options to
    the place that refuses them, they hold credentials in clear.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if isinstance(error, TrunklineError):
            raise error.with_traceback(None) from None


def append_only(why: str, *, overwrite: bool) -> None:
    """Refuse what is no append.

    Raises:
        OptionError: It is an overwrite, or a stream in complete mode.
    """
    if overwrite:
        raise OptionError(f'{why}: use .mode("append"), and outputMode append for a stream')


def named(spelled: str) -> Any:
    """What `package.module:name` names, imported now.

    Raises:
        ImportError, AttributeError: Nothing.
    """
    module, _, path = spelled.partition(":")
    return functools.reduce(getattr, path.split("."), importlib.import_module(module))


def loaded(module: str) -> ModuleType:
    """A module of the package, loaded now.

    Raises:
        MissingExtraError: Spark's workers lack something that it needs.
    """
    try:
        return importlib.import_module(f"trunkline.{module}")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"Spark's workers run {sys.executable}, which has no {error.name}: install trunkline's dependencies there "
            f"(`{sys.executable} -m pip install trunkline`), or name another interpreter in PYSPARK_PYTHON before the "
            "session starts"
        ) from None
