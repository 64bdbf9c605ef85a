"""The contracts tell good readers from bad ones: toys that keep them, and copies that break one clause each."""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql.datasource import DataSource
from pyspark.sql.types import StructField, StructType
from tests.contract import reader_toys as toys
from tests.contract import stream_reader_toys as streams
from tests.contract.reader_toys import Toy, flawed

from trunkline.testing import FaultServer, stream_reader_contract
from trunkline.testing.reader_contract import ReaderContract
from trunkline.testing.reader_subject import FAULTS, Numbered, ReaderSubject
from trunkline.testing.source_contract import shared_workers
from trunkline.testing.spark_reader_contract import SparkReaderContract, SparkStreamReaderContract
from trunkline.testing.stream_reader_contract import StreamReaderContract
from trunkline.testing.writer_process import Workers

TOKEN = "t0p-s3cr3t"
FILTERS = {
    "after": ["id", "gt"], "until_id": ["id", "le"], "since": ["at", "ge"], "until": ["at", "lt"],
    "over": ["at", "gt"], "to": ["at", "le"],
}  # fmt: skip


class ToyApi(ReaderSubject):
    """Ten rows in a page, the address of the next one, and the total."""

    source: type[DataSource] = Toy
    secrets = ("api.token",)

    def options(self) -> dict[str, str]:
        return {"url": self.server.url_for("/rows"), "api.token": TOKEN, "baseUrl": "the url of toys in camel case"}

    def serve(self, records: Sequence[Mapping[str, Any]], steps: Sequence[Mapping[str, Any]] = ()) -> None:
        before = [{"bearer": [TOKEN]}, *steps]
        paging: dict[str, Any] = {"paging": "nextUrl", "by": "offset", "size": 10, "total": True, "filters": FILTERS}
        self.server.dataset("GET /rows", rows=records, steps=before, **paging)


class GrowingApi(ToyApi):
    """The same API, to which rows are added."""

    source: type[DataSource] = streams.StreamToy

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        self.server.add_rows("/rows", records)

    def limited(self) -> dict[str, str]:
        return {"maxRows": "5"}


class ToyReads(ToyApi, SparkReaderContract):
    """What flawed readers are held against."""


class ToyLog(GrowingApi, SparkStreamReaderContract):
    """What flawed stream readers are held against."""


class TestToy(ToyApi, ReaderContract):
    """The toy without a flaw keeps every clause, or the flaws below would prove nothing."""


@pytest.mark.slow
class TestToyInArrow(ToyApi, SparkReaderContract):
    """Nor has the one that gives record batches."""

    source = flawed(toys.InArrow)


@pytest.mark.slow
class TestToyById(GrowingApi, StreamReaderContract):
    """The stream without a flaw, too."""


@pytest.mark.slow
class TestToyByTime(ToyLog):
    """And the other one."""

    source = flawed(streams.ByTime)


