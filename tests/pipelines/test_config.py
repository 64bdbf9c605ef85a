"""The shape of a pipeline file: every key is taken or refused by name."""

from __future__ import annotations

import ast
import copy
import json
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.pipelines.conftest import ONE_STEP, Files

import trunkline.pipelines
from trunkline.errors import OptionError
from trunkline.pipelines import config, fields, read_pipeline
from trunkline.pipelines.problems import section_in

# Every key there is.
WHOLE: dict[str, Any] = {
    "name": "users",
    "description": "users, every night",
    "vars": {"root": "/data"},
    "spark": {"app_name": "users", "master": "local[2]", "conf": {"spark.sql.shuffle.partitions": 8}},
    "secrets": {"api": "env:API_TOKEN"},
    "hooks": [{"call": "my.hooks:Timer", "on": ["before_step", "after_step"], "config": {"unit": "s"}}],
    "notify": [
        {"on": ["failed"], "webhook": "env:HOOK", "options": {"auth.type": "bearer", "auth.token": "env:T"}},
        {"sns": "arn:aws:sns:eu-central-1:123456789012:etl"},
        {"call": "my.notify:Chat", "config": {"room": "etl"}},
        {"log": "etl"},
    ],
    "metrics": {
        "prometheus": {"port": 9108, "pushgateway": "http://gateway:9091"},
        "opentelemetry": {"endpoint": "http://collector:4318"},
        "labels": {"team": "core"},
    },
    "audit": {"path": "/data/audit"},
    "steps": [
        {
            "name": "users",
            "read": {
                "format": "rest",
                "schema": "id BIGINT, name STRING",
                "options": {
                    "url": "https://api.example.com/users",
                    "pagination": "offset",
                    "page.size": 100,
                    "page.sizeParam": "limit",
                    "page.param": "offset",
                    "auth.type": "bearer",
                    "auth.token": "secret:api",
                    "timeout.read": "5s",
                },
            },
            "retry": {
                "max_attempts": 3,
                "backoff": "linear",
                "initial_delay": "1s",
                "max_delay": "10s",
                "on": ["TimeoutError"],
            },
            "breaker": {"failure_threshold": 5, "timeout": "30s"},
            "timeout": "10m",
            "on_failure": "fallback:backup",
        },
        {"name": "backup", "read": {"table": "lake.users"}},
        {"name": "recent", "sql": "SELECT * FROM users", "after": ["backup"]},
        {"name": "clean", "call": "my.steps:clean", "input": "recent", "config": {"columns": ["name"]}},
        {
            "name": "good",
            "expect": [
                {"column": "id", "rule": "not_null"},
                {"column": ["id", "name"], "rule": "unique", "severity": "warn"},
                {"column": "name", "rule": "one_of", "values": ["a", "b"], "severity": "drop"},
                {"column": "id", "rule": "between", "min": 1, "max": 9, "severity": "quarantine:/data/odd"},
                {"column": "name", "rule": "matches", "pattern": "[a-z]+"},
                {"rule": "condition", "condition": "id > 0"},
                {"column": "id", "rule": "references", "step": "backup", "step_column": "user_id"},
            ],
        },
        {"name": "sent", "request": {"options": {"url": "https://api.example.com/u/{id}"}, "schema": "ok BOOLEAN"}},
        {
            "name": "out",
            "input": "good",
            "write": {
                "format": "delta",
                "path": "/data/users",
                "mode": "merge",
                "merge_keys": ["id"],
                "partition_by": "day",
                "stream": False,
            },
        },
        {
            "name": "live",
            "read": {
                "format": "rest",
                "stream": True,
                "schema": "id BIGINT",
                "options": {"url": "https://api.example.com/events"},
            },
        },
        {
            "name": "sink",
            "write": {"table": "lake.events", "trigger": "10s", "checkpoint": "/data/c", "output_mode": "append"},
        },
        {
            "name": "lines",
            "read": {
                "format": "csv",
                "path": "/data/in",
                "options": {"header": "true", "nullValue": "-", "multiLine": "true", "sep": ";", "fs.s3a.x": "y"},
            },
        },
        {
            "name": "rows",
            "write": {
                "format": "jdbc",
                "mode": "append",
                "options": {"url": "jdbc:x", "dbtable": "t", "fetchsize": "5", "ssl": "on"},
            },
        },
        {
            "name": "runs",
            "input": "clean",
            "write": {"format": "jobs", "mode": "append", "options": {"platform": "local"}},
        },
    ],
}
# Maps whose keys the file chooses itself, so that any other name is as good: variables, and names of secrets (whoever
# uses one that is misspelt is refused, see below), the configuration of the user's code (refused where it has a type,
# see test_telling), labels, settings of Spark's (of which a session tells when it is there, see test_spark_names).
FREE = {"vars", "config", "conf", "secrets", "labels"}
# Options that belong to Hadoop or to a driver of JDBC: there is no list of them.
FOREIGN = {"fs.s3a.x", "ssl"}


