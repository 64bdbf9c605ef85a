"""What a pipeline file demands beyond the shape of its keys, all told at once and before Spark is loaded."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from trunkline.config.tree import Path, near
from trunkline.credentials import MASK, is_reference, unresolved
from trunkline.errors import OptionError
from trunkline.pipelines.config import Pipeline
from trunkline.pipelines.loading import Loaded, load, refusal
from trunkline.pipelines.metrics import OWN_LABELS
from trunkline.pipelines.option_checks import option_problems, texts, webhook_problems
from trunkline.pipelines.own_code import code_problems
from trunkline.pipelines.planning import FALLBACK, inputs_of, needs_of, sorted_by, streams_of
from trunkline.pipelines.problems import named, problems_of
from trunkline.pipelines.running_checks import running_problems
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
    try:
        pipeline = Pipeline.model_validate(loaded.data)
    except ValidationError as error:
        found = problems_of(error, loaded.data)
        raise _refusal(loaded, found) from None
    taken = {
        name: value
        for name, value in (os.environ if environment is None else environment).items()
        if loaded.redactor.clean(value) == MASK
    }
    found = [*_problems(pipeline), *_in_sql(pipeline, taken), *(code_problems(pipeline, uri) if code else ())]
    if found:
        raise _refusal(loaded, [(path, _said(pipeline, path, sentence)) for path, sentence in found])
    return pipeline, taken


def _refusal(loaded: Loaded, found: Sequence[Problem]) -> OptionError:
    told = [(loaded.at(path), loaded.told(path, sentence)) for path, sentence in found]
    return refusal(loaded.file, list(dict.fromkeys(text for _, text in sorted(told, key=lambda one: one[0]))))


def _said(pipeline: Pipeline, path: Path, sentence: str) -> str:
    key = named(path, {"steps": [{"name": step.name} for step in pipeline.steps]})
    return f"{key} {sentence}" if sentence.startswith(_SAYS_OF_KEY) else f"{key}: {sentence}"


def _problems(pipeline: Pipeline) -> Iterator[Problem]:
    yield from _session(pipeline)
    yield from _told(pipeline)
    yield from _metrics(pipeline)
    yield from _secrets(pipeline)
    names = [step.name for step in pipeline.steps]
    shape = [problem for at, step in enumerate(pipeline.steps) for problem in step_problems(("steps", at), step, names)]
    shape += _doubled(names)
    yield from shape
    for at, step in enumerate(pipeline.steps):
        yield from option_problems(pipeline, ("steps", at), step)
    # Who takes whose rows is only known where names are, and each step is one thing.
    if not shape:
        yield from _graph(pipeline)


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
    endpoint = given.opentelemetry.endpoint if given.opentelemetry else None
    if endpoint and not is_secret(endpoint, "endpoint") and not endpoint.startswith(("http://", "https://")):
        yield ("metrics", "opentelemetry", "endpoint"), "is no URL: write http://collector:4318"


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


def _graph(pipeline: Pipeline) -> Iterator[Problem]:
    """What can only be said of all steps together."""
    inputs = inputs_of(pipeline.steps)
    at = {step.name: ("steps", number) for number, step in enumerate(pipeline.steps)}
    order, circle = sorted_by(needs_of(pipeline.steps, inputs))
    if circle:
        yield at[circle[0]], f"goes in a circle: {' needs '.join(circle)}"
        return
    streams = streams_of({step.name: step for step in pipeline.steps}, order, inputs)
    for number, step in enumerate(pipeline.steps):
        path = ("steps", number)
        taken = inputs[step.name]
        if step.kind in {"request", "expect", "write"} and len(taken) != 1 and (number or step.input is not None):
            yield (*path, "input"), f"{step.kind} takes the rows of one step: {said_given(taken)}"
        yield from running_problems(pipeline, path, step, streams)
        if step.on_failure.startswith(FALLBACK):
            other = step.on_failure.removeprefix(FALLBACK)
            if (other in streams) != (step.name in streams):
                yield (
                    (*path, "on_failure"),
                    f"a stream and a batch cannot stand in for each other: see {other}",
                )
