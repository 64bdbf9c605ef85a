"""What the options of a read demand of each other: each rule yields sentences."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from trunkline.http.kinds import COLUMN
from trunkline.http.option_rules import RULES as HTTP_RULES
from trunkline.options import Options
from trunkline.rest.bounds import parse_bound

# What fills its place in `url`, `params` and `headers` when a read is split by a list of values.
PLACE = "partition"
# What each style of paging needs, and what else it takes.
_PAGE_NEEDS = {
    "cursor": ("page.nextField",),
    "nextUrl": ("page.nextField",),
    "headerCursor": ("page.nextField",),
    "lastRecord": ("page.cursorField",),
}
_SIZED = ("page.size", "page.sizeParam", "page.in", "page.totalField", "page.hasMoreField")
_NAMED = (*_SIZED, "page.param", "page.start", "page.stop")
_PAGE_TAKES: dict[str, tuple[str, ...]] = {
    "none": ("page.totalField",),
    "page": _NAMED,
    "offset": _NAMED,
    "cursor": (*_NAMED, "page.nextField"),
    "headerCursor": (*_NAMED, "page.nextField"),
    "lastRecord": (*_NAMED, "page.cursorField"),
    "nextUrl": (*_SIZED, "page.nextField", "page.stop"),
    "link": (*_SIZED, "page.nextField", "page.stop"),
    "auto": _SIZED,
}
_PAGE_OPTIONS = tuple(dict.fromkeys(name for names in _PAGE_TAKES.values() for name in names))
_WINDOWED = ("partitionColumn", "lowerBound", "upperBound", "partition.lowerParam", "partition.upperParam")
_OF_A_FIELD = ("incremental.param", "incremental.untilParam", "incremental.start", "incremental.lookback",
               "incremental.settle")  # fmt: skip


def partition_kind(options: Options) -> str | None:
    """`page`, `time`, `id`, `list`, or None where one task reads all; said by `partition.by` or by what it needs."""
    if options["partition.by"]:
        return str(options["partition.by"])
    if options["partition.values"]:
        return "list"
    if options["lowerBound"]:
        return "id" if options["lowerBound"].lstrip("+-").isdecimal() else "time"
    return "page" if options["numPartitions"] and options["pagination"] in {"page", "offset"} else None


def request_rule(options: Options) -> Iterator[str]:
    """A body goes with POST."""
    if options.given("requestBody") and options["method"] != "POST":
        yield "requestBody needs method=POST"
    if options.given("contentType") and options["method"] != "POST":
        yield "contentType does nothing without method=POST: there is no body"
    if options["page.in"] == "body" and options["method"] != "POST":
        yield "page.in=body needs method=POST"


def places_rule(options: Options) -> Iterator[str]:
    """`{partition}` is the only place a read can fill."""
    texts = [("url", options["url"])]
    texts += [(f"params {name}", value) for name, value in options["params"] or ()]
    texts += [(f"headers {name}", value) for name, value in (options["headers"] or {}).items()]
    for where, text in texts:
        for name in COLUMN.findall(text):
            if name != PLACE:
                yield f"{where} has a place for {name}, but reading has no rows to fill it from: only {{partition}}"
            elif not options.given("partition.values"):
                yield f"{where} has a place for {{partition}}, which partition.values fills: give it"


def format_rule(options: Options) -> Iterator[str]:
    """What belongs to one format only."""
    kind = options["format"]
    if kind != "json":
        for name in ("records", "page.nextField", "page.totalField", "page.hasMoreField"):
            in_header = name != "records" and (options[name] or "").lower().startswith("header:")
            in_header = in_header or (name == "page.nextField" and options["pagination"] in {"headerCursor", "link"})
            if options.given(name) and not in_header:
                yield f"{name} is for JSON answers, not for format={kind}"
    if kind != "csv":
        for name in ("csv.header", "csv.separator"):
            if options.given(name):
                yield f"{name} does nothing with format={kind}"
    if kind in {"text", "binary"}:
        for name in ("mode", "columnNameOfCorruptRecord", "missingFields", "timestamps", "timeZone", "samplePages"):
            if options.given(name):
                yield f"{name} does nothing with format={kind}, which has one column, value"
    if kind in {"csv", "text", "binary"} and options["pagination"] == "lastRecord":
        yield f"pagination=lastRecord needs records with fields, not format={kind}"
    yield from zone_rule(options)


def zone_rule(options: Options) -> Iterator[str]:
    """The zone is one."""
    try:
        ZoneInfo(options["timeZone"])
    except (KeyError, ValueError, OSError):
        yield f"timeZone={options['timeZone']} is no zone: write UTC or Europe/Berlin"


def page_rule(options: Options) -> Iterator[str]:
    """Every style of paging has what it needs and nothing else."""
    style = options["pagination"]
    for name in _PAGE_NEEDS.get(style, ()):
        if not options.given(name):
            yield f"{name} is missing: pagination={style} needs it"
    for name in _PAGE_OPTIONS:
        if options.given(name) and name not in _PAGE_TAKES[style]:
            hint = ": set pagination" if style in {"none", "auto"} else ""
            yield f"{name} does nothing with pagination={style}{hint}"
    if options.given("page.size") and not options.given("page.sizeParam"):
        yield "page.sizeParam is missing: which parameter carries page.size?"
    if options.given("page.sizeParam") and not options.given("page.size"):
        yield "page.size is missing: page.sizeParam carries it"
    start = options["page.start"]
    if style in {"page", "offset"} and start is not None and not start.isdecimal():
        yield f"page.start={start} is no number, which pagination={style} counts from"
    if options["page.stop"] == "short" and not options.given("page.size"):
        yield "page.stop=short needs page.size, or no page could be told to be short"
    if options["page.stop"] == "total" and not options.given("page.totalField"):
        yield "page.stop=total needs page.totalField"


def partition_rule(options: Options) -> Iterator[str]:
    """A split has what it needs and nothing of another."""
    kind = partition_kind(options)
    if kind is None:
        if options.given("numPartitions") and options["numPartitions"] > 1:
            ways = "page (with pagination page or offset), time, id or list"
            yield f"numPartitions needs something to split by: partition.by {ways}"
        for name in (*_WINDOWED, "partition.param", "partition.lower", "partition.upper", "partition.minWindow"):
            if options.given(name) and name != "lowerBound":
                yield f"{name} does nothing without partition.by"
        return
    spoken = f"partition.by={kind}"
    if kind in {"time", "id"}:
        yield from _window_problems(options, kind)
    else:
        for name in (*_WINDOWED, "partition.lower", "partition.upper", "partition.minWindow"):
            if options.given(name):
                yield f"{name} does nothing with {spoken}"
    if kind == "page" and options["pagination"] not in {"page", "offset"}:
        yield f"{spoken} needs pagination=page or offset: other pages are only known one after the other"
    if kind == "page" and not options.given("page.totalField"):
        yield f"{spoken} needs page.totalField: how many there are says where to split"
    if kind != "list":
        for name in ("partition.values", "partition.param"):
            if options.given(name):
                yield f"{name} does nothing with {spoken}"
        return
    if not options.given("partition.values"):
        yield f"partition.values is missing: {spoken} needs it"
    place = f"{{{PLACE}}}"
    texts = [options["url"], *(value for _, value in options["params"] or ()), *(options["headers"] or {}).values()]
    if options.given("partition.param") == any(place in text for text in texts):
        yield f"{spoken} needs either partition.param or {place} in url, params or headers: where the value goes"


def stream_rule(options: Options) -> Iterator[str]:
    """A stream's position is one of a field or one of pages."""
    if options.given("incremental.field"):
        if options.given("incremental.lookback") and not options.given("incremental.param"):
            yield "incremental.lookback does nothing without incremental.param: every batch reads all rows again anyway"
        return
    for name in _OF_A_FIELD:
        if options.given(name):
            yield f"{name} does nothing without incremental.field"


