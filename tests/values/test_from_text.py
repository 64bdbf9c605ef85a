from __future__ import annotations

import csv
import datetime as dt
import io
import pickle
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import OptionError, ResponseError
from trunkline.values import CsvDecoder, ReadOptions, binary_batch, text_batch

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("name", pa.string()),
        pa.field("at", pa.timestamp("us", "UTC")),
        pa.field("amount", pa.decimal128(9, 2)),
    ]
)
KEPT = SCHEMA.set(0, pa.field("id", pa.int64())).append(pa.field("_corrupt", pa.string()))
PERMISSIVE = ReadOptions(mode="PERMISSIVE", corrupt_column="_corrupt")


def read(body: bytes, schema: pa.Schema = SCHEMA, **options: Any) -> list[dict[str, Any]]:
    batch = CsvDecoder(schema, ReadOptions(**options)).batch(body)
    batch.validate(full=True)
    assert batch.schema.equals(schema, check_metadata=True)
    rows: list[dict[str, Any]] = batch.to_pylist()
    return rows


def test_columns_are_found_by_name() -> None:
    """Whatever their order, with more of them than asked for, typed by the schema, a byte order mark before."""
    body = b'\xef\xbb\xbfother,amount,at,name,id\r\nx,"1.50",2024-05-01T12:00:00Z,"say ""hi""\n",1\r\n,,,,2\r\n'
    assert read(body) == [
        {
            "id": 1,
            "name": 'say "hi"\n',
            "at": dt.datetime(2024, 5, 1, 12, tzinfo=dt.timezone.utc),
            "amount": Decimal("1.50"),
        },
        {"id": 2, "name": None, "at": None, "amount": None},
    ]


def test_options() -> None:
    """Separator, null text and a missing first line are options."""
    body = b"1;a;NULL;NULL\n2;NULL;NULL;\n"
    assert read(body, csv_separator=";", csv_null="NULL", csv_header=False) == [
        {"id": 1, "name": "a", "at": None, "amount": None},
        {"id": 2, "name": None, "at": None, "amount": None},
    ]


def test_empty_fields() -> None:
    """An empty field is null; with quotes it is an empty string in a column of strings, and null elsewhere."""
    assert read(b'id,name,at,amount\n1,"","",""\n2,,,\n') == [
        {"id": 1, "name": "", "at": None, "amount": None},
        {"id": 2, "name": None, "at": None, "amount": None},
    ]


def test_nothing() -> None:
    """An empty answer and one with a first line alone have no rows."""
    assert read(b"") == []
    assert read(b"id,name,at,amount\n") == []


def test_other_types() -> None:
    """Booleans and nested columns are read as JSON, binary as base64."""
    schema = pa.schema({"b": pa.bool_(), "l": pa.list_(pa.int8()), "x": pa.binary(), "v": pa.null()})
    assert read(b'b,l,x,v\ntrue,"[1, 2]",AAE=,\n', schema) == [{"b": True, "l": [1, 2], "x": b"\x00\x01", "v": None}]


BAD = b"id,name,at,amount\n1,a,,1.5\n2,b,,1.555\n3,c\n\n4,d,,\n5,e,,,,\n6,f,never,x\n"


def test_lines_that_do_not_fit() -> None:
    """A wrong value or a wrong number of fields ends the read, is kept with its line, or leaves with it."""
    with pytest.raises(ResponseError, match=r"record 2: amount must be DECIMAL\(9,2\), found 1.555;"):
        read(BAD)
    decoder = CsvDecoder(SCHEMA, ReadOptions(mode="DROPMALFORMED"))
    assert decoder.batch(BAD).column("id").to_pylist() == [1, 4]
    assert decoder.malformed == 4
    rows = CsvDecoder(KEPT, PERMISSIVE).batch(BAD).to_pylist()
    assert [(row["id"], row["name"], row["amount"], row["_corrupt"]) for row in rows] == [
        (1, "a", Decimal("1.50"), None),
        (2, "b", None, "2,b,,1.555"),
        (None, None, None, "3,c"),
        (4, "d", None, None),
        (None, None, None, "5,e,,,,"),
        (6, "f", None, "6,f,never,x"),
    ]


