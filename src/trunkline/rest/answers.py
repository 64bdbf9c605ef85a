"""What came back for a row: kept while other rows may want it, and made into the column that `request()` adds.

    column = ResponseColumn(kind, ReadOptions(mode="PERMISSIVE"), clean, parsed=True)
    column.array([Answer("accepted", 200, body=b'{"name": "Ann"}', attempts=1)], named)

The column is a struct: status_code, response_headers, response_body, outcome, error, attempts, requested_at,
elapsed_ms.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import pyarrow as pa

from trunkline.errors import ResponseError
from trunkline.http.message import Outcome, loggable_headers
from trunkline.values import JsonDecoder, ReadOptions
from trunkline.values.absent import AbsentFields
from trunkline.values.envelope import BOM

# Outcomes that are the server's last word, and statuses that are about the credential, whatever the request.
LASTING = ("accepted", "rejected")
UNAUTHORIZED = (401, 403)
# What an answer takes in memory beside its texts, bytes.
_OVERHEAD = 600
# Heads of answers whose headers are remembered: many are equal but for the second in their Date.
_MOST_HEADS = 256
_raw = msgspec.json.Decoder(msgspec.Raw).decode
_HEADERS = pa.map_(pa.string(), pa.string())
_UTC = pa.timestamp("us", "UTC")


class Answer(NamedTuple):
    """The end of one row's request.

    `kind` is an outcome as in the response log; `requested_at` is in microseconds since 1970 and `elapsed` in
    milliseconds, None where nothing was sent; `headers` and `body` are None where no answer came. Both are as they
    came: `AnswerTexts` makes them fit to be shown. `size` is about how much memory all of it takes, bytes.
    """

    kind: str
    status: int = 0
    error: str = ""
    attempts: int = 0
    headers: Mapping[str, str] | None = None
    body: bytes | None = None
    requested_at: int | None = None
    elapsed: int | None = None
    size: int = _OVERHEAD

    @property
    def lasting(self) -> bool:
        """Whether asking again would bring the same: the server has spoken, and not of the credential."""
        return bool(self.status) and self.kind in LASTING and self.status not in UNAUTHORIZED


def answer_of(outcome: Outcome, kind: str, status: int, error: str, body: bytes | None) -> Answer:
    """The answer that an outcome of the engine is, rounded as the response log rounds it."""
    exchange = outcome.exchange
    headers = None if exchange is None else exchange.headers
    return Answer(
        kind,
        status,
        error,
        outcome.attempts,
        headers,
        body,
        int(outcome.requested_at * 1e6) if outcome.requested_at else None,
        round(outcome.elapsed * 1000) if outcome.attempts else None,
        size_of(headers, body, error),
    )


def size_of(headers: Mapping[str, str] | None, body: bytes | None, error: str) -> int:
    """About how much memory an answer of these takes, bytes."""
    size = _OVERHEAD + len(error)
    if body is not None:
        size += len(body)
    if headers is not None:
        head = getattr(headers, "head", None)
        size += sum(len(name) + len(text) for name, text in headers.items()) if head is None else 2 * len(head)
    return size


class AnswerTexts:
    """Headers and bodies as they may be shown: as text, without cookies and credentials.

    Args:
        clean: Cuts credentials out of a text.
    """

    def __init__(self, clean: Callable[[str], str]) -> None:
        self._clean = clean
        self._known: dict[bytes, dict[str, str]] = {}

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """By lower-case name; the same dict for the same headers, where they come again soon."""
        head: bytes | None = getattr(headers, "head", None)
        if head is None:
            return self._cleaned(headers)
        found = self._known.get(head)
        if found is None:
            if len(self._known) >= _MOST_HEADS:
                self._known.clear()
            found = self._known[head] = self._cleaned(headers)
        return found

    def body(self, body: bytes) -> str:
        """A body."""
        return self._clean(body.decode("utf-8", "replace"))

    def bodies(self, bodies: Sequence[bytes | None]) -> Sequence[bytes | None]:
        """Bodies, as UTF-8: one look at all of them tells mostly that there is nothing to be done."""
        joined = b"\n".join(filter(None, bodies))
        try:
            text = joined.decode()
        except UnicodeDecodeError:
            text = None
        if text is not None and self._clean(text) == text:
            return bodies
        return [None if body is None else self.body(body).encode() for body in bodies]

    def _cleaned(self, headers: Mapping[str, str]) -> dict[str, str]:
        found = loggable_headers(headers)
        text = "\n".join(found.values())
        return found if self._clean(text) == text else {name: self._clean(value) for name, value in found.items()}


class AnswerMemory:
    """The answers that were wanted last, within a bound of bytes.

    Args:
        most: Bytes, about.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._answers: OrderedDict[bytes, Answer] = OrderedDict()

    def get(self, key: bytes) -> Answer | None:
        """The answer to a request, None where it is not known or not known any more."""
        answer = self._answers.get(key)
        if answer is not None:
            self._answers.move_to_end(key)
        return answer

    def put(self, key: bytes, answer: Answer) -> None:
        """Remember an answer, and forget those not wanted for longest where there is no room."""
        before = self._answers.pop(key, None)
        self._size += answer.size - (0 if before is None else before.size)
        self._answers[key] = answer
        while self._size > self._most and self._answers:
            _, oldest = self._answers.popitem(last=False)
            self._size -= oldest.size


