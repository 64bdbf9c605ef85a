from __future__ import annotations

import base64
import datetime as dt
import json
import math
import re
from decimal import Context, Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trunkline.errors import OptionError
from trunkline.values import JsonDecoder, JsonOptions, ReadOptions, check_schema, encode, texts

UTC = dt.timezone.utc
WIDE = Context(prec=80)


class Number(str):
    """A number of a JSON text as it stands there."""

    __slots__ = ()


def parse(text: bytes) -> Any:
    def constant(word: str) -> None:
        raise ValueError(f"{word} is not JSON")

    return json.loads(text, parse_float=Number, parse_int=Number, parse_constant=constant)


def duration(value: dt.timedelta) -> str:
    sign, value = ("-" if value < dt.timedelta(0) else ""), abs(value)
    hours, rest = divmod(value.seconds, 3600)
    fraction = f".{value.microseconds:06d}" if value.microseconds else ""
    return f"{sign}P{value.days}DT{hours}H{rest // 60}M{rest % 60}{fraction}S"


def expected(value: Any, kind: pa.DataType, nulls: str = "keep") -> Any:
    """What `parse` gives for a Python value of an Arrow type, by the rules the module promises."""
    t = pa.types
    if value is None or t.is_boolean(kind):
        return value
    if t.is_integer(kind):
        return Number(value)
    if t.is_float32(kind):
        return Number(np.float32(value).item()), np.float32
    if t.is_floating(kind):
        return Number(value), np.float64
    if t.is_decimal(kind):
        return Number(format(value.quantize(Decimal(1).scaleb(-kind.scale), context=WIDE), "f"))
    if t.is_timestamp(kind):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if kind.tz else value.isoformat()
    if t.is_date(kind) or t.is_time(kind):
        return value.isoformat()
    if t.is_duration(kind):
        return duration(value)
    if t.is_binary(kind) or t.is_large_binary(kind) or t.is_fixed_size_binary(kind) or t.is_binary_view(kind):
        return base64.b64encode(value).decode()
    if t.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        members = {f.name: expected(value[f.name], f.type, nulls) for f in fields}
        return {k: v for k, v in members.items() if nulls == "keep" or v is not None}
    if t.is_map(kind):
        return {key_text(k, kind.key_type): expected(v, kind.item_type, nulls) for k, v in value}
    if t.is_dictionary(kind):
        return expected(value, kind.value_type, nulls)
    if not isinstance(value, str):
        return [expected(v, kind.value_type, nulls) for v in value]
    return value


def key_text(key: Any, kind: pa.DataType) -> str:
    text = expected(key, kind)
    return text if not isinstance(text, bool) else str(text).lower()


def same(written: Any, wanted: Any) -> bool:
    if isinstance(wanted, tuple):
        text, kind = wanted
        plain_or_short = re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?", written) and (set(".e") & set(written))
        equal = kind(written) == kind(text) and math.copysign(1, kind(written)) == math.copysign(1, kind(text))
        return bool(plain_or_short) and bool(equal)
    if isinstance(wanted, dict):
        return list(written) == list(wanted) and all(same(written[k], wanted[k]) for k in wanted)
    if isinstance(wanted, list):
        return len(written) == len(wanted) and all(map(same, written, wanted))
    return type(written) is type(wanted) and bool(written == wanted)


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    return st.integers(1 - 10**precision, 10**precision - 1).map(lambda n: Decimal(n).scaleb(-scale, WIDE))


naive = st.datetimes() | st.datetimes().map(lambda value: value.replace(microsecond=0))
scalars: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.bool_(), st.booleans()),
    (pa.int8(), st.integers(-128, 127)),
    (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.float32(), st.floats(width=32, allow_nan=False, allow_infinity=False)),
    (pa.float64(), st.floats(allow_nan=False, allow_infinity=False)),
    (pa.decimal128(10, 2), decimals(10, 2)),
    (pa.decimal128(38, 18), decimals(38, 18) | st.just(Decimal(0)) | decimals(3, 18)),
    (pa.decimal128(38, 38), decimals(38, 38) | decimals(2, 38)),
    (pa.string(), st.text(max_size=8)),
    (pa.large_string(), st.text(alphabet='a"\\\n\x00\x1fé\U0001f600', max_size=8)),
    (pa.string_view(), st.text(max_size=20)),
    (pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["a", "b", 'c"'])),
    (pa.binary(), st.binary(max_size=8)),
    (pa.binary_view(), st.binary(max_size=20)),
    (pa.binary(5), st.binary(min_size=5, max_size=5)),
    (pa.date32(), st.dates()),
    (pa.timestamp("us"), naive),
    (pa.timestamp("us", "America/New_York"), naive.map(lambda value: value.replace(tzinfo=UTC))),
    (pa.timestamp("s", "UTC"), naive.map(lambda value: value.replace(tzinfo=UTC, microsecond=0))),
    (pa.time64("us"), st.times()),
    (pa.duration("us"), st.timedeltas(dt.timedelta(days=-(10**6)), dt.timedelta(days=10**6))),
    (pa.null(), st.none()),
]
keys = [pair for pair in scalars if str(pair[0]) in {"string", "int32", "date32[day]", "bool", "large_string"}]
names = st.text(alphabet='ab"é .', max_size=3)


