"""A schema in Spark's DDL, judged without a Spark, and only where the judgement is certain.

    >>> ddl_problem("id INTT, name STRING")
    'id: there is no type INTT: did you mean INT?'

A type that nobody here knows and that is near to none may be one of a newer Spark: it passes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from trunkline.config.tree import near

# Of Spark 4.3, https://spark.apache.org/docs/latest/sql-ref-datatypes.html and the keywords of its grammar.
_TYPES = """BOOLEAN BYTE TINYINT SHORT SMALLINT INT INTEGER LONG BIGINT FLOAT REAL DOUBLE STRING CHAR CHARACTER VARCHAR
BINARY DATE TIME TIMESTAMP TIMESTAMP_LTZ TIMESTAMP_NTZ DECIMAL DEC NUMERIC INTERVAL ARRAY MAP STRUCT VARIANT VOID
GEOMETRY GEOGRAPHY"""
TYPES = frozenset(_TYPES.split())
_NESTED = {"ARRAY": "ARRAY<STRING>", "MAP": "MAP<STRING, STRING>", "STRUCT": "STRUCT<id: BIGINT>"}
# Expressions may follow these, in which < is no bracket.
_EXPRESSION = re.compile(r"\b(DEFAULT|GENERATED)\b", re.IGNORECASE)
# A quoted name, a text, a word, a sign.
_TOKEN = re.compile(r"`(?:[^`]|``)+`|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\w+|\S")
_CLOSED_BY = {"<": ">", "(": ")"}


def ddl_problem(text: str) -> str | None:
    """What is certainly wrong with the columns of a schema; None where nothing is, or nobody here can tell."""
    if _EXPRESSION.search(text):
        return None
    tokens = _TOKEN.findall(text)
    opened: list[str] = []
    for token in tokens:
        if token in _CLOSED_BY:
            opened.append(_CLOSED_BY[token])
        elif token in _CLOSED_BY.values() and (not opened or opened.pop() != token):
            return f"a {token} closes nothing"
    if opened:
        return f"a {opened[-1]} is missing"
    # `STRING`, `ARRAY<INT>`: one type, of an answer.
    first = tokens[0].upper() if tokens else ""
    one = first == "INTERVAL" or (first in TYPES and (len(tokens) == 1 or tokens[1] in _CLOSED_BY))
    return next(_of_type(tokens, "") if one else _of_fields(tokens), None)


def _of_fields(tokens: Sequence[str]) -> Iterator[str]:
    for field in _split(tokens):
        if not field:
            yield "a column is empty: there is a comma too many"
        elif len(field) == 1:
            yield f"{field[0]} has no type: {field[0]} STRING"
        else:
            yield from _of_type(field[2:] if field[1] == ":" else field[1:], f"{field[0]}: ")


def _of_type(tokens: Sequence[str], where: str) -> Iterator[str]:
    if not tokens:
        yield f"{where}a type is missing"
        return
    name = tokens[0].upper()
    if name in _NESTED and tokens[1:2] != ["<"]:
        yield f"{where}{tokens[0]} says not of what: {_NESTED[name]}"
    elif name in _NESTED:
        inside = _inside(tokens[1:])
        # A struct may have no fields.
        if name == "STRUCT":
            yield from _of_fields(inside) if inside else ()
        else:
            for part in _split(inside):
                yield from _of_type(part, where)
    elif name not in TYPES and name.isidentifier() and not name.startswith(tuple(f"{known}_" for known in TYPES)):
        meant = near(name, sorted(TYPES))
        if meant:
            yield f"{where}there is no type {tokens[0]}: did you mean {meant}?"


def _inside(tokens: Sequence[str]) -> Sequence[str]:
    """What stands in the bracket that is opened first."""
    depth = 0
    for at, token in enumerate(tokens):
        depth += (token in _CLOSED_BY) - (token in _CLOSED_BY.values())
        if depth == 0:
            return tokens[1:at]
    return tokens[1:]


def _split(tokens: Sequence[str]) -> list[list[str]]:
    """The parts between the commas that are in no bracket."""
    parts: list[list[str]] = [[]]
    depth = 0
    for sign in tokens:
        depth += (sign in _CLOSED_BY) - (sign in _CLOSED_BY.values())
        if sign == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(sign)
    return parts
