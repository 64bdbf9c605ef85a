"""Where a job runs, told by its command line, its environment and a few files that are there.

    databricks       DATABRICKS_RUNTIME_VERSION is set (Databricks documentation, "Environment variables"; the
                     official SDK goes by it). Script and wheel tasks get their parameters as they are. There is no run
                     id in the environment: `--run_id={{job.run_id}}` brings it (documentation, "What is a dynamic value
                     reference?").
    glue             The script's own name, then `--JOB_NAME x --JOB_ID j_... --JOB_RUN_ID jr_...` among the job's
                     arguments, `--TempDir s3://...`, `--job-bookmark-option ...`, `--enable-metrics` without a value,
                     and maybe words that belong to no name (Glue developer guide, "Using job parameters in AWS Glue
                     jobs"). A Python shell job gets no JOB_RUN_ID, but `--scriptLocation` and `--job-language`.
    emr-serverless   entryPointArguments as they are (EMR Serverless user guide, "Spark job driver parameters"). What is
                     in the environment is not documented; AWS_EMR_SERVERLESS_JOB_RUN_ID and ..._APPLICATION_ID are what
                     others go by.
    emr              The step's words as they are. /mnt/var/lib/info/job-flow.json is on every node (EMR developer
                     guide, "JSON Configuration Files"). A step's own folder is /mnt/var/lib/hadoop/steps/s-...
    spark            spark-submit tells its Python process where the JVM listens: PYSPARK_GATEWAY_PORT (Spark source,
                     PythonRunner.scala).
    container        KUBERNETES_SERVICE_HOST (Kubernetes documentation, "Accessing the API from a Pod"), whose host name
                     is the pod's; /run/.containerenv (podman-run(1)), /.dockerenv (made by Docker's engine).
    local            None of these.

TRUNKLINE_PLATFORM, one of these names, goes before all of it: for whoever starts a job and knows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trunkline.errors import OptionError
from trunkline.jobs.platforms import PLATFORMS

_JOB_FLOW = "/mnt/var/lib/info/job-flow.json"
_NAMESPACE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
_STEP = re.compile(r"s-[0-9A-Z]{10,30}")
# Arguments that Glue sets or reads, but for those with a dash: a Python argument has none, so they are Glue's all.
_GLUE = frozenset(
    {"JOB_NAME", "JOB_ID", "JOB_RUN_ID", "JOB_QUEUE_ARN", "TempDir", "RedshiftTempDir", "SECURITY_CONFIGURATION",
     "WORKFLOW_NAME", "WORKFLOW_RUN_ID", "scriptLocation", "class", "conf", "debug", "mode"}
)  # fmt: skip
_GLUE_SIGNS = frozenset({"JOB_RUN_ID", "JOB_ID", "scriptLocation"})

Read = Callable[[str], "str | None"]


@dataclass(frozen=True)
class Where:
    """A place.

    Attributes:
        platform: One of `trunkline.jobs.platforms.PLATFORMS`.
        run_id: The platform's own id of this run, where it tells.
        region: Of the cloud.
        workspace: The Databricks workspace, EMR cluster, EMR Serverless application or Kubernetes namespace.
    """

    platform: str
    run_id: str | None = None
    region: str | None = None
    workspace: str | None = None

    def owns(self, name: str) -> bool:
        """Whether an argument is the platform's, not the job's."""
        return self.platform == "glue" and (name in _GLUE or "-" in name)


def read_file(path: str) -> str | None:
    """The text of a file, None where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def find_out(argv: Sequence[str], environ: Mapping[str, str], read: Read = read_file) -> Where:
    """Where this is.

    Args:
        argv: Words of the command line, without the program's name.
        environ: The environment.
        read: Gives the text of a file, None where there is none.

    Raises:
        OptionError: TRUNKLINE_PLATFORM names no platform.
    """
    platform = environ.get("TRUNKLINE_PLATFORM") or _platform(argv, environ, read)
    if platform not in PLATFORMS:
        raise OptionError(f"TRUNKLINE_PLATFORM={platform} is none of {', '.join(PLATFORMS)}")
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    if platform == "databricks":
        return Where(platform, workspace=environ.get("DATABRICKS_HOST"))
    if platform == "glue":
        return Where(platform, _value(argv, "JOB_RUN_ID"), region)
    if platform == "emr-serverless":
        return Where(platform, _serverless(environ, "JOB_RUN_ID"), region, _serverless(environ, "APPLICATION_ID"))
    if platform == "emr":
        step = environ.get("PWD", "").rpartition("/")[2]
        return Where(platform, step if _STEP.fullmatch(step) else None, region, _cluster(read))
    if platform == "container":
        return Where(platform, environ.get("HOSTNAME"), region, (read(_NAMESPACE) or "").strip() or None)
    return Where(platform)


def _platform(argv: Sequence[str], environ: Mapping[str, str], read: Read) -> str:
    if environ.get("DATABRICKS_RUNTIME_VERSION"):
        return "databricks"
    if _GLUE_SIGNS & {word[2:].partition("=")[0] for word in argv if word.startswith("--")}:
        return "glue"
    if _serverless(environ, "JOB_RUN_ID") or _serverless(environ, "APPLICATION_ID"):
        return "emr-serverless"
    if read(_JOB_FLOW) is not None:
        return "emr"
    if environ.get("PYSPARK_GATEWAY_PORT"):
        return "spark"
    if environ.get("KUBERNETES_SERVICE_HOST") or any(
        read(path) is not None for path in ("/.dockerenv", "/run/.containerenv")
    ):
        return "container"
    return "local"


def _value(argv: Sequence[str], name: str) -> str | None:
    for position, word in enumerate(argv):
        if word == f"--{name}" and position + 1 < len(argv):
            return argv[position + 1]
        if word.startswith(f"--{name}="):
            return word.partition("=")[2]
    return None


def _serverless(environ: Mapping[str, str], name: str) -> str | None:
    return environ.get(f"AWS_EMR_SERVERLESS_{name}") or environ.get(f"EMR_SERVERLESS_{name}")


def _cluster(read: Read) -> str | None:
    try:
        held = json.loads(read(_JOB_FLOW) or "{}")
    except ValueError:
        return None
    cluster = held.get("jobFlowId") if isinstance(held, dict) else None
    return cluster if isinstance(cluster, str) else None
