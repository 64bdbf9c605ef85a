"""The command line of a job, read and written; signatures; configuration files."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyhocon import ConfigFactory

from trunkline.errors import MissingExtraError, OptionError
from trunkline.jobs.arguments import (
    Fact,
    JobObject,
    arguments_of,
    argv_of,
    config_of,
    job_name,
    merged,
    read_argv,
    read_config,
    unfolded,
)
from trunkline.jobs.binding import bound
from trunkline.jobs.notes import resolved, secrets_in
from trunkline.jobs.run import RunRequest

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.text(), st.dictionaries(st.text(), JSON_VALUES, max_size=4))
def test_what_a_platform_hands_on_is_what_was_asked_for(run_key: str, arguments: dict[str, Any]) -> None:
    """A request's command line, read again, holds the same arguments, whatever characters are in them."""
    request = RunRequest("glue", "my.etl_job_factory", run_key, arguments)
    assert read_argv(argv_of(request)) == {
        "module_name": "my.etl_job_factory",
        "run_key": run_key,
        "etl_job": arguments,
    }


@given(st.text(), st.dictionaries(st.text(), JSON_VALUES, max_size=4))
def test_a_file_hands_the_same_on_as_the_command_line(run_key: str, arguments: dict[str, Any]) -> None:
    """And of the arguments only the file tells."""
    request = RunRequest("local", "my.etl_job_factory", run_key, arguments)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arguments.json"
        path.write_text(json.dumps(config_of(request)), encoding="utf-8")
        words = argv_of(request, str(path))
        assert words == ["--module_name=my.etl_job_factory", f"--run_key={run_key}", f"--config={path}"]
        given = merged(read_config(str(path)), read_argv(words))
    assert given.pop("config") == str(path)
    assert given == read_argv(argv_of(request))


def test_a_request_is_one_line_per_argument() -> None:
    request = RunRequest("glue", "my.etl", "k", {"text": "ä\nb"})
    assert arguments_of(request) == {"module_name": "my.etl", "run_key": "k", "etl": '{"text":"\\u00e4\\nb"}'}


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("my.etl_job_factory", "etl_job"),
        ("etl", "etl"),
        ("my.etl:load", "load"),
        ("my.etl:Load.run_factory", "run"),
        ("my.config", "config_job"),
    ],
)
def test_the_job_argument_bears_the_name_of_the_job(module: str, name: str) -> None:
    assert job_name(module) == name


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--a=1", "--b", "2", "--c"], {"a": "1", "b": "2", "c": True}),
        (["--a", "--b=--c", "--d", "-5"], {"a": True, "b": "--c", "d": "-5"}),
        (["--a="], {"a": ""}),
        (["--a", "{day}/in", "--b={}"], {"a": "{day}/in", "b": {}}),
        (["--a=[1]"], {"a": "[1]"}),
        ([], {}),
    ],
)
def test_words_become_arguments(words: list[str], found: dict[str, Any]) -> None:
    assert read_argv(words) == found


def test_everything_wrong_with_a_command_line_is_told_at_once_without_values() -> None:
    with pytest.raises(OptionError) as caught:
        read_argv(["stray", "--a=1", "--a=2", "--=3", '--job={"password": "hunter2", }'])
    assert caught.value.problems[:3] == (
        "word 1 belongs to no argument: write --name=value",
        "a is given twice",
        "word 4 has no name: write --name=value",
    )
    assert caught.value.problems[3].startswith("job: not JSON at character ")
    assert "hunter2" not in str(caught.value)


def test_what_is_the_platforms_is_left_out_but_for_a_job() -> None:
    """With a platform's own names, words without one are its too; an object is always the job's."""
    words = ["true", "--TempDir", "s3://t", "--enable-metrics", "--day=1", '--my-job={"a": 1}']
    assert read_argv(words, lambda name: name == "TempDir" or "-" in name) == {"day": "1", "my-job": {"a": 1}}


def test_the_fields_of_the_job_stand_beside_the_other_arguments() -> None:
    """It is known by its name, else as the only object; an argument of its own goes before a field."""
    assert unfolded({"etl": {"a": 1, "b": 2}, "b": "3", "more": {}}, "my.etl") == {
        "a": 1, "b": "3", "etl": JobObject(a=1, b=2), "more": {},
    }  # fmt: skip
    assert unfolded({"any": {"a": 1}}, "my.etl") == {"a": 1, "any": JobObject(a=1)}
    with pytest.raises(
        OptionError, match=r"x and y hold JSON objects: give the arguments of the job as --etl=\{\.\.\.\}"
    ):
        unfolded({"x": {}, "y": {}}, "my.etl")


