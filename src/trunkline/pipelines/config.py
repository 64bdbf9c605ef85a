"""What a pipeline file may say: one pydantic model for HOCON, YAML and JSON.

    pipeline = read_pipeline("users.conf", overrides=["vars.root=/tmp/data"])      # of trunkline.pipelines
    pipeline.steps[0].read.options      # {"url": "https://api.example.com/users", "pagination": "offset"}
    pipeline.model_dump()               # the same as plain data

Durations are seconds here. Options and Spark's configuration are text, as it was written. Nothing has been looked up:
references (`env:NAME`, `vault:...`), `secret:name` and `enc:...` stand as they do in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from trunkline.errors import MissingExtraError

try:
    from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
except ImportError:
    raise MissingExtraError('pipelines need pydantic: pip install "trunkline[pipelines]"') from None

from trunkline.pipelines.fields import (
    Conf,
    Function,
    Names,
    Options,
    Plain,
    Seconds,
    Text,
    one_or_many,
    written,
)

Event = Literal["before_pipeline", "after_pipeline", "before_step", "after_step", "on_failure", "on_retry"]
Outcome = Literal["success", "failed", "degraded", "pending_approval"]
SaveMode = Literal["append", "overwrite", "error", "errorifexists", "ignore", "merge"]
RuleName = Literal[
    "not_null", "unique", "one_of", "between", "matches", "length", "row_count", "freshness", "condition", "references"
]
KINDS = ("read", "sql", "call", "request", "expect", "write")

_NAME = r"^[A-Za-z_][A-Za-z0-9_-]*$"


class Section(BaseModel):
    """A group of keys: unknown ones are refused, and null is as if the key were not there."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, defer_build=True)
    # Names that users of other tools try first.
    known_as: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        # A name that nobody knows is refused with null too: in YAML, {sql: SELECT a, b} has a key b.
        known = {held.alias or name for name, held in cls.model_fields.items()}
        return {key: value for key, value in given.items() if value is not None or key not in known}


class Spark(Section):
    """The session. A master is set only if it stands here: what code sets outranks spark-submit."""

    known_as = {"appName": "app_name", "name": "app_name", "config": "conf", "configuration": "conf", "url": "remote"}

    app_name: Text | None = None
    """Its name in Spark's UI."""
    master: Text | None = None
    """`local[2]`, `spark://host:7077`. Default: that of spark-submit or of Spark's own configuration."""
    remote: Text | None = None
    """A Spark Connect server, instead of a master: `sc://host:15002`."""
    conf: Conf = {}
    """Spark's own settings. Each arrives under the name and with the text that stand here."""


class Retry(Section):
    """A failed step is run again."""

    known_as = {"attempts": "max_attempts", "retries": "max_attempts", "delay": "initial_delay", "strategy": "backoff"}

    max_attempts: int = Field(3, ge=1)
    """The most runs of it, the first included."""
    backoff: Literal["exponential", "linear", "constant"] = "exponential"
    """How the delay grows. Each is shortened by up to a half, at random."""
    initial_delay: Seconds = 5.0
    """Before the second run."""
    max_delay: Seconds = 60.0
    """The longest delay."""
    on: Names = ()
    """The errors that are worth another run, by the name of their class. Default: all that another run can cure."""


class Breaker(Section):
    """After several failures in a row, in this run and in earlier ones, a step is left alone for a while."""

    known_as = {"threshold": "failure_threshold", "reset_timeout": "timeout", "recovery_timeout": "timeout"}

    failure_threshold: int = Field(5, ge=1)
    """Failures in a row that open it."""
    timeout: Seconds = 30.0
    """How long it stays open: a run of the step fails at once then. After that one is tried."""


class Source(Section):
    """What `read` and `write` have in common."""

    known_as = {"type": "format", "location": "path", "url": "options.url", "option": "options", "config": "options"}

    format: Text | None = None
    """Any format of Spark's: `rest`, `jobs`, `parquet`, `delta`, `jdbc`, `kafka`."""
    table: Text | None = None
    """A table of the catalog, instead of a path."""
    path: Text | None = Field(None, repr=False)
    """Where it is."""
    options: Options = {}
    """The format's options. Those of `rest` and `jobs` are checked before Spark starts."""


