"""The options of `request()` that neither a read nor a write has, or that mean something else there."""

from __future__ import annotations

from trunkline.kinds import BOOLEAN, CHOICE, INTEGER, TEXT
from trunkline.options import Option, Options
from trunkline.rest.read_options import PAGINATIONS

ASKS = ("request",)

# Of its own name, for whoever has only the options as they were given.
RESPONSE_COLUMN = Option(
    "responseColumn", TEXT, "The column that is added.", "response", group="Asking", applies=ASKS,
    known_as=("outputColumn", "resultColumn", "column"),
)  # fmt: skip

ASK = (
    Option(
        "method", CHOICE, "The method of every request.", "GET", choices=("GET", "POST", "PUT", "PATCH", "DELETE"),
        group="Request", applies=ASKS, known_as=("httpMethod", "verb"),
    ),
    Option(
        "body.type", CHOICE, "What the body is made of. Default: `none` with GET and DELETE, else `json`.",
        choices=("json", "form", "text", "none"), group="Body", applies=ASKS,
        known_as=("body", "bodyFormat", "payloadFormat", "payload"),
    ),
    Option(
        "repeatable", BOOLEAN, "Whether asking twice does no harm though the method is not GET: a search by POST.",
        "false", group="Asking", applies=ASKS, known_as=("idempotentRequests", "safe", "readOnly"),
    ),
    Option(
        "maxRequests", INTEGER,
        "For a try: the most requests of each task (not of the query), tries of one counted once; its other rows are "
        "`unsent`.",
        minimum=1, example="100", group="Asking", applies=ASKS, known_as=("limit", "requestLimit", "maxCalls"),
    ),
    RESPONSE_COLUMN,
    Option(
        "keepOrder", BOOLEAN, "Whether the rows of a partition leave in the order in which they came.", "false",
        group="Asking", applies=ASKS, known_as=("preserveOrder", "ordered"),
    ),
    Option(
        "mode", CHOICE,
        "A body that does not fit the schema: its row says so and holds what fits, or the query fails.", "PERMISSIVE",
        choices=("PERMISSIVE", "FAILFAST"), group="Asking", applies=ASKS, known_as=("parseMode",),
    ),
    Option(
        "pagination", CHOICE,
        "How the API hands out the pages of each row's answer. `none`: its only answer, as it is, or its `records`.",
        "none", choices=PAGINATIONS, group="Pages", applies=ASKS,
        known_as=("paginator", "paging", "pagination.type"),
    ),
    Option(
        "onError", CHOICE, "A row that is refused or cannot be sent: it says so, or the query fails.", "row",
        choices=("row", "fail"), group="Failures", applies=ASKS,
        known_as=("errorMode", "failOnError", "errorHandling", "onFailure", "ignoreErrors"),
    ),
)  # fmt: skip


def body_type(options: Options) -> str:
    """`json`, `form`, `text` or `none`: what was given, else what the method usually has."""
    if options["body.type"]:
        return str(options["body.type"])
    return "none" if options["method"] in {"GET", "DELETE"} and not options["methodColumn"] else "json"


def may_ask_again(options: Options) -> bool:
    """Whether every request may be sent twice without harm: by its method, or because the user says so."""
    return bool(options["repeatable"]) or (options["method"] == "GET" and not options["methodColumn"])


def by_pages(options: Options) -> bool:
    """Whether a row's answer is the records of its pages instead of a body."""
    return options["pagination"] != "none" or options["records"] is not None