@pytest.mark.parametrize(
    ("field", "path"), [("", "id must be BIGINT, it is missing"), ("null", "id must be BIGINT"), ("1 2", "id must be")]
)
def test_a_column_that_must_be_there(field: str, path: str) -> None:
    """An empty field, or the word null, does not fit where there must be a number."""
    with pytest.raises(ResponseError, match=f"record 1: {path}"):
        read(f"id,name,at,amount\n{field},a,,\n".encode())


def test_columns_that_are_missing() -> None:
    """A column the answer does not have ends the read whatever the mode, or is null where it may be missing; one that
    stands twice ends it always."""
    for mode in ("FAILFAST", "DROPMALFORMED"):
        with pytest.raises(ResponseError, match="no column at, amount: the first line names id, name"):
            CsvDecoder(SCHEMA, ReadOptions(mode=mode)).batch(b"id,name\n1,a\n")
    may_be_missing = replace(PERMISSIVE, missing="null")
    assert CsvDecoder(KEPT, may_be_missing).batch(b"id,name\n1,a\n").to_pylist() == [
        {"id": 1, "name": "a", "at": None, "amount": None, "_corrupt": None}
    ]
    with pytest.raises(ResponseError, match="names id more than once"):
        CsvDecoder(SCHEMA, ReadOptions(mode="DROPMALFORMED")).batch(b"id,id\n1,2\n")


def test_bytes_that_are_no_text() -> None:
    """CSV and text are UTF-8."""
    for read_it in (read, lambda body: text_batch(body, pa.schema({"value": pa.string()}))):
        with pytest.raises(ResponseError, match="not UTF-8 at byte 3"):
            read_it(b"id,\xff")


texts = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), min_size=1, max_size=6)


@given(st.lists(st.tuples(texts, texts), max_size=5))
def test_texts_come_as_they_were_written(rows: list[tuple[str, str]]) -> None:
    """Quotes, separators, line ends and anything else in a field are read as the csv module writes them."""
    body = io.StringIO(newline="")
    csv.writer(body, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    found = read(body.getvalue().encode(), pa.schema({"b": pa.string(), "a": pa.string()}))
    assert found == [{"b": b, "a": a} for a, b in rows]


def test_decoders_travel() -> None:
    """A pickled decoder reads the same."""
    decoder = pickle.loads(pickle.dumps(CsvDecoder(SCHEMA, ReadOptions(mode="DROPMALFORMED"))))
    assert decoder.batch(BAD).column("id").to_pylist() == [1, 4]


def test_text() -> None:
    """One row a line; empty lines count, the end of the last line is none."""
    schema = pa.schema([pa.field("value", pa.string(), nullable=False)])
    batch = text_batch(b"\xef\xbb\xbfa\r\n\n\xc3\xa9\x0b\n", schema)
    assert (batch.schema, batch.column(0).to_pylist()) == (schema, ["a", "", "é\x0b"])
    assert text_batch(b"", schema).column(0).to_pylist() == []
    assert text_batch(b"a", schema).column(0).to_pylist() == ["a"]


def test_binary() -> None:
    """One row with all bytes of the answer, a byte order mark too."""
    schema = pa.schema({"value": pa.binary()})
    assert binary_batch(b"\xef\xbb\xbf\xff", schema).to_pylist() == [{"value": b"\xef\xbb\xbf\xff"}]


def test_other_schemas() -> None:
    """Text wants one column of strings, binary one of bytes."""
    with pytest.raises(OptionError, match=r'format=text is read into .schema\("value STRING"\), not into id BIGINT'):
        text_batch(b"", SCHEMA)
    with pytest.raises(OptionError, match="format=binary"):
        binary_batch(b"", pa.schema({"value": pa.string()}))
