"""A schema in Spark's DDL, read without a Spark: the process that plans a table function has none to ask.

    >>> parse_ddl("name STRING, tags ARRAY<STRING>").simpleString()
    'struct<name:string,tags:array<string>>'

Covers the types that bodies can be parsed into (values/spark_types.py), their synonyms, back-quoted names, `NOT NULL`
and `COMMENT`.
"""

from __future__ import annotations

import re

from pyspark.sql import types as t

_SIMPLE: dict[str, type[t.DataType]] = {
    "BOOLEAN": t.BooleanType,
    "BYTE": t.ByteType, "TINYINT": t.ByteType,
    "SHORT": t.ShortType, "SMALLINT": t.ShortType,
    "INT": t.IntegerType, "INTEGER": t.IntegerType,
    "LONG": t.LongType, "BIGINT": t.LongType,
    "FLOAT": t.FloatType, "REAL": t.FloatType,
    "DOUBLE": t.DoubleType,
    "STRING": t.StringType,
    "BINARY": t.BinaryType,
    "DATE": t.DateType,
    "TIMESTAMP": t.TimestampType, "TIMESTAMP_LTZ": t.TimestampType,
    "TIMESTAMP_NTZ": t.TimestampNTZType,
    "VARIANT": t.VariantType,
    "VOID": t.NullType,
}  # fmt: skip
_DECIMALS = ("DECIMAL", "DEC", "NUMERIC")
_INTERVAL_UNITS = ("DAY", "HOUR", "MINUTE", "SECOND")
_TOKEN = re.compile(r"\s*(?:(?P<word>\w+)|`(?P<quoted>(?:[^`]|``)+)`|(?P<text>'(?:[^'\\]|\\.)*')|(?P<sign>[<>(),:]))")


def parse_ddl(text: str) -> t.DataType:
    """The type that the text stands for: fields of a struct, `name STRING, age INT`, or any one type.

    Raises:
        ValueError: With a sentence that says where it cannot be read.
    """
    tokens = _tokens(text)
    if len(tokens) > 1 and tokens[1][1] not in ("<", "("):
        fields = _Parser(tokens)
        return fields.whole(fields.fields())
    one = _Parser(tokens)
    return one.whole(one.kind())


def _tokens(text: str) -> list[tuple[str, str]]:
    """Sort and value of every token."""
    found, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            message = f"nothing begins with {text[at:].strip()[:20]!r}"
            raise ValueError(message)
        kind = str(match.lastgroup)
        found.append((kind, match[kind]))
        at = match.end()
    return found


class _Parser:
    """Reads tokens from left to right."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = [*tokens, ("end", "")]
        self._at = 0

    def whole(self, kind: t.DataType) -> t.DataType:
        if self._tokens[self._at][0] != "end":
            raise self._wrong("the end")
        return kind

    def fields(self) -> t.StructType:
        struct = t.StructType()
        while True:
            sort, name = self._tokens[self._at]
            if sort not in ("word", "quoted"):
                raise self._wrong("a name")
            self._at += 1
            self._take(":")
            kind = self.kind()
            nullable = not self._words("NOT", "NULL")
            comment = self._comment() if self._words("COMMENT") else None
            struct.add(name.replace("``", "`"), kind, nullable, None if comment is None else {"comment": comment})
            if not self._take(","):
                return struct

    def kind(self) -> t.DataType:
        sort, word = self._tokens[self._at]
        name = word.upper() if sort == "word" else ""
        if name in _SIMPLE:
            self._at += 1
            return _SIMPLE[name]()
        if name in _DECIMALS:
            self._at += 1
            numbers = self._numbers(2)
            return t.DecimalType(*numbers) if numbers else t.DecimalType(10, 0)
        if name == "TIME" and hasattr(t, "TimeType"):
            self._at += 1
            return t.TimeType(*self._numbers(1))
        if name == "INTERVAL":
            self._at += 1
            return self._interval()
        if name in ("ARRAY", "MAP", "STRUCT"):
            self._at += 1
            return self._nested(name)
        raise self._wrong("a type")

    def _nested(self, name: str) -> t.DataType:
        self._expect("<")
        kind: t.DataType
        if name == "STRUCT":
            kind = t.StructType() if self._tokens[self._at][1] == ">" else self.fields()
        elif name == "ARRAY":
            kind = t.ArrayType(self.kind())
        else:
            key = self.kind()
            self._expect(",")
            kind = t.MapType(key, self.kind())
        self._expect(">")
        return kind

    def _interval(self) -> t.DataType:
        first = self._unit()
        last = self._unit() if self._words("TO") else first
        if last < first:
            raise self._wrong("an interval from larger to smaller")
        return t.DayTimeIntervalType(first, last)

    def _unit(self) -> int:
        name = self._tokens[self._at][1].upper()
        if name not in _INTERVAL_UNITS:
            raise self._wrong("DAY, HOUR, MINUTE or SECOND")
        self._at += 1
        return _INTERVAL_UNITS.index(name)

    def _numbers(self, most: int) -> list[int]:
        """What stands in parentheses, if they are there."""
        if not self._take("("):
            return []
        found: list[int] = []
        while True:
            word = self._tokens[self._at][1]
            if not word.isdecimal() or len(found) == most:
                raise self._wrong("a number" if len(found) < most else ")")
            found.append(int(word))
            self._at += 1
            if not self._take(","):
                self._expect(")")
                return found

    def _comment(self) -> str:
        sort, text = self._tokens[self._at]
        if sort != "text":
            raise self._wrong("a text in quotes")
        self._at += 1
        return re.sub(r"\\(.)", r"\1", text[1:-1])

    def _words(self, *words: str) -> bool:
        """Pass over these words, if they are next."""
        following = [(sort, value.upper()) for sort, value in self._tokens[self._at : self._at + len(words)]]
        if following != [("word", word) for word in words]:
            return False
        self._at += len(words)
        return True

    def _take(self, sign: str) -> bool:
        if self._tokens[self._at] != ("sign", sign):
            return False
        self._at += 1
        return True

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            raise self._wrong(sign)

    def _wrong(self, wanted: str) -> ValueError:
        sort, value = self._tokens[self._at]
        return ValueError(f"{wanted} is expected, found {'the end' if sort == 'end' else value}")
