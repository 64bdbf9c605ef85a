"""What every Python data source reader owes to Spark and to its users, as tests any connector can inherit.

    class TestMyReader(ReaderContract):
        source = MyDataSource
        secrets = ("auth.token",)

        def options(self) -> dict[str, str]:
            return {"url": self.server.url_for("/rows"), "auth.token": "looked-for-everywhere", "retries": "2"}

        def serve(self, records: Sequence[Mapping[str, Any]], steps: Sequence[Mapping[str, Any]] = ()) -> None:
            # What the API does: here, ten rows in a page and the address of the next one.
            self.server.dataset("GET /rows", rows=records, steps=steps, paging="nextUrl", size=10)

It wants the fixtures of `pytest_plugins = ["trunkline.testing.plugin"]`. The tests take the reader through Spark's
steps one by one, in the processes of `reader_process`; `SparkReaderContract` adds those that need a session. The facts
about Spark were verified on 4.0 to 4.3.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from trunkline.testing.owed import failing, owed, owed_error
from trunkline.testing.reader_process import ATTEMPTS, Read
from trunkline.testing.reader_subject import FAULTS, ReaderSubject, numbered
from trunkline.testing.writer_process import CallError, Workers

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql.types import StructType

# Some pages, the last of them not full.
_ROWS = 25
# Rows of the API that is only looked at, and how many looks there are.
_MANY_ROWS, _LOOKS = 400, 5
# `Retry-After: 1`, less what a clock may be off.
_A_SECOND = 0.95


class ReaderContract(ReaderSubject):
    """Override what `ReaderSubject` says; the rest says what else the connector can do.

    Attributes:
        pushes_filters: Whether the reader has `pushFilters` though Spark's default configuration refuses such readers;
            see `SparkReaderContract.test_spark_filters_a_frame_that_is_used_twice`.
        needed: Columns that `options()` needs in every schema, such as one by which tasks share the rows.
    """

    pushes_filters: bool = False
    needed: Sequence[str] = ()

    # The reader on the driver

    def test_options_come_with_names_in_lower_case(self, workers: Workers) -> None:
        """A reader can be made of options whose names Spark has put into lower case, and can be pickled."""
        self.serve(self.records(numbered(_ROWS)))
        with owed("a reader made by reader(schema=...) of options whose names are in lower case, and that is pickled"):
            self.begin(workers)

    def test_filters_are_left_to_spark(self, workers: Workers) -> None:
        """The reader has no `pushFilters`, unless it says so."""
        self.serve(self.records(numbered(_ROWS)))
        assert self.begin(workers).pushes == self.pushes_filters, (
            "a reader that has pushFilters must leave it out: Spark refuses such readers unless "
            "spark.sql.python.filterPushdown.enabled is set, and then, up to 4.3, applies a filter of one use of a "
            "DataFrame to the others too"
        )

    # Tasks

    def test_every_row_is_read_once(self, workers: Workers) -> None:
        """The rows of all tasks together are the rows of the API."""
        self.serve(self.records(numbered(_ROWS)))
        with owed("rows of exactly the schema from tasks that get the pickled reader and a partition, no more"):
            found = self.all_rows(self.begin(workers))
        self.expect(found, numbered(_ROWS), "the API has not changed while it was read")

    def test_tasks_run_in_any_order_and_again(self, workers: Workers) -> None:
        """A task reads the same rows whenever it runs, alone, after others, or at the same time as another attempt."""
        self.serve(self.records(numbered(_ROWS)))
        with owed("a read that succeeds"):
            read = self.begin(workers)
            last = read.tasks - 1
            pairs = [read.both(number, last - number) for number in range(read.tasks)]
            again = [batch for number in range(read.tasks) for batch in read.both(number, number)[1]]
        for side, order in enumerate(("one after the other", "from last to first")):
            found = [batch for pair in pairs for batch in pair[side]]
            self.expect(found, numbered(_ROWS), f"the tasks ran {order}, in another process")
        self.expect(
            again, numbered(_ROWS), "each task ran again: Spark repeats tasks, and may run two attempts at once"
        )

    def test_a_schema_of_some_columns_in_another_order(self, workers: Workers) -> None:
        """A user's schema chooses columns and puts them in order."""
        from pyspark.sql.types import StructType

        self.serve(self.records(numbered(_ROWS)))
        fields = self.schema().fields[::-1]
        fields.remove([field for field in fields if field.name not in self.needed][-1])
        schema = StructType(fields)
        with owed(f"the columns {', '.join(schema.names)}: .schema() is the only way to choose what is read"):
            found = self.all_rows(self.begin(workers, schema=schema))
        self.expect(found, numbered(_ROWS), f"the user asks for {', '.join(schema.names)}", *schema.names)

    def test_an_empty_api_has_no_rows(self, workers: Workers) -> None:
        """It is read like any other; without partitions Spark reads `InputPartition(None)`, None up to 4.1."""
        self.serve([])
        with owed("no rows and no error"):
            found = self.all_rows(self.begin(workers))
        self.expect(found, [], "the API is empty")

    def test_pages_smaller_than_asked_for_lose_nothing(self, workers: Workers) -> None:
        """A server may send fewer rows in a page than it was asked for, and does not say so: every row, or an error."""
        self.serve(self.records(numbered(_ROWS)), [{"when": {"count": [1, None]}, "dataset": {"cap": 7}}])
        try:
            found = self.all_rows(self.begin(workers))
        except CallError:
            return
        self.expect(found, numbered(_ROWS), "the server sends seven rows in a page at the most, whatever it is asked")

    # Failures

    @pytest.mark.parametrize("first", [1, 2], ids=["at once", "later"])
    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_failure_is_an_error(self, workers: Workers, fault: str, first: int) -> None:
        """What is no page of rows ends the read; it never means that there are fewer rows."""
        self.serve(self.records(numbered(_ROWS)), [{"when": {"count": [first, None]}, **FAULTS[fault]}])
        what = f"when the server answers with {fault}, {'always' if first == 1 else 'from the second request on'}"
        with owed_error(f"{what}: fewer rows without an error are lost rows"):
            self.all_rows(self.begin(workers))
            if len(self.server.ledger()) < first:
                pytest.fail(f"{_ROWS} rows were read with one request: let `serve` and `options` make pages of ten")

    @pytest.mark.parametrize("status", [503, 429])
    @pytest.mark.parametrize("request_", [1, 2], ids=["first", "second"])
    def test_a_passing_failure_costs_no_row(self, workers: Workers, status: int, request_: int) -> None:
        """The request is sent again, or the task fails and Spark runs it again."""
        step = {"when": {"count": [request_, request_]}, "status": status, "retry_after": 0}
        self.serve(self.records(numbered(_ROWS)), [step])
        with owed(f"all rows after one {status}"):
            found = self.all_rows(self.begin(workers), attempts=ATTEMPTS)
        self.expect(found, numbered(_ROWS), f"the server answered {status} once")

    def test_a_server_that_asks_to_wait_is_left_in_peace(self, workers: Workers) -> None:
        """`Retry-After` is kept."""
        self.serve(self.records(numbered(_ROWS)), [{"when": {"count": [2, 2]}, "status": 429, "retry_after": 1}])
        with owed("all rows after one 429"):
            found = self.all_rows(self.begin(workers), attempts=ATTEMPTS)
        self.expect(found, numbered(_ROWS), "the server answered 429 once")
        sent = self.server.ledger()
        waited = [after.at - before.at for before, after in pairwise(sent) if before.status == 429]
        assert waited, "no request met the 429: let `serve` and `options` make pages of ten"
        assert min(waited) >= _A_SECOND, (
            f"the server said Retry-After: 1, and was asked again after {min(waited):.2f} s"
        )

    # Limits

    def test_a_limit_stops_the_read(self, workers: Workers) -> None:
        """When Spark has enough rows, no further pages are asked for."""
        self.serve(self.records(numbered(_MANY_ROWS)))
        with owed("an iterator that can be closed: a limit closes it before its end"):
            read = self.begin(workers)
            read.look()
            time.sleep(0.3)
            seen = len(self.server.ledger())
            self.all_rows(read)
        whole = len(self.server.ledger()) - seen
        assert seen < whole / 2, f"the first rows took {seen} requests, and all of them {whole}: pages are read ahead"

    def test_a_limit_leaves_nothing_behind(self, workers: Workers) -> None:
        """A read that is closed early ends its threads and closes its connections: Spark's workers live on."""
        self.serve(self.records(numbered(_MANY_ROWS)))
        with owed("an iterator that can be closed"):
            threads, files = self.begin(workers).leftovers(_LOOKS)
        assert threads < _LOOKS and files < _LOOKS, (  # noqa: PT018 - one sentence about both
            f"{_LOOKS} reads that were closed early left {threads} threads and {files} open files behind: clean up "
            "in `finally`, which GeneratorExit reaches"
        )

    # Secrets

    @pytest.mark.parametrize(
        "step", [{"redirect": "other"}, {"dataset": {"next_host": "other"}}], ids=["redirect", "next link"]
    )
    def test_another_host_gets_no_credential(self, workers: Workers, step: Mapping[str, Any]) -> None:
        """A redirect or a link to another host is followed without the credential, or not at all."""
        self.need_secrets()
        here = {"header": {"host": self.server.url.partition("//")[2]}}
        self.serve(self.records(numbered(_ROWS)), [{"when": here, **step}])
        with suppress(CallError):
            self.all_rows(self.begin(workers))
        found = self.credentials_elsewhere()
        assert found == [], f"another host was sent the credential: {', '.join(found)}"

    def test_secrets_are_not_shown(self, workers: Workers) -> None:
        """No credential stands in a repr, an error, or in what was printed or logged."""
        self.need_secrets()
        self.serve(self.records(numbered(_ROWS)))
        read = self.begin(workers)
        seen = {"the repr of the reader": read.shown}
        self.all_rows(read)
        told = " ".join(self.options()[name] for name in self.secrets)
        for status in (401, 500):
            # With the credential in the answer: servers do repeat what they were sent.
            self.serve(
                self.records(numbered(_ROWS)),
                [{"when": {"count": [2, None]}, "status": status, "body": f"no, although you are {told}"}],
            )
            with failing(seen, f"the error of a read that is answered {status}"):
                self.all_rows(self.begin(workers))
        with failing(seen, "the error for an unknown option"):
            self.begin(workers, more={"nosuchoption": "1"})
        seen["what the workers printed"] = read.printed()
        self.shown(seen)

    # What the tests share

    def begin(
        self, workers: Workers, *, schema: StructType | None = None, more: Mapping[str, str] | None = None
    ) -> Read:
        """Plan a read with `options()` and more options."""
        return Read(workers, self.source, {**self.options(), **(more or {})}, schema or self.schema())

    def all_rows(self, read: Read, *, attempts: int = 1) -> list[pa.RecordBatch]:
        """The rows of all tasks, one after the other."""
        return [batch for number in range(read.tasks) for batch in read.task(number, attempts=attempts)]

    def need_secrets(self) -> None:
        """Skip what is about credentials where there is none."""
        if not self.secrets:
            pytest.skip("this reader has no option that carries a credential")
