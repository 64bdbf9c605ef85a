"""A `request()` in this process: the function that Spark runs for each partition, without Spark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql.types import ArrayType, DataType

from trunkline.responses import Task
from trunkline.rest.ask import _arrow, _body_type, _column, _reading
from trunkline.rest.asking import Asking, AskPlan
from trunkline.rest.options import request_options
from trunkline.rest.request_options import by_pages
from trunkline.rest.rows import RequestBuilder
from trunkline.testing import FaultServer


def ids(values: Sequence[int | None], **more: Sequence[Any]) -> pa.RecordBatch:
    """A batch with a column `id`, and others."""
    return pa.record_batch({"id": pa.array(values, pa.int64()), **more})


def asking(
    server: FaultServer,
    path: str,
    columns: Sequence[str] = ("id",),
    schema: DataType | None = None,
    partition: int = 0,
    attempt: int = 0,
    batch: int | None = None,
    run: str = "run",
    **options: object,
) -> Asking:
    """One attempt at one partition."""
    given = {name.replace("__", "."): value for name, value in options.items()}
    parsed = request_options({"url": server.url_for(path), **given})
    body = _body_type(schema)
    if by_pages(parsed) and body is not None:
        body = ArrayType(body)
    plan = AskPlan(
        parsed,
        RequestBuilder(parsed, columns),
        run,
        batch is not None,
        _arrow(_column(body)),
        _reading(parsed, body),
        parsed=body is not None,
    )
    return Asking(plan, Task(run, batch, partition, attempt))


def ask(
    server: FaultServer,
    path: str,
    batches: pa.RecordBatch | Iterable[pa.RecordBatch],
    **more: Any,
) -> list[dict[str, Any]]:
    """The rows that come out."""
    given = [batches] if isinstance(batches, pa.RecordBatch) else list(batches)
    columns = given[0].schema.names if given else ("id",)
    return [row for batch in asking(server, path, columns, **more).run(iter(given)) for row in batch.to_pylist()]


def answers(rows: Iterable[dict[str, Any]], *fields: str) -> list[tuple[Any, ...]]:
    """The id of each row and some fields of its response, by id and in order where ids are equal."""
    found = [(row["id"], *(row["response"][field] for field in fields)) for row in rows]
    return sorted(found, key=lambda one: (one[0] is None, one[0] or 0))


def asked(server: FaultServer) -> list[str]:
    """What the server was asked, in order of text."""
    return sorted(f"{one.method} {one.target}" for one in server.ledger())


def slowly(batches: Iterable[pa.RecordBatch], taken: list[int]) -> Iterator[pa.RecordBatch]:
    """Batches, and how many of them were taken."""
    for batch in batches:
        taken.append(len(batch))
        yield batch
