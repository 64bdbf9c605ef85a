"""The options of the format `jobs`, and what they demand of each other."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from trunkline.http.kinds import URL
from trunkline.jobs.platforms import PLATFORMS
from trunkline.jobs.run import STATES, RunFilter
from trunkline.kinds import BOOLEAN, CREDENTIAL, DURATION, INTEGER, NAMES, TEXT, Kind, duration, names, quoted, text_of
from trunkline.options import USES, Option, Options, parse

READS, WRITES, STREAMS = ("read", "stream"), ("write",), ("stream",)


def platform_names(given: object) -> tuple[str, ...]:
    """`glue,databricks`.

    Raises:
        ValueError: One is no platform.
    """
    found = tuple(name.lower() for name in names(given))
    for name in found:
        if name not in PLATFORMS:
            message = f"{quoted(name)} is none of {', '.join(PLATFORMS)}"
            raise ValueError(message)
    return found


def state_names(given: object) -> frozenset[str]:
    """`FAILED,TIMED_OUT`, in any case.

    Raises:
        ValueError: One is no state.
    """
    found = frozenset(name.upper() for name in names(given))
    for name in sorted(found - set(STATES)):
        message = f"{quoted(name)} is none of {', '.join(STATES)}"
        raise ValueError(message)
    return found


def moment(given: object) -> datetime:
    """`2026-05-01`, `2026-05-01T12:00:00Z`, or how long ago: `1h`. Without a zone it is UTC.

    Raises:
        ValueError: It is neither.
    """
    if isinstance(given, datetime):
        return given if given.tzinfo else given.replace(tzinfo=timezone.utc)
    text = text_of(given).strip()
    try:
        return datetime.now(timezone.utc) - timedelta(seconds=duration(text))
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text[:-1] + "+00:00" if text[-1:] in {"Z", "z"} else text)
    except ValueError:
        message = f"{quoted(text)} is no time: write 2026-05-01, 2026-05-01T12:00:00Z, or how long ago: 1h, 2d"
        raise ValueError(message) from None
    return at if at.tzinfo else at.replace(tzinfo=timezone.utc)


_LIST = {"type": ["string", "array"], "items": {"type": "string"}}
PLATFORM_NAMES = Kind("names", platform_names, _LIST)
STATE_NAMES = Kind("names", state_names, _LIST)
MOMENT = Kind("time, or how long ago", moment, {"type": "string"})

TABLE = (
    Option(
        "platform", PLATFORM_NAMES,
        f"Where runs are started, unless the column `platform` says so, and which are read: {', '.join(PLATFORMS)}. "
        "Several, with commas, for reading only.",
        example="glue", group="Runs", known_as=("platforms", "target.platform", "provider"),
    ),
    Option(
        "wait", BOOLEAN, "Wait for all runs to end; one that did not succeed fails the write and is named.", "false",
        group="Runs", applies=WRITES, known_as=("waitForCompletion", "waitForTermination", "synchronous"),
    ),
    Option(
        "waitTimeout", DURATION,
        "How long to wait for one run, from when it was started or found, or for room on a platform: with `wait`, and "
        "with `maxConcurrentRuns`.",
        "1h", minimum=1, group="Runs", applies=WRITES, known_as=("timeout",),
    ),
    Option(
        "cancelOnFailure", BOOLEAN,
        "With `wait`: cancel the runs of this write that are still going when one fails or the wait ends.", "false",
        group="Runs", applies=WRITES, known_as=("cancelOnAbort", "cancel"),
    ),
    Option(
        "maxConcurrentRuns", INTEGER,
        "The most runs of this write that go on at the same time; the write then waits for the last to start.",
        minimum=1, example="4", group="Runs", applies=WRITES, known_as=("concurrency", "maxConcurrency", "parallelism"),
    ),
    Option(
        "pollInterval", DURATION, "How often the state of runs is asked for at the most. Waiting begins at a tenth of "
        "it.", "10s", minimum=0.05, group="Runs", known_as=("pollingInterval", "interval"),
    ),
    Option(
        "writeId", TEXT,
        "Names a batch write, so that the same write made again starts only what is missing: rows without a `run_key` "
        "get keys made of it. With `wait` a run that failed is then started anew. Default: made anew for each write.",
        example="nightly-2026-05-01", group="Runs", applies=WRITES, known_as=("runId", "idempotencyToken", "txnAppId"),
    ),
    Option(
        "artifact", TEXT, "Wheel, zip or Python file that holds the job, by a URI the platform can read.",
        example="s3://bucket/my_project-1.0-py3-none-any.whl", group="Runs", applies=WRITES,
        known_as=("wheel", "whl", "package", "pyFiles"),
    ),
    Option(
        "states", STATE_NAMES, f"Only runs in these states: {', '.join(STATES)}.", example="FAILED,TIMED_OUT",
        group="Which runs", applies=("read",), known_as=("state", "status"),
    ),
    Option(
        "since", MOMENT, "Only runs that started at or after this time; UTC, if it says no zone.", example="1d",
        group="Which runs", applies=READS, known_as=("startedAfter", "from", "start"),
    ),
    Option(
        "until", MOMENT, "Only runs that started before this time; UTC, if it says no zone.", example="1h",
        group="Which runs", applies=("read",), known_as=("startedBefore", "to", "end"),
    ),
    Option(
        "jobs", NAMES, "Only runs of these modules, or of these jobs of the platform's own.",
        example="my_project.etl", group="Which runs", applies=READS, known_as=("job", "jobNames"),
    ),
    Option(
        "maxRecordsPerTrigger", INTEGER, "The most state changes in one micro-batch.", "1000", minimum=1,
        group="Which runs", applies=STREAMS,
    ),
    Option(
        "local.folder", TEXT, "Where runs on this machine, and those of spark-submit, keep what is known of them.",
        "~/.trunkline/runs", group="local", known_as=("folder", "runs"),
    ),
    Option(
        "local.workers", INTEGER, "The most runs that go on at the same time on this machine.", "4", minimum=1,
        group="local", applies=WRITES,
    ),
    Option(
        "spark.master", TEXT, "The master that spark-submit is told; default: that of its own configuration.",
        example="spark://host:7077", group="spark", applies=USES,
    ),
    Option(
        "spark.restUrl", URL, "The submission API of a standalone master, instead of spark-submit.",
        example="http://host:6066", group="spark",
    ),
    Option(
        "spark.entryPoint", TEXT,
        "With `spark.restUrl`: the script that calls Trunkline, by a path or URI that every worker reads. Default: one "
        "in `local.folder`, which every worker then must read.",
        example="/opt/jobs/entry.py", group="spark", applies=WRITES,
    ),
    Option(
        "spark.token", CREDENTIAL, "The token of that API, where the master asks for one.", example="env:SPARK_TOKEN",
        group="spark",
    ),
    Option(
        "databricks.host", TEXT, "The workspace; default: that of the environment, the profile or the cluster.",
        example="https://adb-1.2.azuredatabricks.net", group="databricks", known_as=("host", "workspace"),
    ),
    Option(
        "databricks.token", CREDENTIAL, "A token; default: Databricks' own credential chain.",
        example="env:DATABRICKS_TOKEN", group="databricks",
    ),
    Option(
        "databricks.cluster", TEXT, "The cluster on which one-time runs go, by id.", example="0521-093412-abcdef12",
        group="databricks", applies=WRITES,
    ),
    Option(
        "databricks.serverless", BOOLEAN, "Let one-time runs go on serverless compute.", "false", group="databricks",
        applies=WRITES,
    ),
    Option(
        "glue.job", TEXT, "The Glue job that is started, unless the column `target` names it.", example="nightly",
        group="glue",
    ),
    Option("glue.region", TEXT, "Default: AWS's own chain.", example="eu-central-1", group="glue"),
    Option("emr.cluster", TEXT, "The cluster that takes the steps.", example="j-3KPTO2YZNQAXG", group="emr"),
    Option("emr.region", TEXT, "Default: AWS's own chain.", example="eu-central-1", group="emr"),
    Option(
        "emrServerless.application", TEXT, "The application that takes the runs.", example="00f1r5s4t8h7ud0d",
        group="emr-serverless",
    ),
    Option(
        "emrServerless.role", TEXT, "The role of the runs.", example="arn:aws:iam::123456789012:role/etl",
        group="emr-serverless", applies=WRITES,
    ),
    Option(
        "emrServerless.entryPoint", TEXT, "The script that calls Trunkline, by its URI: `trunkline new entry emr`.",
        example="s3://bucket/entry.py", group="emr-serverless", applies=WRITES,
    ),
    Option("emrServerless.region", TEXT, "Default: AWS's own chain.", example="eu-central-1", group="emr-serverless"),
    Option(
        "emr.entryPoint", TEXT, "The script that calls Trunkline, by its URI: `trunkline new entry emr`.",
        example="s3://bucket/entry.py", group="emr", applies=WRITES,
    ),
    Option(
        "aws.role", TEXT, "A role that is assumed for the calls.", example="arn:aws:iam::123456789012:role/submit",
        group="AWS",
    ),
    Option(
        "aws.endpoint", URL, "Another endpoint than AWS's own.", example="http://localhost:5000", group="AWS",
        known_as=("endpointUrl", "endpoint"),
    ),
    Option("container.image", TEXT, "The image that holds the job.", example="my/etl:1.0", group="container"),
    Option(
        "container.host", TEXT,
        "Where containers run: Docker's socket or address, or `kubernetes` for the cluster of the kubeconfig. "
        "Default: `DOCKER_HOST`, or Docker's own socket.",
        example="unix:///run/docker.sock", group="container", known_as=("dockerHost",),
    ),
    Option(
        "container.namespace", TEXT, "The namespace of Kubernetes Jobs.", "default", group="container",
    ),
)  # fmt: skip


def _one_platform(options: Options) -> Iterator[str]:
    if options["platform"] and len(options["platform"]) > 1:
        yield 'platform names one for a write: the column "platform" routes row by row'


def _waited_for(options: Options) -> Iterator[str]:
    if options["cancelOnFailure"] and not options["wait"]:
        yield "cancelOnFailure does nothing without wait=true"


def _somewhere(options: Options) -> Iterator[str]:
    if not options["platform"]:
        yield f"platform is missing: which runs? One or several of {', '.join(PLATFORMS)}"


def _in_order(options: Options) -> Iterator[str]:
    if options["since"] and options["until"] and options["since"] >= options["until"]:
        yield "since is not before until: no run is in between"


def write_options(raw: Mapping[str, Any]) -> Options:
    """The options of a write, batch or stream, checked.

    Raises:
        OptionError: With every problem at once.
    """
    return parse(TABLE, raw, format="jobs", use="write", rules=(_one_platform, _waited_for))


def read_options(raw: Mapping[str, Any]) -> Options:
    """The options of `spark.read`, checked.

    Raises:
        OptionError: With every problem at once.
    """
    return parse(TABLE, raw, format="jobs", use="read", rules=(_somewhere, _in_order))


def stream_options(raw: Mapping[str, Any]) -> Options:
    """The options of `spark.readStream`, checked.

    Raises:
        OptionError: With every problem at once.
    """
    return parse(TABLE, raw, format="jobs", use="stream", rules=(_somewhere,))


def filter_of(options: Options) -> RunFilter:
    """Which runs the options ask for."""
    states, jobs = options["states"] or frozenset(), options["jobs"] or ()
    return RunFilter(states, options["since"], options["until"], jobs)


def resolved_for(options: Options, platforms: Collection[str]) -> Options:
    """The options with the credentials of these platforms looked up, and none of the others.

    Raises:
        OptionError: References that point to nothing.
    """
    others = [option.name for option in TABLE if option.kind.secret and option.group not in platforms]
    return options.replaced(dict.fromkeys(others)).resolved()