def keys_in(held: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of every key."""
    found: list[tuple[str | int, ...]] = []
    if isinstance(held, dict):
        for key, value in held.items():
            found += [(*path, key), *keys_in(value, (*path, key))]
    if isinstance(held, list):
        for at, item in enumerate(held):
            found += keys_in(item, (*path, at))
    return found


KEYS = keys_in(WHOLE)
# Those that a file does not choose itself.
GIVEN = [path for path in KEYS if not FREE & set(path[:-1]) and path[-1] not in FOREIGN]


def told_of(path: Path, held: Any) -> list[str]:
    path.write_text(json.dumps(held))
    with pytest.raises(OptionError) as caught:
        read_pipeline(str(path), environment={})
    return list(caught.value.problems)


def test_a_whole_file_is_plain_data(files: Files) -> None:
    pipeline = files.read(json.dumps(WHOLE), "p.json")
    assert [step.kind for step in pipeline.steps] == [
        "read", "read", "sql", "call", "expect", "request", "write", "read", "write", "read", "write", "write",
    ]  # fmt: skip
    assert json.loads(json.dumps(pipeline.model_dump(exclude_unset=True, by_alias=True)))["steps"][0] == {
        "name": "users",
        "read": WHOLE["steps"][0]["read"] | {"options": WHOLE["steps"][0]["read"]["options"] | {"page.size": "100"}},
        "retry": {
            "max_attempts": 3,
            "backoff": "linear",
            "initial_delay": 1.0,
            "max_delay": 10.0,
            "on": ["TimeoutError"],
        },
        "breaker": {"failure_threshold": 5, "timeout": 30.0},
        "timeout": 600.0,
        "on_failure": "fallback:backup",
    }
    assert pickle.loads(pickle.dumps(pipeline)) == pipeline


@given(st.sampled_from(GIVEN), st.data())
def test_any_key_misspelt_is_refused_by_its_name(path: tuple[str | int, ...], data: Any) -> None:
    """A letter more, less, twice, or two exchanged, anywhere: the message has the key as it was written."""
    key = str(path[-1])
    at = data.draw(st.integers(0, len(key) - 1))
    changed = data.draw(
        st.sampled_from([key[:at] + key[at + 1 :], key[:at] + "x" + key[at:], key[:at] + key[at] + key[at:]])
    )
    held = copy.deepcopy(WHOLE)
    group: Any = held
    for one in path[:-1]:
        group = group[one]
    if not changed or changed in group or changed.rstrip(".") == "path":
        return
    group[changed] = group.pop(key)
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        told = told_of(Path(folder) / "p.json", held)
    assert any(re.search(rf"(?<![\w.]){re.escape(changed)}(?![\w])|\.{re.escape(changed)} ", one) for one in told), told


@given(st.sampled_from(GIVEN))
def test_any_value_of_a_wrong_kind_is_refused_by_its_key(path: tuple[str | int, ...]) -> None:
    """A list in a list where text, a number or a group is meant; a text where a group is."""
    held = copy.deepcopy(WHOLE)
    group: Any = held
    for one in path[:-1]:
        group = group[one]
    if path[-1] in {"values", "min", "max"}:  # take any value
        return
    group[path[-1]] = "text" if isinstance(group[path[-1]], dict) else [[{}]]
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        told = told_of(Path(folder) / "p.json", held)
    assert any(str(path[-1]) in one for one in told), told


# `config` is for `call`, and text in a map of the user's is his.
@given(st.sampled_from([path for path in KEYS if FREE & set(path[:-1]) or path[-1] in FOREIGN]), st.booleans())
def test_what_a_file_names_itself_arrives_as_it_was_written_or_is_refused(
    path: tuple[str | int, ...], renamed: bool
) -> None:
    """Another key, or another value: the pipeline is another one, or what uses the key is told to be without it."""
    held = copy.deepcopy(WHOLE)
    group: Any = held
    for one in path[:-1]:
        group = group[one]
    key = str(path[-1])
    if renamed:
        group[f"{key}x"] = group.pop(key)
    else:
        group[key] = f"{group[key]}x"
    if path[0] == "secrets" and renamed:
        # Of all these names only that of a secret is used in this file.
        with pytest.raises(OptionError, match=r"auth.token: secrets has no api: did you mean apix\?"):
            whole(held)
    else:
        assert whole(held) != whole(WHOLE)


@given(st.sampled_from(KEYS))
def test_no_key_is_left_out_of_the_pipeline_unseen(path: tuple[str | int, ...]) -> None:
    """A file without the key is another pipeline, or is refused."""
    held = copy.deepcopy(WHOLE)
    group: Any = held
    for one in path[:-1]:
        group = group[one]
    del group[path[-1]]
    try:
        changed = whole(held)
    except OptionError:
        return
    assert changed != whole(WHOLE)


def test_every_key_is_read_by_somebody() -> None:
    """What the model holds and nobody asks for would be ignored: each name stands in the code as an attribute."""
    package = Path(trunkline.pipelines.__file__).parent
    read = {
        node.attr
        for path in package.rglob("*.py")
        if path.name != "config.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }
    names = {name for section in sections(config.Pipeline) for name in section.model_fields}
    # `vars` has done its work when `${...}` has been looked up; `description` is for people.
    assert names - read == {"vars", "description"}


def sections(section: type[fields.Section]) -> set[type[fields.Section]]:
    inner = {section_in(field.annotation) for field in section.model_fields.values()} - {None}
    return {section}.union(*(sections(one) for one in inner if one is not None))


def whole(held: Any) -> Any:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.json"
        path.write_text(json.dumps(held))
        return read_pipeline(str(path), environment={}).model_dump(exclude_unset=True, by_alias=True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name = x", ["p.conf: steps is missing"]),
        (ONE_STEP, ["p.conf: name is missing"]),
        ("name = x\nsteps = []", ["p.conf:2: steps is empty"]),
        (
            "name = x\nstep = [ { name = a, sql = S } ]",
            ["p.conf: steps is missing", "p.conf:2: step is unknown: did you mean steps?"],
        ),
        (
            f"name = x\n{ONE_STEP}\ndag {{}}",
            [
                (
                    "p.conf:3: dag is unknown; it can be name, description, vars, spark, secrets, "
                    "hooks, notify, metrics, audit, steps"
                )
            ],
        ),
        (
            "name = x\nsteps = [\n{ name = a, type = my.Source } ]",
            ["p.conf:3: steps.a.type is unknown: did you mean call?"],
        ),
        (
            "name = x\nsteps = [ { name = a, sql = S, circuit_breaker { } } ]",
            ["p.conf:2: steps.a.circuit_breaker is unknown: did you mean breaker?"],
        ),
        (
            "name = x\nsteps = [ { name = 1a, sql = S } ]",
            ["p.conf:2: steps.1a.name is no name: letters, digits, _ and -, a letter first"],
        ),
        (
            "name = x\nsteps = [ { name = a, sql = S, retry = 3 } ]",
            ["p.conf:2: steps.a.retry must be a group of keys: { key = value }"],
        ),
        (
            "name = x\nsteps = [ { name = a, sql = S\nretry { max_attempts = often\nbackoff = slow } } ]",
            [
                "p.conf:3: steps.a.retry.max_attempts must be a whole number",
                "p.conf:4: steps.a.retry.backoff: slow is none of exponential, linear or constant",
            ],
        ),
        (
            "name = x\nsteps = [ { name = a, sql = S, retry { max_attempts = 0, initial_delay = 5 minutes } } ]",
            [
                "p.conf:2: steps.a.retry.max_attempts must be at least 1",
                "p.conf:2: steps.a.retry.initial_delay: '5 minutes' is no duration: write 250ms, 30s, 5m, 1h or 2d",
            ],
        ),
        (
            "name = x\nsteps = [ { name = a, call = clean } ]",
            ["p.conf:2: steps.a.call: 'clean' names no function: write package.module:function"],
        ),
        (
            "name = x\nspark.conf { spark { sql { x = 1 } }, spark.sql.x = 2 }\n" + ONE_STEP,
            ["p.conf:2: spark.conf: spark.sql.x is given twice"],
        ),
        (
            "name = x\nspark.conf { spark.jars = [a, b] }\n" + ONE_STEP,
            ["p.conf:2: spark.conf: spark.jars is a list: Spark takes text"],
        ),
    ],
)
def test_what_has_the_wrong_shape_is_told(files: Files, text: str, told: list[str]) -> None:
    assert files.told(text) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "hooks { enable_metrics = true }",
            "hooks is a list: [ { call = package.module:name } ]; metrics and audit are sections of their own",
        ),
        (
            "mode = streaming",
            "mode is unknown; it can be name, description, vars, spark, secrets, hooks, notify, metrics, audit, steps",
        ),
        ("environment { A = 1 }", "environment is unknown: did you mean vars?"),
        ("tags { a = b }", "tags is unknown: did you mean metrics.labels?"),
        ("spark_conf { a = b }", "spark_conf is unknown: did you mean spark.conf?"),
    ],
)
def test_keys_that_another_framework_reads_and_forgets_are_refused(files: Files, text: str, told: str) -> None:
    assert files.told(f"name = x\n{ONE_STEP}\n{text}") == [f"p.conf:3: {told}"]


def test_a_file_of_that_framework_is_told_key_by_key_how_to_write_it(files: Files) -> None:
    text = """
    pipeline {
      name = "user-etl"
      spark { app_name = "UserETL", master = "local[*]" }
      steps = [
        {
          name = "flaky-api-call"
          type = "my.APIExtract"
          retry { max_attempts = 3, backoff = "exponential", initial_delay = "5s", max_delay = "60s" }
          circuit_breaker { failure_threshold = 5, timeout = "30s" }
        }
      ]
      hooks { enable_metrics = true, enable_audit_log = true }
    }
    """
    assert files.told(text) == [
        "p.conf:8: steps.flaky-api-call.type is unknown: did you mean call?",
        "p.conf:10: steps.flaky-api-call.circuit_breaker is unknown: did you mean breaker?",
        "p.conf:13: hooks is a list: [ { call = package.module:name } ]; metrics and audit are sections of their own",
    ]
    mended = text.replace('type = "my.APIExtract"', 'call = "my:APIExtract"').replace("circuit_breaker", "breaker")
    pipeline = files.read(mended.replace("hooks { enable_metrics = true, enable_audit_log = true }", "audit { }"))
    assert pipeline.steps[0].retry is not None
    assert (pipeline.spark.master, pipeline.steps[0].retry.max_delay) == ("local[*]", 60.0)


def test_a_pipeline_that_is_shown_shows_no_value_that_may_be_a_credential(files: Files) -> None:
    """Of options, configurations, settings, variables and addresses, in its repr and in that of each part."""
    found = files.read("""
        name = x, vars { password = "hunter2" }
        spark { conf { spark.hadoop.fs.azure.account.key.lake = "hunter2" } }
        notify = [ { webhook = "https://hooks.example/hunter2", options { auth { type = bearer, token = hunter2 } } } ]
        hooks = [ { call = "a:b", config { token = hunter2 } } ]
        metrics { prometheus { pushgateway = "http://u:hunter2@gw:9091" } }
        steps = [
          { name = a, read { format = jdbc, options { url = "jdbc:x", password = hunter2 } } }
          { name = b, request { options { url = "https://a.example", auth { type = bearer, token = hunter2 } } } }
          { name = c, call = "a:b", config { token = hunter2 } }
          { name = d, write { format = csv, path = "ftp://u:hunter2@host/x", options { quote = hunter2 } } }
        ]""")
    shown = [
        found,
        found.steps,
        found.spark,
        found.hooks,
        *(one.read or one.request or one.write for one in found.steps),
    ]
    assert [text for one in shown for text in (repr(one), str(one)) if "hunter2" in text] == []
    assert repr(found.steps[0].read).startswith("Read(format='jdbc', table=None")


def test_a_push_gateway_may_be_written_without_its_scheme(files: Files) -> None:
    """As Prometheus' own client takes it; a reference is none."""
    for written, meant in (
        ("gateway:9091", "http://gateway:9091"),
        ("gateway", "http://gateway"),
        ("u:p@gateway:9091/x", "http://u:p@gateway:9091/x"),
        ("https://gateway", "https://gateway"),
        ("env:GATEWAY", "env:GATEWAY"),
        ("vault:kv/push#url", "vault:kv/push#url"),
    ):
        metrics = files.read(f'name = x, metrics.prometheus {{ pushgateway = "{written}" }}\n{ONE_STEP}').metrics
        assert metrics is not None
        assert metrics.prometheus is not None
        assert metrics.prometheus.pushgateway == meant


def test_null_is_as_if_the_key_were_not_there(files: Files) -> None:
    text = "name = x\ndescription = null\nspark { master = ${?NO_MASTER}, conf { spark.sql.x = null } }\n"
    pipeline = files.read(text + "steps = [ { name = a, sql = S, retry = null, config { size = null } } ]".replace(
        "sql = S", "call = \"a:b\""))  # fmt: skip
    assert (pipeline.description, pipeline.spark.master, pipeline.spark.conf) == (None, None, {})
    assert (pipeline.steps[0].retry, pipeline.steps[0].config) == (None, {"size": None})


def test_a_key_that_nobody_knows_is_refused_with_null_too(files: Files) -> None:
    """In YAML a comma within braces ends a value, and what follows would be lost."""
    text = "name: x\nsteps:\n  - {name: a, sql: SELECT id, team FROM t}\n"
    (told,) = files.told(text, "p.yaml")
    assert told.startswith("p.yaml:3: steps.a.team FROM t is unknown")


def test_a_config_holds_values_of_python(files: Files) -> None:
    text = (
        'name = x\nsteps = [ { name = a, call = "a:b", config { a = 1e3, b = [0.10, x], c { d = true, e.f = 1 } } } ]'
    )
    config = files.read(text).steps[0].config
    assert config == {"a": 1000.0, "b": [0.1, "x"], "c": {"d": True, "e": {"f": 1}}}
    assert type(config["a"]) is float


def test_options_are_text_as_it_was_written(files: Files) -> None:
    text = """
    name = x
    steps = [ { name = a, read { format = kafka, options {
      kafka.bootstrap.servers = "b:9092", maxOffsetsPerTrigger = 1e4, failOnDataLoss = false, rate = 200/s, n = 007
    } } } ]
    """
    read = files.read(text).steps[0].read
    assert read is not None
    assert read.options == {
        "kafka.bootstrap.servers": "b:9092", "maxOffsetsPerTrigger": "1e4", "failOnDataLoss": "false", "rate": "200/s",
        "n": "007",
    }  # fmt: skip
