"""What every Python stream reader owes to Spark and to its users, as tests any connector can inherit.

    class TestMyStreamReader(StreamReaderContract):
        source = MyDataSource
        secrets = ("auth.token",)

        def options(self) -> dict[str, str]:
            return {"url": self.server.url_for("/rows"), "cursor": "at", "poll": "100ms", "auth.token": "looked-for"}

        def serve(self, records: Sequence[Mapping[str, Any]], steps: Sequence[Mapping[str, Any]] = ()) -> None:
            filters = {"since": ["at", "ge"], "until": ["at", "lt"]}
            self.server.dataset("GET /rows", rows=records, steps=steps, size=10, filters=filters)

        def append(self, records: Sequence[Mapping[str, Any]]) -> None:
            self.server.add_rows("/rows", records)

It wants the fixtures of `pytest_plugins = ["trunkline.testing.plugin"]`. The tests make the calls that Spark makes, in
their order and in the processes of `reader_process`: those of Spark 4.0 and 4.1, which call `latestOffset()`, and those
of 4.2 and later, which call `latestOffset(start, limit)`. `SparkStreamReaderContract` adds what needs a session.
"""

from __future__ import annotations

import time

import pytest

from trunkline.testing.owed import failing, owed, owed_error
from trunkline.testing.reader_steps import knows_limits
from trunkline.testing.reader_subject import FAULTS, numbered
from trunkline.testing.stream_subject import StreamSubject, count_rows, rows_of
from trunkline.testing.writer_process import Workers

# Some pages, the last of them not full; of the rows that come later, half.
_ROWS = 25
_MORE = 12
# Rows that share a time, where batches are limited to fewer.
_TOGETHER, _MOST = 4, 6
# What an idle second or two asks of the reader, and what may become of it.
_POLLS, _REQUESTS = 200, 20
# How often an idle stream is watched where the machine was too slow to tell.
_WATCHES = 3
# How often two rows are given one time, of a second; and for how long the stream is polled between them.
_PAIRS, _BETWEEN = 20, 0.4


