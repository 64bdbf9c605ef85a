"""Three languages, one meaning: YAML and JSON, overrides, the wrapper, places, and what never gets into a message."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.pipelines.conftest import ONE_STEP, Files

from trunkline.errors import OptionError
from trunkline.pipelines import read_pipeline
from trunkline.pipelines.loading import load

HOCON = """
name = users
vars { root = /data, root = ${?ROOT} }
spark { master = ${?SPARK_MASTER}, conf { spark.sql.x = 1e3, spark.sql.x.y = true } }
secrets { api = "env:API_TOKEN" }
steps = [
  { name = users
    read { format = rest, options { url = "https://api.example.com/users", pagination = none
                                    auth { type = bearer, token = ${secrets.api} } } }
    retry { max_attempts = 5, initial_delay = 10s, on = [TimeoutError] } }
  { name = recent, sql = "SELECT * FROM users WHERE day > '${vars.root}'" }
  { name = out, write { format = parquet, path = ${vars.root}"/users", mode = overwrite } }
]
"""
YAML = """
name: users
vars:
  root: /data
spark:
  master: ${?SPARK_MASTER}
  conf:
    spark.sql.x: 1e3
    spark.sql.x.y: true
secrets:
  api: env:API_TOKEN
steps:
  - name: users
    read:
      format: rest
      options:
        url: https://api.example.com/users
        pagination: none
        auth: {type: bearer, token: "${secrets.api}"}
    retry: {max_attempts: 5, initial_delay: 10s, on: [TimeoutError]}
  - name: recent
    sql: SELECT * FROM users WHERE day > '${vars.root}'
  - name: out
    write: {format: parquet, path: "${vars.root}/users", mode: overwrite}
"""
JSON = """
{"name": "users", "vars": {"root": "/data"},
 "spark": {"conf": {"spark.sql.x": 1e3, "spark.sql.x.y": true}}, "secrets": {"api": "env:API_TOKEN"},
 "steps": [
  {"name": "users", "read": {"format": "rest", "options": {"url": "https://api.example.com/users",
    "pagination": "none", "auth": {"type": "bearer", "token": "${secrets.api}"}}},
   "retry": {"max_attempts": 5, "initial_delay": "10s", "on": ["TimeoutError"]}},
  {"name": "recent", "sql": "SELECT * FROM users WHERE day > '${vars.root}'"},
  {"name": "out", "write": {"format": "parquet", "path": "${vars.root}/users", "mode": "overwrite"}}]}
