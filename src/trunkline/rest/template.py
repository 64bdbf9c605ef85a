"""Templates filled from columns: `https://host/users/{id}?at={day}`, for a whole batch at once.

    template = UrlTemplate("https://api.example.com/users/{id}", [("source", "spark")])
    template.fill(batch, refused)      # ["https://api.example.com/users/1?source=spark", ...]

Templates are confined: scheme, host and port are literal, a value fills one path segment or one query value and is
percent-encoded. A value that could mean another path on the server (empty, `.`, `..`, with a slash, a backslash or a
NUL in it) is refused, because `%2F` and `%2E%2E` are undone by many servers before they route.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from trunkline.http.kinds import COLUMN
from trunkline.values import texts

# RFC 3986 section 2.3: what never needs encoding.
_UNRESERVED = r"^[A-Za-z0-9._~-]*$"
_UNSAFE_SEGMENT = re.compile(r"[/\\\x00-\x1f\x7f]")
_LINE_BREAK = r"[\r\n\x00]"

Refused = dict[int, str]


class Template:
    """Text with `{column}` in it.

    Args:
        text: Literal text and columns in braces.
        path_ends: Position in `text` where the path ends and the query begins; columns before it fill path segments.
        encode: Percent-encode what columns give.
    """

    def __init__(self, text: str, *, path_ends: int = 0, encode: bool = True) -> None:
        self.text = text
        self._encode = encode
        self._literals: list[str] = []
        self._columns: list[tuple[str, bool]] = []
        done = 0
        for match in COLUMN.finditer(text):
            self._literals.append(text[done : match.start()])
            self._columns.append((match[1], match.start() < path_ends))
            done = match.end()
        self._literals.append(text[done:])

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it takes, each once."""
        return tuple(dict.fromkeys(name for name, _ in self._columns))

    def fill(self, batch: pa.RecordBatch, refused: Refused) -> list[str] | str:
        """The text of each row, or one text where it takes no column.

        Args:
            batch: Rows.
            refused: Takes the reason for each row that cannot fill it; that row's text is not to be used.
        """
        if not self._columns:
            return self.text
        pieces: list[pa.Array | str] = [self._literals[0]]
        for (name, in_path), literal in zip(self._columns, self._literals[1:], strict=True):
            pieces += [self._values(batch, name, refused, in_path=in_path), literal]
        scalars = [pa.scalar(piece, pa.large_string()) if isinstance(piece, str) else piece for piece in pieces]
        joined: list[str] = pc.binary_join_element_wise(*scalars, pa.scalar("", pa.large_string())).to_pylist()
        return joined

    def _values(self, batch: pa.RecordBatch, name: str, refused: Refused, *, in_path: bool) -> pa.Array:
        column = batch.column(name)
        found = texts(column, name=name, errors=refused).cast(pa.large_string())
        if found.null_count:
            for row in pc.indices_nonzero(pc.is_null(found)).to_pylist():
                refused.setdefault(row, f"column {name} is null, and {self._what()} needs it")
            found = found.fill_null("")
        if not self._encode:
            broken = pc.match_substring_regex(found, _LINE_BREAK)
            for row in pc.indices_nonzero(broken).to_pylist():
                refused.setdefault(row, f"column {name} holds a line break or NUL, which a header cannot carry")
            return found
        plain = pc.all(pc.match_substring_regex(found, _UNRESERVED), min_count=0).as_py()
        values: list[str] = found.to_pylist()
        if in_path:
            for row, value in enumerate(values):
                problem = segment_problem(value)
                if problem and row not in refused:
                    refused[row] = f"column {name} {problem}, which cannot fill a path segment"
        return found if plain else pa.array([quote(value, safe="") for value in values], pa.large_string())

    def _what(self) -> str:
        return "the url" if self._encode else "a header"


class UrlTemplate:
    """The URL of each row: the `url` option and the `params` after it.

    Args:
        url: May hold columns in its path and in its query.
        params: Names and values; a value may hold columns.
    """

    def __init__(self, url: str, params: Sequence[tuple[str, str]] = ()) -> None:
        whole = url.split("#", 1)[0]
        for name, value in params:
            pair = f"{quote(name, safe='')}={_quoted_literals(value)}"
            whole += ("&" if "?" in whole else "?") + pair
        path_ends = whole.find("?")
        self._template = Template(whole, path_ends=len(whole) if path_ends < 0 else path_ends)
        self.columns = self._template.columns

    def fill(self, batch: pa.RecordBatch, refused: Refused) -> list[str] | str:
        """The URL of each row, or the one URL of all; see `Template.fill`."""
        return self._template.fill(batch, refused)


def _quoted_literals(value: str) -> str:
    """Percent-encode everything but the columns in braces."""
    pieces, done = [], 0
    for match in COLUMN.finditer(value):
        pieces += [quote(value[done : match.start()], safe=""), match[0]]
        done = match.end()
    return "".join([*pieces, quote(value[done:], safe="")])


def segment_problem(value: str) -> str | None:
    """Why a value cannot be one segment of a path, or None."""
    if not value:
        return "is empty"
    if value in {".", ".."}:
        return f"is {value!r}"
    if _UNSAFE_SEGMENT.search(value):
        return "holds a slash, a backslash or a control character"
    return None
