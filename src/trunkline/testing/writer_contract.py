"""What every Python data source writer owes to Spark and to its users, as tests any connector can inherit.

    class TestMyWriter(WriterContract):
        source = MyDataSource
        secrets = ("auth.token",)

        def options(self) -> dict[str, str]:
            return {"url": self.server.url, "auth.token": "looked-for-everywhere"}

        def arrived(self) -> list[dict[str, Any]]:
            return self.server.rows()

        def refuse_all(self) -> None:
            self.server.answer(422)

Each test gets a target that holds nothing: an autouse fixture of the subclass sees to that. The tests take the writer
through Spark's steps one by one, in the processes of `writer_process`; `SparkWriterContract` adds those that need a
session. The facts about Spark were verified on 4.0 to 4.3.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from trunkline.testing.owed import counted, differences, failing, owed, owed_error
from trunkline.testing.writer_process import Workers, Write
from trunkline.testing.writer_steps import UPSTREAM
from trunkline.testing.writer_subject import WriterSubject

if TYPE_CHECKING:
    from pyspark.sql.types import StructType


class WriterContract(WriterSubject):
    """Override what `WriterSubject` says; the rest says what else the connector can do."""

    # The data source on the driver

    def test_options_come_with_names_in_lower_case(self, workers: Workers, kind: str) -> None:
        """A writer can be made of options whose names Spark has put into lower case."""
        with owed("a writer made from its options: Spark hands over every option's name in lower case"):
            self.begin(workers, kind)

    def test_making_a_writer_sends_nothing(self, workers: Workers, kind: str) -> None:
        """Nothing has arrived when the writer is made and no task has run."""
        with owed("a writer that can be made"):
            self.begin(workers, kind)
        self.expect([], "Spark makes writers while it plans, and again for each micro-batch and each commit")

    def test_overwriting_is_kept_or_refused(self, workers: Workers) -> None:
        """A save mode of overwrite replaces what is there, or is refused before anything is sent."""
        if not self.overwrites:
            with owed_error("from writer(overwrite=True): what mode('overwrite') asks for is not what an append does"):
                self.begin(workers, "batch", overwrite=True)
            return
        with owed("rows appended and then overwritten"):
            for numbers, overwrite in ((range(10), False), (range(10, 20), True)):
                write = self.begin(workers, "batch", overwrite=overwrite)
                write.commit([write.task(self.batches(numbers))])
        self.expect(range(10, 20), 'mode("overwrite") replaces what the target held')

    # Tasks

    def test_every_row_arrives(self, workers: Workers, kind: str) -> None:
        """What two tasks wrote at the same time has arrived, each row once, when the commit returns."""
        write = self.begin(workers, kind)
        with owed("a write that succeeds: tasks and commit run in different processes and share only what is pickled"):
            write.commit(write.tasks([self.batches(range(25)), self.batches(range(25, 50))]))
        self.expect(range(50), "a commit that returns says that every row is in the target")

    def test_tasks_without_rows(self, workers: Workers, kind: str) -> None:
        """A partition without batches and one with an empty batch are written like any other."""
        write = self.begin(workers, kind)
        with owed("a success: Spark runs write() for empty partitions too, and spark.range(0) has one of them"):
            write.commit(write.tasks([[], self.batches(range(0))]))
        self.expect([], "there was no row")

    def test_a_task_answers_with_a_message(self, workers: Workers, kind: str) -> None:
        """`write` returns a WriterCommitMessage that can be pickled, with rows and without."""
        write = self.begin(workers, kind)
        with owed("a WriterCommitMessage from write(): without one Spark fails the task, after its rows were sent"):
            write.tasks([self.batches(range(3)), []])

    def test_rows_that_cannot_be_computed_fail_the_task(self, workers: Workers, kind: str) -> None:
        """An error in what computes the rows comes out of `write`."""
        write = self.begin(workers, kind)
        with owed_error("from write(): a message says that the partition is complete, and this one was not") as texts:
            write.task(self.batches(range(15)), broken=True)
        assert UPSTREAM in texts[0], "the error of the rows must be told, or nobody can find its cause"

    def test_a_repeated_task_loses_nothing(self, workers: Workers, kind: str) -> None:
        """A task that is run again, because the first run's executor was lost, delivers all its rows."""
        write = self.begin(workers, kind)
        with owed("a success: Spark runs a failed task up to spark.task.maxFailures times, from the first row on"):
            write.task(self.batches(range(25)))
            write.commit([write.task(self.batches(range(25)), attempt=1)])
        self.expect(range(25), "the whole partition was written again", repeated=True)

    def test_two_attempts_at_the_same_time_lose_nothing(self, workers: Workers, kind: str) -> None:
        """Two attempts at one partition may run at once; one message of them is committed."""
        write = self.begin(workers, kind)
        with owed("a success: with spark.speculation two attempts of a task run at once, on different hosts"):
            write.commit(write.attempts(self.batches(range(25)))[1:])
        self.expect(range(25), "both attempts wrote the same partition", repeated=True)

    # Refusals

    def test_a_refusal_fails_the_write(self, workers: Workers, kind: str) -> None:
        """A write whose every row was refused does not end in success."""
        write = self.begin(workers, kind)
        self.refuse_all()
        with owed_error("from commit(): the target refused every row, and a success would lose them in silence"):
            write.commit(write.tasks([self.batches(range(5)), self.batches(range(5, 10))]))

    def test_a_refusal_is_not_raised_in_a_task(self, workers: Workers, kind: str) -> None:
        """What the target refuses for good travels to `commit` in the message, and is raised there."""
        write = self.begin(workers, kind)
        self.refuse_all()
        with owed("a message from write(): Spark repeats a task that raises, with all its rows, four times in all"):
            write.task(self.batches(range(5)))

    def test_abort_follows_a_failed_commit(self, workers: Workers, kind: str) -> None:
        """After a commit that raised, `abort` with all messages does not raise."""
        write = self.begin(workers, kind)
        self.refuse_all()
        with owed("messages of two tasks"):
            messages = write.tasks([self.batches(range(5)), self.batches(range(5, 10))])
        with owed_error("from commit() when every row was refused"):
            write.commit(messages)
        with owed("an abort() that returns: Spark calls it with all messages after a commit that raised"):
            write.abort(messages)

    def test_abort_takes_tasks_without_a_message(self, workers: Workers, kind: str) -> None:
        """`abort` gets None for each task that failed."""
        write = self.begin(workers, kind)
        with owed("a message"):
            message = write.task(self.batches(range(5)))
        for messages in ([message, None], [None, None], []):
            with owed("an abort() that returns: failed tasks have left no message, and Spark passes None for them"):
                write.abort(messages)

    def test_dead_letters_hold_what_was_refused(self, workers: Workers, kind: str) -> None:
        """Where refused rows are to be set aside, each of them is there when the commit returns."""
        if not self.dead_letter_options():
            pytest.skip("this writer does not set refused rows aside")
        write = self.begin(workers, kind, more=self.dead_letter_options())
        self.refuse_all()
        with owed("a success: the user asked to have refused rows set aside"):
            write.commit(write.tasks([self.batches(range(25)), self.batches(range(25, 50))]))
        found, wanted = counted(self.dead_letters()), counted(self.rows(range(50)))
        assert found == wanted, f"every refused row must be set aside: {differences(found, wanted)}"

    # Secrets

    def test_secrets_are_not_shown(self, workers: Workers, kind: str) -> None:
        """No credential stands in a message, a repr, an error, or in what was printed or logged."""
        if not self.secrets:
            pytest.skip("this writer has no option that carries a credential")
        write = self.begin(workers, kind)
        seen = {"the repr of the writer": write.shown}
        self.refuse_all()
        messages: list[bytes] = []
        with failing(seen, "the error of a write that is refused"):
            messages = write.tasks([self.batches(range(5)), []])
            seen |= {f"the message of task {n}": message.decode("latin-1") for n, message in enumerate(messages)}
            write.commit(messages)
        with failing(seen, "the error of an abort"):
            write.abort(messages)
        with failing(seen, "the error for an unknown option"):
            self.begin(workers, kind, more={"nosuchoption": "1"})
        with failing(seen, "the error for a schema that does not suit"):
            self.begin(workers, kind, schema=_nested())
        seen["what the workers printed"] = write.printed()
        self.shown(seen)

    # Streams

    def test_a_repeated_micro_batch_loses_nothing(self, workers: Workers) -> None:
        """A micro-batch that is run again after a restart, committed before or not, delivers all its rows."""
        self.need_stream()
        query = str(uuid.uuid4())
        for end in (Write.abort, Write.commit, Write.commit):
            write = self.begin(workers, "stream", batch=3, query=query)
            with owed("a success: a restarted query runs its last micro-batch again, with the same batch id"):
                end(write, write.tasks([self.batches(range(15)), self.batches(range(15, 30))]))
        self.expect(range(30), "the micro-batch was written three times", repeated=True)

    def test_micro_batches_follow_each_other(self, workers: Workers) -> None:
        """Micro-batches of a query, and of another query, each deliver their rows."""
        self.need_stream()
        query = str(uuid.uuid4())
        for batch, numbers in enumerate([range(15), range(0), range(15, 30)]):
            self.write_micro_batch(workers, batch, query, numbers)
        self.write_micro_batch(workers, 0, str(uuid.uuid4()), range(30, 45))
        self.expect(range(45), "each micro-batch has rows of its own; only query id and batch id together name one")


def _nested() -> StructType:
    from pyspark.sql.types import BinaryType, MapType, StructType

    return StructType().add("strange", MapType(BinaryType(), BinaryType()))
