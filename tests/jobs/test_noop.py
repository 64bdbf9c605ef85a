"""The doubles do nothing but remember."""

from __future__ import annotations

import pytest

from trunkline.testing import NoopNotification, NoopSink, NoopSource


def test_a_source_gives_what_it_was_made_with_and_remembers_who_read() -> None:
    rows = [{"id": 1}]
    source = NoopSource(rows)
    assert source.read("in", format="csv") is rows
    assert source.read() is rows
    assert source.reads == [(("in",), {"format": "csv"}), ((), {})]


def test_a_sink_keeps_what_is_written() -> None:
    sink, data = NoopSink(), [1]
    sink.write(data, "out", mode="append")
    assert sink.written[0] is data
    assert sink.calls == [(("out",), {"mode": "append"})]


def test_a_notification_keeps_what_is_told() -> None:
    told = NoopNotification()
    assert told.notify("done", {"rows": 1})
    assert told.sent == [("done", {"rows": 1})]


def test_each_fails_as_told() -> None:
    """The call is remembered of a source; nothing was written or sent."""
    error = OSError("broken")
    source, sink, told = NoopSource(error=error), NoopSink(error=error), NoopNotification(error=error)
    for call in (source.read, lambda: sink.write([1]), lambda: told.notify("a", "b")):
        with pytest.raises(OSError, match="broken"):
            call()
    assert (len(source.reads), sink.written, told.sent) == (1, [], [])