class ResponseColumn:
    """Makes the column of answers.

    Args:
        kind: The struct; its `response_body` is a string, or what bodies are parsed into.
        options: How bodies are parsed.
        clean: Cuts credentials out of texts; not that of another thread.
        parsed: Whether bodies are parsed.
    """

    def __init__(self, kind: pa.StructType, options: ReadOptions, clean: Callable[[str], str], *, parsed: bool) -> None:
        self._texts = AnswerTexts(clean)
        self._fields = [kind.field(i) for i in range(kind.num_fields)]
        self._fail = options.mode == "FAILFAST"
        self._body: pa.DataType = kind.field("response_body").type
        self._corrupt = options.corrupt_column or ""
        self._decoder: JsonDecoder | None = None
        if parsed:
            # The decoder fills structs only; any type is one field of such.
            read = pa.schema([pa.field("value", self._without_corrupt())])
            self._decoder = JsonDecoder(read, ReadOptions(timestamps=options.timestamps, zone=options.zone))
            self._absent = AbsentFields(read, options.missing, around="value")

    def array(self, answers: Sequence[Answer], named: Callable[[int], str]) -> pa.StructArray:
        """The column for these answers, in their order.

        Args:
            answers: One for each row.
            named: Names the request of a row, for an error.

        Raises:
            ResponseError: A body does not fit, with `mode=FAILFAST`; or a field of the schema is in none of them, and
                should be.
        """
        kinds, statuses, said, attempts, headers, raw, requested_at, elapsed, _ = zip(*answers, strict=True)
        outcomes = list(kinds)
        errors = [error or None for error in said]
        texts = self._texts.bodies(raw)
        if self._decoder is None:
            bodies = pa.array(texts, pa.binary()).cast(pa.string())
        else:
            bodies = self._parsed(self._decoder, texts, outcomes, errors, named)
        columns = [
            pa.array([status or None for status in statuses], pa.int32()),
            self._headers(headers),
            bodies,
            pa.array(outcomes, pa.string()),
            pa.array(errors, pa.string()),
            pa.array(attempts, pa.int32()),
            pa.array(requested_at, pa.int64()).cast(_UTC),
            pa.array(elapsed, pa.int32()),
        ]
        return pa.StructArray.from_arrays(columns, fields=self._fields)

    def _headers(self, headers: Sequence[Mapping[str, str] | None]) -> pa.MapArray:
        """The headers, each set of them made into Arrow once."""
        places: dict[int, int] = {}
        different: list[dict[str, str]] = []
        rows: list[int | None] = []
        for one in headers:
            if one is None:
                rows.append(None)
                continue
            shown = self._texts.headers(one)
            place = places.setdefault(id(shown), len(different))
            if place == len(different):
                different.append(shown)  # which also keeps its id from being given to another
            rows.append(place)
        found = pa.array([list(one.items()) for one in different], _HEADERS)
        return found.take(pa.array(rows, pa.int32()))

    def _parsed(
        self,
        decoder: JsonDecoder,
        bodies: Sequence[bytes | None],
        outcomes: list[str],
        errors: list[str | None],
        named: Callable[[int], str],
    ) -> pa.Array:
        """The bodies of accepted answers, typed; a body that does not fit changes its row's outcome and error."""
        found = [
            None if kind != "accepted" or body is None else body.removeprefix(BOM).strip()
            for kind, body in zip(outcomes, bodies, strict=True)
        ]
        rows = [i for i, body in enumerate(found) if body]
        texts = [_wrapped(body) for body in found if body]
        batch, problems = decoder.documents(texts)
        if texts:
            try:
                self._absent.look(batch.columns, lambda: texts)
            except ResponseError as error:
                raise ResponseError(f"{named(rows[0])}: {error}") from None
        for number, problem in sorted(problems.items()):
            row = rows[number]
            text = f"the body does not fit the schema: {problem.removeprefix('value.')}"
            if self._fail:
                raise ResponseError(f"{named(row)}: {text}; change the schema, or set mode=PERMISSIVE")
            outcomes[row] = "malformed"
            errors[row] = f"{errors[row]}; {text}" if errors[row] else text
        places: list[int | None] = [None] * len(bodies)
        for number, row in enumerate(rows):
            places[row] = number
        values = batch.column(0).take(pa.array(places, pa.int64()))
        if not self._corrupt:
            return values
        kept = [body if kind == "malformed" else None for kind, body in zip(outcomes, bodies, strict=True)]
        return self._with_corrupt(values, pa.array(kept, pa.binary()).cast(pa.string()))

    def _without_corrupt(self) -> pa.DataType:
        if not self._corrupt:
            return self._body
        kind = self._body
        fields = [kind.field(i) for i in range(kind.num_fields)]
        return pa.struct([field for field in fields if field.name != self._corrupt])

    def _with_corrupt(self, values: pa.StructArray, kept: pa.Array) -> pa.StructArray:
        """The parsed structs with the text of what did not fit among their fields."""
        names = [self._body.field(i).name for i in range(self._body.num_fields)]
        # Flattened, because a field knows nothing of the nulls of its struct.
        read = dict(zip((name for name in names if name != self._corrupt), values.flatten(), strict=True))
        columns = [kept if name == self._corrupt else read[name] for name in names]
        fields = [self._body.field(name) for name in names]
        present = [
            valid or text
            for valid, text in zip(values.is_valid().to_pylist(), kept.is_valid().to_pylist(), strict=True)
        ]
        return pa.StructArray.from_arrays(
            columns, fields=fields, mask=pa.array([not one for one in present], pa.bool_())
        )


def _wrapped(text: bytes) -> bytes:
    """The body as the one field of an object; as it is where it is no JSON, and so fits nothing."""
    try:
        _raw(text)
    except (msgspec.DecodeError, RecursionError):
        return text
    return b'{"value":' + text + b"}"
