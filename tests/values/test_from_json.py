from __future__ import annotations

import datetime as dt
import json
import pickle
from decimal import Context, Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.errors import OptionError, ResponseError
from trunkline.values import JsonDecoder, JsonOptions, ReadOptions, encode

UTC = dt.timezone.utc
INSTANT = pa.timestamp("us", "UTC")
PERMISSIVE = ReadOptions(mode="PERMISSIVE", corrupt_column="_corrupt")


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    return st.integers(1 - 10**precision, 10**precision - 1).map(lambda n: Decimal(n).scaleb(-scale, Context(prec=80)))


Pair = tuple[pa.DataType, st.SearchStrategy[Any]]
scalars: list[Pair] = [
    (pa.bool_(), st.booleans()),
    (pa.int8(), st.integers(-128, 127)),
    (pa.int16(), st.integers(-(2**15), 2**15 - 1)),
    (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.float32(), st.floats(width=32, allow_nan=False, allow_infinity=False)),
    (pa.float64(), st.floats(allow_nan=False, allow_infinity=False)),
    (pa.decimal128(10, 2), decimals(10, 2)),
    (pa.decimal128(38, 18), decimals(38, 18)),
    (pa.decimal128(38, 38), decimals(38, 38) | decimals(2, 38)),
    (pa.string(), st.text(max_size=8)),
    (pa.binary(), st.binary(max_size=8)),
    (pa.date32(), st.dates()),
    (INSTANT, st.datetimes(timezones=st.just(UTC))),
    (pa.timestamp("us"), st.datetimes() | st.datetimes().map(lambda value: value.replace(microsecond=0))),
    (pa.time64("ns"), st.times()),
    (pa.duration("us"), st.timedeltas(dt.timedelta(days=-(10**6)), dt.timedelta(days=10**6))),
    (pa.null(), st.none()),
]
keys = [pair for pair in scalars if not pa.types.is_null(pair[0]) and not pa.types.is_floating(pair[0])]
names = st.text(alphabet='ab"é .\\\n', max_size=3)


def nested(of: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    def listed(pair: Pair) -> Pair:
        return pa.list_(pair[0]), st.lists(st.none() | pair[1], max_size=4)

    def mapped(pairs: tuple[Pair, Pair]) -> Pair:
        (key, key_values), (item, item_values) = pairs
        entries = st.dictionaries(key_values, st.none() | item_values, max_size=3)
        return pa.map_(key, item), entries.map(lambda found: list(found.items()))

    def structured(fields: dict[str, Any]) -> Pair:
        kind = pa.struct([pa.field(name, kind) for name, (kind, _) in fields.items()])
        return kind, st.fixed_dictionaries({name: st.none() | values for name, (_, values) in fields.items()})

    structs = st.dictionaries(names, of, max_size=3).map(structured)
    return of.map(listed) | structs | st.tuples(st.sampled_from(keys), of).map(mapped)


types = st.recursive(st.sampled_from(scalars), nested, max_leaves=5)


@st.composite
def batches(draw: st.DrawFn) -> pa.RecordBatch:
    columns = draw(st.dictionaries(names, types, min_size=1, max_size=4))
    total = draw(st.integers(0, 5))
    arrays, fields = [], []
    for name, (kind, some) in columns.items():
        nullable = draw(st.booleans()) or pa.types.is_null(kind)
        values = draw(st.lists(st.none() | some if nullable else some, min_size=total, max_size=total))
        arrays.append(pa.array(values, kind))
        fields.append(pa.field(name, kind, nullable))
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def same(batch: pa.RecordBatch, wanted: pa.RecordBatch) -> None:
    batch.validate(full=True)
    assert batch.schema.equals(wanted.schema, check_metadata=True)
    assert batch.equals(wanted), (batch.to_pydict(), wanted.to_pydict())


@settings(deadline=None, max_examples=150)
@given(batches(), st.sampled_from(["keep", "omit"]), st.sampled_from(["number", "string"]))
def test_what_is_written_reads_back(batch: pa.RecordBatch, nulls: Any, decimals: Any) -> None:
    """Rows of every type we write read back the same, as an array and as lines."""
    options = JsonOptions(nulls=nulls, decimals=decimals)
    rows = encode(batch, options)
    lines = encode(batch, JsonOptions(nulls=nulls, decimals=decimals, separator="\n"))
    decoder = JsonDecoder(batch.schema, ReadOptions())
    same(decoder.array(b"[" + rows.join(0, len(rows)) + b"]"), batch)
    same(decoder.lines(lines.join(0, len(lines))), batch)


FIELDS = pa.schema(
    [
        pa.field("i", pa.int32(), nullable=False),
        pa.field("f", pa.float32()),
        pa.field("s", pa.string()),
        pa.field("at", INSTANT),
        pa.field("d", pa.decimal128(4, 1)),
        pa.field("o", pa.struct([pa.field("x", pa.int64(), nullable=False), pa.field("y", pa.bool_())])),
        pa.field("l", pa.list_(pa.field("element", pa.int8(), nullable=False))),
        pa.field("m", pa.map_(pa.int32(), pa.float64())),
        pa.field("_corrupt", pa.string()),
    ]
)
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "a", "NaN", "1.5", "2024-05-01", "2024-05-01T10:00:00+02", "12", 1e39, 1.0, 2.5]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["x", "y", "1", "01", "1.0", "null"]), inner, max_size=3)
    ),
    max_leaves=4,
)
records = st.lists(st.dictionaries(st.sampled_from(FIELDS.names), anything) | anything, max_size=30)


