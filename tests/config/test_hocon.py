"""The reader of HOCON: what the language says, what pyhocon reads too, and where values would change silently."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyhocon import ConfigFactory

from trunkline.config.hocon import parse_hocon, parse_json, read_hocon
from trunkline.config.resolving import Problems, Resolved, resolved
from trunkline.config.tree import Dialect, SyntaxProblem
from trunkline.jobs.files import read_text, shown

PLAIN = Dialect()


def told_of(text: str, environment: dict[str, str], dialect: Dialect) -> tuple[Any, Problems]:
    problems = Problems()
    root = parse_hocon(text, "p.conf", lambda *_: pytest.fail("nothing to include"), dialect)
    return resolved(root, environment, problems, dialect).data, problems


def read(text: str, dialect: Dialect = PLAIN, **environment: str) -> Any:
    data, problems = told_of(text, environment, dialect)
    assert problems == []
    return data


def refused(text: str, dialect: Dialect = PLAIN, **environment: str) -> list[str]:
    """Where and what."""
    try:
        _, problems = told_of(text, environment, dialect)
    except SyntaxProblem as problem:
        return [f"{problem.place}: {problem}"]
    return [f"{place}: {sentence}" for place, sentence in problems]


# Both read these the same.
SHARED = [
    'a = 1, b = "x y", c : true\nd = null',
    "{ a { b { c = 1 } } }",
    "a.b.c = 1\na.b.d = 2",
    "a { x = 1 }\na { y = 2 }\na.x = 3",
    "a = [1, 2, [3]]\nb = [\n1\n2\n]",
    "a = [{x = 1}, {y = 2}\n{z = 3}]",
    "# one\na = 1 # two\n// three\nb = 2 // four",
    'root = /data\npath = ${root}"/x"',
    "a = {x = 1}\nb = ${a} {y = 2}",
    "a = [1]\nb = ${a} [2]",
    "a = [1]\na = ${a} [2]",
    "a = x\na = ${?NO_SUCH_VARIABLE}",
    "a = ${?NO_SUCH_VARIABLE}\nb = 1",
    'a = """two\nlines "quoted" """',
    "a = some words",
    "a = ${b}\nb = ${c}\nc = 5",
    "a { b = 1, c = ${a.b} }",
    "a = ${b.x}\nb { x = 1, y = ${a} }",
    "a = 1\na = 2",
    "a { b = 1 }\na = null",
    'path = "/bin"\npath = ${path}":/usr/bin"',
    "a = 0.5\nb = -3\nc = 12345678901234567890",
    'a = "tab\\tquote\\""',
    "a = {}\nb = []",
    "a = [1, 2,]",
    "a = 1,\nb = 2,\n",
    '"quoted" = 1',
    "a =\n  1",
    "a\n{ b = 1 }",
]


@pytest.mark.parametrize("text", SHARED)
def test_what_pyhocon_reads_is_read_the_same(text: str) -> None:
    def plain(held: Any) -> Any:
        if isinstance(held, dict):
            return {key.strip('"'): plain(value) for key, value in held.items()}
        return [plain(item) for item in held] if isinstance(held, list) else held

    assert read(text) == plain(json.loads(json.dumps(ConfigFactory.parse_string(text).as_plain_ordered_dict())))


keys = st.text(st.sampled_from("abcdefg"), min_size=1, max_size=3)
scalars = st.one_of(
    st.integers(-(10**6), 10**6), st.booleans(), st.text(st.sampled_from("abc xyz\"\\'äß/#"), max_size=8)
)
documents = st.dictionaries(
    keys,
    st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=12
    ),
    max_size=5,
)


@given(documents, st.sampled_from([None, 2]))
def test_json_is_read_as_json(document: dict[str, Any], indent: int | None) -> None:
    """As HOCON, of which JSON is a part, and as JSON."""
    text = json.dumps(document, indent=indent)
    assert read(text) == document
    assert resolved(parse_json(text, "p.json", PLAIN), {}, Problems(), PLAIN).data == document


@given(st.text(st.sampled_from('{}[]=:,"\n #/$\\a1.+ '), max_size=30))
def test_any_text_is_read_or_refused_with_its_line(text: str) -> None:
    try:
        parse_hocon(text, "p.conf", lambda *_: pytest.fail("nothing to include"), PLAIN)
    except SyntaxProblem as problem:
        lines = problem.place.line
    else:
        lines = 1
    assert 1 <= lines <= text.count("\n") + 1


@pytest.mark.parametrize(
    "written", ["5s", "250ms", "5 minutes", "1 d", "200/s", "10MB", "007", ".5", "yes", "on", "1:30"]
)
def test_what_is_no_number_of_jsons_stays_as_it_is_written(written: str) -> None:
    """pyhocon makes durations of some and numbers of others."""
    assert read(f"a = {written}") == {"a": written}


def test_plus_equals_adds_to_a_list() -> None:
    """As the specification says; pyhocon keeps only what is added."""
    text = "a = [1]\na += 2\na += 3\nb += 1\nc { d = [1] }\nc { d += ${a} }\ne = [0]\ne = [1]\ne += 2"
    assert read(text) == {"a": [1, 2, 3], "b": [1], "c": {"d": [1, [1, 2, 3]]}, "e": [1, 2]}
    assert refused("a = x\na += 2") == ["p.conf:1: += adds to a list, and this is none"]


def test_numbers_remember_how_they_were_written() -> None:
    found = read("a = 1e3, b = 1.10, c = 1E-2, d = 0.5")
    assert found == {"a": 1000.0, "b": 1.1, "c": 0.01, "d": 0.5}
    assert [value.text for value in found.values()] == ["1e3", "1.10", "1E-2", "0.5"]
    assert read('a = 1e3, b = "x "${a}, c = ${a} s') == {"a": 1000.0, "b": "x 1e3", "c": "1e3 s"}


def test_below_a_flat_key_a_dotted_key_is_one_key() -> None:
    """Spark has settings that are the beginning of others: HOCON would keep one of the two."""
    text = """
    spark { conf { spark.speculation = true, spark.speculation.interval = 100ms, "spark.sql.x" = 1 } }
    spark.conf.spark.sql.y = 2
    read.options.page.size = 5
    """
    flat = Dialect(flat=("conf", "options"))
    assert read(text, flat) == {
        "spark": {
            "conf": {
                "spark.speculation": True, "spark.speculation.interval": "100ms", "spark.sql.x": 1, "spark.sql.y": 2,
            }
        },
        "read": {"options": {"page.size": 5}},
    }  # fmt: skip
    assert read("conf { a.b = 1 }, x = ${conf.a.b}", flat)["x"] == 1
    assert read("options.page.size = 5") == {"options": {"page": {"size": 5}}}


def test_a_key_that_is_a_value_and_a_group_is_refused() -> None:
    """HOCON drops one of them silently."""
    told = "p.conf:1: retry is given as a value and as a group of keys"
    assert refused("retry = 3\nretry.max_attempts = 5") == [told]
    assert refused("retry = 3\nretry { max_attempts = 5 }") == [told]
    assert refused("retry.max_attempts = 5\nretry = 3") == [told.replace(":1:", ":2:")]


def test_a_reference_counts_in_quotes_only_where_the_dialect_has_it_so() -> None:
    """There `$${` is a plain `${`; elsewhere both are as they stand."""
    text = (
        'vars.day = 2026-01-01\nsql = """SELECT * FROM t WHERE day = \'${vars.day}\'"""\na = "${vars.day}"\nb = "$${x}"'
    )
    found = read(text, Dialect(quoted_references=True))
    assert (found["sql"], found["a"], found["b"]) == (
        "SELECT * FROM t WHERE day = '2026-01-01'", "2026-01-01", "${x}",
    )  # fmt: skip
    found = read(text)
    assert (found["sql"], found["a"], found["b"]) == (
        "SELECT * FROM t WHERE day = '${vars.day}'", "${vars.day}", "$${x}",
    )  # fmt: skip


