"""What a pipeline file demands beyond the shape of its keys, all told at once and before Spark is loaded."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from trunkline.config.tree import Path, near
from trunkline.credentials import MASK, is_reference, unresolved
from trunkline.pipelines.config import Pipeline
from trunkline.pipelines.graph_checks import graph_problems
from trunkline.pipelines.loading import Loaded, load
from trunkline.pipelines.metrics import OWN_LABELS
from trunkline.pipelines.option_checks import option_problems, texts, webhook_problems
from trunkline.pipelines.own_code import code_problems
from trunkline.pipelines.problems import named
from trunkline.pipelines.remainder import Remainder, remainder
from trunkline.pipelines.secrets import ENCRYPTED, ENCRYPTION_KEY, NAMED, PipelineSecrets, is_secret
from trunkline.pipelines.step_checks import Problem, said_given, step_problems

# Below these keys a runner looks secrets up.
_LOOKED_UP = {"options", "config", "conf"}
# Addresses may be references too.
_ADDRESSES = {"webhook", "pushgateway", "endpoint"}
# SQL: of steps, of rules, and of the options of JDBC.
_SQL = {"sql", "condition", "query", "dbtable", "preparequery", "sessioninitstatement"}
# As Prometheus takes it.
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
_NAMED_WITHIN = re.compile(rf"{NAMED}([\w-]+)")

# Sentences whose subject is the key.
_SAYS_OF_KEY = ("is ", "must ", "has ", "holds ", "goes ", "names ", "takes ", "needs ")


def read_pipeline(
    uri: str,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    *,
    code: bool = False,
) -> Pipeline:
    """Read a pipeline file and check all of it. Neither Spark nor a cloud library is loaded, nothing is looked up.

        pipeline = read_pipeline("users.conf", overrides=["vars.root=/tmp/data"])

    Args:
        uri: A path, or any URI `pyarrow.fs` knows; `.conf`, `.hocon`, `.yaml`, `.yml` or `.json`.
        overrides: `["spark.master=local[2]", "steps.load.write.path=/x"]`, or the same as a mapping.
        environment: Default: that of the process.
        code: Whether the packages of your own code must be there too: found, not imported.

    Raises:
        OptionError: With file, line and key of every problem.
        MissingExtraError: What the file needs is not installed.
    """
    return read_with_environment(uri, overrides, environment, code=code)[0]


def read_with_environment(
    uri: str,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    *,
    code: bool = False,
) -> tuple[Pipeline, dict[str, str]]:
    """As `read_pipeline`, with the environment variables whose values the file takes.

    Those only: another that holds a password may hold `postgres`, which stands in many a URL.
    """
    loaded = load(uri, overrides, environment)
    found = remainder(loaded)
    told, pipeline = found.problems, found.pipeline
    taken = {
        name: value
        for name, value in (os.environ if environment is None else environment).items()
        if loaded.redactor.clean(value) == MASK
    }
    if pipeline is not None:
        beyond = [
            *_problems(pipeline, found),
            *_in_sql(pipeline, taken),
            *(code_problems(pipeline, uri) if code else ()),
        ]
        told += [(path, _said(loaded, path, sentence)) for path, sentence in beyond if found.certain(path)]
    if told or loaded.problems or pipeline is None:
        raise loaded.refusal(told)
    return pipeline, taken


def _said(loaded: Loaded, path: Path, sentence: str) -> str:
    key = named(path, loaded.data)
    return f"{key} {sentence}" if sentence.startswith(_SAYS_OF_KEY) else f"{key}: {sentence}"


def _problems(pipeline: Pipeline, found: Remainder) -> Iterator[Problem]:
    yield from _session(pipeline)
    yield from _told(pipeline)
    yield from _metrics(pipeline)
    yield from _secrets(pipeline)
    names = [step.name for step in pipeline.steps]
    yield from _doubled(names)
    known = names if found.names_are_known else None
    for at, step in enumerate(pipeline.steps):
        yield from step_problems(("steps", at), step, known)
        yield from option_problems(pipeline, ("steps", at), step)
    yield from graph_problems(pipeline, found.doubtful)


def _session(pipeline: Pipeline) -> Iterator[Problem]:
    spark = pipeline.spark
    if spark.master and spark.remote:
        yield ("spark", "remote"), "is given beside master: a session is either"
    for key in spark.conf:
        if not key.startswith("spark."):
            yield ("spark", "conf", key), "is no setting of Spark's: they begin with spark."
        elif key in {"spark.master", "spark.remote", "spark.app.name"}:
            yield ("spark", "conf", key), f"has a key of its own: {key.replace('app.name', 'app_name')}"


def _told(pipeline: Pipeline) -> Iterator[Problem]:
    for at, notify in enumerate(pipeline.notify):
        ways = [way for way in ("webhook", "sns", "log", "call") if getattr(notify, way) is not None]
        if len(ways) != 1:
            yield ("notify", at), f"takes one of webhook, sns, log, call: {said_given(ways)}"
        if notify.options and "webhook" not in ways:
            yield ("notify", at, "options"), "is for webhook"
        if notify.config and "call" not in ways:
            yield ("notify", at, "config"), "is for call"
        url = notify.webhook
        if url and not is_secret(url, "webhook") and not url.startswith(("http://", "https://")):
            yield ("notify", at, "webhook"), "is no URL: write https://host/path, or a reference to it"
        yield from webhook_problems(pipeline, ("notify", at), notify)


def _metrics(pipeline: Pipeline) -> Iterator[Problem]:
    given = pipeline.metrics
    if given is None:
        return
    if given.prometheus is None and given.opentelemetry is None:
        yield ("metrics",), "needs prometheus or opentelemetry: without one the numbers go nowhere"
    if given.prometheus is not None and given.prometheus.port is None and given.prometheus.pushgateway is None:
        yield ("metrics", "prometheus"), "needs port or pushgateway"
    for name in given.labels:
        if _LABEL.fullmatch(name) is None:
            yield ("metrics", "labels", name), "is no name of a label: letters, digits and _"
        elif name in OWN_LABELS:
            yield ("metrics", "labels", name), "is a label that the numbers have already"
    gateway = given.prometheus.pushgateway if given.prometheus else None
    if gateway and not is_secret(gateway, "pushgateway") and not _is_url(gateway):
        yield ("metrics", "prometheus", "pushgateway"), "is no address: write http://gateway:9091 or gateway:9091"
    endpoint = given.opentelemetry.endpoint if given.opentelemetry else None
    if endpoint and not is_secret(endpoint, "endpoint") and not _is_url(endpoint):
        yield ("metrics", "opentelemetry", "endpoint"), "is no URL: write http://collector:4318"


def _is_url(text: str) -> bool:
    """Whether a request can be sent there."""
    try:
        parts = urlsplit(text)
        found = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        # Of a port that is none, or a bracket that is not closed.
        return False
    return found and not re.search(r"\s", text)


def _secrets(pipeline: Pipeline) -> Iterator[Problem]:
    for name, text in pipeline.secrets.items():
        path: Path = ("secrets", name)
        if not is_reference(text):
            yield path, "holds no reference: env:NAME, file:/path, vault:path#field, aws-secretsmanager:id, ..."
            continue
        yield from _reference(path, text)
    for path, text in texts(pipeline.model_dump(by_alias=True, exclude={"secrets"}, exclude_unset=True), ()):
        if path[0] == "vars" or path[-1] in _ADDRESSES or _LOOKED_UP & set(path):
            yield from _use_of_secret(pipeline, path, text)
        elif text.startswith((NAMED, ENCRYPTED)):
            yield path, f"is a secret, and none is looked up here: only in {', '.join(sorted(_LOOKED_UP))}"
        elif "expect" not in path and path[-1] not in {"description", "call"}:
            yield from _not_looked_up(path, text)
        if any(match[1] in pipeline.secrets and match[0] != text for match in _NAMED_WITHIN.finditer(text)):
            yield path, "joins a secret with text: a secret is a value of its own"


def _not_looked_up(path: Path, text: str) -> Iterator[Problem]:
    """A reference where it would be taken for a path, a table, a label."""
    scheme, _, rest = text.partition(":")
    if not is_reference(text) or scheme == "file" or any(_reference(path, text)):
        return
    cure = f"an environment variable is written ${{{rest}}}" if scheme == "env" else "give it to an option or a config"
    yield path, f"is a reference, and none is looked up here: {cure}"


def _use_of_secret(pipeline: Pipeline, path: Path, text: str) -> Iterator[Problem]:
    if not is_secret(text, str(path[-1])):
        return
    if text.startswith(NAMED):
        name = text.removeprefix(NAMED).lstrip("/")
        if "://" in text:
            yield path, f"a secret is written ${{secrets.{name or 'name'}}}, and declared in secrets {{ }}"
        elif name not in pipeline.secrets:
            guess = near(name, list(pipeline.secrets))
            yield path, f"secrets has no {name}" + (f": did you mean {guess}?" if guess else "")
    elif text.startswith(ENCRYPTED) and "#" not in text:
        if ENCRYPTION_KEY not in pipeline.secrets:
            yield path, f'is encrypted: give the key, secrets {{ {ENCRYPTION_KEY} = "env:NAME" }}'
    else:
        yield from _reference(path, text)


def _in_sql(pipeline: Pipeline, environment: Mapping[str, str]) -> Iterator[Problem]:
    """Credentials in SQL, which Spark writes into plans, its UI and its event log."""
    secrets = PipelineSecrets({})
    whole = pipeline.model_dump(by_alias=True, exclude={"secrets"}, exclude_unset=True)
    secrets.know(whole, environment)
    for path, text in texts(whole, ()):
        if path[0] == "steps" and str(path[-1]).lower() in _SQL and secrets.holds(text):
            yield path, "holds a credential, and Spark writes SQL into its event log: give it to a call, by config"


def _reference(path: Path, text: str) -> Iterator[Problem]:
    try:
        unresolved(text)
    except ValueError as error:
        yield path, str(error)


def _doubled(names: Sequence[str]) -> Iterator[Problem]:
    seen: set[str] = set()
    for at, name in enumerate(names):
        if name.lower() in seen:
            yield ("steps", at, "name"), "is the name of another step: names are unique, in any case of letters"
        seen.add(name.lower())
