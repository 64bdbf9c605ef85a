"""Two small stream readers that keep the contract, and copies of them that each break one clause.

They read what the reader of `reader_toys` reads, and rows that are added to it.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

from pyspark.sql.datasource import DataSourceStreamReader, InputPartition
from pyspark.sql.types import StructType
from tests.contract.reader_toys import MEMORY, Client, Toy

try:
    from pyspark.sql.streaming.datasource import ReadAllAvailable, ReadMaxRows
except ImportError:  # Spark 4.0 and 4.1
    ReadAllAvailable = ReadMaxRows = None  # type: ignore[assignment, misc]


class Stream(Client, DataSourceStreamReader):
    """What both streams share: when they ask, and where they stand on Spark 4.0 and 4.1."""

    rest = 0.05

    def __init__(self, options: dict[str, str], schema: StructType) -> None:
        super().__init__(options, schema)
        self.most = int(options["maxrows"]) if "maxrows" in options else None
        self.last: dict[str, Any] | None = None
        self.asked_at = float("-inf")
        self.more = False

    def latestOffset(self, start: Any = None, limit: Any = None) -> Any:
        position = start or self.last or self.initialOffset()
        if not self.due():
            return position
        most = self.most if limit is None else getattr(limit, "max_rows", None)
        self.last = self.latest(position, most)
        self.more = self.last != position
        return self.last

    def due(self) -> bool:
        if not self.more and time.monotonic() - self.asked_at < self.rest:
            return False
        self.asked_at = time.monotonic()
        return True

    def latest(self, position: dict[str, Any], most: int | None) -> dict[str, Any]:
        raise NotImplementedError

    def getDefaultReadLimit(self) -> Any:
        return ReadAllAvailable() if self.most is None else ReadMaxRows(self.most)

    def partitions(self, start: Any, end: Any) -> Any:
        self.last = self.last or end
        return self.split(start, end) if start != end else []

    def split(self, start: Any, end: Any) -> list[InputPartition]:
        return [InputPartition((start, end))]

    def items(self, **query: Any) -> Iterator[dict[str, Any]]:
        url: str | None = f"{self.url}?{urlencode({'limit': 10, **query})}"
        while url is not None:
            page = self.page(url)
            yield from page["items"]
            url = self.following(page)

    def read(self, partition: InputPartition) -> Iterator[Any]:
        for item in self.between(*partition.value):
            yield self.row(item)

    def between(self, start: Any, end: Any) -> Iterator[dict[str, Any]]:
        raise NotImplementedError


class ById(Stream):
    """Ids that grow: an offset is the last one that was read. Two tasks a batch."""

    def initialOffset(self) -> Any:
        return {"id": -1}

    def latest(self, position: dict[str, Any], most: int | None) -> dict[str, Any]:
        ids = sorted(item["id"] for item in self.items(after=position["id"]))
        return {"id": ids[:most][-1]} if ids else position

    def split(self, start: Any, end: Any) -> list[InputPartition]:
        middle = {"id": (start["id"] + end["id"]) // 2}
        return [InputPartition((start, middle)), InputPartition((middle, end))]

    def between(self, start: Any, end: Any) -> Iterator[dict[str, Any]]:
        return self.items(after=start["id"], until_id=end["id"])


class ByTime(Stream):
    """Times of whole seconds: a batch ends before one that is over."""

    def initialOffset(self) -> Any:
        return {"until": "2000-01-01T00:00:00+00:00"}

    def latest(self, position: dict[str, Any], most: int | None) -> dict[str, Any]:
        settled = {"until": self.settled()}
        times = sorted(item["at"] for item in self.between(position, settled))
        if not times:
            return position
        later = [at for at in times[most or len(times) :] if at > times[0]]
        return {"until": later[0]} if later else settled

    def settled(self) -> str:
        return (datetime.now(timezone.utc) - timedelta(seconds=1)).isoformat()

    def between(self, start: Any, end: Any) -> Iterator[dict[str, Any]]:
        return self.items(since=start["until"], until=end["until"])


class StreamToy(Toy):
    """The toy with a stream."""

    stream = ById


class StreamCannotBePickled(ById):
    def __init__(self, options: dict[str, str], schema: StructType) -> None:
        super().__init__(options, schema)
        self.lock = threading.Lock()


class OffsetsAreNumbers(ById):
    def initialOffset(self) -> Any:
        return -1


class OffsetsHoldTimes(ById):
    def latestOffset(self, start: Any = None, limit: Any = None) -> Any:
        return {"until": datetime.now(timezone.utc)}


class OffsetsHaveNumbersForKeys(ById):
    """`{0: 24}` comes back from the checkpoint as `{"0": 24}`."""

    def initialOffset(self) -> Any:
        return {0: -1}


class BeginsNow(ByTime):
    def initialOffset(self) -> Any:
        return {"until": datetime.now(timezone.utc).isoformat()}


class AsksEachTime(ById):
    def due(self) -> bool:
        return True


class TellsWhenItAsked(ById):
    def latestOffset(self, start: Any = None, limit: Any = None) -> Any:
        return {**super().latestOffset(start, limit), "polled": time.time_ns()}


class ChangesTheOrderOfKeys(ById):
    """Offsets are compared as texts."""

    turn = 0

    def latestOffset(self, start: Any = None, limit: Any = None) -> Any:
        self.turn += 1
        found = {**super().latestOffset(start, limit), "v": 1}
        return found if self.turn % 2 else dict(reversed(found.items()))


class HasNoOffsetWithoutNews(ById):
    def latestOffset(self, start: Any = None, limit: Any = None) -> Any:
        position = start or self.last
        found = super().latestOffset(start, limit)
        return None if found == position else found


class NeedsAnId(ById):
    def latest(self, position: dict[str, Any], most: int | None) -> dict[str, Any]:
        return {"id": max(item["id"] for item in self.items(after=position["id"]))}


class NeedsToBeTold(ById):
    """Only Spark 4.2 and later tell."""

    def latestOffset(self, start: Any, limit: Any) -> Any:  # type: ignore[override]
        return super().latestOffset(start, limit)


class ReadsAllEachTime(ById):
    """The offset counts polls, and a batch is whatever the API has."""

    def initialOffset(self) -> Any:
        return {"poll": 0}

    def latest(self, position: dict[str, Any], most: int | None) -> dict[str, Any]:
        return {"poll": position["poll"] + 1}

    def split(self, start: Any, end: Any) -> list[InputPartition]:
        return [InputPartition((start, end))]

    def between(self, start: Any, end: Any) -> Iterator[dict[str, Any]]:
        return self.items()


class KeepsRowsOnTheDriver(ById):
    """The tasks' reader is another one."""

    found: list[Any]

    def latest(self, position: dict[str, Any], most: int | None) -> dict[str, Any]:
        self.found = list(self.items(after=position["id"]))
        return super().latest(position, most)

    def between(self, start: Any, end: Any) -> Iterator[dict[str, Any]]:
        return iter(getattr(self, "found", []))