# Which clause notices which flaw, and in what words. Every clause has one.
Broken = tuple[str, type[Any], str, dict[str, Any]]
STEPS: dict[str, dict[str, Any]] = {"redirect": {"redirect": "other"}, "next link": {"dataset": {"next_host": "other"}}}
BROKEN: list[Broken] = [
    ("test_name_is_a_class_method", toys.NamedByProperty, "@classmethod", {}),
    ("test_options_come_with_names_in_lower_case", toys.KnowsCamelCase, "baseUrl", {}),
    ("test_options_come_with_names_in_lower_case", toys.OtherParameterNames, "unexpected keyword argument", {}),
    ("test_options_come_with_names_in_lower_case", toys.CannotBePickled, "annot pickle", {}),
    ("test_filters_are_left_to_spark", toys.PushesFilters, "must leave it out", {}),
    ("test_every_row_is_read_once", toys.PartitionsAreGenerated, "generator instead of a list", {}),
    ("test_every_row_is_read_once", toys.PartitionsAreTuples, "holds a tuple", {}),
    ("test_every_row_is_read_once", toys.RemembersWhatItPlanned, "25 missing", {}),
    ("test_every_row_is_read_once", toys.GivesAList, "list instead of an iterator", {}),
    ("test_every_row_is_read_once", toys.GivesDicts, "DATA_SOURCE_INVALID_RETURN_TYPE", {}),
    ("test_every_row_is_read_once", toys.GivesTexts, "rows of exactly the schema", {}),
    ("test_every_row_is_read_once", toys.OverlapsByOne, "1 too many", {}),
    ("test_every_row_is_read_once", toys.StopsAtAShortPage, "5 missing", {}),
    ("test_every_row_is_read_once", toys.HasTimesWithoutAZone, "at: timestamp[us]\n", {}),
    ("test_every_row_is_read_once", toys.HasLargeStrings, "name: large_string", {}),
    ("test_every_row_is_read_once", toys.HasColumnsInItsOwnOrder, "amount: double\nat:", {}),
    ("test_every_row_is_read_once", toys.SaysNeverNull, "id: int64 not null", {}),
    ("test_tasks_run_in_any_order_and_again", toys.ReadsAPartitionOnce, "missing", {}),
    ("test_a_schema_of_some_columns_in_another_order", toys.GivesAllColumns, "SCHEMA_MISMATCH", {}),
    ("test_a_schema_of_some_columns_in_another_order", toys.PutsValuesByPosition, "owes the columns amount", {}),
    ("test_an_empty_api_has_no_rows", toys.NeedsARow, "the pages ended early", {}),
    ("test_an_empty_api_has_no_rows", toys.NeedsAPartition, "cannot unpack non-iterable NoneType", {}),
    ("test_pages_smaller_than_asked_for_lose_nothing", toys.TrustsThePageSize, "6 missing", {}),
    *(
        ("test_a_failure_is_an_error", flaw, "fewer rows without an error are lost rows", {"fault": fault, "first": n})
        for fault in FAULTS
        for flaw, n in ((toys.TurnsErrorsIntoNothing, 1), (toys.StopsAtErrors, 2))
    ),
    ("test_a_passing_failure_costs_no_row", toys.SkipsBusyPages, "25 missing", {"status": 503, "request_": 1}),
    ("test_a_passing_failure_costs_no_row", toys.SkipsBusyPages, "12 missing", {"status": 429, "request_": 2}),
    ("test_a_server_that_asks_to_wait_is_left_in_peace", toys.DoesNotWait, "Retry-After: 1", {}),
    ("test_a_limit_stops_the_read", toys.ReadsAllFirst, "read ahead", {}),
    ("test_a_limit_stops_the_read", toys.GoesOnInTheBackground, "read ahead", {}),
    ("test_a_limit_stops_the_read", toys.IgnoresTheEnd, "ignored GeneratorExit", {}),
    ("test_a_limit_leaves_nothing_behind", toys.LeavesThreads, "left 5 threads", {}),
    ("test_a_limit_leaves_nothing_behind", toys.LeavesConnections, "5 open files", {}),
    ("test_another_host_gets_no_credential", toys.TrustsEveryLink, "GET /rows", {"step": STEPS["next link"]}),
    ("test_another_host_gets_no_credential", toys.TrustsEveryRedirect, "GET /rows", {"step": STEPS["redirect"]}),
    ("test_secrets_are_not_shown", toys.TellsTheAnswer, "api.token in the error of a read that is answered 401", {}),
    ("test_secrets_are_not_shown", toys.PrintsTheToken, "api.token in what the workers printed", {}),
    ("test_secrets_are_not_shown", toys.LogsTheToken, "api.token in what the workers printed", {}),
    ("test_secrets_are_not_shown", toys.ShowsTheToken, "api.token in the repr", {}),
]
BOTH: list[dict[str, Any]] = [{"limits": False}, {"limits": True}]
OLD, NEW = BOTH
STREAM_BROKEN: list[Broken] = [
    ("test_name_is_a_class_method", toys.NamedByProperty, "@classmethod", {}),
    ("test_options_come_with_names_in_lower_case", toys.KnowsCamelCase, "baseUrl", {}),
    ("test_options_come_with_names_in_lower_case", toys.OtherParameterNames, "unexpected keyword argument", {}),
    ("test_options_come_with_names_in_lower_case", streams.StreamCannotBePickled, "annot pickle", {}),
    ("test_offsets_are_json", streams.OffsetsAreNumbers, "initialOffset() returned int instead of a dict", OLD),
    ("test_offsets_are_json", streams.OffsetsHoldTimes, "datetime is not JSON serializable", NEW),
    ("test_offsets_are_json", streams.OffsetsHaveNumbersForKeys, "another offset when it is read back", OLD),
    ("test_the_initial_offset_stays", streams.BeginsNow, "initialOffset() was", OLD),
    ("test_the_initial_offset_stays", streams.BeginsNow, "initialOffset() was", NEW),
    ("test_an_idle_stream_leaves_the_api_in_peace", streams.AsksEachTime, "sent 200 requests", OLD),
    ("test_an_idle_stream_leaves_the_api_in_peace", streams.AsksEachTime, "sent 200 requests", NEW),
    ("test_an_idle_stream_leaves_the_api_in_peace", streams.TellsWhenItAsked, "another text runs another batch", NEW),
    ("test_an_idle_stream_leaves_the_api_in_peace", streams.ChangesTheOrderOfKeys, "another text runs another", OLD),
    ("test_an_idle_stream_leaves_the_api_in_peace", streams.HasNoOffsetWithoutNews, "NoneType instead of a dict", NEW),
    ("test_an_empty_api_is_followed", streams.NeedsAnId, "owes no rows and no error", OLD),
    ("test_batches_hold_every_row_once", streams.NeedsToBeTold, "missing 2 required positional arguments", OLD),
    ("test_batches_hold_every_row_once", streams.ReadsAllEachTime, "too many", OLD),
    ("test_batches_hold_every_row_once", streams.ReadsAllEachTime, "too many", NEW),
    ("test_batches_hold_every_row_once", streams.KeepsRowsOnTheDriver, "missing", OLD),
    ("test_rows_of_one_time_may_come_in_two_batches", streams.TakesTheLatestTimeForRead, "missing", {}),
    ("test_rows_of_one_time_may_come_in_two_batches", streams.BothEndsAreIn, "too many", {}),
    ("test_limited_batches_hold_every_row_once", streams.ForgetsWhereItStands, "missing", OLD),
    ("test_limited_batches_hold_every_row_once", streams.SkipsASecond, "missing", NEW),
    ("test_limited_batches_hold_every_row_once", streams.BothEndsAreIn, "too many", OLD),
    ("test_limited_batches_hold_every_row_once", streams.CutsAmongEqualTimes, "missing", NEW),
    ("test_a_limit_of_sparks_loses_nothing", streams.CutsAmongEqualTimes, "missing", {}),
    ("test_a_limit_of_sparks_loses_nothing", streams.SkipsASecond, "missing", {}),
    ("test_partitions_stay", streams.SplitsByChance, "partitions, and", {}),
    ("test_a_repeated_task_reads_the_same", streams.ReadsATaskOnce, "a repeated task read other rows", {}),
    ("test_a_replayed_batch_is_the_same", streams.ReadsToTheEnd, "when the batch was run again", OLD),
    ("test_a_replayed_batch_is_the_same", streams.ReadsToTheEnd, "when the batch was run again", NEW),
    ("test_a_restart_goes_on", streams.BeginsAgainAfterARestart, "too many", OLD),
    ("test_a_restart_goes_on", streams.ReadsAllEachTime, "too many", NEW),
    ("test_a_commit_is_harmless", streams.CommitsWhatIsPending, "owes a commit that returns", {}),
    ("test_a_commit_is_harmless", streams.ForgetsWhatIsCommitted, "a commit changed what is read", {}),
    *(
        ("test_a_failure_is_an_error", streams.TakesOutagesForSilence, "is not an idle stream", {"fault": fault})
        for fault in ("500", "a page for humans")
    ),
    ("test_a_passing_failure_costs_no_row", streams.SkipsWhatFails, "missing", {"request_": 4, **OLD}),
    ("test_a_passing_failure_costs_no_row", streams.SkipsWhatFails, "missing", {"request_": 4, **NEW}),
    ("test_secrets_are_not_shown", streams.KeepsTheTokenInOffsets, "api.token in an offset", {}),
    ("test_secrets_are_not_shown", streams.TellsTheAnswerOfAStream, "api.token in the error of a stream", {}),
    ("test_secrets_are_not_shown", streams.PrintsTheTokenOfAStream, "api.token in what the workers printed", {}),
    ("test_secrets_are_not_shown", streams.ShowsTheTokenOfAStream, "api.token in the repr", {}),
]
SPARK_BROKEN: list[Broken] = [
    ("test_spark_reads", toys.OverlapsByOne, "1 too many", {}),
    ("test_spark_reads_by_the_schema_of_the_source", toys.SaysIntAndGivesLong, "owes rows of exactly", {}),
    ("test_spark_reads_from_sql", toys.PushesFilters, "PUSHDOWN_DISABLED", {}),
    ("test_spark_filters_a_frame_that_is_used_twice", toys.PushesFilters, "without a filter: 13 missing", {}),
    ("test_spark_tells_of_a_failure", toys.TurnsErrorsIntoNothing, "owes an error from spark.read", {}),
    ("test_spark_tells_of_a_failure", toys.TellsTheUrl, "api.token in Spark's error", {}),
    ("test_spark_streams_what_is_available", streams.ReadsAllEachTime, "too many", {}),
    ("test_spark_streams_on", streams.ReadsAllEachTime, "too many", {}),
]
# Broken by the options of a test, not by a toy; see below.
ELSEWHERE = {"test_options_with_secrets_have_names_that_spark_hides"}