@settings(deadline=None, max_examples=150)
@given(records)
def test_the_quick_ways_agree_with_the_exact_one(values: list[Any]) -> None:
    """A page reads to the same rows, whether by columns or value by value, whatever is in it."""
    texts = [json.dumps(value).encode() for value in values]
    decoder = JsonDecoder(FIELDS, ReadOptions(mode="DROPMALFORMED"))
    _, exact = JsonDecoder(FIELDS, ReadOptions(mode="DROPMALFORMED"))._one_by_one(list(range(len(texts))), texts)
    same(decoder.array(b"[" + b", ".join(texts) + b"]"), exact)
    assert decoder.malformed == len(values) - len(exact)
    same(JsonDecoder(FIELDS, ReadOptions(mode="DROPMALFORMED")).lines(b"\n".join(texts)), exact)


def read(kind: pa.DataType, text: str, **options: Any) -> Any:
    """One value, read in each of the ways there are: they must agree."""
    schema = pa.schema([pa.field("x", kind)])
    decoder = JsonDecoder(schema, ReadOptions(**options))
    body = b'{"x":' + text.encode() + b"}"
    batch = decoder.array(b"[" + body + b"]")
    same(decoder._one_by_one([0], [body])[1], batch)
    return batch.column(0).cast(pa.int64()).to_pylist()[0] if pa.types.is_duration(kind) else batch.to_pylist()[0]["x"]


@settings(deadline=None)
@given(
    st.integers(-(10**90), 10**90) | st.integers(-(10**39), 10**39) | st.integers(-99, 99).map(lambda n: n * 10**60),
    st.integers(-80, 80),
    st.sampled_from([(5, 2), (38, 0), (38, 10), (38, 38)]),
    st.booleans(),
)
def test_decimals_are_exact_or_refused(number: int, exponent: int, fits: tuple[int, int], plain: bool) -> None:
    """A number of any length is read exactly, or is malformed where it does not fit, never rounded or wrapped."""
    precision, scale = fits
    value = Decimal(number).scaleb(exponent, Context(prec=200))
    body = b'[{"x":%s}]' % (format(value, "f") if plain else f"{number}e{exponent}").encode()
    decoder = JsonDecoder(
        pa.schema([pa.field("x", pa.decimal128(precision, scale))]), ReadOptions(mode="DROPMALFORMED")
    )
    scaled = value.scaleb(scale, Context(prec=400))
    exact = scaled == scaled.to_integral_value(context=Context(prec=400)) and abs(scaled) < 10**precision
    assert decoder.array(body).column(0).to_pylist() == ([value] if exact else [])


