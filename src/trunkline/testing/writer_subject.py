"""What the contracts of writers share: the writer under test, its target, and the rows that it is given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from trunkline.testing.owed import counted, differences, owed
from trunkline.testing.reader_steps import arrow_schema
from trunkline.testing.source_contract import SourceContract
from trunkline.testing.writer_process import Workers, Write

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql.types import StructType

# Rows of one record batch: a partition of the tests has several.
_BATCH_ROWS = 10


class WriterSubject(SourceContract):
    """Override `source`, `options`, `arrived` and `refuse_all`; the rest says what else the connector can do.

    Attributes:
        streams: Whether it has a stream writer.
        deduplicates: Whether a repeated task or micro-batch leaves each row in the target once.
        overwrites: Whether it replaces what the target holds when the save mode asks for it.
    """

    streams: bool = True
    deduplicates: bool = False
    overwrites: bool = False

    def arrived(self) -> list[dict[str, Any]]:
        """The rows the target holds, in any order, with the columns of `row` and no others."""
        raise NotImplementedError

    def refuse_all(self) -> None:
        """Make the target refuse every row for good from now on."""
        raise NotImplementedError

    def row(self, number: int) -> dict[str, Any]:
        """A row that no other number gives; override it together with `schema` where `id` and `name` do not suit."""
        return {"id": number, "name": f"row {number}"}

    def schema(self) -> StructType:
        """The schema of `row`."""
        from pyspark.sql.types import LongType, StringType, StructType

        return StructType().add("id", LongType()).add("name", StringType())

    def dead_letter_options(self) -> dict[str, str]:
        """What a user adds to `options` to have refused rows set aside; empty where that cannot be had."""
        return {}

    def dead_letters(self) -> list[dict[str, Any]]:
        """The rows that were set aside."""
        raise NotImplementedError

    @pytest.fixture(params=["batch", "stream"])
    def kind(self, request: pytest.FixtureRequest) -> str:
        """Each test that asks for it holds for batch writes and for micro-batches."""
        if request.param == "stream" and not self.streams:
            pytest.skip("this writer does not stream")
        return str(request.param)

    # What the tests share

    def begin(
        self,
        workers: Workers,
        kind: str,
        *,
        overwrite: bool = False,
        batch: int = 0,
        query: str | None = None,
        schema: StructType | None = None,
        more: Mapping[str, str] | None = None,
    ) -> Write:
        """Begin a write with `options()` and more options."""
        given: Mapping[str, str] = {**self.options(), **(more or {})}
        number = batch if kind == "stream" else None
        return Write(
            workers, self.source, given, schema or self.schema(), overwrite=overwrite, batch=number, query=query
        )

    def write_micro_batch(self, workers: Workers, batch: int, query: str, numbers: Sequence[int]) -> None:
        """Run one micro-batch from its beginning to its commit."""
        with owed(f"a success of micro-batch {batch}"):
            write = self.begin(workers, "stream", batch=batch, query=query)
            write.commit([write.task(self.batches(numbers))])

    def need_stream(self) -> None:
        """Skip what needs a stream writer where there is none."""
        if not self.streams:
            pytest.skip("this writer does not stream")

    def rows(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """The rows of these numbers."""
        return [self.row(number) for number in numbers]

    def batches(self, numbers: Sequence[int]) -> list[pa.RecordBatch]:
        """The rows of these numbers as Spark hands them to a task: several record batches, one empty when none."""
        import pyarrow as pa

        schema = arrow_schema(self.schema())
        starts = range(0, max(len(numbers), 1), _BATCH_ROWS)
        return [pa.RecordBatch.from_pylist(self.rows(numbers[start : start + _BATCH_ROWS]), schema) for start in starts]

    def expect(self, numbers: Sequence[int], why: str, *, repeated: bool = False) -> None:
        """The target holds the rows of these numbers, each once; `repeated` rows more often unless `deduplicates`."""
        found, wanted = counted(self.arrived()), counted(self.rows(numbers))
        if repeated and not self.deduplicates:
            found = Counter(dict.fromkeys(found, 1))
        assert found == wanted, f"{why}: {differences(found, wanted)}"