def broken(contract: ReaderSubject, clause: str, flaw: type[Any], why: str = "", **arguments: Any) -> str:
    """Hold a clause against a flawed toy; gives the text of its failure."""
    if isinstance(contract, SparkStreamReaderContract):
        # What does not come at once does not come at all, except for rows of a second that is not over; where there are
        # rows too many, all come.
        contract.patience = 60 if why == "too many" else 3 if "one_time" in clause else 0.4
    contract.source = flaw if issubclass(flaw, Toy) else flawed(flaw)
    test: Callable[..., None] = getattr(contract, clause)
    wanted = inspect.signature(test).parameters
    with pytest.raises((AssertionError, pytest.fail.Exception)) as raised:
        test(**{name: value for name, value in arguments.items() if name in wanted})
    return str(raised.value)


@pytest.fixture
def workers(request: pytest.FixtureRequest) -> Workers:
    return shared_workers(request.config)


@pytest.mark.parametrize(("clause", "flaw", "why", "arguments"), BROKEN)
def test_a_flaw_is_noticed(
    workers: Workers, fault_server: FaultServer, clause: str, flaw: type[Any], why: str, arguments: dict[str, Any]
) -> None:
    contract = ToyReads()
    contract.server = fault_server
    assert why in broken(contract, clause, flaw, workers=workers, **arguments)


