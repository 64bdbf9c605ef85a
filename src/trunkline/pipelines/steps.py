"""What each kind of step does with Spark."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from trunkline.jobs.files import shown
from trunkline.kinds import text_of
from trunkline.pipelines import sinks
from trunkline.pipelines.config import Pipeline, Read, Request, Write
from trunkline.pipelines.secrets import PipelineSecrets, referred, revealed
from trunkline.pipelines.step_checks import OWN_FORMATS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery


def options_of(part: Read | Write | Request, pipeline: Pipeline, secrets: PipelineSecrets, path: str) -> dict[str, Any]:
    """The options of a step as its format takes them.

    `rest` and `jobs` get references, which they look up themselves, so that nothing secret is in Spark's plan; other
    formats get values.
    """
    own = isinstance(part, Request) or part.format in OWN_FORMATS
    # All are looked up here, so that messages are cleaned of what a format looks up itself.
    values = secrets.resolved(part.options, path)
    if not own:
        return _flat(revealed(values), frozenset())
    return _flat(referred(part.options, pipeline.secrets), _objects(part))


def read(spark: SparkSession, part: Read, options: Mapping[str, Any]) -> DataFrame:
    """The rows of a `read`, batch or stream."""
    reader: Any = spark.readStream if part.stream else spark.read
    reader = reader.options(**options)
    if part.table:
        return reader.table(part.table)  # type: ignore[no-any-return]
    reader = reader.format(part.format)
    if part.schema_:
        reader = reader.schema(part.schema_)
    return reader.load(part.path) if part.path else reader.load()  # type: ignore[no-any-return]


def write(df: DataFrame, part: Write, options: Mapping[str, Any]) -> None:
    """Write rows, all of them before this returns."""
    if part.mode == "merge":
        sinks.merge(_sink(part), options, df)
    else:
        sinks.write(df, _sink(part), mode_of(part), options)


def start(df: DataFrame, name: str, part: Write, options: Mapping[str, Any]) -> StreamingQuery:
    """Begin to write a stream."""
    writer = df.writeStream.options(**options).queryName(name)
    if part.output_mode:
        writer = writer.outputMode(part.output_mode)
    if part.checkpoint:
        writer = writer.option("checkpointLocation", part.checkpoint)
    if part.trigger == "available_now":
        writer = writer.trigger(availableNow=True)
    elif part.trigger:
        from trunkline.kinds import duration

        writer = writer.trigger(processingTime=f"{int(duration(part.trigger) * 1000)} milliseconds")
    if part.mode == "merge":
        return writer.foreachBatch(_merging(df, part, options)).start()
    if part.partition_by:
        writer = writer.partitionBy(*part.partition_by)
    if part.format:
        writer = writer.format(part.format)
    if part.table:
        return writer.toTable(part.table)
    return writer.start(part.path) if part.path else writer.start()


def mode_of(part: Write) -> str:
    """What becomes of rows that are there."""
    return part.mode or ("append" if part.format in OWN_FORMATS else "error")


def target_of(part: Write) -> str:
    """Where a write goes, fit to be shown."""
    if part.table:
        return f"table {part.table}"
    url = next((value for key, value in part.options.items() if key.lower() == "url" and isinstance(value, str)), None)
    return shown(" ".join(filter(None, [part.format, part.path or url])))


def _sink(part: Write) -> sinks.Sink:
    return sinks.Sink(part.format, part.table, part.path, part.partition_by, part.merge_keys)


def _merging(df: DataFrame, part: Write, options: Mapping[str, Any]) -> Callable[[DataFrame, int], None]:
    """What merges each micro-batch; over Connect that is on the server, which need not know this package."""
    merged: Callable[[DataFrame], None]
    if type(df).__module__.startswith("pyspark.sql.connect"):
        from trunkline.carry import carried_function

        merged = carried_function("trunkline.pipelines.sinks", "merge", _sink(part), dict(options))
    else:
        merged = partial(sinks.merge, _sink(part), options)
    return lambda batch, _: merged(batch)


def _flat(held: Mapping[str, Any], whole: frozenset[str], prefix: str = "") -> dict[str, Any]:
    """Options by their whole names, as text. One of the names in `whole` that holds an object is JSON."""
    found: dict[str, Any] = {}
    for key, value in held.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and name.lower() not in whole:
            found |= _flat(value, whole, f"{name}.")
        elif isinstance(value, Mapping):
            found[name] = json.dumps(value)
        else:
            found[name] = _listed(value) if isinstance(value, (list, tuple)) else value
    return found


def _objects(part: Read | Write | Request) -> frozenset[str]:
    """The options of a format of ours: what is nested in one is its value."""
    if not isinstance(part, Request) and part.format == "jobs":
        from trunkline.jobs import options as jobs

        return frozenset(option.name.lower() for option in jobs.TABLE)
    from trunkline.rest import options as rest

    return frozenset(option.name.lower() for option in rest.TABLE)


def _listed(items: Sequence[Any]) -> str:
    simple = all(isinstance(item, str) and "," not in item for item in items)
    return text_of(items) if simple else json.dumps(items)
