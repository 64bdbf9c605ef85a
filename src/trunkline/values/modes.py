"""What becomes of records that do not fit: the parse modes, as Spark has them, for every format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from trunkline.errors import ResponseError
from trunkline.values.envelope import head
from trunkline.values.leaves import Misfit

# As much of a value as an error shows.
_HEAD = 80
_SPARK_NAMES = {
    "bool": "BOOLEAN",
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INT",
    "int64": "BIGINT",
    "date32[day]": "DATE",
    "time64[ns]": "TIME",
    "duration[us]": "INTERVAL DAY TO SECOND",
    "null": "VOID",
}


@dataclass(frozen=True)
class ReadOptions:
    """How records are read where there is a choice.

    Attributes:
        mode: What becomes of a record that does not fit: `FAILFAST` raises; `PERMISSIVE` reads what does not fit as
            null and keeps the record's text in `corrupt_column`; `DROPMALFORMED` leaves it out and counts it.
        corrupt_column: A column of strings of the schema; it takes no field of that name.
        timestamps: What numbers in columns of timestamps and dates are; `iso`: malformed. Texts are read by how
            they are spelled.
        zone: The zone of texts without one, in columns of instants.
        csv_header: Whether the first line names the columns; else they are the schema's, in its order.
        csv_separator: What stands between two fields of CSV.
        csv_null: The field that is null.
        missing: What a field of the schema is that no record has; see `absent`. A column that the first line of CSV
            does not name is an error in any case but `null`.
    """

    mode: Literal["FAILFAST", "PERMISSIVE", "DROPMALFORMED"] = "FAILFAST"
    corrupt_column: str | None = None
    timestamps: Literal["iso", "epochSeconds", "epochMillis"] = "iso"
    zone: str = "UTC"
    csv_header: bool = True
    csv_separator: str = ","
    csv_null: str = ""
    missing: Literal["misspelt", "error", "null"] = "misspelt"


class Records:
    """The rows of a schema while their parse mode is applied.

    Attributes:
        schema: What batches have to be.
        fields: Its columns that are read from records, which is all but the corrupt one.
        malformed: How many records did not fit so far.
    """

    def __init__(self, schema: pa.Schema, options: ReadOptions) -> None:
        corrupt = options.corrupt_column if options.mode == "PERMISSIVE" else None
        self.schema, self.malformed = schema, 0
        self.fields = [field for field in schema if field.name != corrupt]
        self._mode = options.mode
        self._corrupt = -1 if corrupt is None else schema.get_field_index(corrupt)

    def keeps(self, number: int, misfits: Sequence[Misfit], found: Mapping[str, Any]) -> bool:
        """Whether a malformed record becomes a row.

        Args:
            number: Which it is, from 1.
            misfits: What does not fit.
            found: Its values by column, null where they do not fit.

        Raises:
            ResponseError: It must fit, or a column that may not be null has nothing to hold.
        """
        self.malformed += 1
        if self._mode == "DROPMALFORMED":
            return False
        if self._mode == "FAILFAST":
            raise ResponseError(
                f"record {number}: {told(misfits[0])}; change the schema, or keep such records in a column with "
                "mode=PERMISSIVE, or leave them out with mode=DROPMALFORMED"
            )
        for field in self.fields:
            if not field.nullable and found.get(field.name) is None:
                raise ResponseError(
                    f"record {number}: {told(misfits[0])}; PERMISSIVE reads what does not fit as null, and "
                    f"{field.name} is NOT NULL: make it nullable"
                )
        return True

    def batch(self, columns: list[pa.Array], texts: Sequence[str | None] | None = None) -> pa.RecordBatch:
        """The batch of the columns of `fields`; `texts` go into the corrupt column, which is null without."""
        if self._corrupt >= 0:
            kept = pa.nulls(len(columns[0]) if columns else 0, pa.string()) if texts is None else texts
            columns = [*columns[: self._corrupt], pa.array(kept, pa.string()), *columns[self._corrupt :]]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def told(misfit: Misfit) -> str:
    """What did not fit, for an error."""
    if not misfit.path:
        return f"it is no record: {head(misfit.found, _HEAD)}"
    found = f"found {head(misfit.found, _HEAD)}" if misfit.found else "it is missing"
    return f"{misfit.path} must be {spark_name(misfit.wanted)}, {found}"


def spark_name(kind: pa.DataType) -> str:
    """An Arrow type as Spark's SQL names it."""
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if pa.types.is_map(kind):
        return f"MAP<{spark_name(kind.key_type)}, {spark_name(kind.item_type)}>"
    if pa.types.is_list(kind):
        return f"ARRAY<{spark_name(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return "STRUCT"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP" if kind.tz else "TIMESTAMP_NTZ"
    return _SPARK_NAMES.get(str(kind), str(kind).upper())
