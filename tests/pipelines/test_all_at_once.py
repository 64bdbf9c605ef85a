"""All that is wrong with a file is told at once: no problem waits until another has been mended."""

from __future__ import annotations

import copy
import itertools
import json
from typing import Any

import pytest
from tests.pipelines.conftest import Files

from trunkline.errors import OptionError
from trunkline.pipelines import read_pipeline

RIGHT: dict[str, Any] = {
    "name": "right",
    "vars": {"root": "/data"},
    "secrets": {"api": "env:API_TOKEN"},
    "metrics": {"prometheus": {"port": 9108}, "labels": {"team": "core"}},
    "notify": [{"webhook": "env:HOOK"}],
    "steps": [
        {"name": "a", "read": {"format": "rest", "options": {"url": "https://a.example", "pagination": "none"}}},
        {"name": "b", "sql": "SELECT * FROM a"},
        {"name": "c", "expect": [{"rule": "not_null", "column": "id"}, {"rule": "unique", "column": "id"}]},
        {"name": "d", "write": {"format": "parquet", "path": "${vars.root}/x", "mode": "append"}},
        {"name": "e", "input": "a", "write": {"format": "csv", "path": "/y", "options": {"header": "true"}}},
        {"name": "f", "input": "b", "call": "json:dumps", "config": {"size": 3}},
        {"name": "g", "input": "b", "request": {"options": {"url": "https://a.example/{id}"}}},
        {"name": "s", "read": {"format": "rate", "stream": True}},
        {"name": "t", "write": {"format": "parquet", "path": "/z", "checkpoint": "/c"}},
    ],
}
A, B, C, D, E, F, G, S, T = (("steps", at) for at in range(9))
# One mistake of each kind, each at a place of its own: where, and what stands there then; None for nothing.
MISTAKES: dict[str, tuple[tuple[str | int, ...], Any]] = {
    "a key without a name": (("dag",), {}),
    "a name that is none": (("metrics", "prometheus", "port"), "many"),
    "a label that is none": (("metrics", "labels", "a-b"), "x"),
    "a secret that is none": (("secrets", "other"), "hunter2"),
    "a webhook that is none": (("notify", 0, "webhook"), "hooks.example.com"),
    "a reference to nothing, of an option": ((*A, "read", "options", "url"), "${NOT_SET}/users"),
    "an option that is misspelt": ((*A, "read", "options", "pagnation"), "none"),
    "a key of a step that is misspelt": ((*A, "timeuot"), "5s"),
    "a circle": ((*B, "sql"), "SELECT * FROM a JOIN f"),
    "a rule that is misspelt": ((*C, "expect", 0, "rule"), "not_nul"),
    "a rule about all rows that drops": ((*C, "expect", 1, "severity"), "drop"),
    "a reference to nothing, of a path": ((*D, "write", "path"), "${NOT_SET_EITHER}"),
    "an input that is not there": ((*E, "input"), "nobody"),
    "an option of another format": ((*E, "write", "options", "heder"), "true"),
    "code that is nowhere": ((*F, "call"), "no_such_package:f"),
    "a schema that is none": ((*G, "request", "schema"), "id INTT"),
    "a step that is two things": ((*G, "sql"), "SELECT 1"),
    "a duration that is none": ((*S, "timeout"), "soon"),
    "a stream without a checkpoint": ((*T, "write", "checkpoint"), None),
    "a stream that does not end": ((*F, "after"), "t"),
}


def file_with(mistakes: tuple[str, ...]) -> str:
    held = copy.deepcopy(RIGHT)
    for name in mistakes:
        path, value = MISTAKES[name]
        group: Any = held
        for key in path[:-1]:
            group = group[key]
        if value is None:
            del group[path[-1]]
        else:
            group[path[-1]] = value
    return json.dumps(held, indent=0)


def told(files: Files, *mistakes: str) -> set[str]:
    """Without the lines, of which each mistake may add one."""
    path = files.write(file_with(mistakes), "p.json")
    with pytest.raises(OptionError) as caught:
        read_pipeline(path, environment={}, code=True)
    return {problem.removeprefix(path).lstrip(":0123456789 ") for problem in caught.value.problems}


def test_each_mistake_is_told(files: Files) -> None:
    files.read(file_with(()), "p.json")
    assert {name: len(told(files, name)) for name in MISTAKES} == dict.fromkeys(MISTAKES, 1)


def test_no_mistake_hides_another(files: Files) -> None:
    """Of every two, and of all together, is told what is told of each, and nothing that comes of another."""
    alone = {name: told(files, name) for name in MISTAKES}
    for one, other in itertools.combinations(MISTAKES, 2):
        assert told(files, one, other) == alone[one] | alone[other], (one, other)
    assert told(files, *MISTAKES) == set().union(*alone.values())


LIVE = "{name: live, read: {format: rate, stream: true}}"
STREAMED = "write: {format: parquet, path: /x, checkpoint: /c, trigger: available_now}"