def test_texts_become_what_the_annotations_name() -> None:
    def job(n: int, f: float, b: bool, items: list[int], t: str, o: int | None, u: Any, d: dict[str, int]) -> None: ...

    texts = {"n": "5", "f": "2", "b": "true", "items": "[1]", "t": "5", "o": "7", "u": "8", "d": '{"a": 1}'}
    typed = {"n": 5, "f": 2.0, "b": True, "items": [1], "t": "5", "o": 7, "u": "8", "d": {"a": 1}}
    assert bound(job, texts, "job") == typed
    with pytest.raises(OptionError) as caught:
        bound(job, {**texts, "n": "2.5", "b": "yes"}, "job")
    assert caught.value.problems == ("n of job must be int", "b of job must be bool")


def test_what_is_missing_and_what_is_unknown_is_told_at_once() -> None:
    def job(input_path: str, output_path: str, limit: int = 5) -> None: ...

    with pytest.raises(OptionError) as caught:
        bound(job, {"inputpath": "in", "limti": 3, "zebra": 1}, "job")
    assert caught.value.problems == (
        "input_path is missing: job needs it",
        "output_path is missing: job needs it",
        "inputpath is no argument of job: did you mean input_path?",
        "limti is no argument of job: did you mean limit?",
        "zebra is no argument of job: it takes input_path, output_path, limit",
    )


def test_facts_reach_who_asks_for_them_as_plain_text() -> None:
    facts = {"platform": Fact("glue"), "etl": JobObject(a=1)}
    taken = bound(lambda platform: None, facts, "job")
    assert taken == {"platform": "glue"}
    assert type(taken["platform"]) is str
    assert bound(lambda: None, facts, "job") == {}
    assert bound(lambda **kwargs: None, facts, "job") == facts


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("job.json", '{"module_name": "m", "etl": {"limit": 5, "days": ["a"]}}'),
        ("job.yaml", "module_name: m\netl:\n  limit: 5\n  days: [a]\n"),
        ("job.conf", "module_name = m\nlimit = 5\netl { limit = ${limit}, days = [a] }\n"),
    ],
)
def test_a_configuration_file_is_json_yaml_or_hocon(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    for uri in (str(tmp_path / name), (tmp_path / name).as_uri()):
        held = read_config(uri)
        assert (held["module_name"], held["etl"]) == ("m", {"limit": 5, "days": ["a"]})


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("path = s3://bucket/in, full = True, none = NULL", {"path": "s3://bucket/in", "full": True, "none": None}),
        ('sql = "SELECT ${day}", other = "$${day}"', {"sql": "SELECT ${day}", "other": "$${day}"}),
        ("options { page.size = 5 }, conf.a.b = 1", {"options": {"page": {"size": 5}}, "conf": {"a": {"b": 1}}}),
        ("secrets { api = x }, token = ${secrets.api}", {"secrets": {"api": "x"}, "token": "x"}),
        ("who = ${WHO}, home = none, home = ${?NO_SUCH_VARIABLE}", {"who": "ann", "home": "none"}),
        ("low = 1e-3, high = 0.50, n = 5, big = 12345678901234567890",
         {"low": 0.001, "high": 0.5, "n": 5, "big": 12345678901234567890}),
    ],
)  # fmt: skip
def test_a_hocon_file_is_read_as_pyhocon_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, held: dict[str, Any]
) -> None:
    monkeypatch.setenv("WHO", "ann")
    (tmp_path / "job.conf").write_text(text)
    found = read_config(str(tmp_path / "job.conf"))
    assert found == held == json.loads(json.dumps(ConfigFactory.parse_string(text).as_plain_ordered_dict()))
    assert [type(value) for value in found.values()] == [type(value) for value in held.values()]


def test_what_pyhocon_changes_or_loses_is_kept(tmp_path: Path) -> None:
    """A duration, which no command line could hand on; leading zeros; a list that is added to; a character."""
    (tmp_path / "job.conf").write_text('wait = 5s, account = 007, days = [a], days += b, c = "\\u00e4", d = true x')
    assert read_config(str(tmp_path / "job.conf")) == {
        "wait": "5s", "account": "007", "days": ["a", "b"], "c": "ä", "d": "true x",
    }  # fmt: skip


