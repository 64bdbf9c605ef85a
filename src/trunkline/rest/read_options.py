"""The options of `rest` that are for reading, batch and stream."""

from __future__ import annotations

import json
from collections.abc import Mapping

from trunkline.http.options import READS
from trunkline.kinds import BOOLEAN, CHOICE, DURATION, INTEGER, TEXT, Json, Kind, json_object, text_of
from trunkline.options import Option

BATCH, STREAM = ("read",), ("stream",)
# How an answer is read is for `request()` too.
ANSWERS = (*READS, "request")
PAGINATIONS = ("none", "page", "offset", "cursor", "link", "nextUrl", "lastRecord", "headerCursor", "auto")


def request_body(given: object) -> Json:
    """The JSON object that is sent with every page's request."""
    return json_object(given)


def listed(given: object) -> tuple[str, ...]:
    """Values separated by commas, `de,fr,it`; as a JSON array where one holds a comma.

    Raises:
        ValueError: It is no list, is empty or holds a value twice.
    """
    if isinstance(given, str) and given.lstrip().startswith("["):
        try:
            given = json.loads(given)
        except json.JSONDecodeError as error:
            message = f"not JSON at character {error.pos + 1}: {error.msg}"
            raise ValueError(message) from None
    items = [part.strip() for part in given.split(",")] if isinstance(given, str) else given
    if isinstance(items, Mapping) or not isinstance(items, (list, tuple)) or not items:
        message = 'values are separated by commas, as in de,fr; or a JSON array, as in ["de", "fr"]'
        raise ValueError(message)
    values = tuple(map(text_of, items))
    if len(set(values)) < len(values):
        message = "holds a value twice: its rows would be read twice"
        raise ValueError(message)
    return values


BODY = Kind("JSON object", request_body, {"type": ["object", "string"]})
VALUES = Kind("values", listed, {"type": ["string", "array"], "items": {"type": ["string", "number"]}})