class ForgetsWhereItStands(ById):
    """Before 4.2 nobody tells it again."""

    def latestOffset(self, start: Any = None, limit: Any = None) -> Any:
        return self.latest(start or self.initialOffset(), self.most) if self.due() else start or self.initialOffset()


class SkipsASecond(ByTime):
    """Windows 1-61, 62-121: what happened at second 61.5 is in neither."""

    def between(self, start: Any, end: Any) -> Iterator[dict[str, Any]]:
        first = datetime.fromisoformat(start["until"]) + timedelta(seconds=1)
        return self.items(since=first.isoformat(), until=end["until"])


class BothEndsAreIn(ByTime):
    def latest(self, position: dict[str, Any], most: int | None) -> dict[str, Any]:
        times = sorted(item["at"] for item in self.between(position, {"until": self.settled()}))
        return {"until": times[:most][-1]} if times else position

    def between(self, start: Any, end: Any) -> Iterator[dict[str, Any]]:
        return self.items(since=start["until"], to=end["until"])


class TakesTheLatestTimeForRead(ByTime):
    """A high-water mark: the second that it names is not over yet."""

    def latest(self, position: dict[str, Any], most: int | None) -> dict[str, Any]:
        times = [item["at"] for item in self.items(over=position["until"])]
        return {"until": max(times)} if times else position

    def between(self, start: Any, end: Any) -> Iterator[dict[str, Any]]:
        return self.items(over=start["until"], to=end["until"])