def test_a_secret_is_named_where_it_is_used_if_the_dialect_has_a_group_of_them() -> None:
    text = "secrets { api = env:TOKEN }\ntoken = ${secrets.api}"
    named = Dialect(secrets="secrets")
    assert read(text) == {"secrets": {"api": "env:TOKEN"}, "token": "env:TOKEN"}
    assert read(text, named) == {"secrets": {"api": "env:TOKEN"}, "token": "secret:api"}
    assert read("secrets.api.v1 = x, token = ${secrets.api.v1}", named)["token"] == "x"
    assert read(f"{text}-x")["token"] == "env:TOKEN-x"
    assert refused(f"{text}-x", named) == ["p.conf:2: a secret is a value of its own: it cannot be joined with text"]


def test_a_lenient_dialect_reads_uris_and_words_as_they_are_meant() -> None:
    """As pyhocon does. What would be a comment in the middle of a word is refused by both."""
    text = "a = s3://bucket/x\nb = [True, FALSE, Null, true, None]\nc = file:///x // and a comment\nd = a://b://c\n"
    text += "e = [.5, -.25, -0]"
    lenient = Dialect(lenient=True)
    assert read(text, lenient) == ConfigFactory.parse_string(text).as_plain_ordered_dict()
    assert read(text, lenient) == {
        "a": "s3://bucket/x", "b": [True, False, None, True, "None"], "c": "file:///x", "d": "a://b://c",
        "e": [0.5, -0.25, 0],
    }  # fmt: skip
    assert read('r = s3, a = ${r}"://b", b = ${r}://b, c = "True"', lenient) == {
        "r": "s3", "a": "s3://b", "b": "s3://b", "c": "True",
    }  # fmt: skip
    assert read("b = [True, FALSE, Null, .5, -0]") == {"b": ["True", "FALSE", "Null", ".5", "-0"]}
    for dialect in (PLAIN, lenient):
        assert refused("a = 5//seconds", dialect) == ["p.conf:1: // must stand in quotes"]
        assert refused("a = /data//x", dialect) == ["p.conf:1: // must stand in quotes"]