def at(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


ACCEPTED: list[tuple[pa.DataType, str, Any]] = [
    (pa.int64(), "1.0", 1),
    (pa.int64(), "1.5e3", 1500),
    (pa.int64(), "9007199254740993.0", 9007199254740993),
    (pa.int64(), "-9223372036854775808", -(2**63)),
    (pa.int8(), "-0.0", 0),
    (pa.float64(), "1", 1.0),
    (pa.float64(), '"Infinity"', float("inf")),
    (pa.float32(), '"-Infinity"', float("-inf")),
    (pa.decimal128(5, 2), "1.5", Decimal("1.50")),
    (pa.decimal128(5, 2), '"1.500"', Decimal("1.50")),
    (pa.decimal128(5, 2), "1.5e2", Decimal("150.00")),
    (
        pa.decimal128(38, 37),
        "1.2345678901234567890123456789012345678",
        Decimal("1.2345678901234567890123456789012345678"),
    ),
    (pa.string(), '"a\\u00e9\\n"', "aé\n"),
    (pa.string(), "1.50", "1.50"),
    (pa.string(), "true", "true"),
    (pa.string(), '{"b": [1, 1e5]}', '{"b": [1, 1e5]}'),
    (pa.string(), "[ ]", "[ ]"),
    (pa.binary(), '"AAE="', b"\x00\x01"),
    (pa.date32(), '"2024-02-29"', dt.date(2024, 2, 29)),
    (INSTANT, '"2024-05-01T12:00:00Z"', at(2024, 5, 1, 12)),
    (INSTANT, '"2024-05-01 12:00:00"', at(2024, 5, 1, 12)),
    (INSTANT, '"2024-05-01"', at(2024, 5, 1)),
    (INSTANT, '"2024-05-01t12:00:00.5z"', at(2024, 5, 1, 12, 0, 0, 500000)),
    (INSTANT, '"2024-05-01T12:00:00.123456789+02:00"', at(2024, 5, 1, 10, 0, 0, 123456)),
    (INSTANT, '"2024-05-01T12:00:00 -0230"', at(2024, 5, 1, 14, 30)),
    (INSTANT, '"2024-05-01T12:00+02"', at(2024, 5, 1, 10)),
    (INSTANT, '"Wed, 01 May 2024 12:00:00 GMT"', at(2024, 5, 1, 12)),
    (INSTANT, '"Wed, 1 May 2024 12:00:00 +0200"', at(2024, 5, 1, 10)),
    (INSTANT, '"0001-01-01T00:00:00Z"', at(1, 1, 1)),
    (INSTANT, '"9999-12-31T23:59:59.999999Z"', at(9999, 12, 31, 23, 59, 59, 999999)),
    (pa.timestamp("us"), '"2024-05-01T12:00:00.1234567"', at(2024, 5, 1, 12, 0, 0, 123456).replace(tzinfo=None)),
    (pa.time64("ns"), '"12:30"', dt.time(12, 30)),
    (pa.duration("us"), '"PT90M"', 5_400_000_000),
    (pa.duration("us"), '"-P106751991DT4H0M54.775808S"', -(2**63)),
    (pa.list_(pa.int8()), "[1, null]", [1, None]),
    (pa.map_(pa.string(), pa.int8()), '{"a": 1, "a": 2, "null": null}', [("a", 2), ("null", None)]),
    (pa.map_(pa.date32(), pa.bool_()), '{"2024-05-01": true}', [(dt.date(2024, 5, 1), True)]),
    (pa.struct({"a": pa.int8(), "b": pa.string()}), '{"b": "x", "c": [1], "b": "y"}', {"a": None, "b": "y"}),
    (pa.null(), "null", None),
]


@pytest.mark.parametrize(("kind", "text", "value"), ACCEPTED, ids=lambda part: str(part)[:40])
def test_what_a_type_takes(kind: pa.DataType, text: str, value: Any) -> None:
    """Each of the spellings of a type reads as its value, and null as null."""
    assert read(kind, text) == value
    assert read(kind, "null") is None


MALFORMED: list[tuple[pa.DataType, str]] = [
    *((pa.bool_(), text) for text in ("1", '"true"', "[]")),
    *((pa.int64(), text) for text in ("1.5", '"1"', "9223372036854775808", "18446744073709551617", "1e400", "true")),
    (pa.int8(), "128"),
    *((pa.float64(), text) for text in ('"1.5"', "1e400", '"nan"', "true")),
    (pa.float32(), "1e39"),
    *((pa.decimal128(5, 2), text) for text in ("1.234", "1000", '"1_0"', '" 1"', '"NaN"', "true", "{}", '""', "1e999")),
    *((pa.decimal128(5, 2), text) for text in ("1e-999999999", "1e-999", '"1e"', "1e" + "9" * 40, "1" * 6000)),
    *((pa.int64(), text) for text in ("1e999999999", "1e-999999999", "9" * 6000)),
    *((pa.binary(), text) for text in ('"AAE"', '"A-E="', "1")),
    *((pa.date32(), text) for text in ('"2024-05-01T00:00:00"', '"2024-02-30"', '"2024-5-1"', "1714521600", '""')),
    *((INSTANT, text) for text in ("1714564800", '"now"', '"2024-05-01T25:00:00Z"', '""', '" 2024-05-01"')),
    *((INSTANT, text) for text in ('"Wed, 01 Foo 2024 12:00:00 GMT"', '"0001-01-01T00:00:00+05:00"', '"2024-05-01Z"')),
    *((pa.timestamp("us"), text) for text in ('"2024-05-01T12:00:00Z"', '"2024-05-01T12:00:00.1234567+02:00"')),
    *((pa.time64("ns"), text) for text in ('"24:00:00"', '"12"', '"12:00Z"')),
    *((pa.duration("us"), text) for text in ('"P"', '"P1DT"', '"P1Y"', "5", '"P106751991DT4H0M54.775808S"')),
    *((pa.list_(pa.int8()), text) for text in ("{}", "1", "[128]", '["1"]')),
    *(
        (pa.map_(pa.int8(), pa.int8()), text)
        for text in ("[]", '{"a":1}', '{"null":1}', '{"1":1,"1.0":2}', '{"1":"x"}')
    ),
    *((pa.struct({"a": pa.int8()}), text) for text in ("[]", '"a"', '{"a":"1"}')),
    (pa.null(), "1"),
]


@pytest.mark.parametrize(("kind", "text"), MALFORMED, ids=lambda part: str(part)[:40])
def test_what_a_type_refuses(kind: pa.DataType, text: str) -> None:
    """A value that does not fit ends the read, is null beside the record's text, or leaves with its record."""
    body = b'[{"x": null, "n": 1}, {"x": ' + text.encode() + b', "n": 2}, {"n": 3}]'
    schema = pa.schema([pa.field("x", kind), pa.field("n", pa.int8())])
    with pytest.raises(ResponseError, match=r"record 2: x.* must be "):
        JsonDecoder(schema, ReadOptions()).array(body)
    drops = JsonDecoder(schema, ReadOptions(mode="DROPMALFORMED"))
    assert drops.array(body).column("n").to_pylist() == [1, 3]
    assert drops.malformed == 1
    keeps = JsonDecoder(schema.insert(1, pa.field("_corrupt", pa.string())), PERMISSIVE)
    batch = keeps.array(body)
    raw = '{"x": ' + text + ', "n": 2}'
    assert batch.select(["_corrupt", "n"]).to_pydict() == {"_corrupt": [None, raw, None], "n": [1, 2, 3]}
    if not pa.types.is_struct(kind) or text[0] != "{":
        assert batch.column("x").null_count == 3
    assert keeps.malformed == 1


@pytest.mark.parametrize("text", ["5", "null", '"x"', "[1]"])
def test_elements_that_are_no_records(text: str) -> None:
    """An element that is no object is malformed, in every mode; the others are read."""
    body = b'[{"n": 1}, ' + text.encode() + b"]"
    schema = pa.schema([pa.field("n", pa.int8())])
    with pytest.raises(ResponseError, match="record 2: it is no record"):
        JsonDecoder(schema, ReadOptions()).array(body)
    assert JsonDecoder(schema, ReadOptions(mode="DROPMALFORMED")).array(body).to_pylist() == [{"n": 1}]
    kept = JsonDecoder(schema.append(pa.field("_corrupt", pa.string())), PERMISSIVE).array(body).to_pylist()
    assert kept == [{"n": 1, "_corrupt": None}, {"n": None, "_corrupt": text}]


def test_a_column_value_takes_bare_elements() -> None:
    """Where `value` is the only column, elements that are no objects are rows by themselves."""
    schema = pa.schema([pa.field("value", pa.int64())])
    assert JsonDecoder(schema, ReadOptions()).array(b'[1, null, {"value": 3}]').column(0).to_pylist() == [1, None, 3]
    assert JsonDecoder(schema, ReadOptions()).lines(b"1\n2").column(0).to_pylist() == [1, 2]
    lists = pa.schema([pa.field("value", pa.list_(pa.string()))])
    assert JsonDecoder(lists, ReadOptions()).array(b'[["a"], [1]]').column(0).to_pylist() == [["a"], ["1"]]
    drops = JsonDecoder(schema, ReadOptions(mode="DROPMALFORMED"))
    assert drops.lines(b'1,"x":2\n"a"\n7').column(0).to_pylist() == [7]


def test_messages_say_where_and_what() -> None:
    """An error names record, path, type and value, shortened, on one line, and what can be done."""
    kind = pa.struct({"lines": pa.list_(pa.struct({"price": pa.decimal128(9, 2)}))})
    decoder = JsonDecoder(pa.schema([pa.field("order", kind)]), ReadOptions())
    body = json.dumps([{}] * 40 + [{"order": {"lines": [{"price": "x" * 500}]}}]).encode()
    with pytest.raises(ResponseError) as caught:
        decoder.array(body)
    assert str(caught.value) == (
        'record 41: order.lines[].price must be DECIMAL(9,2), found "' + "x" * 76 + "...; change the schema, or keep "
        "such records in a column with mode=PERMISSIVE, or leave them out with "
        "mode=DROPMALFORMED"
    )


def test_fields_that_must_be_there() -> None:
    """A null, or nothing, in a field that must not be null is malformed; a nested one makes its struct null."""
    kind = pa.struct([pa.field("a", pa.int8(), nullable=False)])
    schema = pa.schema([pa.field("s", kind), pa.field("l", pa.list_(kind)), pa.field("_corrupt", pa.string())])
    body = b'[{"s": {}}, {"s": null, "l": [{"a": 1}, null]}, {"l": [{"a": null}]}]'
    assert JsonDecoder(schema, PERMISSIVE).array(body).to_pylist() == [
        {"s": None, "l": None, "_corrupt": '{"s": {}}'},
        {"s": None, "l": [{"a": 1}, None], "_corrupt": None},
        {"s": None, "l": None, "_corrupt": '{"l": [{"a": null}]}'},
    ]
    required = pa.schema([pa.field("id", pa.int8(), nullable=False), pa.field("_corrupt", pa.string())])
    with pytest.raises(ResponseError, match=r"record 1: id must be TINYINT, it is missing; .* id is NOT NULL"):
        JsonDecoder(required, PERMISSIVE).array(b"[{}]")
    with pytest.raises(ResponseError, match="record 1: id must be TINYINT, found null; "):
        JsonDecoder(required, ReadOptions()).array(b'[{"id": null}]')


def test_numbers_as_times() -> None:
    """Numbers are times only where the option says of what unit; texts read as ever."""
    assert read(INSTANT, "1714564800", timestamps="epochSeconds") == at(2024, 5, 1, 12)
    assert read(INSTANT, "1714564800.5", timestamps="epochSeconds") == at(2024, 5, 1, 12, 0, 0, 500000)
    assert read(INSTANT, "1714564800001", timestamps="epochMillis") == at(2024, 5, 1, 12, 0, 0, 1000)
    assert read(INSTANT, '"2024-05-01T12:00:00Z"', timestamps="epochMillis") == at(2024, 5, 1, 12)
    assert read(pa.date32(), "-1", timestamps="epochSeconds") == dt.date(1969, 12, 31)
    assert read(pa.date32(), '"2024-05-01"', timestamps="epochSeconds") == dt.date(2024, 5, 1)
    for text in ("1e300", "1714564800001000", "true"):
        with pytest.raises(ResponseError, match="x must be TIMESTAMP"):
            read(INSTANT, text, timestamps="epochSeconds")


def test_texts_without_a_zone() -> None:
    """They are in the zone of the options; a time that clocks skip does not exist."""
    assert read(INSTANT, '"2024-05-01T12:00:00"', zone="Europe/Berlin") == at(2024, 5, 1, 10)
    assert read(INSTANT, '"2024-05-01T12:00:00Z"', zone="Europe/Berlin") == at(2024, 5, 1, 12)
    assert read(INSTANT, '"2024-10-27T02:30:00"', zone="Europe/Berlin") == at(2024, 10, 27, 0, 30)
    with pytest.raises(ResponseError):
        read(INSTANT, '"2024-03-31T02:30:00"', zone="Europe/Berlin")
    schema = pa.schema([pa.field("x", INSTANT)])
    body = (
        b'[{"x":"2024-05-01T12:00:00"},{"x":"2024-05-01T12:00:00Z"},{"x":null},{"x":"Wed, 01 May 2024 12:00:00 GMT"}]'
    )
    mixed = JsonDecoder(schema, ReadOptions(zone="Europe/Berlin")).array(body).column(0).to_pylist()
    assert mixed == [at(2024, 5, 1, 10), at(2024, 5, 1, 12), None, at(2024, 5, 1, 12)]


def test_lines() -> None:
    """Blank lines are skipped, a line that is not one whole value is malformed, bad UTF-8 too."""
    schema = pa.schema([pa.field("a", pa.int64()), pa.field("_corrupt", pa.string())])
    body = b'\xef\xbb\xbf{"a":1}\r\n\n  \n{"a":2}{"a":3}\n{"a":\n4}\n{"b":"\xff"}\n{"a":5'
    rows = JsonDecoder(schema, PERMISSIVE).lines(body).to_pylist()
    assert rows == [
        {"a": 1, "_corrupt": None},
        {"a": None, "_corrupt": '{"a":2}{"a":3}'},
        {"a": None, "_corrupt": '{"a":'},
        {"a": None, "_corrupt": "4}"},
        {"a": None, "_corrupt": '{"b":"\ufffd"}'},
        {"a": None, "_corrupt": '{"a":5'},
    ]
    assert JsonDecoder(schema, PERMISSIVE).lines(b"").to_pylist() == []


def test_schemas_of_all_sizes() -> None:
    """300 fields, 20 levels, names with dots, quotes and none at all: batches have exactly the schema."""
    wide = pa.schema([pa.field(f"field {i}", pa.int32(), nullable=i % 2 == 0) for i in range(300)])
    row = {f"field {i}": i for i in reversed(range(300))}
    batch = JsonDecoder(wide, ReadOptions()).array(json.dumps([row]).encode())
    assert (batch.schema, batch.to_pylist()) == (wide, [dict(sorted(row.items(), key=lambda pair: pair[1]))])
    kind, value = pa.int64(), 1
    for _ in range(20):
        kind, value = pa.struct({"a": pa.list_(kind)}), {"a": [value, None]}  # type: ignore[assignment]
    deep = pa.schema([pa.field("deep", kind)])
    assert JsonDecoder(deep, ReadOptions()).array(json.dumps([{"deep": value}]).encode()).to_pylist() == [
        {"deep": value}
    ]
    odd = pa.schema([pa.field(name, pa.int8()) for name in ("a.b", 'q"q', "", "\\", "ü\n")])
    values = dict(zip(odd.names, range(5), strict=True))
    for escape in (True, False):
        body = json.dumps([values, {}], ensure_ascii=escape).encode()
        assert JsonDecoder(odd, ReadOptions()).array(body).to_pylist() == [values, dict.fromkeys(odd.names)]


def test_a_name_that_the_corrupt_column_has() -> None:
    """A field of the corrupt column's name is not read."""
    schema = pa.schema([pa.field("_corrupt", pa.string()), pa.field("a", pa.int8())])
    rows = JsonDecoder(schema, PERMISSIVE).array(b'[{"_corrupt": "x", "a": 1}]').to_pylist()
    assert rows == [{"_corrupt": None, "a": 1}]


def test_decoders_travel() -> None:
    """A pickled decoder reads the same."""
    schema = pa.schema([pa.field("a", pa.int8())])
    decoder = pickle.loads(pickle.dumps(JsonDecoder(schema, ReadOptions(mode="DROPMALFORMED"))))
    assert decoder.array(b'[{"a": 1}, 2]').to_pylist() == [{"a": 1}]
    assert decoder.malformed == 1


def test_no_json() -> None:
    """What is no array of JSON is an error of the answer in every mode."""
    schema = pa.schema([pa.field("a", pa.int8())])
    for body in (b"", b"[1", b"{}", b"[NaN]"):
        with pytest.raises(ResponseError, match="no JSON array"):
            JsonDecoder(schema, ReadOptions(mode="DROPMALFORMED")).array(body)


def test_types_that_cannot_be_read() -> None:
    """A type without a form in JSON is refused when the decoder is made, by its path."""
    schema = pa.schema([pa.field("a", pa.struct({"b": pa.list_(pa.month_day_nano_interval())}))])
    with pytest.raises(OptionError, match=r"column a.b\[\] cannot be read"):
        JsonDecoder(schema, ReadOptions())