"""


def test_the_three_languages_say_the_same(files: Files) -> None:
    hocon, yaml, json = files.read(HOCON), files.read(YAML, "p.yaml"), files.read(JSON, "p.json")
    assert hocon == yaml == json
    assert hocon.spark.conf == {"spark.sql.x": "1e3", "spark.sql.x.y": "true"}
    assert hocon.steps[2].write is not None
    assert hocon.steps[2].write.path == "/data/users"


def test_the_environment_reaches_each_language(files: Files) -> None:
    environment = {"SPARK_MASTER": "local[2]", "ROOT": "/mine"}
    hocon, yaml = files.read(HOCON, environment=environment), files.read(YAML, "p.yml", environment=environment)
    assert (hocon.spark.master, yaml.spark.master, hocon.vars, yaml.vars) == (
        "local[2]", "local[2]", {"root": "/mine"}, {"root": "/data"},
    )  # fmt: skip


def test_an_override_counts_before_references_are_looked_up(files: Files) -> None:
    overrides = [
        "vars.root=/tmp",
        "steps.users.read.options.page.size=5",
        "steps.2.write.mode=append",
        "spark.master=a=b",
    ]
    for text, name in ((HOCON, "p.conf"), (YAML, "p.yaml"), (JSON, "p.json")):
        loaded = load(files.write(text, name), overrides, {})
        steps = loaded.data["steps"]
        assert (loaded.data["spark"]["master"], steps[0]["read"]["options"]["page.size"]) == ("a=b", 5)
        assert steps[2]["write"] == {"format": "parquet", "path": "/tmp/users", "mode": "append"}


def test_an_override_of_one_step_leaves_those_alone_that_share_its_yaml(files: Files) -> None:
    text = "x: &r {max_attempts: 2}\nsteps:\n- {name: a, retry: *r}\n- {name: b, retry: {<<: *r, backoff: linear}}\n"
    data = load(files.write(text, "p.yaml"), ["steps.a.retry.max_attempts=9"], {}).data
    assert data == {
        "x": {"max_attempts": 2},
        "steps": [
            {"name": "a", "retry": {"max_attempts": 9}},
            {"name": "b", "retry": {"backoff": "linear", "max_attempts": 2}},
        ],
    }


@pytest.mark.parametrize(
    "options", ["{ auth { type = basic, in.it = 1 } }", "${vars.more} { auth { type = basic, in.it = 1 } }"]
)
def test_an_override_finds_an_option_whether_the_file_nests_it_or_not(files: Files, options: str) -> None:
    """The same name in two spellings would be given twice."""
    text = (
        "name = p, vars { more { concurrency = 2 } }, spark { conf { spark { sql { x = 1 } } } }\n"
        f"steps = [ {{ name = a, read {{ format = rest, options = {options} }}, read.options.page.size = 5 }} ]"
    )
    below = "steps.a.read.options"
    overrides = [f"{below}.auth.type=bearer", f"{below}.auth.in.it=2", f"{below}.auth.token=t", f"{below}.page.size=6"]
    data = load(files.write(text), [*overrides, "spark.conf.spark.sql.x=2"], {}).data
    options_found = data["steps"][0]["read"]["options"]
    assert {name: options_found[name] for name in ("auth", "page.size")} == {
        "auth": {"type": "bearer", "in.it": 2, "token": "t"},
        "page.size": 6,
    }
    assert data["spark"]["conf"] == {"spark": {"sql": {"x": 2}}}


def test_overrides_may_be_values_of_python(files: Files) -> None:
    pipeline = files.read(HOCON, overrides={"spark.conf": {"spark.sql.z": 5}, "steps.users.retry": None})
    assert pipeline.spark.conf == {"spark.sql.x": "1e3", "spark.sql.x.y": "true", "spark.sql.z": "5"}
    assert pipeline.steps[0].retry is None
    assert files.read(HOCON, overrides=["vars.sizes=[1, 2]"]).vars["sizes"] == [1, 2]


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("spark.master", "--override spark.master: write KEY=VALUE, as in spark.master=local[2]"),
        ("=x", "--override : write KEY=VALUE, as in spark.master=local[2]"),
        ("steps.nope.sql=x", "--override steps.nope.sql: there is no step nope: users, recent, out"),
        ("steps.users=x", "--override steps.users: which key of the step? steps.users.KEY=VALUE"),
        ("spark..x=1", "--override spark..x: a key has an empty part"),
        ("spark.mastr=x", "--override spark.mastr: spark.mastr is unknown: did you mean master?"),
        ("steps.out.write.mod=x", "--override steps.out.write.mod: steps.out.write.mod is unknown: did you mean mode?"),
        ("vars.x=[1", "--override vars.x:1: [ is never closed: a ] is missing"),
    ],
)
def test_a_wrong_override_is_told(files: Files, override: str, told: str) -> None:
    with pytest.raises(OptionError) as caught:
        files.read(HOCON, overrides=[override])
    assert str(caught.value).replace(f"{files.folder}/", "") == told


def test_a_wrapper_is_taken_off_and_keys_beside_it_are_variables(files: Files) -> None:
    text = """
    base_path = "s3://bucket"
    pipeline {
      name = user-etl
      vars { day = 1 }
      spark { app_name = UserETL, master = ${?SPARK_MASTER} }
      steps = [ { name = raw, read { format = parquet, path = ${base_path}"/raw/"${vars.day} } } ]
    }
    """
    pipeline = files.read(text, overrides=["spark.master=local[1]", "base_path=/tmp", "vars.day=2"])
    assert (pipeline.name, pipeline.spark.master, pipeline.vars) == (
        "user-etl", "local[1]", {"base_path": "/tmp", "day": 2},
    )  # fmt: skip
    assert pipeline.steps[0].read is not None
    assert pipeline.steps[0].read.path == "/tmp/raw/2"
    assert files.told(text.replace("app_name", "app_nme")) == [
        "p.conf:6: spark.app_nme is unknown: did you mean app_name?"
    ]
    assert files.told(f"day = 1\n{text}") == ["p.conf:1: day is given twice: beside pipeline { } and in vars"]


def test_yaml_is_that_of_version_1_2(files: Files) -> None:
    """`on`, `no`, times and dates are text; a key `on` is no `true`."""
    text = "a: on\nb: no\nc: 12:30\nd: 2026-01-01\ne: 0777\nf: 'true'\ng: true\nh: ~\non: 1\n"
    text += 'i: "1"\nj: 1e3\n1: x\nk: 0x1F'
    assert load(files.write(text, "p.yaml"), (), {}).data == {
        "a": "on", "b": "no", "c": "12:30", "d": "2026-01-01", "e": "0777", "f": "true", "g": True, "h": None, "on": 1,
        "i": "1", "j": 1000.0, "1": "x", "k": "0x1F",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("p.yaml", "a: 1\nb: [1", "p.yaml:3: not YAML: did not find expected ',' or ']'"),
        ("p.yaml", "a: 1\nb:\n  c: 1\n  c: 2", "p.yaml:4: c is given twice"),
        ("p.yaml", "- 1", "p.yaml:1: not a mapping: name: ..., steps: [...]"),
        ("p.yaml", "", "p.yaml:1: not a mapping: name: ..., steps: [...]"),
        ("p.yaml", "a: 1\n---\nb: 2", "p.yaml:2: not YAML: but found another document"),
        ("p.yaml", "a: !!python/object:os.system x", "p.yaml:1: a tag of its own (!...) means nothing here"),
        ("p.yaml", "a: !env X", "p.yaml:1: a tag of its own (!...) means nothing here"),
        ("p.yaml", "a: &x\n  b: *x", "p.yaml:1: an alias refers to what is around it"),
        ("p.yaml", "? [a]\n: 1", "p.yaml:1: a key is text, not a list or a mapping"),
        ("p.yaml", "a: \x07", "p.yaml:1: not YAML: it holds a character that YAML does not allow"),
        ("p.json", '{"a": 1,\n "a": 2}', "p.json:2: a is given twice"),
        ("p.json", '{"a": 1,\n}', "p.json:1: not JSON at column 8: Illegal trailing comma before end of object"),
        ("p.json", "[1]", "p.json:1: not a JSON object"),
        ("p.json", '{"a":' * 99 + "1" + "}" * 99, "p.json:1: nested too deeply"),
        ("p.yaml", "a: " + "[" * 99 + "]" * 99, "p.yaml:1: nested too deeply"),
        ("p.toml", "a = 1", "p.toml: what is it? A pipeline file ends in .conf (HOCON), .yaml, .yml or .json"),
    ],
)
def test_what_is_not_well_formed_is_told_with_its_line(files: Files, name: str, text: str, told: str) -> None:
    with pytest.raises(OptionError) as caught:
        load(files.write(text, name), (), {})
    found = str(caught.value).replace(f"{files.folder}/", "")
    # Python 3.13 says it better than 3.10 to 3.12; the line is the same but for the comma's.
    if "trailing comma" in told:
        assert found.startswith("p.json:")
        assert "not JSON at column" in found
    else:
        assert found == told


def test_a_reference_to_nothing_is_told_beside_what_else_is_wrong(files: Files) -> None:
    """In a wrapper too, whose keys stand elsewhere in the file than in the pipeline."""
    no_value = "has no value: set b, or the environment variable b, or write ${?b} where it may be missing"
    assert files.told("name: ${b}\nstep: []", "p.yaml") == [
        "p.yaml: steps is missing",
        f"p.yaml:1: ${{b}} {no_value}",
        "p.yaml:2: step is unknown: did you mean steps?",
    ]
    text = "root = ${b}\npipeline {\n name = ${?b}${b}, steps = [ { name = a, sql = S, tmeout = 1s } ]\n}"
    assert files.told(text) == [
        f"p.conf:1: ${{b}} {no_value}",
        f"p.conf:3: ${{b}} {no_value}",
        "p.conf:3: steps.a.tmeout is unknown: did you mean timeout?",
    ]


def test_of_references_that_grow_without_end_nothing_else_is_told(files: Files) -> None:
    text = "x0 = [1, 1]\n" + "".join(f"x{n} = ${{x{n - 1}}} ${{x{n - 1}}}\n" for n in range(1, 18))
    told = files.told(f"{text}stepps = []")
    assert any("the file comes to too much: references refer to each other" in one for one in told)
    assert [one for one in told if "steps" in one or "name" in one] == []


def test_aliases_of_aliases_cannot_fill_the_memory(files: Files) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(OptionError, match="the file comes to too much: aliases of aliases"):
        load(files.write("\n".join(lines), "p.yaml"), (), {})


def test_a_value_from_the_environment_is_in_no_message(files: Files) -> None:
    """It may be a credential that was put in the wrong place."""
    environment = {"TOKEN": "hunter2-token"}
    text = "name = x\nsteps = [ { name = a, sql = SELECT, timeout = ${TOKEN} } ]"
    assert files.told(text, environment=environment) == [
        "p.conf:2: steps.a.timeout: '***' is no duration: write 250ms, 30s, 5m, 1h or 2d"
    ]
    options = 'url = "https://a.example", pagination = none, timeout.read = ${TOKEN}, auth.type = "x"${TOKEN}'
    [one, other] = files.told(
        f"name = x\nsteps = [ {{ name = a, read {{ format = rest, options {{ {options} }} }} }} ]",
        environment=environment,
    )
    assert "hunter2" not in one + other
    assert "***" in one + other


def test_a_file_is_read_from_any_uri_with_its_includes(files: Files) -> None:
    files.write("vars.x = 1", "in/common.conf")
    path = Path(files.write(f'include "in/common.conf"\nname = ${{vars.x}}\n{ONE_STEP}'))
    assert read_pipeline(path.as_uri()).name == "1"


def test_a_login_in_a_uri_is_not_told() -> None:
    with pytest.raises(OptionError) as caught:
        load("s3://key:hunter2@bucket/p.toml", (), {})
    assert "hunter2" not in str(caught.value)