class RestsForLong(TakesTheLatestTimeForRead):
    rest = 0.55


class CutsAmongEqualTimes(TakesTheLatestTimeForRead):
    """Of the rows of the last time, as many are read as there is room for."""

    def latest(self, position: dict[str, Any], most: int | None) -> dict[str, Any]:
        found = sorted(item["at"] for item in self.items(over=position["until"]))[:most]
        return {"until": found[-1], "rows": len(found)} if found else position

    def between(self, start: Any, end: Any) -> Iterator[dict[str, Any]]:
        return iter(list(super().between(start, end))[: end["rows"]])


class ReadsToTheEnd(ById):
    """A batch holds what there is when its task runs, not when it was planned."""

    def split(self, start: Any, end: Any) -> list[InputPartition]:
        return [InputPartition((start, end))]

    def between(self, start: Any, end: Any) -> Iterator[dict[str, Any]]:
        return self.items(after=start["id"])


class SplitsByChance(ById):
    def split(self, start: Any, end: Any) -> list[InputPartition]:
        MEMORY["split"] = MEMORY.get("split", 0) + 1
        return [InputPartition((start, end))] if MEMORY["split"] % 2 else super().split(start, end)


class ReadsATaskOnce(ById):
    def between(self, start: Any, end: Any) -> Iterator[dict[str, Any]]:
        key = (self.url, start["id"], end["id"])
        if key in MEMORY:
            return iter([])
        MEMORY[key] = True
        return super().between(start, end)


class BeginsAgainAfterARestart(ById):
    """The first poll of a run gives the initial offset."""

    def latestOffset(self, start: Any = None, limit: Any = None) -> Any:
        if start is None and not self.more and self.asked_at < 0:
            self.asked_at = 0
            self.last = self.initialOffset()
            return self.last
        return super().latestOffset(start, limit)


class CommitsWhatIsPending(ById):
    """A commit that comes again, or in another run, finds nothing."""

    def __init__(self, options: dict[str, str], schema: StructType) -> None:
        super().__init__(options, schema)
        self.pending: dict[str, Any] = {}

    def split(self, start: Any, end: Any) -> list[InputPartition]:
        self.pending[json.dumps(end)] = start
        return super().split(start, end)

    def commit(self, end: Any) -> None:
        del self.pending[json.dumps(end)]


class ForgetsWhatIsCommitted(ById):
    done = -1

    def commit(self, end: Any) -> None:
        self.done = end["id"]

    def split(self, start: Any, end: Any) -> list[InputPartition]:
        return super().split(start, end) if end["id"] > self.done else []


class TakesOutagesForSilence(ById):
    def latest(self, position: dict[str, Any], most: int | None) -> dict[str, Any]:
        try:
            return super().latest(position, most)
        except Exception:
            logging.getLogger("toy").exception("later, maybe")
            return position


class SkipsWhatFails(ById):
    def page(self, url: str) -> dict[str, Any]:
        try:
            return self.opened(self.ask(url))
        except HTTPError as error:
            error.close()
            return {"items": [], "next": None}


class KeepsTheTokenInOffsets(ById):
    def initialOffset(self) -> Any:
        return {"id": -1, "url": f"{self.url}?key={self.token}"}


class TellsTheAnswerOfAStream(ById):
    def failure(self, error: HTTPError) -> Exception:
        return ValueError(f"status {error.code}: {error.read().decode()}")


class PrintsTheTokenOfAStream(ById):
    def latest(self, position: dict[str, Any], most: int | None) -> dict[str, Any]:
        print("asking with", self.token)
        return super().latest(position, most)


class ShowsTheTokenOfAStream(ById):
    def __repr__(self) -> str:
        return f"Stream({self.token})"