@pytest.mark.parametrize(("clause", "flaw", "why", "arguments"), STREAM_BROKEN)
def test_a_flaw_of_a_stream_is_noticed(
    workers: Workers, fault_server: FaultServer, clause: str, flaw: type[Any], why: str, arguments: dict[str, Any]
) -> None:
    contract = ToyLog()
    contract.server = fault_server
    assert why in broken(contract, clause, flaw, why, workers=workers, **arguments)


@pytest.mark.slow
@pytest.mark.parametrize(("clause", "flaw", "why", "arguments"), SPARK_BROKEN)
def test_a_flaw_is_noticed_in_spark(
    spark_session: SparkSession, fault_server: FaultServer, tmp_path: Path, clause: str, flaw: type[Any], why: str,
    arguments: dict[str, Any],
) -> None:  # fmt: skip
    contract = ToyLog() if "streams" in clause else ToyReads()
    contract.server = fault_server
    assert why in broken(contract, clause, flaw, spark_session=spark_session, tmp_path=tmp_path)


def test_nulls_where_there_must_be_none_are_noticed(workers: Workers, fault_server: FaultServer) -> None:
    class Strict(ToyReads):
        def schema(self) -> StructType:
            fields = [StructField(field.name, field.dataType, field.name != "name") for field in super().schema()]
            return StructType(fields)

    contract = Strict()
    contract.server = fault_server
    flaw = toys.LeavesNullsWhereThereMustBeNone
    assert "NULL in name" in broken(contract, "test_every_row_is_read_once", flaw, workers=workers)


