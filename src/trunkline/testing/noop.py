"""Doubles for what a job reads from, writes to and tells: they do nothing but remember. No mocks.

source, sink, told = NoopSource([{"id": 1}]), NoopSink(), NoopNotification()
MyJob(source, sink, told).run(input_path="in", output_path="out")
assert source.reads == [Call(("in",), {})]
assert sink.written == [[{"id": 1}]]
assert sink.calls == [Call(("out",), {})]
assert told.sent == [("done", "1 row")]
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Call(NamedTuple):
    """How a double was called."""

    arguments: tuple[Any, ...]
    options: dict[str, Any]


class NoopSource:
    """Gives the same to whoever reads.

    Args:
        rows: What is read: a DataFrame, a list, anything the job can use.
        error: Raised instead.

    Attributes:
        reads: The arguments of each `read`.
    """

    def __init__(self, rows: Any = (), error: Exception | None = None) -> None:
        self.reads: list[Call] = []
        self._rows = rows
        self._error = error

    def read(self, *args: Any, **kwargs: Any) -> Any:
        """What it was made with."""
        self.reads.append(Call(args, kwargs))
        if self._error is not None:
            raise self._error
        return self._rows


class NoopSink:
    """Takes what is written, and keeps it.

    Args:
        error: Raised instead.

    Attributes:
        written: What was written, one entry for each `write`. A DataFrame is kept as it is, not evaluated.
        calls: The other arguments of each `write`.
    """

    def __init__(self, error: Exception | None = None) -> None:
        self.written: list[Any] = []
        self.calls: list[Call] = []
        self._error = error

    def write(self, data: Any, *args: Any, **kwargs: Any) -> None:
        """Keep it."""
        if self._error is not None:
            raise self._error
        self.written.append(data)
        self.calls.append(Call(args, kwargs))


class NoopNotification:
    """Stands for the notifications of `trunkline.jobs`.

    Args:
        error: Raised instead: ours never do, those of others may.

    Attributes:
        sent: Subject and message of each `notify`.
    """

    def __init__(self, error: Exception | None = None) -> None:
        self.sent: list[tuple[str, Any]] = []
        self._error = error

    def notify(self, subject: str, message: Any) -> bool:
        """Keep it."""
        if self._error is not None:
            raise self._error
        self.sent.append((subject, message))
        return True