class Read(Source):
    """Rows from anywhere."""

    stream: bool = False
    """Read it as a stream."""
    schema_: Text | None = Field(None, alias="schema")
    """Columns, as in SQL: `id BIGINT, name STRING`."""


class Write(Source):
    """Rows to anywhere."""

    known_as = Source.known_as | {"save_mode": "mode", "checkpointLocation": "checkpoint", "outputMode": "output_mode",
                                  "partitionBy": "partition_by", "checkpoint_location": "checkpoint"}  # fmt: skip

    stream: bool | None = None
    """Whether the input is expected to be a stream. Default: as it comes."""
    mode: SaveMode | None = None
    """What becomes of rows that are there. Default: `append` for `rest` and `jobs`, else Spark's own, `error`."""
    partition_by: Names = ()
    """Columns that make folders."""
    merge_keys: Names = ()
    """With `mode = merge`: the columns by which a row is the same row."""
    trigger: Text | None = None
    """Of a stream: `available_now`, or how often: `10s`."""
    checkpoint: Text | None = None
    """Of a stream: the folder that knows how far it is."""
    output_mode: Literal["append", "update", "complete"] | None = None
    """Of a stream."""


class Request(Section):
    """Each row becomes a request, each answer a row."""

    options: Options = {}
    """Those of `trunkline.rest.request`."""
    schema_: Text | None = Field(None, alias="schema")
    """Columns of the answer, as in SQL."""


class Rule(Section):
    """One thing that is expected of the rows."""

    known_as = {"columns": "column", "type": "rule", "check": "rule", "expression": "condition", "sql": "condition",
                "level": "severity", "action": "severity", "regex": "pattern", "in": "values", "minimum": "min",
                "maximum": "max"}  # fmt: skip

    rule: RuleName
    """What is expected."""
    column: Names = ()
    """Of which column; of several together for `unique`."""
    min: Any = None
    """`between`, `length`, `row_count`: the least that is right."""
    max: Any = None
    """`between`, `length`, `row_count`: the most."""
    values: tuple[Any, ...] = ()
    """`one_of`: all that is right."""
    max_age: Seconds | None = None
    """`freshness`: how old the newest value may be."""
    pattern: Text | None = None
    """`matches`: a regular expression of Java's, for the whole value."""
    condition: Text | None = None
    """`condition`: SQL that is true of a right row."""
    step: Text | None = None
    """`references`: the step whose rows hold the values."""
    step_column: Text | None = None
    """`references`: their column there. Default: the same name."""
    severity: Text = "fail"
    """`fail`, `warn`, `drop` the rows, or `quarantine:PATH` for them."""


