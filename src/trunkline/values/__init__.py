r"""Arrow columns to JSON and text, whole columns at a time, and the digests that tell rows apart.

>>> rows = encode(pa.record_batch({"id": [1, 2]}), JsonOptions(separator="\n"))
>>> rows.join(0, 2)
b'{"id":1}\n{"id":2}'
"""

from __future__ import annotations

from trunkline.values.digest import DigestBag, Occurrences, row_digests
from trunkline.values.scalars import JsonOptions
from trunkline.values.to_json import JsonRows, check_schema, encode, texts

__all__ = ["DigestBag", "JsonOptions", "JsonRows", "Occurrences", "check_schema", "encode", "row_digests", "texts"]
