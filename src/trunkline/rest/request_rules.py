"""What the options of `request()` demand of each other: each rule yields sentences."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.http.option_rules import RULES as HTTP_RULES
from trunkline.options import Options, Rule
from trunkline.rest.read_rules import page_rule, zone_rule
from trunkline.rest.request_options import body_type, by_pages, may_ask_again
from trunkline.rest.write_rules import (
    batch_rule,
    body_rule,
    body_values_rule,
    delivery_rule,
    idempotency_rule,
    identity_rule,
    method_rule,
    responses_rule,
    shared_request_rule,
    template_rule,
)


def repeat_rule(options: Options) -> Iterator[str]:
    """Spark may evaluate a DataFrame more than once; what changes something must not happen more than once."""
    if may_ask_again(options) or options.given("responses") or options.given("idempotency.header"):
        return
    way = "methodColumn" if options.given("methodColumn") else f"method={options['method']}"
    yield (
        f"{way} may change something, and Spark may evaluate request() more than once: add responses=<folder> (what "
        "is answered there is not asked again), or idempotency.header=<header> (where the server keeps to it), or "
        "repeatable=true (where asking twice does no harm)"
    )


def entries_rule(options: Options) -> Iterator[str]:
    """The answer to several rows says where the entry of each is."""
    given = [name for name in ("results.path", "results.id", "results.ok", "results.error") if options.given(name)]
    if options["batch.rows"] == 1:
        if given:
            named = ", ".join(given)
            yield f"{named}: the answer to a single row needs no results.*: give batch.rows or leave them out"
    elif "results.path" not in given:
        yield (
            "results.path is missing: with batch.rows above 1 it says where the answer lists an entry for each row, "
            "$ where the answer itself is the list"
        )


def pages_rule(options: Options) -> Iterator[str]:
    """Pages are those of one row, and asking for them changes nothing."""
    if not by_pages(options):
        if options.given("maxPages"):
            yield "maxPages does nothing without pagination"
        return
    if options["batch.rows"] > 1:
        yield "pagination is for the answer to one row, but batch.rows is above 1: leave out one of them"
    if not may_ask_again(options) or options["method"] not in {"GET", "POST"}:
        yield "pagination asks for a row again and again: it needs method=GET, or method=POST with repeatable=true"
    if options["page.in"] == "body" and (options["method"] != "POST" or body_type(options) != "json"):
        yield "page.in=body needs method=POST and body.type=json"


def log_rule(options: Options) -> Iterator[str]:
    """What the log holds matters only where there is one."""
    for name in ("log.row", "log.flush", "runId"):
        if options.given(name) and not (options.given("responses") or (name == "runId" and _keyed(options))):
            yield f"{name} does nothing without responses"


def _keyed(options: Options) -> bool:
    return options["idempotency.header"] is not None


def _with_body_type(rule: Rule) -> Rule:
    """A rule of writes, which know what the body is made of: here it may follow from the method."""
    return lambda options: rule(options.replaced({"body.type": body_type(options)}))


REQUEST_RULES: tuple[Rule, ...] = (
    *HTTP_RULES,
    template_rule,
    shared_request_rule,
    method_rule,
    _with_body_type(body_rule),
    _with_body_type(body_values_rule),
    _with_body_type(batch_rule),
    entries_rule,
    page_rule,
    pages_rule,
    repeat_rule,
    log_rule,
    zone_rule,
    responses_rule,
    identity_rule,
    idempotency_rule,
    delivery_rule,
)