def test_the_environment_counts_where_the_file_has_no_such_value() -> None:
    assert read("a = x, a = ${?A}, b = ${B}/c, HOME = here, c = ${HOME}", A="1", B="/b", HOME="/root") == {
        "a": "1", "b": "/b/c", "HOME": "here", "c": "here",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "a = 1\nb = ${nope}",
            (
                "p.conf:2: ${nope} has no value: set nope, or the environment variable nope, or write "
                "${?nope} where it may be missing"
            ),
        ),
        ("vars { root = 1 }\nb = ${vars.rot}", "p.conf:2: ${vars.rot} has no value: did you mean ${vars.root}?"),
        (
            "a = ${a}",
            "p.conf:1: ${a} has no value: set a, or the environment variable a, or write ${?a} where it may be missing",
        ),
        ("path = s3://bucket/x", "p.conf:1: // must stand in quotes"),
        ("a = x@y", "p.conf:1: @ must stand in quotes"),
        ("a = local[*]", "p.conf:1: * must stand in quotes"),
        ("a = local[2]", "p.conf:1: text cannot be joined with a list or an object: write text in quotes"),
        ("a = 1\nb {\n c = 2", "p.conf:2: { is never closed: a } is missing"),
        ("a = [1,\n2", "p.conf:1: [ is never closed: a ] is missing"),
        ("a = 1 }", "p.conf:1: a } or ] too many"),
        ('a = "x', "p.conf:1: a quote is never closed"),
        ('\na = """x', "p.conf:2: a quote is never closed"),
        ('a = "\\d+"', 'p.conf:1: a \\ in quotes is written \\\\, or the text in """ """'),
        ("a =", 'p.conf:1: a value is missing; an empty text is written ""'),
        ("a", "p.conf:1: = is missing after a key"),
        ("= 1", "p.conf:1: a key is missing here"),
        ("a..b = 1", "p.conf:1: a key has an empty part: a.b, or in quotes"),
        ("[1]", "p.conf:1: the file holds a list, and should hold keys: name = ..."),
        ("a.b += 1", "p.conf:1: += takes one key, not a path: write group { key += value }"),
        ('a = "x" b = 2', "p.conf:1: = must stand in quotes"),
        ("a = {} = 2", "p.conf:1: = must stand in quotes"),
        (
            'include url("http://example.com/x.conf")',
            'p.conf:1: only files are included: include "common.conf", beside this file',
        ),
        (
            'include "http://example.com/x.conf"',
            'p.conf:1: only files are included: include "common.conf", beside this file',
        ),
        ("a" + " { a" * 80, "p.conf:1: nested too deeply"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str, told: str) -> None:
    assert refused(text) == [told]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        # The end of a line that began a group is at its indentation.
        (
            "a = [\n  { b {\n      c { d = 1\n    }\n  }\n  { e = 2 }\n]",
            "p.conf:3: { is never closed: a } is missing; seen in line 6: this is no key",
        ),
        ("a {\n  b { c = 1\n  d = [ { e = 1 } ]\n}", "p.conf:2: { is never closed: a } is missing"),
        ("{\n  a = [\n    1\n}\n", "p.conf:2: [ is never closed: a ] is missing"),
        ("{\n  a = 1\n", "p.conf:1: { is never closed: a } is missing"),
        # What closes is of the other kind.
        (
            "a = [\n  { b = 1, c { d = 1 }\n  { b = 2 }\n]",
            "p.conf:2: { is never closed: a } is missing; seen in line 3: this is no key",
        ),
        # Nothing is indented: by the rules it is the outer one.
        ("a {\nb {\nc = 1\n}\n", "p.conf:1: { is never closed: a } is missing"),
        # No brackets: in texts, comments and references.
        (
            'a { # {\n  b = "{", c = """[\n{""", d = ${?x} // {\n',
            "p.conf:1: { is never closed: a } is missing",
        ),
        # A bracket that is closed further right than it was opened is closed.
        (
            "a {\n  b = 1\n    }\nc = [\n  { d = 1\n]\n",
            "p.conf:5: { is never closed: a } is missing; seen in line 6: this is no key",
        ),
        # One is closed too often, and none is missing.
        ("a = [\n  { b = 1 }\n  }\n]\n", "p.conf:3: this } closes nothing, or a ] is missing"),
        # Another fault comes first, or no bracket is to blame.
        ("a = x@y\nb {\n", "p.conf:1: @ must stand in quotes"),
        ("a { b = x@y }\n", "p.conf:1: @ must stand in quotes"),
        ('a {\n  b = "x\n', "p.conf:2: a quote is never closed"),
        ("a { b = 1 ] }\n", "p.conf:1: a comma or the end of the line is missing"),
    ],
)
def test_a_bracket_that_is_never_closed_is_told_where_it_was_opened(text: str, told: str) -> None:
    assert refused(text) == [told]


