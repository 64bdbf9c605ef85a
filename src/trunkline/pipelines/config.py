"""What a pipeline file may say: one pydantic model for HOCON, YAML and JSON.

    pipeline = read_pipeline("users.conf", overrides=["vars.root=/tmp/data"])      # of trunkline.pipelines
    pipeline.steps[0].read.options      # {"url": "https://api.example.com/users", "pagination": "offset"}
    pipeline.model_dump()               # the same as plain data

Durations are seconds here. Options and Spark's configuration are text, as it was written. Nothing has been looked up:
references (`env:NAME`, `vault:...`), `secret:name` and `enc:...` stand as they do in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from trunkline.pipelines.fields import Conf, Function, Names, Options, Plain, Seconds, Section, Text
from trunkline.pipelines.observability import Audit, Hook, Metrics, Notify

SaveMode = Literal["append", "overwrite", "error", "errorifexists", "ignore", "merge"]
RuleName = Literal[
    "not_null", "unique", "one_of", "between", "matches", "length", "row_count", "freshness", "condition", "references"
]
KINDS = ("read", "sql", "call", "request", "expect", "write")

_NAME = r"^[A-Za-z_][A-Za-z0-9_-]*$"


class Spark(Section):
    """The session. A master is set only if it stands here: what code sets outranks spark-submit."""

    known_as: ClassVar[Mapping[str, str]] = {
        "appName": "app_name", "name": "app_name", "config": "conf", "configuration": "conf", "url": "remote",
    }  # fmt: skip

    app_name: Text | None = None
    """Its name in Spark's UI."""
    master: Text | None = None
    """`local[2]`, `spark://host:7077`. Default: that of spark-submit or of Spark's own configuration."""
    remote: Text | None = None
    """A Spark Connect server, instead of a master: `sc://host:15002`."""
    conf: Conf = Field(default={})
    """Spark's own settings. Each arrives under the name and with the text that stand here."""


class Retry(Section):
    """A failed step is run again."""

    known_as: ClassVar[Mapping[str, str]] = {
        "attempts": "max_attempts", "retries": "max_attempts", "delay": "initial_delay", "strategy": "backoff",
    }  # fmt: skip

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

    known_as: ClassVar[Mapping[str, str]] = {
        "threshold": "failure_threshold", "reset_timeout": "timeout", "recovery_timeout": "timeout",
    }  # fmt: skip

    failure_threshold: int = Field(5, ge=1)
    """Failures in a row that open it."""
    timeout: Seconds = 30.0
    """How long it stays open: a run of the step fails at once then. After that one is tried."""


class Source(Section):
    """What `read` and `write` have in common."""

    known_as: ClassVar[Mapping[str, str]] = {
        "type": "format", "location": "path", "url": "options.url", "option": "options", "config": "options",
    }  # fmt: skip

    format: Text | None = None
    """Any format of Spark's: `rest`, `jobs`, `parquet`, `delta`, `jdbc`, `kafka`."""
    table: Text | None = None
    """A table of the catalog, instead of a path."""
    path: Text | None = Field(None, repr=False)
    """Where it is."""
    options: Options = Field(default={})
    """The format's options. Those of `rest` and `jobs` are checked before Spark starts."""


class Read(Source):
    """Rows from anywhere."""

    stream: bool = False
    """Read it as a stream."""
    schema_: Text | None = Field(None, alias="schema")
    """Columns, as in SQL: `id BIGINT, name STRING`."""


class Write(Source):
    """Rows to anywhere."""

    known_as: ClassVar[Mapping[str, str]] = {
        **Source.known_as,
        "save_mode": "mode", "checkpointLocation": "checkpoint", "outputMode": "output_mode",
        "partitionBy": "partition_by", "checkpoint_location": "checkpoint",
    }  # fmt: skip

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

    options: Options = Field(default={})
    """Those of `trunkline.rest.request`."""
    schema_: Text | None = Field(None, alias="schema")
    """Columns of the answer, as in SQL."""


class Rule(Section):
    """One thing that is expected of the rows."""

    known_as: ClassVar[Mapping[str, str]] = {
        "columns": "column", "type": "rule", "check": "rule", "expression": "condition", "sql": "condition",
        "level": "severity", "action": "severity", "regex": "pattern", "in": "values", "minimum": "min",
        "maximum": "max",
    }  # fmt: skip

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

    known_as: ClassVar[Mapping[str, str]] = {
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
    config: Plain = Field(default={})
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


class Pipeline(Section):
    """A pipeline file."""

    known_as: ClassVar[Mapping[str, str]] = {
        "variables": "vars", "spark_conf": "spark.conf", "tasks": "steps", "stages": "steps",
        "notifications": "notify", "environment": "vars", "tags": "metrics.labels",
    }  # fmt: skip

    name: Text
    """Names its runs."""
    description: Text | None = None
    """For people."""
    vars: Plain = Field(default={})
    """Values for `${vars.name}`."""
    spark: Spark = Spark()
    """The session."""
    secrets: dict[str, Text] = Field(default={})
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