class Step(Section):
    """One step. It is one of `read`, `sql`, `call`, `request`, `expect`, `write`."""

    known_as = {
        "type": "call", "class": "call", "function": "call", "component": "call", "source": "read", "sink": "write",
        "load": "read", "query": "sql", "transform": "sql", "validate": "expect", "checks": "expect",
        "quality": "expect", "inputs": "input", "from": "input", "depends_on": "after", "dependsOn": "after",
        "needs": "after", "circuit_breaker": "breaker", "on_error": "on_failure", "rest": "request",
    }  # fmt: skip

    name: str = Field(pattern=_NAME, max_length=100)
    """Unique. The result is a temporary view of this name."""
    input: Names | None = None
    """The steps whose rows it takes. Default: the step before; for `sql`, also those it selects from; `[]` for none."""
    after: Names = ()
    """Steps that must have succeeded before, whose rows it does not take."""
    read: Read | None = None
    """Rows from anywhere."""
    sql: Text | None = Field(None, repr=False)
    """A SELECT over the views of other steps."""
    call: Function | None = None
    """A function or class of yours: `package.module:name`."""
    config: Plain = {}
    """With `call`: its configuration."""
    request: Request | None = None
    """Each row becomes a request, each answer a row."""
    expect: tuple[Rule, ...] | None = Field(None, min_length=1)
    """What is expected of the rows."""
    write: Write | None = None
    """Rows to anywhere. The rows are also its result."""
    retry: Retry | None = None
    """Run it again when it fails."""
    breaker: Breaker | None = None
    """Leave it alone for a while after several failures."""
    timeout: Seconds | None = None
    """The longest that one run of it may take."""
    on_failure: Text = "fail"
    """`fail` the pipeline, `skip` the step and what needs it, or take the rows of another: `fallback:STEP`."""

    @property
    def kind(self) -> str:
        """Which of the six it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)


class Hook(Section):
    """A function or class of yours that is told of events."""

    known_as = {"event": "on", "events": "on", "class": "call", "type": "call"}

    call: Function
    """`package.module:name`."""
    on: Annotated[tuple[Event, ...], BeforeValidator(one_or_many)] = ()
    """Of which events. Default: those it has a method for."""
    config: Plain = {}
    """Its configuration."""


class Notify(Section):
    """Who is told of the end: one of `webhook`, `sns`, `log`, `call`."""

    known_as = {"url": "webhook", "slack": "webhook", "topic": "sns", "logger": "log", "events": "on"}

    on: Annotated[tuple[Outcome, ...], BeforeValidator(one_or_many)] = ("failed", "degraded", "pending_approval")
    """Of which ends."""
    webhook: Text | None = Field(None, repr=False)
    """A URL that is sent JSON, or a reference to it: `env:HOOK_URL`."""
    sns: Text | None = None
    """The ARN of an SNS topic."""
    log: Text | None = None
    """A logger of Python's."""
    call: Function | None = None
    """`package.module:name`, with a method `notify(subject, message)`."""
    options: Options = {}
    """With `webhook`: options of the format `rest`, such as `auth.token`."""
    config: Plain = {}
    """With `call`: its configuration."""


class Prometheus(Section):
    """Metrics for Prometheus."""

    port: int | None = Field(None, ge=1, le=65535)
    """Serve them here while the pipeline runs."""
    pushgateway: Text | None = Field(None, repr=False)
    """Push them here at the end."""


class OpenTelemetry(Section):
    """Metrics for OpenTelemetry."""

    endpoint: Text | None = Field(None, repr=False)
    """An OTLP collector. Default: the meter provider of the process."""


class Metrics(Section):
    """Where numbers about the run go."""

    prometheus: Prometheus | None = None
    """Prometheus."""
    opentelemetry: OpenTelemetry | None = None
    """OpenTelemetry."""
    labels: Annotated[dict[str, str], BeforeValidator(written)] = {}
    """Added to every number."""


class Audit(Section):
    """A trail of what was done, without secrets."""

    path: Text | None = None
    """A folder or URI, which gets a file for each run. Default: beside the report of the run."""


class Pipeline(Section):
    """A pipeline file."""

    known_as = {"variables": "vars", "spark_conf": "spark.conf", "tasks": "steps", "stages": "steps",
                "notifications": "notify", "environment": "vars", "tags": "metrics.labels"}  # fmt: skip

    name: Text
    """Names its runs."""
    description: Text | None = None
    """For people."""
    vars: Plain = {}
    """Values for `${vars.name}`."""
    spark: Spark = Spark()
    """The session."""
    secrets: dict[str, Text] = {}
    """References by name, used as `${secrets.name}`; `encryption_key` is the key of values that begin with `enc:`."""
    hooks: tuple[Hook, ...] = ()
    """Functions and classes of yours that are told of events."""
    notify: tuple[Notify, ...] = ()
    """Who is told of the end."""
    metrics: Metrics | None = None
    """Where numbers about the run go."""
    audit: Audit | None = None
    """A trail of what was done."""
    steps: tuple[Step, ...] = Field(min_length=1)
    """What is done."""