def test_references_to_references_cannot_fill_the_memory() -> None:
    lines = ["a0 = [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n} = [{', '.join([f'${{a{n - 1}}}'] * 10)}]" for n in range(1, 12)]
    assert any("comes to too much" in one for one in refused("\n".join(lines)))


def read_file(path: Path) -> Resolved:
    problems = Problems()
    root = read_hocon(str(path), read_text, shown, PLAIN)
    found = resolved(root, {}, problems, PLAIN)
    assert problems == []
    return found


def test_includes_are_relative_to_the_file_that_includes(tmp_path: Path) -> None:
    """An included file sees its own values first, and the including one replaces them."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "p.conf").write_text(
        'include "shared/common.conf"\nvars.root = /mine\nsizes { include "shared/s.conf" }'
    )
    (tmp_path / "shared" / "common.conf").write_text(
        'include "more.conf"\nvars { root = /shared, in = ${vars.root}/in }'
    )
    (tmp_path / "shared" / "more.conf").write_text("vars.more = 1")
    (tmp_path / "shared" / "s.conf").write_text("size = 4, more { x = ${size} }")
    found = read_file(tmp_path / "p.conf")
    assert found.data == {
        "vars": {"more": 1, "root": "/mine", "in": "/mine/in"},
        "sizes": {"size": 4, "more": {"x": 4}},
    }
    assert str(found.places["vars", "more"]) == f"{tmp_path}/shared/more.conf:1"
    assert str(found.places["sizes", "more", "x"]) == f"{tmp_path}/shared/s.conf:1"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("none.conf", "p.conf:2: include: {0}/none.conf cannot be read: No such file or directory"),
        ("p.conf", "p.conf:2: include: {0}/p.conf includes itself, by way of {0}/p.conf"),
        ("x.yaml", "p.conf:2: what is included ends in .conf, .hocon or .json"),
    ],
)
def test_an_include_that_cannot_be_read_is_told(tmp_path: Path, name: str, told: str) -> None:
    """HOCON goes on without it."""
    path = tmp_path / "p.conf"
    path.write_text(f'\ninclude "{name}"')
    with pytest.raises(SyntaxProblem) as caught:
        read_hocon(str(path), read_text, shown, PLAIN)
    assert f"{caught.value.place}: {caught.value}" == f"{tmp_path}/{told.format(tmp_path)}"


def test_a_circle_of_includes_ends_by_whatever_names(tmp_path: Path) -> None:
    (tmp_path / "p.conf").write_text('include "./p.conf"')
    with pytest.raises(SyntaxProblem, match="includes itself, by way of"):
        read_hocon(str(tmp_path / "p.conf"), read_text, shown, PLAIN)


def test_reading_takes_less_time_than_pyhocon_does() -> None:
    """Ten times less, and more; measured in one process, so that a busy machine slows both."""
    text = "steps = [\n" + "\n".join(f"{{ name = s{n}, retry {{ max_attempts = 3 }} }}" for n in range(100)) + "\n]"

    def took(parse: Any) -> float:
        start = time.process_time()
        parse(text)
        return time.process_time() - start

    assert min(took(read) for _ in range(3)) * 3 < took(ConfigFactory.parse_string)
