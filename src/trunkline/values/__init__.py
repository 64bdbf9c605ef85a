r"""Arrow columns to JSON and text and back, whole columns at a time, and the digests that tell rows apart.

>>> rows = encode(pa.record_batch({"id": [1, 2]}), JsonOptions(separator="\n"))
>>> rows.join(0, 2)
b'{"id":1}\n{"id":2}'
>>> JsonDecoder(pa.schema({"id": pa.int64()}), ReadOptions()).lines(rows.join(0, 2)).to_pylist()
[{'id': 1}, {'id': 2}]

`spark_types` and `infer` are imported from where they are: they need Spark.
"""

from __future__ import annotations

from trunkline.values.digest import DigestBag, Occurrences, row_digests
from trunkline.values.envelope import Envelope, open_envelope
from trunkline.values.from_json import Decoded, JsonDecoder
from trunkline.values.from_text import CsvDecoder, binary_batch, text_batch
from trunkline.values.modes import ReadOptions
from trunkline.values.scalars import JsonOptions
from trunkline.values.to_json import JsonRows, check_schema, encode, texts

__all__ = [
    "CsvDecoder",
    "Decoded",
    "DigestBag",
    "Envelope",
    "JsonDecoder",
    "JsonOptions",
    "JsonRows",
    "Occurrences",
    "ReadOptions",
    "binary_batch",
    "check_schema",
    "encode",
    "open_envelope",
    "row_digests",
    "text_batch",
    "texts",
]
