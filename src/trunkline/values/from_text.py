r"""CSV, text and bytes as record batches of exactly one schema.

    >>> decoder = CsvDecoder(pa.schema({"id": pa.int64(), "name": pa.string()}), ReadOptions())
    >>> decoder.batch(b"name,id\nAnn,1\n").to_pylist()
    [{'id': 1, 'name': 'Ann'}]

A field of CSV is read by the rules of JSON's values (see `leaves`), without the quotes that JSON puts around texts.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from trunkline.errors import OptionError, ResponseError
from trunkline.values.columns import Node, compiled, of_texts, value_of_text
from trunkline.values.envelope import BOM, head
from trunkline.values.leaves import FAILURES, Misfit, Reading
from trunkline.values.modes import ReadOptions, Records, spark_name

# What a line with too many or too few fields is not.
_LINE = pa.struct([])


class CsvDecoder:
    """Reads CSV into batches of one schema.

    Columns are found by their names in the first line; without one, by position. A column that is missing is an error,
    with `missing="null"` null. An empty field is null where the column holds no strings; in a column of strings
    `csv_null` is, if it stands there without quotes. A line with too many or too few fields is malformed.

    Raises:
        OptionError: Nothing reads a type of the schema.
    """

    def __init__(self, schema: pa.Schema, options: ReadOptions) -> None:
        self._schema, self._options = schema, options
        self._rows = Records(schema, options)
        reading = Reading(options.timestamps, options.zone)
        self._nodes = [compiled(field.type, reading, field.name) for field in self._rows.fields]

    def __reduce__(self) -> tuple[Any, ...]:
        return CsvDecoder, (self._schema, self._options)

    @property
    def malformed(self) -> int:
        """How many records did not fit so far."""
        return self._rows.malformed

    def batch(self, body: bytes) -> pa.RecordBatch:
        """The rows of one answer.

        Raises:
            ResponseError: It is not UTF-8, a column stands in it twice, or something in it does not fit and must.
        """
        names, table, ragged = self._read(_utf8(body))
        # Lines with too many or too few fields have their place among the rows, with nothing in them.
        misfits: dict[int, list[Misfit]] = {row: [Misfit("", _LINE, text.encode())] for row, text in ragged.items()}
        columns = []
        for field, node in zip(self._rows.fields, self._nodes, strict=True):
            texts = table[field.name].to_pylist() if field.name in names else [None] * len(table)
            if not pa.types.is_string(field.type):
                texts = [text or None for text in texts]
            for row in sorted(ragged):
                texts.insert(row, None)
            columns.append(_column(field, node, texts, misfits))
        if not misfits:
            return self._rows.batch(columns)
        kept: list[str | None] = [None] * len(columns[0])
        dropped = []
        for row, found in sorted(misfits.items()):
            values = {field.name: column[row].as_py() for field, column in zip(self._rows.fields, columns, strict=True)}
            if not self._rows.keeps(row + 1, found, values):
                dropped.append(row)
            elif row in ragged:
                kept[row] = ragged[row]
            else:
                fields = table.slice(row - sum(other < row for other in ragged), 1).to_pylist()[0].values()
                kept[row] = self._line(list(fields))
        if dropped:
            stays = pa.array([row not in set(dropped) for row in range(len(kept))])
            return self._rows.batch([column.filter(stays) for column in columns])
        return self._rows.batch(columns, kept)

    def _read(self, body: bytes) -> tuple[list[str], pa.Table, dict[int, str]]:
        """The names of the columns, all fields as texts, and the lines of other lengths by their place."""
        wanted = [field.name for field in self._rows.fields]
        names = wanted
        separator = self._options.csv_separator
        if self._options.csv_header:
            names = next(csv.reader(io.StringIO(body.decode(), newline=""), delimiter=separator), wanted)
            self._check_names(names, wanted)
        if not body.strip():
            return names, pa.table({name: pa.array([], pa.string()) for name in dict.fromkeys(names)}), {}
        ragged: dict[int, str] = {}

        def set_aside(row: pacsv.InvalidRow) -> str:
            ragged[row.number - 1 - self._options.csv_header] = row.text
            return "skip"

        try:
            table = pacsv.read_csv(
                io.BytesIO(body),
                # Numbers of lines are only known without threads; a line must not be longer than a block.
                read_options=pacsv.ReadOptions(
                    use_threads=False,
                    block_size=len(body) + 1,
                    column_names=None if self._options.csv_header else names,
                ),
                parse_options=pacsv.ParseOptions(
                    delimiter=separator, newlines_in_values=True, invalid_row_handler=set_aside
                ),
                convert_options=pacsv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    include_columns=None if self._options.mode == "PERMISSIVE" else [n for n in wanted if n in names],
                    null_values=[self._options.csv_null],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            raise ResponseError(f"the answer is no CSV ({error}): {head(body)}") from None
        return names, table, ragged

    def _check_names(self, names: Sequence[str], wanted: Sequence[str]) -> None:
        twice = sorted({name for name in wanted if names.count(name) > 1})
        if twice:
            raise ResponseError(f"the first line names {', '.join(twice)} more than once")
        missing = [name for name in wanted if name not in names]
        if missing and self._options.missing != "null":
            raise ResponseError(
                f"no column {', '.join(missing)}: the first line names {', '.join(names)[:200]}; change the schema, or "
                "set csv.header=false if it is a record, or missingFields=null if a column may be missing"
            )

    def _line(self, fields: Sequence[str | None]) -> str:
        line = io.StringIO()
        texts = [self._options.csv_null if field is None else field for field in fields]
        csv.writer(line, delimiter=self._options.csv_separator, lineterminator="").writerow(texts)
        return line.getvalue()


def text_batch(body: bytes, schema: pa.Schema) -> pa.RecordBatch:
    """One row a line, in a schema of one column of strings; an empty line is an empty string.

    Raises:
        ResponseError: The answer is not UTF-8.
        OptionError: The schema is another.
    """
    _check_single(schema, pa.string(), "text", "value STRING")
    lines = _utf8(body).decode().replace("\r\n", "\n").split("\n")
    if not lines[-1]:
        lines.pop()
    return pa.RecordBatch.from_arrays([pa.array(lines, pa.string())], schema=schema)


def binary_batch(body: bytes, schema: pa.Schema) -> pa.RecordBatch:
    """One row with the whole answer, in a schema of one column of bytes.

    Raises:
        OptionError: The schema is another.
    """
    _check_single(schema, pa.binary(), "binary", "value BINARY")
    return pa.RecordBatch.from_arrays([pa.array([body], pa.binary())], schema=schema)


def _column(field: pa.Field, node: Node, texts: list[str | None], misfits: dict[int, list[Misfit]]) -> pa.Array:
    """The column of the texts; what does not fit is null, and a misfit of its row."""
    try:
        array = of_texts(node, texts)
        if field.nullable or not array.null_count:
            return array
    except FAILURES:
        pass
    values = []
    for row, text in enumerate(texts):
        found: list[Misfit] = []
        values.append(value_of_text(node, text, field.name, found))
        if values[-1] is None and not field.nullable and not found:
            found.append(Misfit(field.name, field.type, b""))
        if found:
            misfits.setdefault(row, []).extend(found)
    return pa.array(values, field.type)


def _utf8(body: bytes) -> bytes:
    body = body.removeprefix(BOM)
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise ResponseError(f"the answer is not UTF-8 at byte {error.start}: {head(body)}") from None
    return body


def _check_single(schema: pa.Schema, kind: pa.DataType, what: str, wanted: str) -> None:
    if schema.types != [kind]:
        columns = ", ".join(f"{field.name} {spark_name(field.type)}" for field in schema)
        raise OptionError(f'format={what} is read into .schema("{wanted}"), not into {columns}')