def test_a_hocon_file_includes_what_is_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the job is started."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "common.conf").write_text("limit = 5, day = monday")
    (tmp_path / "in" / "job.conf").write_text('include "common.conf"\nday = friday')
    monkeypatch.chdir(tmp_path)
    for uri in ("in/job.conf", (tmp_path / "in" / "job.conf").as_uri()):
        assert read_config(uri) == {"limit": 5, "day": "friday"}


def test_everything_wrong_with_a_hocon_file_is_told_with_its_line_and_without_values(tmp_path: Path) -> None:
    path = tmp_path / "job.conf"
    told = {
        'token = "hunter2\n': [":1: a quote is never closed"],
        'include "none.conf"': [f":1: include: {tmp_path}/none.conf cannot be read: No such file or directory"],
        "token = hunter2\ntoken.x = hunter2\na = ${no.day}": [
            ":1: token is given as a value and as a group of keys",
            ":3: ${no.day} has no value: set no.day, or write ${?no.day} where it may be missing",
        ],
        "[hunter2]": [":1: the file holds a list, and should hold keys: name = ..."],
    }
    for text, problems in told.items():
        path.write_text(text)
        with pytest.raises(OptionError, match=f"^config={path} cannot be read\n") as caught:
            read_config(str(path))
        assert list(caught.value.problems) == [f"{path}{problem}" for problem in problems]
        assert "hunter2" not in str(caught.value)


def test_a_hocon_file_needs_no_library(tmp_path: Path) -> None:
    (tmp_path / "job.conf").write_text("a = 1")
    code = "import sys; sys.modules['pyhocon'] = sys.modules['yaml'] = sys.modules['pydantic'] = None\n"
    code += f"from trunkline.jobs.arguments import read_config; print(read_config({str(tmp_path / 'job.conf')!r}))"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (finished.stdout, finished.stderr) == ("{'a': 1}\n", "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[1]", "not a JSON object"),
        ('{"token": "hunter2",', "not JSON at character 21"),
        (b"\xff", "is not UTF-8 text"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_told_without_its_text(
    tmp_path: Path, text: str | bytes | None, reason: str
) -> None:
    path = tmp_path / "job.json"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(OptionError, match=reason) as caught:
        read_config(str(path))
    assert "hunter2" not in str(caught.value)


def test_the_uri_of_a_configuration_is_shown_without_login_and_query() -> None:
    with pytest.raises(OptionError) as caught:
        read_config("nosuch://ann:hunter2@host/job.json?sig=s3cret")
    assert "nosuch://***@host/job.json" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    (tmp_path / "job.yaml").write_text("a: 1")
    with pytest.raises(MissingExtraError, match="pip install pyyaml"):
        read_config(str(tmp_path / "job.yaml"))


def test_the_command_line_goes_before_the_configuration_field_by_field() -> None:
    config = {"module_name": "m", "etl": {"a": 1, "b": 2}, "x": "1"}
    assert merged(config, {"etl": {"b": 3}, "x": "2"}) == {"module_name": "m", "etl": {"a": 1, "b": 3}, "x": "2"}


def test_references_are_looked_up_where_they_can_be_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`file:` is the path of a file, but under the name of a secret."""
    monkeypatch.setenv("WHO", "ann")
    (tmp_path / "t").write_text("s3cret\n")
    given = {"user": "env:WHO", "input": f"file:{tmp_path}/t", "job": {"api_token": [f"file:{tmp_path}/t"]}, "n": 5}
    found = resolved(given)
    assert found == {"user": "ann", "input": f"file:{tmp_path}/t", "job": {"api_token": ["s3cret"]}, "n": 5}
    assert {secret.reveal() for secret in secrets_in(found, given)} == {"ann", "s3cret"}


def test_references_to_nothing_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_THERE", raising=False)
    with pytest.raises(OptionError) as caught:
        resolved({"a": "env:NOT_THERE", "job": {"password": "file:/nowhere/p"}})
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["a", "password"]


def test_secrets_are_known_by_name_and_keys_of_tables_are_none() -> None:
    arguments = {
        "run_key": "k-123", "merge_keys": "idx", "partition_key": "day", "password": "p-123", "apiKey": "a-123",
        "credentials": {"user": "u-123", "pin": 99887}, "token": "env:LATER", "secret_flag": True, "max_tokens": 4096,
    }  # fmt: skip
    found = {secret.reveal() for secret in secrets_in(arguments)}
    assert found == {"p-123", "a-123", "u-123", "99887"}
    assert json.dumps(arguments)
