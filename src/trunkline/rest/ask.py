"""Each row becomes a request, and each response a column of that row.

    users = request(df, {"url": "https://api.example.com/users/{id}"}, "name STRING, joined DATE")
    users.select("id", "response.response_body.name", "response.outcome")

Nothing is sent here: `request` checks everything that can be checked and gives a DataFrame, which asks when, and as
often as, Spark evaluates it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from trunkline.errors import OptionError
from trunkline.literals import warn_of_literals
from trunkline.loading import WithoutFrames
from trunkline.options import Options
from trunkline.responses import Task, locate, write_summary
from trunkline.rest.asked import ASKED
from trunkline.rest.asking import Asking, AskPlan
from trunkline.rest.options import request_options
from trunkline.rest.request_options import by_pages
from trunkline.rest.rows import RequestBuilder
from trunkline.values import ReadOptions

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame
    from pyspark.sql.types import DataType, StructType

Asker = Callable[["Iterator[pa.RecordBatch]"], "Iterator[pa.RecordBatch]"]


def request(df: DataFrame, options: Mapping[str, Any], schema: str | DataType | None = None) -> DataFrame:
    """Ask an API once for each row, and add what it answers to the row.

        GET /users/7 HTTP/1.1

        {"id": 7, "name": "Ann"}

    The column added is a struct: `status_code INT`, `response_headers MAP<STRING, STRING>` (names in lower case,
    without cookies), `response_body` (STRING, or of the schema), `outcome STRING`, `error STRING`, `attempts INT`,
    `requested_at TIMESTAMP`, `elapsed_ms INT`. Each row comes out once, whatever becomes of its request:

    | outcome | of the request |
    |---|---|
    | accepted | answered, with a status in `successCodes` |
    | malformed | the same, with a body that does not fit the schema |
    | rejected | refused for good, or a row that cannot become a request |
    | ambiguous | lost on its way, or answered so that it says nothing of this row |
    | exhausted | given up after `retry.maxAttempts` tries |
    | unsent | left out, because of `maxRequests` |

    Args:
        df: A batch or streaming DataFrame, of classic Spark or Spark Connect.
        options: As documented for `request`; nested or dotted. Credentials may be references, looked up now.
        schema: What accepted bodies are parsed into: the fields of an object in DDL, `"name STRING, age INT"`, or any
            type, `"ARRAY<STRUCT<id: BIGINT>>"`; with `pagination`, what each record is parsed
            into. Every field may be null, whatever it says. Default: a string.

    Returns:
        The columns of `df` and one more, in the partitions of `df`.

    Raises:
        OptionError: Options, columns, schema, certificates, doors or the log's folder are wrong; nothing has been sent.
    """
    with WithoutFrames():
        return _requested(df, options, schema)


def plan_of(
    rows: StructType, options: Options, schema: str | DataType | None, *, streaming: bool
) -> tuple[AskPlan, StructType]:
    """What all tasks of a request share, and the columns that come out; the summary of its run is begun.

    Args:
        rows: The columns of what is asked for.
        options: Resolved.
        schema: As for `request`.
        streaming: Whether the rows are a stream.

    Raises:
        OptionError: As for `request`.
    """
    from pyspark.sql.types import ArrayType, StructType

    from trunkline.rest.writer import check_on_driver

    body = _body_type(schema)
    if by_pages(options) and body is not None:
        body = ArrayType(body)
    column = _column(body)
    _check_columns(rows, options)
    builder = RequestBuilder(options, rows.fieldNames())
    if streaming and options["runId"]:
        raise OptionError("request: runId does nothing in a stream: its run is the query, which the checkpoint names")
    check_on_driver(options)
    plan = AskPlan(
        options,
        builder,
        options["runId"] or str(uuid.uuid4()),
        streaming,
        _arrow(column),
        _reading(options, body),
        parsed=body is not None,
    )
    if options["responses"] and not streaming:
        write_summary(locate(options["responses"]), f"{plan.run_id}-0", _summary(plan.run_id, rows.jsonValue()))
    return plan, StructType([*rows.fields]).add(options["responseColumn"], column)


def _requested(df: DataFrame, options: Mapping[str, Any], schema: str | DataType | None) -> DataFrame:
    if not isinstance(options, Mapping):
        raise OptionError('request: options is a dict, as in {"url": "https://api.example.com/users/{id}"}')
    parsed = request_options(options).resolved()
    warn_of_literals(parsed)
    rows = df.schema
    plan, out = plan_of(rows, parsed, schema, streaming=df.isStreaming)
    # Spark's mapInArrow looks columns up by their names, and takes a dot for a field of a struct.
    plain = [f"c{number}" for number in range(len(rows))]
    odd = any("." in name or "`" in name for name in rows.names)
    return (df.toDF(*plain) if odd else df).mapInArrow(_asker(df, plan, rows.jsonValue()), out)


def _asker(df: DataFrame, plan: AskPlan, rows: dict[str, Any]) -> Asker:
    """The function that Spark runs for each partition."""
    if type(df).__module__.startswith("pyspark.sql.connect"):
        from trunkline.carry import carried_function

        return carried_function("trunkline.rest.ask", "ask_partition", plan, rows)

    def request(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return ask_partition(plan, rows, batches)

    return request


def ask_partition(plan: AskPlan, rows: dict[str, Any], batches: Iterator[pa.RecordBatch]) -> Generator[pa.RecordBatch]:
    """One partition of the DataFrame that `request` gives, inside of a task.

    Args:
        plan: Of the request.
        rows: The schema of the rows, as JSON: for their names, and the summary of a stream's log.
        batches: The rows, their columns in the order of that schema.
    """
    from trunkline.micro_batch import micro_batch_around, task_context

    context = task_context()
    batch = micro_batch_around(context) if plan.streaming else None
    run = batch.query_id if batch else plan.run_id
    task = Task(run, batch.number if batch else None, context.partitionId(), context.taskAttemptId())
    names = [field["name"] for field in rows["fields"]]
    with WithoutFrames():
        yield from Asking(plan, task).run(_named(batch, names) for batch in batches)
    responses = plan.options["responses"]
    if batch is not None and task.partition == 0 and responses:
        name = f"{run}-{batch.number}"
        write_summary(locate(responses), name, _summary(run, rows) | {"batch_id": batch.number})


def _named(batch: pa.RecordBatch, names: list[str]) -> pa.RecordBatch:
    """The rows under the names that they have in the DataFrame: those that Spark does not find have others here."""
    import pyarrow as pa

    if batch.schema.names == names:
        return batch
    fields = [field.with_name(name) for field, name in zip(batch.schema, names, strict=True)]
    return pa.RecordBatch.from_arrays(batch.columns, schema=pa.schema(fields))


def _summary(run: str, rows: dict[str, Any]) -> dict[str, Any]:
    """What `rejected()` and `summary()` need to know of a run beside its records: nobody sees its end."""
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    return {"run_id": run, "batch_id": None, "state": ASKED, "error": None, "schema": rows, "finished_at": now}


def _body_type(schema: str | DataType | None) -> DataType | None:
    """What bodies are parsed into, all of it nullable; None for a string that is left as it is.

    Raises:
        OptionError: The schema cannot be read.
    """
    from pyspark.sql.types import DataType, _parse_datatype_string

    from trunkline.values.spark_types import nullable

    if schema is None:
        return None
    if isinstance(schema, DataType):
        return nullable(schema)
    if not isinstance(schema, str):
        raise OptionError(f"request: the schema is DDL or a type of Spark, not {type(schema).__name__}")
    if not schema.strip():
        raise OptionError('request: the schema is empty: name fields, as in "name STRING", or leave it out')
    try:
        return nullable(_parse_datatype_string(schema))
    except Exception as error:  # noqa: BLE001 - a parse error has a class of its own on each kind of Spark
        said = str(error).strip().splitlines()[0]
        raise OptionError(f"request: the schema {schema!r} cannot be read: {said}") from None


def _column(body: DataType | None) -> StructType:
    """The type of the column that is added."""
    from pyspark.sql import types as t

    return (
        t.StructType()
        .add("status_code", t.IntegerType())
        .add("response_headers", t.MapType(t.StringType(), t.StringType()))
        .add("response_body", t.StringType() if body is None else body)
        .add("outcome", t.StringType())
        .add("error", t.StringType())
        .add("attempts", t.IntegerType())
        .add("requested_at", t.TimestampType())
        .add("elapsed_ms", t.IntegerType())
    )


def _arrow(column: StructType) -> pa.StructType:
    import pyarrow as pa

    from trunkline.values.spark_types import arrow_schema

    return pa.struct(list(arrow_schema(column)))


def _reading(options: Options, body: DataType | None) -> ReadOptions:
    """How bodies are parsed; a column for the text of those that do not fit is one of strings."""
    from pyspark.sql.types import StringType, StructType

    name = options["columnNameOfCorruptRecord"]
    kept = isinstance(body, StructType) and name in body.names and isinstance(body[name].dataType, StringType)
    return ReadOptions(
        mode=options["mode"],
        corrupt_column=name if kept else None,
        timestamps=options["timestamps"],
        zone=options["timeZone"],
        missing=options["missingFields"],
    )


def _check_columns(rows: StructType, options: Options) -> None:
    """Refuse names that stand twice, the added one among them, and types that do not get here.

    Raises:
        OptionError: With every problem at once.
    """
    names = rows.fieldNames()
    problems = [f"column {name}: the name stands more than once; rename one" for name in sorted(set(names))
                if names.count(name) > 1]  # fmt: skip
    column = options["responseColumn"]
    if column.lower() in map(str.lower, names):
        problems.append(f"column {column} is there already: name another one in responseColumn")
    if not names:
        problems.append("there is no column: Spark loses such rows on their way to Python; select one")
    problems += [
        f"column {field.name}: Spark gives no {kind.simpleString()} to Python; cast or drop it"
        for field in rows.fields
        if (kind := _not_in_arrow(field.dataType)) is not None
    ]
    if problems:
        raise OptionError("request: the options do not fit the columns", problems)


def _not_in_arrow(kind: DataType) -> DataType | None:
    """The type, or one inside of it, that Spark does not hand to `mapInArrow`; None where all is well."""
    from pyspark.sql import types as t

    if isinstance(kind, (t.YearMonthIntervalType, t.CalendarIntervalType)):
        return kind
    inner: list[DataType] = []
    if isinstance(kind, t.StructType):
        inner = [field.dataType for field in kind]
    elif isinstance(kind, t.ArrayType):
        inner = [kind.elementType]
    elif isinstance(kind, t.MapType):
        inner = [kind.keyType, kind.valueType]
    return next((found for one in inner if (found := _not_in_arrow(one)) is not None), None)