def _window_problems(options: Options, kind: str) -> Iterator[str]:
    for name in ("lowerBound", "upperBound"):
        if not options.given(name):
            yield f"{name} is missing: partition.by={kind} needs both bounds"
            return
    if not (options.given("partition.lowerParam") or options.given("partition.upperParam")):
        yield f"partition.lowerParam is missing: which parameters carry the windows of partition.by={kind}?"
    if not (options.given("partition.lowerParam") and options.given("partition.upperParam")) and not options.given(
        "partitionColumn"
    ):
        yield "partitionColumn is missing: with one parameter only, it tells which rows belong to a window"
    if options.given("partition.upper") and not options.given("partition.upperParam"):
        yield "partition.upper does nothing without partition.upperParam"
    for name, way in (("partition.upper", "inclusive"), ("partition.lower", "exclusive")):
        if kind == "time" and options[name] == way and not options.given("partitionColumn"):
            yield f"partitionColumn is missing: with {name}={way}, two windows are given the rows between them"
    if options.given("partition.lower") and not options.given("partition.lowerParam"):
        yield "partition.lower does nothing without partition.lowerParam"
    if kind == "id" and options.given("partition.minWindow"):
        yield "partition.minWindow is for partition.by=time"
    bounds = []
    for name in ("lowerBound", "upperBound"):
        try:
            bounds.append(parse_bound(options[name], kind))
        except ValueError as error:
            yield f"{name}: {error}"
    if len(bounds) == 2:
        if bounds[0].spelling != bounds[1].spelling:
            yield "lowerBound and upperBound are written in different ways: write both in the same"
        elif not bounds[0].value < bounds[1].value:
            yield "lowerBound must be below upperBound"


READ_RULES = (*HTTP_RULES, request_rule, places_rule, format_rule, page_rule, partition_rule)
STREAM_RULES = (*HTTP_RULES, request_rule, places_rule, format_rule, page_rule, stream_rule)