class StreamReaderContract(StreamSubject):
    """Override what `StreamSubject` says."""

    @pytest.fixture(params=["4.0", "4.2"])
    def limits(self, request: pytest.FixtureRequest) -> bool:
        """Each test that asks for it holds for both ways of asking for the latest offset."""
        if request.param == "4.2" and not knows_limits():
            pytest.skip("this Spark calls latestOffset() without arguments only")
        return bool(request.param == "4.2")

    # Offsets

    def test_options_come_with_names_in_lower_case(self, workers: Workers) -> None:
        """A reader can be made of options whose names Spark has put into lower case, and can be pickled."""
        self.serve(self.records(numbered(_ROWS)))
        with owed("a reader made by streamReader(schema=...) of options in lower case, and that is pickled"):
            self.begin(workers)

    def test_offsets_are_json(self, workers: Workers, limits: bool) -> None:
        """Offsets are dicts that JSON can carry: Spark keeps their text in the checkpoint, and compares texts."""
        self.serve(self.records(numbered(_ROWS)))
        with owed("offsets that are dicts, and the same ones when they come back from JSON"):
            query = self.begin(workers, limits=limits)
            query.initial()
            query.latest()

    def test_the_initial_offset_stays(self, workers: Workers, limits: bool) -> None:
        """It is the same however often it is asked: Spark 4.2 asks again after the latest offset."""
        self.serve(self.records(numbered(_ROWS)))
        with owed("offsets"):
            query = self.begin(workers, limits=limits)
            first = query.initial()
            query.latest()
            again = [query.initial(), query.initial()]
        assert again == [first, first], f"initialOffset() was {first}, and then {', '.join(again)}"

    def test_an_idle_stream_leaves_the_api_in_peace(self, workers: Workers, limits: bool) -> None:
        """Without news the latest offset is the last one, letter for letter, and most polls ask nobody."""
        self.serve(self.records(numbered(_ROWS)))
        query = self.begin(workers, limits=limits)
        batches = self.follow(query, _ROWS)
        for _ in range(_WATCHES):
            before, began = len(self.server.ledger()), time.monotonic()
            with owed("an offset"):
                said = set(query.poll(_POLLS))
            intervals = (time.monotonic() - began) / self.interval
            sent = len(self.server.ledger()) - before
            assert said == {batches[-1].end}, (
                f"nothing is new since {batches[-1].end}, but latestOffset gave {', '.join(sorted(said))}: another "
                "text runs another batch"
            )
            assert sent <= _REQUESTS + intervals, (
                f"{_POLLS} calls of latestOffset sent {sent} requests: Spark polls about a hundred times a second, so "
                "a reader asks the API once in an interval of its own"
            )
            if sent <= _REQUESTS:
                return
            # Once in an interval, it may be: the calls took as many, as they do where the machine stands still.
        pytest.fail(
            f"{_POLLS} calls of latestOffset sent {sent} requests in {intervals:.0f} intervals of {self.interval} s: "
            "the reader asks the API each time, or an interval is over before the API has answered; make it longer, "
            "in options() and in `interval`"
        )

    def test_an_empty_api_is_followed(self, workers: Workers, limits: bool) -> None:
        """There is nothing to read, until there is."""
        self.serve([])
        query = self.begin(workers, limits=limits)
        with owed("no rows and no error"):
            nothing = [batch for _ in range(3) if (batch := query.batch())]
        self.expect(rows_of(nothing), [], "the API is empty")
        rows = self.newly(range(3))
        self.append(self.records(rows))
        self.expect(rows_of(self.follow(query, len(rows))), rows, "the first rows came while the stream ran")

    # Batches

    def test_batches_hold_every_row_once(self, workers: Workers, limits: bool) -> None:
        """What is there and what is added between batches: no row is left out, none comes twice."""
        rows = numbered(_ROWS)
        self.serve(self.records(rows))
        query = self.begin(workers, limits=limits)
        batches = self.follow(query, len(rows))
        for start in (_ROWS, _ROWS + _MORE):
            more = self.newly(range(start, start + _MORE))
            self.append(self.records(more))
            rows += more
            batches += self.follow(query, len(rows) - count_rows(batches))
        self.expect(rows_of(batches), rows, "batches follow each other without a gap and without an overlap")

    def test_rows_of_one_time_may_come_in_two_batches(self, workers: Workers) -> None:
        """A row is read once, though the row that has the same time was there, and read, before it."""
        rows = numbered(_ROWS)
        self.serve(self.records(rows))
        query = self.begin(workers)
        batches = self.follow(query, len(rows))
        for _ in range(_PAIRS):
            # The next poll asks the API, and the whole time between two ticks of the API's clock is ahead.
            time.sleep(self.interval)
            time.sleep(1 - time.time() % 1)
            first, second = self.newly([len(rows), len(rows) + 1])
            self.append(self.records([first]))
            rows.append(first)
            with owed("a batch, or none yet"):
                batches += self.some_polls(query, _BETWEEN)
            if self.newly([second[0]]) == [second]:
                self.append(self.records([second]))
                rows.append(second)
                break
        else:
            pytest.fail(f"{_PAIRS} times a poll took until the next second: rows of one second were never parted by it")
        batches += self.follow(query, len(rows) - count_rows(batches))
        self.expect(rows_of(batches), rows, "two rows have one time, and a batch was planned between them")

    def test_limited_batches_hold_every_row_once(self, workers: Workers, limits: bool) -> None:
        """Batches end among rows that share a time, and leave none of them out."""
        if not self.limited():
            pytest.skip("this stream reader has no limit")
        rows = numbered(_ROWS, same_time=_TOGETHER)
        self.serve(self.records(rows))
        query = self.begin(workers, limits=limits, more=self.limited())
        batches = self.follow(query, len(rows))
        self.expect(rows_of(batches), rows, f"batches are limited, and {_TOGETHER} rows share each time")
        assert len(batches) > 2, f"{_ROWS} rows came in {len(batches)} batches, though five were asked for in each"

    def test_a_limit_of_sparks_loses_nothing(self, workers: Workers) -> None:
        """What `latestOffset` is told as its limit ends a batch, and the next one goes on from there."""
        if not knows_limits():
            pytest.skip("this Spark tells no limits")
        rows = numbered(_ROWS, same_time=_TOGETHER)
        self.serve(self.records(rows))
        query = self.begin(workers, limits=True)
        batches = self.follow(query, len(rows), most=_MOST)
        self.expect(rows_of(batches), rows, f"Spark told ReadMaxRows({_MOST})")

    # Replays and restarts

    def test_partitions_stay(self, workers: Workers) -> None:
        """Two offsets give the same partitions each time, in another run of the query too."""
        self.serve(self.records(numbered(_ROWS)))
        query = self.begin(workers)
        (batch, *_) = self.follow(query, _ROWS)
        with owed("partitions and their rows"):
            again = query.read(batch.start, batch.end)
            query.restart()
            later = query.read(batch.start, batch.end)
        wanted = [self.sorted_rows([rows]) for rows in batch.rows]
        for which, found in (("again", again), ("after a restart", later)):
            assert len(found.partitions) == len(batch.partitions), (
                f"the batch has {len(batch.partitions)} partitions, and {which} {len(found.partitions)}"
            )
            assert [self.sorted_rows([rows]) for rows in found.rows] == wanted, f"other rows {which}"

    def test_a_repeated_task_reads_the_same(self, workers: Workers) -> None:
        """Tasks are repeated, out of order and in other processes."""
        self.serve(self.records(numbered(_ROWS)))
        query = self.begin(workers)
        for batch in self.follow(query, _ROWS):
            for elsewhere in (True, False):
                with owed("rows from tasks that get the pickled reader and a partition, and no more"):
                    again = query.read_again(batch, elsewhere=elsewhere)
                assert self.sorted_rows(again) == self.sorted_rows(batch.rows), "a repeated task read other rows"

    def test_a_replayed_batch_is_the_same(self, workers: Workers, limits: bool) -> None:
        """A batch that is run again after a restart holds what it held, though the API has more rows by then."""
        rows = numbered(_ROWS)
        self.serve(self.records(rows))
        query = self.begin(workers, limits=limits)
        batches = self.follow(query, len(rows))
        more = self.newly(range(_ROWS, _ROWS + _MORE))
        self.append(self.records(more))
        for _ in range(2):
            query.restart()
            for batch in batches:
                with owed("the batch once more: a restarted query runs its last batch again, with its old offsets"):
                    again = query.read(batch.start, batch.end)
                assert self.sorted_rows(again.rows) == self.sorted_rows(batch.rows), (
                    f"from {batch.start} to {batch.end} there were {count_rows([batch])} rows, and "
                    f"{count_rows([again])} when the batch was run again: a replay must read what the batch held"
                )

    def test_a_restart_goes_on(self, workers: Workers, limits: bool) -> None:
        """A query that is started again reads what has come since, and only that."""
        rows = numbered(_ROWS)
        self.serve(self.records(rows))
        query = self.begin(workers, limits=limits)
        batches = self.follow(query, len(rows))
        query.restart()
        with owed("no batch: the query was ended and started again, and nothing is new"):
            batches += [batch for _ in range(3) if (batch := query.batch())]
        self.expect(rows_of(batches), rows, "the query was restarted, and nothing was new")
        more = self.newly(range(_ROWS, _ROWS + _MORE))
        self.append(self.records(more))
        query.restart()
        batches += self.follow(query, len(more))
        self.expect(rows_of(batches), rows + more, "the query was restarted from its checkpoint")

    def test_a_commit_is_harmless(self, workers: Workers) -> None:
        """A batch may be committed late, twice, by another run, and still be replayed."""
        rows = numbered(_ROWS)
        self.serve(self.records(rows))
        query = self.begin(workers)
        batches = self.follow(query, len(rows))
        for _ in range(2):
            with owed("a commit that returns: the last batch of a run is committed when the next run plans a batch"):
                query.commit(batches[-1].end)
                query.commit(batches[-1].end)
                again = query.read(batches[-1].start, batches[-1].end)
            assert self.sorted_rows(again.rows) == self.sorted_rows(batches[-1].rows), "a commit changed what is read"
            query.restart()
        more = self.newly(range(_ROWS, _ROWS + _MORE))
        self.append(self.records(more))
        batches += self.follow(query, len(more))
        self.expect(rows_of(batches), rows + more, "batches were committed more than once")

    # Failures

    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_failure_is_an_error(self, workers: Workers, fault: str) -> None:
        """A stream whose API is not well ends; it does not go on as if there were nothing new."""
        rows = numbered(_ROWS)
        self.serve(self.records(rows))
        query = self.begin(workers)
        self.follow(query, len(rows))
        self.serve(self.records(rows), [{"when": {"count": [1, None]}, **FAULTS[fault]}])
        deadline = time.monotonic() + self.patience / 4
        with owed_error(f"when the server answers with {fault}: the outage of an API is not an idle stream"):
            while time.monotonic() < deadline:
                self.some_polls(query)

    @pytest.mark.parametrize("request_", [1, 2, 3, 4])
    def test_a_passing_failure_costs_no_row(self, workers: Workers, limits: bool, request_: int) -> None:
        """Whichever request of a batch fails: the query goes on, or is restarted and then goes on."""
        rows = numbered(_ROWS)
        step = {"when": {"count": [request_, request_]}, "status": 503, "retry_after": 0}
        self.serve(self.records(rows), [step])
        query = self.begin(workers, limits=limits)
        batches = self.follow(query, len(rows), restarts=1)
        self.expect(rows_of(batches), rows, f"request {request_} was answered 503, the others as usual")

    # Secrets

    def test_secrets_are_not_shown(self, workers: Workers) -> None:
        """No credential stands in an offset, a repr, an error, or in what was printed or logged."""
        if not self.secrets:
            pytest.skip("this reader has no option that carries a credential")
        rows = numbered(_ROWS)
        self.serve(self.records(rows))
        query = self.begin(workers)
        offsets = " ".join(batch.start + batch.end for batch in self.follow(query, len(rows)))
        seen = {"the repr of the reader": query.shown, "an offset, which stays in the checkpoint": offsets}
        told = " ".join(self.options()[name] for name in self.secrets)
        for status in (401, 500):
            step = {"when": {"count": [1, None]}, "status": status, "body": f"no, although you are {told}"}
            self.serve(self.records(rows), [step])
            with failing(seen, f"the error of a stream that is answered {status}"):
                self.begin(workers).batch(attempts=1)
        seen["what the workers printed"] = query.printed()
        self.shown(seen)
