"""How rows leave `request()`: as they came, with a column of their answers.

leaving = Leaving(options, plan.column, plan.reading, clean, parsed=True)
for batch in leaving.batches(part, answers):
    ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa

from trunkline.options import Options
from trunkline.rest.answers import Answer, ResponseColumn
from trunkline.rest.parts import Part
from trunkline.values import ReadOptions

# What leaves at once, bytes: Arrow's texts end at 2 GiB, and a part may hold more.
_MOST_LEAVING = 256 * 1024 * 1024


class Leaving:
    """Makes batches of parts.

    Args:
        options: Resolved.
        kind: Of the column.
        reading: How bodies are parsed.
        clean: Cuts credentials out of texts; not that of another thread.
        parsed: Whether bodies are parsed.
    """

    def __init__(
        self, options: Options, kind: pa.StructType, reading: ReadOptions, clean: Callable[[str], str], parsed: bool
    ) -> None:
        self._name: str = options["responseColumn"]
        self._column = ResponseColumn(kind, reading, clean, parsed=parsed)
        self._clean = clean

    def batches(self, part: Part, answers: list[Answer]) -> Iterator[pa.RecordBatch]:
        """The rows of a part with their answers: one batch, or more where answers are very large.

        Raises:
            ResponseError: What `ResponseColumn.array` raises.
        """
        start = size = 0
        for row, answer in enumerate(answers):
            if size + answer.size > _MOST_LEAVING and row > start:
                yield self._batch(part, start, answers[start:row])
                start, size = row, 0
            size += answer.size
        yield self._batch(part, start, answers[start:])

    def _batch(self, part: Part, start: int, answers: list[Answer]) -> pa.RecordBatch:
        batch = part.chunk.batch.slice(start, len(answers))
        column = self._column.array(answers, lambda row: self._clean(part.named(start + row)))
        schema = batch.schema.append(pa.field(self._name, column.type))
        return pa.RecordBatch.from_arrays([*batch.columns, column], schema=schema)