@pytest.mark.parametrize(
    ("steps", "problems"),
    [
        # What would come of a key that is left out is not told.
        (
            "{name: a, sql: S}, {name: b, write: {format: delta, path: /y, mode: mrege, merge_keys: id}}",
            ["steps.b.write.mode: mrege is none of append, overwrite, error, errorifexists, ignore or merge"],
        ),
        ("{nam: a, sql: S}, {name: b, sql: S, input: a}", ["steps[0].name is missing", "steps[0].nam is unknown"]),
        ("{name: a, qsl: S}", ["steps.a.qsl is unknown"]),
        ("{name: a, raed: {format: rest}}, {name: b, sql: S, input: a}", ["steps.a.raed is unknown"]),
        ("{name: a, read: {formt: rest, options: {url: x, idFields: [a, b]}}}", ["steps.a.read.formt is unknown"]),
        ("{name: a, expect: [x]}", ["steps.a.expect[0] must be a group of keys"]),
        (
            "{name: a, expect: [{colum: id}]}",
            ["steps.a.expect[0].rule is missing", "steps.a.expect[0].colum is unknown"],
        ),
        ("{name: a, input: '${NO}', sql: S}", ["${NO} has no value"]),
        ("{name: a, read: {format: rest, options: {auth: {type: '${NO}', token: x}, url: '${NO}'}}}", ["${NO} has no"]),
        # Nobody knows whether what a step takes is a stream: of what is left out, of what is missing, of its input.
        *(
            (f"{{name: a, read: {{format: rate, {stream}}}}}, {{name: b, WRITE}}".replace("WRITE", STREAMED), [told])
            for stream, told in (
                ("stream: yess", "steps.a.read.stream must be true or false"),
                ("stream: '${NO}'", "${NO} has no value"),
                ("strem: true", "steps.a.read.strem is unknown"),
            )
        ),
        (
            LIVE.replace("read", "raed") + f", {{name: b, sql: S}}, {{name: c, input: b, {STREAMED}}}",
            ["steps.live.raed is unknown"],
        ),
        *(
            (f"{LIVE}, {{name: l, sql: S, input: []}}, {{name: b, {taken}, {STREAMED}}}", [told])
            for taken, told in (
                ("inptu: live", "steps.b.inptu is unknown"),
                ("input: lives", "steps.b.input: there is no step lives"),
            )
        ),
        (
            f"{LIVE}, {{name: a, sql: S, input: []}}, {{name: a, sql: S}}, {{name: b, input: a, {STREAMED}}}",
            ["steps.a.name is the name of another step"],
        ),
        # Nor whether it ends, how it writes, or what it needs.
        (
            f"{LIVE}, {{name: b, {STREAMED.replace('trigger', 'triger')}}}, {{name: c, sql: S, input: [], after: b}}",
            ["steps.b.write.triger is unknown"],
        ),
        (
            "{name: a, sql: S}, {name: b, retry: {}, write: {format: jdbc, mdoe: overwrite}}",
            ["steps.b.write.mdoe is unknown"],
        ),
        (
            "{name: a, read: {format: csv}}, {name: b, input: c, sql: S}, {name: c, inptu: a, sql: S}",
            ["steps.c.inptu is unknown"],
        ),
        # What is said of a key beside one that is missing.
        ("{name: a, sql: S}, {name: b, write: {format: '${NO}', path: x, mode: merge, merge_keys: id}}", ["${NO} has"]),
        ("{name: a, sql: S}, {name: b, write: {table: x, mode: merge, merge_keys: ['${NO}']}}", ["${NO} has no value"]),
        ("'${NO}'", ["${NO} has no value"]),
        # Each circle once, and what comes after them.
        (
            (
                "{name: a, sql: S FROM b}, {name: b, sql: S FROM a}, {name: c, sql: S FROM d}, "
                "{name: d, sql: S FROM c}, {name: e, input: [a, c], write: {format: noop}}"
            ),
            ["steps.a goes in a circle", "steps.c goes in a circle", "steps.e.input: write takes the rows of one step"],
        ),
    ],
)
def test_nothing_is_told_that_comes_of_another_mistake(files: Files, steps: str, problems: list[str]) -> None:
    found = [one.removeprefix("p.yaml:2: ") for one in files.told(f"name: x\nsteps: [{steps}]", "p.yaml")]
    assert len(found) == len(problems), found
    assert [one[: len(told)] for one, told in zip(found, problems, strict=True)] == problems


def test_a_setting_that_is_wrong_may_have_given_every_stream_its_checkpoint(files: Files) -> None:
    setting = "spark.sql.streaming.checkpointLocation: /c"
    steps = f"steps: [{LIVE}, {{name: b, write: {{format: parquet, path: /x}}}}]"
    for conf, told in (
        (f"cnf: {{{setting}}}", "spark.cnf is unknown: did you mean conf?"),
        (f"conf: {{{setting}, spark.x: [1]}}", "spark.conf: spark.x is a list: Spark takes text"),
    ):
        assert files.told(f"name: x\nspark: {{{conf}}}\n{steps}", "p.yaml") == [f"p.yaml:2: {told}"]


def test_the_steps_of_joined_lists_are_told_where_they_stand(files: Files) -> None:
    """Also where the first list is empty by now, or an item of it is missing that may be."""
    text = """name = x
vars.base = [ { name = z, sql = S } ]
steps = ${vars.base} [
  ${?NOTHING}
  ${?NOTHING}
  { name = a, sql = S, timeuot = 3s }
  { name = b, sql = S, read.format = ${NO} }
]
steps += { name = c, sql = S, timeuot = 3s }
steps += { name = d, sql = S }
"""
    assert [told[: len("p.conf:5: steps.a.tim")] for told in files.told(text)] == [
        "p.conf:6: steps.a.tim",
        "p.conf:7: ${NO} has n",
        "p.conf:7: steps.b tak",
        "p.conf:9: steps.c.tim",
    ]