def test_a_read_in_one_page_proves_nothing_of_the_second(workers: Workers, fault_server: FaultServer) -> None:
    class OnePage(ToyReads):
        def serve(self, records: Sequence[Mapping[str, Any]], steps: Sequence[Mapping[str, Any]] = ()) -> None:
            self.server.dataset("GET /rows", rows=records, steps=steps, paging="none", records="")

    contract = OnePage()
    contract.server = fault_server
    found = broken(contract, "test_a_failure_is_an_error", toys.AsksOnce, workers=workers, fault="500", first=2)
    assert "make pages of ten" in found


class Slow(GrowingApi, StreamReaderContract):
    """An interval is over before the API has answered."""

    interval = 0.001


def test_many_requests_are_not_excused_by_a_slow_api(workers: Workers, fault_server: FaultServer) -> None:
    """Where the time of the calls is that of as many intervals, it is told what to do about it."""
    contract = Slow()
    contract.server = fault_server
    clause = "test_an_idle_stream_leaves_the_api_in_peace"
    found = broken(contract, clause, streams.AsksEachTime, workers=workers, limits=False)
    assert re.search(r"sent 200 requests in \d+ intervals of 0.001 s: .* make it longer", found)


def test_an_idle_stream_of_a_slow_api_is_told_from_one_that_asks_each_time(
    workers: Workers, fault_server: FaultServer
) -> None:
    """Few requests are few, however many intervals went by."""
    contract = Slow()
    contract.server = fault_server
    contract.test_an_idle_stream_leaves_the_api_in_peace(workers, limits=False)


def test_a_stream_that_rests_for_long_is_held_to_rows_of_one_time(workers: Workers, fault_server: FaultServer) -> None:
    """They share a second, and the API is asked between them, though two intervals are longer than that."""
    contract = ToyLog()
    contract.server, contract.interval, contract.patience = fault_server, 0.6, 2
    contract.source = flawed(streams.RestsForLong)
    with pytest.raises(AssertionError, match="missing"):
        contract.test_rows_of_one_time_may_come_in_two_batches(workers)


def test_a_stream_that_is_too_slow_for_a_second_is_told_so(
    workers: Workers, fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instead of getting rows without an end."""

    class EachTimeLater(ToyLog):
        def newly(self, numbers: Sequence[int]) -> list[Numbered]:
            time.sleep(1 - time.time() % 1)
            return super().newly(numbers)

    monkeypatch.setattr(stream_reader_contract, "_PAIRS", 2)
    contract = EachTimeLater()
    contract.server = fault_server
    with pytest.raises(pytest.fail.Exception, match="2 times a poll took until the next second"):
        contract.test_rows_of_one_time_may_come_in_two_batches(workers)
    assert set(fault_server.served("/rows")) <= set(range(27))


def test_every_clause_is_broken_by_some_flaw() -> None:
    """A clause that no reader can break would prove nothing of those that keep it."""
    noticed = {clause for clause, *_ in SPARK_BROKEN} | ELSEWHERE
    for contract, flaws in ((SparkReaderContract, BROKEN), (SparkStreamReaderContract, STREAM_BROKEN)):
        clauses = {name for name in dir(contract) if name.startswith("test_")}
        assert clauses - noticed == {clause for clause, *_ in flaws}