READ = (
    Option(
        "method", CHOICE, "The method of every request.", "GET", choices=("GET", "POST"), group="Request",
        applies=READS, known_as=("httpMethod", "verb"),
    ),
    Option(
        "requestBody", BODY, "The JSON body of every request, with `method=POST`: a search, or a GraphQL query.",
        example='{"query": "{items {id}}"}', group="Request",
        applies=READS, known_as=("body", "data", "json", "payload", "graphql"),
    ),
    Option(
        "format", CHOICE, "What answers are made of.", "json", choices=("json", "ndjson", "csv", "text", "binary"),
        group="Records", applies=READS, known_as=("responseFormat", "contentFormat", "dataFormat", "type"),
    ),
    Option(
        "records", TEXT,
        "Where an answer holds the records: a dotted path; `$` the answer itself; `items?` may be missing. "
        "Default: its only list.", example="data.items", group="Records", applies=ANSWERS,
        known_as=("recordPath", "dataSelector", "jsonPath", "dataPath", "resultsPath", "rootPath", "selector"),
    ),
    Option(
        "inferSchema", BOOLEAN, "Whether a schema that is not given is made of a sample.", "true", group="Records",
        applies=READS,
    ),
    Option(
        "samplePages", INTEGER, "The pages of that sample.", "1", minimum=1, group="Records", applies=READS,
        known_as=("samplingRatio", "sampleSize"),
    ),
    Option(
        "mode", CHOICE,
        "A record that does not fit: ends the read, is kept in a column, or is left out and counted in the log. "
        "Default: `PERMISSIVE` where the schema has `columnNameOfCorruptRecord`, else `FAILFAST`.",
        choices=("PERMISSIVE", "DROPMALFORMED", "FAILFAST"), group="Records", applies=READS, known_as=("parseMode",),
    ),
    Option(
        "columnNameOfCorruptRecord", TEXT, "The column that keeps the text of a record that does not fit.",
        "_corrupt_record", group="Records", applies=ANSWERS, known_as=("corruptRecordColumn",),
    ),
    Option(
        "missingFields", CHOICE,
        "A field of the schema that no record of the first ones has: an error where they have another of nearly its "
        "name (`misspelt`), an error in any case, or null.", "misspelt", choices=("misspelt", "error", "null"),
        group="Records", applies=ANSWERS,
        known_as=("unknownFields", "requiredFields", "ignoreMissingFields", "failOnMissingFields"),
    ),
    Option(
        "timestamps", CHOICE, "What a number is in a column of timestamps or dates.", "iso",
        choices=("iso", "epochSeconds", "epochMillis"), group="Records", applies=ANSWERS,
        known_as=("timestampFormat", "dateFormat"),
    ),
    Option(
        "timeZone", TEXT, "The zone of timestamps that are written without one.", "UTC", example="Europe/Berlin",
        group="Records", applies=ANSWERS,
    ),
    Option(
        "csv.header", BOOLEAN, "Whether the first line of an answer names the columns.", "true", group="Records",
        applies=READS,
    ),
    Option(
        "csv.separator", TEXT, "What stands between two fields.", ",", group="Records", applies=READS,
        known_as=("sep", "delimiter", "separator"),
    ),
    Option(
        "maxRows", INTEGER, "For a look: no page is asked for once there are so many rows.", minimum=1,
        example="1000", group="Records", applies=BATCH, known_as=("limit", "rowLimit", "maxRecords", "sampleRows"),
    ),
    Option(
        "pagination", CHOICE, "How the API hands out pages.", "auto", choices=PAGINATIONS, group="Pages",
        applies=READS, known_as=("paginator", "paging", "pagination.type"),
    ),
    Option(
        "page.size", INTEGER, "The records to ask for in a page.", minimum=1, example="500", group="Pages",
        applies=ANSWERS, known_as=("perPage", "batchSize", "chunkSize"),
    ),
    Option(
        "page.sizeParam", TEXT, "The parameter that carries it.", example="limit", group="Pages", applies=ANSWERS,
        known_as=("limitParam", "page.limitParam", "pagination.limitParam"),
    ),
    Option(
        "page.param", TEXT, "The parameter that names the page: its number, offset or cursor.", example="offset",
        group="Pages", applies=ANSWERS,
        known_as=("offsetParam", "cursorParam", "page.cursorParam", "page.offsetParam", "page.token"),
    ),
    Option(
        "page.start", TEXT, "Its first value. Default: page 1, offset 0, no cursor.", example="0", group="Pages",
        applies=ANSWERS, known_as=("startPage", "initialOffset", "firstPage", "page.first", "page.initial"),
    ),
    Option(
        "page.in", CHOICE, "Where these parameters go; in a body, their names are dotted paths.", "query",
        choices=("query", "body", "header"), group="Pages", applies=ANSWERS,
    ),
    Option(
        "page.cursorField", TEXT, "`lastRecord`: the field of the last record that names the next page.",
        example="id", group="Pages", applies=ANSWERS,
    ),
    Option(
        "page.nextField", TEXT,
        "Where an answer holds the next cursor or URL: a path, or `header:Next-Page` for a URL; for `headerCursor`, "
        "the header's name.",
        example="paging.next", group="Pages", applies=ANSWERS,
        known_as=("cursorPath", "nextPath", "nextPageToken", "nextCursorPath"),
    ),
    Option(
        "page.totalField", TEXT, "Where it holds the number of all records: a path, or `header:X-Total-Count`.",
        example="total", group="Pages", applies=ANSWERS, known_as=("totalPath", "page.total"),
    ),
    Option(
        "page.hasMoreField", TEXT, "Where it says whether there are more.", example="has_more", group="Pages",
        applies=ANSWERS, known_as=("hasMore",),
    ),
    Option(
        "page.stop", TEXT,
        "When the pages end: `empty`, `short`, `total`, a field that is then missing, null, false or empty, or "
        "`field=value`. Default: what the style implies.", example="status=complete", group="Pages", applies=ANSWERS,
    ),
    Option(
        "maxPages", INTEGER, "Fail when one chain of pages is longer than this; nothing is cut off silently.",
        minimum=1, example="10000", group="Pages", applies=ANSWERS, known_as=("maximumPages",),
    ),
    Option(
        "partition.by", CHOICE,
        "What a parallel read is split by: pages of a known total, windows of time, ranges of ids, a list of values.",
        choices=("page", "time", "id", "list"), group="Parallel reads", applies=BATCH,
        known_as=("partitionStrategy", "partitioning"),
    ),
    Option(
        "numPartitions", INTEGER, "The most tasks a read is split into.", minimum=1, example="8",
        group="Parallel reads", applies=BATCH, known_as=("partitions", "numTasks", "partition.count"),
    ),
    Option(
        "partitionColumn", TEXT,
        "The column that `time` or `id` windows are about: rows outside of their window are left to their own.",
        example="updated_at", group="Parallel reads", applies=BATCH,
    ),
    Option(
        "lowerBound", TEXT, "Where the first window begins: a time or an id.", example="2026-01-01",
        group="Parallel reads", applies=BATCH,
    ),
    Option(
        "upperBound", TEXT, "Where the last window ends, itself not included.", example="2026-02-01",
        group="Parallel reads", applies=BATCH,
    ),
    Option(
        "partition.lowerParam", TEXT, "The parameter that carries a window's beginning.", example="updated_from",
        group="Parallel reads", applies=BATCH,
    ),
    Option(
        "partition.upperParam", TEXT, "The parameter that carries its end.", example="updated_to",
        group="Parallel reads", applies=BATCH,
    ),
    Option(
        "partition.lower", CHOICE, "Whether the API takes that beginning as included.", "inclusive",
        choices=("inclusive", "exclusive"), group="Parallel reads", applies=BATCH,
    ),
    Option(
        "partition.upper", CHOICE, "Whether the API takes that end as included.", "exclusive",
        choices=("exclusive", "inclusive"), group="Parallel reads", applies=BATCH,
    ),
    Option(
        "partition.minWindow", DURATION,
        "A window that the API refuses as too large (413, 422, 400 or 504) is halved down to this.", "1s",
        minimum=0.001, group="Parallel reads", applies=BATCH,
    ),
    Option(
        "partition.values", VALUES, "The values of `list`, each read on its own.", example="de,fr,it",
        group="Parallel reads", applies=BATCH,
    ),
    Option(
        "partition.param", TEXT,
        "The parameter that carries the value; or write `{partition}` into `url`, `params` or `headers`.",
        example="country", group="Parallel reads", applies=BATCH,
    ),
    Option(
        "incremental.field", TEXT,
        "The column by which new rows are known: a timestamp, a growing number or text. Without it the API is read as "
        "a log to which pages are only ever added.", example="updated_at", group="Streams", applies=STREAM,
        known_as=("cursorField", "cursor", "watermarkColumn", "cursorColumn", "incremental.cursor"),
    ),
    Option(
        "incremental.param", TEXT, "The parameter that asks for rows from a position on.", example="since",
        group="Streams", applies=STREAM, known_as=("sinceParam",),
    ),
    Option(
        "incremental.untilParam", TEXT, "The parameter that ends a window of time, where the API has one.",
        example="until", group="Streams", applies=STREAM, known_as=("untilParam",),
    ),
    Option(
        "incremental.start", TEXT, "Where a new stream begins. Default: at the first row there is.",
        example="2026-01-01T00:00:00Z", group="Streams", applies=STREAM,
        known_as=("startingPosition", "startingOffsets", "startingTimestamp", "initialPosition"),
    ),
    Option(
        "incremental.lookback", DURATION, "Each batch reads so far back again, for rows that come late.",
        example="10m", group="Streams", applies=STREAM, known_as=("lookback", "lag"),
    ),
    Option(
        "incremental.settle", DURATION,
        "Rows of a time are read when it is so long past: what the API may still be writing waits.", "10s",
        group="Streams", applies=STREAM, known_as=("settle", "delay"),
    ),
    Option(
        "incremental.spool", TEXT, "A folder that keeps what each batch read, so that a replay sees the same rows.",
        example="/checkpoints/users-spool", group="Streams", applies=STREAM, known_as=("spool",),
    ),
    Option(
        "maxRecordsPerTrigger", INTEGER, "The most rows of a micro-batch, as far as equal positions allow.",
        minimum=1, example="10000", group="Streams", applies=STREAM,
        known_as=("maxRowsPerTrigger", "maxOffsetsPerTrigger"),
    ),
    Option(
        "maxPagesPerTrigger", INTEGER, "The most pages that are walked to find where a micro-batch ends.",
        minimum=1, example="100", group="Streams", applies=STREAM, known_as=("maxFilesPerTrigger",),
    ),
    Option(
        "pollInterval", DURATION, "The API is asked for news no more often than this.", "10s", group="Streams",
        applies=STREAM, known_as=("pollingInterval", "interval", "poll"),
    ),
)  # fmt: skip
