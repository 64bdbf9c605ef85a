"""`spark.readStream.format("jobs")`: each change of a run's state that was observed, once.

A platform tells how a run is, not how it was, so what was observed is written down: an offset holds the changes of its
micro-batch and the runs that are still followed.

    {"v": 1, "since": "2026-05-01T00:00:00+00:00", "known": {"glue/nightly/jr_1": ["glue", "my.etl", ...]},
     "changes": [["glue", "my.etl", "nightly/jr_1", ...]]}

A replayed micro-batch has the rows of the first time, whatever has become of the runs. A state that came and went
between two looks is not seen: `pollInterval` says how often they are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import astuple, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from pyspark.sql.datasource import DataSourceStreamReader, InputPartition
from pyspark.sql.types import StructType

from trunkline.errors import OptionError, UnavailableError
from trunkline.jobs.looking import look_at
from trunkline.jobs.options import filter_of, stream_options
from trunkline.jobs.platforms import platform_of
from trunkline.jobs.reader import JobsReader, RunsPartition
from trunkline.jobs.run import Run
from trunkline.polling import AvailableNow, NextOffset, Offset, Polling

_VERSION = 1
# A run that has ended is kept in mind so long after the newest one has started: lists of platforms come late, and one
# that is listed again must not be taken for a new one.
_MEMORY = timedelta(hours=1)
_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)

log = logging.getLogger("trunkline.jobs")


class JobsStreamReader(JobsReader, DataSourceStreamReader, AvailableNow):  # type: ignore[misc]
    """`spark.readStream.format("jobs")`.

    Args:
        options: As Spark hands them over.
        schema: What Spark wants.
    """

    def __init__(self, options: Mapping[str, str], schema: StructType) -> None:
        super().__init__(stream_options(options), schema)
        self._polling = Polling(self._options["pollInterval"], self._options["maxRecordsPerTrigger"])

    def initialOffset(self) -> Offset:  # noqa: N802 - Spark's name
        """Before every run; an age is counted from now, and from then on it is a time."""
        since: datetime | None = self._options["since"]
        return {"v": _VERSION, "since": since.isoformat() if since else None, "known": {}, "changes": []}

    def latestOffset(self, start: Offset | None = None, limit: Any = None) -> Offset:  # noqa: N802 - Spark's name
        """The offset with the next changes; `start` when there are none."""
        return self._polling.latest(start or self._polling.last or self.initialOffset(), limit, self._observe)

    def getDefaultReadLimit(self) -> Any:  # noqa: N802 - Spark's name
        """`maxRecordsPerTrigger`, for Spark 4.2 and later."""
        return self._polling.read_limit()

    def prepareForTriggerAvailableNow(self) -> None:  # noqa: N802 - Spark's name
        """End when the changes that are there now have been read."""
        self._polling.end_at_next_end()

    def partitions(self, start: Offset, end: Offset) -> list[InputPartition]:
        """The changes that the end was written down with."""
        self._polling.learn(end)
        return [RunsPartition([_from_json(values) for values in end["changes"]])] if start != end else []

    def _observe(self, start: Offset, most: int | None) -> NextOffset | None:
        if start.get("v") != _VERSION or "known" not in start:
            raise OptionError(f"jobs: the checkpoint belongs to another kind of stream: {sorted(start)}")
        known = {name: _from_json(values) for name, values in start["known"].items()}
        since = _moment(start["since"])
        seen, all_seen = self._look(known, since)
        changes = [run for run in seen if _differs(run, known.get(_name(run)))]
        changes.sort(key=lambda run: (run.ended_at or run.started_at or _LONG_AGO, _name(run)))
        taken = changes if most is None else changes[:most]
        if not taken:
            return None
        known.update({_name(run): _bare(run) for run in taken})
        if all_seen and len(taken) == len(changes):
            # Only now is nothing left before it that has not been told.
            since = max(filter(None, [since, _horizon(known.values())]), default=None)
        kept = {name: run for name, run in known.items() if not run.ended or not _before(run, since)}
        end: Offset = {
            "v": _VERSION,
            "since": since.isoformat() if since else None,
            "known": {name: _to_json(kept[name]) for name in sorted(kept)},
            "changes": [_to_json(run) for run in taken],
        }
        return NextOffset(end, more=len(taken) < len(changes))

    def _look(self, known: Mapping[str, Run], since: datetime | None) -> tuple[list[Run], bool]:
        """The runs as they are, and whether all platforms told: those listed, and others that were still going."""
        wanted = replace(filter_of(self._options), since=since)
        found: dict[str, Run] = {}
        unseen = set()
        for platform in self._options["platform"]:
            try:
                found.update((_name(run), run) for run in platform_of(platform).list_runs(wanted, self._options))
            except UnavailableError as error:
                unseen.add(platform)
                log.warning("the runs on %s cannot be listed now: %s", platform, error)
        going = [
            run for name, run in known.items() if not run.ended and name not in found and run.platform not in unseen
        ]
        looked, unreached = look_at(going, self._options)
        return [*found.values(), *looked], not (unseen | unreached)


def _horizon(known: Iterable[Run]) -> datetime | None:
    """Since when runs are listed: what had ended long before the newest one began is not looked at again."""
    newest = max(filter(None, (run.at for run in known)), default=None)
    return None if newest is None else newest - _MEMORY


def _before(run: Run, since: datetime | None) -> bool:
    return since is not None and run.at is not None and run.at < since


def _differs(run: Run, before: Run | None) -> bool:
    return before is None or (run.state, run.attempt) != (before.state, before.attempt)


def _name(run: Run) -> str:
    return f"{run.platform}/{run.run_id}"


def _bare(run: Run) -> Run:
    """What is kept in mind of a run: enough to ask for it again."""
    return replace(run, state_detail=None, url=None, error=None, result=None)


def _to_json(run: Run) -> list[Any]:
    return [value.isoformat() if isinstance(value, datetime) else value for value in astuple(run)]


def _from_json(values: list[Any]) -> Run:
    run = Run(*values)
    return replace(run, started_at=_moment(run.started_at), ended_at=_moment(run.ended_at))


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