def nested(
    of: st.SearchStrategy[tuple[pa.DataType, st.SearchStrategy[Any]]],
) -> st.SearchStrategy[tuple[pa.DataType, st.SearchStrategy[Any]]]:
    def listed(pair: tuple[pa.DataType, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
        kind, values = pair
        some = st.lists(st.none() | values, max_size=4)
        return st.sampled_from(
            [
                (pa.list_(kind), some),
                (pa.large_list(kind), some),
                (pa.list_view(kind), some),
                (pa.list_(kind, 2), st.lists(st.none() | values, min_size=2, max_size=2)),
            ]
        )

    def mapped(pairs: tuple[Any, Any]) -> tuple[pa.DataType, st.SearchStrategy[Any]]:
        (key, key_values), (item, item_values) = pairs
        entries = st.dictionaries(key_values, st.none() | item_values, max_size=3)
        return pa.map_(key, item), entries.map(lambda found: list(found.items()))

    def structured(fields: dict[str, Any]) -> tuple[pa.DataType, st.SearchStrategy[Any]]:
        kind = pa.struct([pa.field(name, kind) for name, (kind, _) in fields.items()])
        return kind, st.fixed_dictionaries({name: st.none() | values for name, (_, values) in fields.items()})

    structs = st.dictionaries(names, of, max_size=3).map(structured)
    return of.flatmap(listed) | structs | st.tuples(st.sampled_from(keys), of).map(mapped)


types = st.recursive(st.sampled_from(scalars), nested, max_leaves=4)


@st.composite
def batches(draw: st.DrawFn) -> tuple[pa.RecordBatch, list[dict[str, Any]]]:
    """A slice of a batch, and its rows as Python values."""
    columns = draw(st.dictionaries(names, types, min_size=1, max_size=4))
    total = draw(st.integers(0, 6))
    begin = draw(st.integers(0, total))
    values = {
        name: draw(st.lists(some if draw(st.booleans()) else st.none() | some, min_size=total, max_size=total))
        for name, (_, some) in columns.items()
    }
    arrays = [pa.array(values[name], kind) for name, (kind, _) in columns.items()]
    batch = pa.record_batch(arrays, names=list(columns)).slice(begin, draw(st.integers(0, total - begin)))
    return batch, [{name: values[name][begin + i] for name in columns} for i in range(len(batch))]


@settings(deadline=None, max_examples=150)
@given(batches(), st.sampled_from(["keep", "omit"]), st.sampled_from([",", "\n"]))
def test_every_value_reads_back(made: tuple[pa.RecordBatch, list[dict[str, Any]]], nulls: Any, separator: Any) -> None:
    """Rows of any types, nested and sliced, parse as strict JSON to the values they were made of."""
    batch, values = made
    rows = encode(batch, JsonOptions(nulls=nulls, separator=separator))
    row_type = pa.struct(list(batch.schema))
    assert rows.errors == {}
    assert len(rows) == len(batch)
    for i, value in enumerate(values):
        written, wanted = parse(rows.row(i)), expected(value, row_type, nulls)
        assert same(written, wanted), (written, wanted)
    assert rows.join(0, len(rows)) == separator.encode().join(rows.row(i) for i in range(len(rows)))


@settings(deadline=None, max_examples=100)
@given(batches())
def test_texts_are_the_json_without_its_quotes(made: tuple[pa.RecordBatch, list[dict[str, Any]]]) -> None:
    """Plain text is the JSON of a value, a quoted one without quotes and escapes, and null for null."""
    batch, _ = made
    rows = encode(batch, JsonOptions())
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        for i, text in enumerate(texts(column).to_pylist()):
            written = parse(rows.row(i))[name]
            if written is None or type(written) is str:
                assert text == written
            else:
                assert parse(text.encode()) == written


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
@example([1e308, 5e-324, 2.2250738585072014e-308, -0.0, 1e16, 1e10, 123456789012345680.0, 0.1, 1e-7])
def test_doubles_come_back_bit_for_bit(values: list[float]) -> None:
    """The text of a double reads back as the same double, sign of zero included, and stays a float."""
    rows = encode(pa.record_batch({"x": values}), JsonOptions())
    back = [json.loads(rows.row(i))["x"] for i in range(len(rows))]
    assert [value.hex() for value in back] == [value.hex() for value in values]


def one(array: pa.Array, **options: Any) -> list[str]:
    rows = encode(pa.record_batch({"x": array}), JsonOptions(**options))
    return [rows.row(i).decode().removeprefix('{"x":').removesuffix("}") for i in range(len(rows))]


def test_floats_have_their_shortest_text() -> None:
    """A whole float keeps its point, and a 32-bit one is not widened."""
    assert one(pa.array([1.0, -0.0, 0.1, 5e-324, 1e308, None])) == ["1.0", "-0.0", "0.1", "5e-324", "1e+308", "null"]
    assert one(pa.array([0.1, 16777216.0], pa.float32())) == ["0.1", "16777216.0"]


def test_decimals_are_exact_and_plain() -> None:
    """All digits of the scale, no exponent, as number or as string."""
    small = pa.array([Decimal("0.0000001"), Decimal(0), Decimal("-12345.5"), None], pa.decimal128(38, 7))
    assert one(small) == ["0.0000001", "0.0000000", "-12345.5000000", "null"]
    assert one(small[:1], decimals="string") == ['"0.0000001"']
    assert one(pa.array([Decimal("1E+3"), Decimal(0)], pa.decimal128(5, -2))) == ["1000", "0"]


def test_times_in_all_their_forms() -> None:
    """A fraction of zero is left out, an instant ends with Z whatever zone it is shown in, epochs round down."""
    micros = pa.array([1714564800123456, 1714564800000000, -1, None])
    zoned, local = micros.cast(pa.timestamp("us", "America/New_York")), micros.cast(pa.timestamp("us"))
    iso = ["2024-05-01T12:00:00.123456", "2024-05-01T12:00:00", "1969-12-31T23:59:59.999999"]
    assert one(zoned) == [*(f'"{text}Z"' for text in iso), "null"]
    assert one(local) == [*(f'"{text}"' for text in iso), "null"]
    assert one(zoned, timestamps="epochSeconds") == ["1714564800", "1714564800", "-1", "null"]
    assert one(zoned, timestamps="epochMillis") == ["1714564800123", "1714564800000", "-1", "null"]
    assert one(local, timestamps="epochMillis") == one(local)
    assert one(pa.array([12], pa.timestamp("s", "UTC")), timestamps="epochMillis") == ["12000"]
    assert one(pa.array([1, 0], pa.timestamp("ns"))) == ['"1970-01-01T00:00:00.000000001"', '"1970-01-01T00:00:00"']
    assert one(pa.array([43200500000000], pa.time64("ns"))) == ['"12:00:00.500000000"']


def test_durations_have_all_four_parts() -> None:
    """Day-time intervals are ISO 8601 durations; the smallest 64-bit number is one too."""
    values = pa.array([93784500000, 0, -1, -(2**63), None], pa.int64()).cast(pa.duration("us"))
    assert one(values) == [
        '"P1DT2H3M4.500000S"',
        '"P0DT0H0M0S"',
        '"-P0DT0H0M0.000001S"',
        '"-P106751991DT4H0M54.775808S"',
        "null",
    ]


def test_map_keys_are_text() -> None:
    """Keys that are no strings become their text, nested ones their JSON."""
    dates = pa.array([[(dt.date(2024, 1, 1), 1)]], pa.map_(pa.date32(), pa.int32()))
    structs = pa.array([[({"a": 1}, None)], None], pa.map_(pa.struct({"a": pa.int32()}), pa.int32()))
    assert one(dates) == ['{"2024-01-01":1}']
    assert one(structs) == ['{"{\\"a\\":1}":null}', "null"]
    assert one(pa.array([[(1.5, True)]], pa.map_(pa.float64(), pa.bool_()))) == ['{"1.5":true}']


def test_omitted_nulls() -> None:
    """Null fields go at every level of structs; elements of arrays and entries of maps stay."""
    kind = pa.struct({"a": pa.int32(), "l": pa.list_(pa.int32()), "m": pa.map_(pa.string(), pa.int32())})
    values = [{"a": None, "l": [None], "m": [("k", None)]}, {"a": None, "l": None, "m": None}, None]
    assert one(pa.array(values, kind), nulls="omit")[:2] == ['{"l":[null],"m":{"k":null}}', "{}"]
    assert encode(pa.record_batch({"x": pa.array([None], kind)}), JsonOptions(nulls="omit")).row(0) == b"{}"
    assert one(pa.array(values, kind), nulls="keep")[1:] == ['{"a":null,"l":null,"m":null}', "null"]


def test_rows_of_nothing() -> None:
    """No columns give empty objects, no rows give nothing."""
    batch = pa.record_batch({"a": [1, 2]})
    assert encode(batch.select([]), JsonOptions()).join(0, 2) == b"{},{}"
    empty = encode(batch.slice(0, 0), JsonOptions())
    assert (len(empty), empty.join(0, 0), empty.errors) == (0, b"", {})
    assert one(pa.array([{}, None], pa.struct([]))) == ["{}", "null"]


def test_nan_is_refused_by_row_and_named_by_path() -> None:
    """Rows with NaN or infinity take no bytes and say where it was; the others are written."""
    batch = pa.record_batch(
        {
            "a": pa.array([{"b": [1.0, math.nan]}, {"b": [2.0]}, None]),
            "m": pa.array([None, [("k", math.inf)], [("k", 1.0)]], pa.map_(pa.string(), pa.float64())),
        }
    )
    rows = encode(batch, JsonOptions())
    assert rows.errors == {
        0: "column a.b[] is NaN or infinite, which JSON has no number for",
        1: "column m{} is NaN or infinite, which JSON has no number for",
    }
    assert rows.join(0, 3) == rows.row(2) == b'{"a":null,"m":{"k":1.0}}'
    assert (rows.row(0), rows.size(0, 2)) == (b"", 0)
    nulls = encode(batch, JsonOptions(non_finite="null"))
    assert nulls.errors == {}
    assert nulls.row(0) == b'{"a":{"b":[1.0,null]},"m":null}'


@given(st.lists(st.lists(st.none() | st.floats(width=32)), min_size=1))
def test_floats_with_words_read_back_as_the_same(values: list[list[float | None]]) -> None:
    """With `text` NaN and the infinities come back, in lists and structs too."""
    schema = pa.schema({"a": pa.list_(pa.float64()), "b": pa.struct({"x": pa.list_(pa.float32())})})
    batch = pa.RecordBatch.from_pylist([{"a": row, "b": {"x": row}} for row in values], schema)
    written = encode(batch, JsonOptions(non_finite="text", separator="\n"))
    assert written.errors == {}
    read = JsonDecoder(schema, ReadOptions()).lines(written.join(0, len(written)))
    assert repr(read.to_pylist()) == repr(batch.to_pylist())


def test_what_lies_under_a_null_is_not_looked_at() -> None:
    """A null list or struct whose memory holds NaN is null and nothing more."""
    values = pa.array([math.nan, 1.0])
    valid = pa.py_buffer(b"\x02")
    offsets = pa.array([0, 1, 2], pa.int32()).buffers()[1]
    listed = pa.Array.from_buffers(pa.list_(pa.float64()), 2, [valid, offsets], children=[values])
    struct = pa.Array.from_buffers(pa.struct({"x": pa.float64()}), 2, [valid], children=[values])
    rows = encode(pa.record_batch({"l": listed, "s": struct}), JsonOptions())
    assert rows.errors == {}
    assert rows.join(0, 2) == b'{"l":null,"s":null},{"l":[1.0],"s":{"x":1.0}}'


def test_strings_that_are_no_utf8_are_refused() -> None:
    """Two halves of one character in two rows are two bad rows, though side by side they would be good."""
    data, offsets = pa.py_buffer("aéb".encode()), pa.array([0, 2, 3, 4], pa.int32()).buffers()[1]
    rows = encode(pa.record_batch({"s": pa.Array.from_buffers(pa.string(), 3, [None, offsets, data])}), JsonOptions())
    assert rows.errors == {0: "column s is not valid UTF-8", 1: "column s is not valid UTF-8"}
    assert rows.join(0, 3) == b'{"s":"b"}'


def test_years_outside_iso_8601_are_refused() -> None:
    """A timestamp or date beyond the years 0001 to 9999 refuses its row; the bounds themselves are written."""
    bounds = [-62_135_596_800_000_000, 253_402_300_799_999_999]
    stamps = pa.array([*bounds, bounds[0] - 1, bounds[1] + 1, 2**63 - 1]).cast(pa.timestamp("us"))
    rows = encode(pa.record_batch({"t": stamps}), JsonOptions())
    assert rows.errors == dict.fromkeys((2, 3, 4), "column t is outside the years 0001 to 9999")
    assert rows.join(0, 5) == b'{"t":"0001-01-01T00:00:00"},{"t":"9999-12-31T23:59:59.999999"}'
    days = pa.array([-719162, 2932896, -719163, 2932897], pa.int32()).cast(pa.date32())
    rows = encode(pa.record_batch({"d": days}), JsonOptions())
    assert rows.errors == dict.fromkeys((2, 3), "column d is outside the years 0001 to 9999")
    assert rows.join(0, 4) == b'{"d":"0001-01-01"},{"d":"9999-12-31"}'


def test_what_can_never_be_written_is_refused_before_the_first_row() -> None:
    """Names that stand twice and types without a JSON form are all named at once."""
    schema = pa.schema(
        [
            ("a", pa.list_(pa.struct([("x", pa.int32()), ("x", pa.int32())]))),
            ("i", pa.month_day_nano_interval()),
        ]
    )
    with pytest.raises(OptionError) as caught:
        check_schema(schema)
    assert caught.value.problems == (
        "a[].x: the name stands more than once; give each field a name of its own",
        "i: month_day_nano_interval has no JSON form; cast it to a string",
    )


VARIANT = pa.struct(
    [
        pa.field("value", pa.binary(), nullable=False),
        pa.field("metadata", pa.binary(), nullable=False, metadata={b"variant": b"true"}),
    ]
)


def test_variants_as_spark_sends_them() -> None:
    """A Variant becomes the JSON it holds, anywhere in a row; a damaged one or one with NaN refuses its row."""
    pytest.importorskip("pyspark", minversion="4.0")
    document = {
        "value": b"\x02\x01\x00\x00\x12\x03\x04\x00\x02\x08\t\x0b\x0c\x01 \x01\x19\x00\x00\x00\x00\x05x",
        "metadata": b"\x01\x01\x00\x01a",
    }
    nan = {"value": b"\x1c" + np.float64("nan").tobytes(), "metadata": b"\x01\x00\x00"}
    word = {"value": b"\x0dnan", "metadata": b"\x01\x00\x00"}
    column = pa.array([document, None, word, nan, {"value": b"", "metadata": b""}], VARIANT)
    rows = encode(pa.record_batch({"v": column}), JsonOptions())
    assert rows.join(0, 5) == b'{"v":{"a":[1,2.5,null,"x"]}},{"v":null},{"v":"nan"}'
    assert rows.errors == dict.fromkeys((3, 4), "column v is a Variant that is damaged or holds NaN or infinity")
    assert one(pa.array([[word, None]], pa.list_(VARIANT))) == ['["nan",null]']


def test_texts_of_values_that_cannot_be_written() -> None:
    """With a place for them errors are told and the text is null; without one they are raised."""
    errors: dict[int, str] = {}
    column = pa.array([1.0, math.nan, None])
    assert texts(column, name="price", errors=errors).to_pylist() == ["1.0", None, None]
    assert errors == {1: "column price is NaN or infinite, which JSON has no number for"}
    with pytest.raises(ValueError, match="column price is NaN"):
        texts(column, name="price")


def test_names_are_escaped_once() -> None:
    """Quotes and letters beyond ASCII in a column's name."""
    assert encode(pa.record_batch({'a"é': [1]}), JsonOptions()).row(0) == '{"a\\"é":1}'.encode()


@given(st.lists(st.text(max_size=5), max_size=8), st.integers(0, 8), st.integers(1, 5), st.integers(0, 60))
def test_end_within_is_the_last_row_that_fits(values: list[str], i: int, max_rows: int, max_bytes: int) -> None:
    """The cut is as far as both limits allow, and never empty while rows are left."""
    rows = encode(pa.record_batch({"s": pa.array(values, pa.string())}), JsonOptions())
    i = min(i, len(rows))
    fitting = [j for j in range(i, len(rows) + 1) if j - i <= max_rows and len(rows.join(i, j)) <= max_bytes]
    assert rows.end_within(i, max_rows, max_bytes) == min(max(*fitting, i + 1), len(rows))
    assert all(rows.size(i, j) == len(rows.join(i, j)) for j in range(i, len(rows) + 1))
