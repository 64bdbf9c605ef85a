"""What came back for a row: kept while other rows may want it, and made into the column that `request()` adds.

    column = ResponseColumn(kind, ReadOptions(mode="PERMISSIVE"), corrupt=None)
    column.array([Answer("accepted", 200, body='{"name": "Ann"}', attempts=1)], names)

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
from trunkline.http.message import Outcome
from trunkline.values import JsonDecoder, ReadOptions

# Outcomes that are the server's last word, and statuses that are about the credential, whatever the request.
LASTING = ("accepted", "rejected")
UNAUTHORIZED = (401, 403)
# What an answer takes in memory beside its texts, bytes.
_OVERHEAD = 600
_raw = msgspec.json.Decoder(msgspec.Raw).decode
_HEADERS = pa.map_(pa.string(), pa.string())
_UTC = pa.timestamp("us", "UTC")


class Answer(NamedTuple):
    """The end of one row's request.

    `kind` is an outcome as in the response log; `requested_at` is in microseconds since 1970 and `elapsed` in
    milliseconds, None where nothing was sent; `headers` and `body` are None where no answer came.
    """

    kind: str
    status: int = 0
    error: str = ""
    attempts: int = 0
    headers: Mapping[str, str] | None = None
    body: str | None = None
    requested_at: int | None = None
    elapsed: int | None = None

    @property
    def lasting(self) -> bool:
        """Whether asking again would bring the same: the server has spoken, and not of the credential."""
        return bool(self.status) and self.kind in LASTING and self.status not in UNAUTHORIZED

    @property
    def size(self) -> int:
        """About how much memory it takes, bytes."""
        headers = sum(len(name) + len(value) for name, value in (self.headers or {}).items())
        return _OVERHEAD + len(self.body or "") + headers + len(self.error)


def answer_of(
    outcome: Outcome, kind: str, status: int, error: str, headers: Mapping[str, str] | None, body: str | None
) -> Answer:
    """The answer that an outcome of the engine is, rounded as the response log rounds it."""
    return Answer(
        kind,
        status,
        error,
        outcome.attempts,
        headers,
        body,
        int(outcome.requested_at * 1e6) if outcome.requested_at else None,
        round(outcome.elapsed * 1000) if outcome.attempts else None,
    )


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
        parsed: Whether they are.
    """

    def __init__(self, kind: pa.StructType, options: ReadOptions, *, parsed: bool) -> None:
        self._fields = [kind.field(i) for i in range(kind.num_fields)]
        self._fail = options.mode == "FAILFAST"
        self._body: pa.DataType = kind.field("response_body").type
        self._corrupt = options.corrupt_column or ""
        self._decoder: JsonDecoder | None = None
        if parsed:
            # The decoder fills structs only; any type is one field of such.
            read = self._without_corrupt()
            self._decoder = JsonDecoder(pa.schema([pa.field("value", read)]), ReadOptions(
                timestamps=options.timestamps, zone=options.zone
            ))  # fmt: skip

    def array(self, answers: Sequence[Answer], named: Callable[[int], str]) -> pa.StructArray:
        """The column for these answers, in their order.

        Args:
            answers: One for each row.
            named: Names the request of a row, for an error.

        Raises:
            ResponseError: A body does not fit, with `mode=FAILFAST`.
        """
        outcomes = [answer.kind for answer in answers]
        errors = [answer.error or None for answer in answers]
        if self._decoder is None:
            bodies = pa.array([answer.body for answer in answers], pa.string())
        else:
            bodies = self._parsed(self._decoder, answers, outcomes, errors, named)
        headers = [None if answer.headers is None else list(answer.headers.items()) for answer in answers]
        columns = [
            pa.array([answer.status or None for answer in answers], pa.int32()),
            pa.array(headers, _HEADERS),
            bodies,
            pa.array(outcomes, pa.string()),
            pa.array(errors, pa.string()),
            pa.array([answer.attempts for answer in answers], pa.int32()),
            pa.array([answer.requested_at for answer in answers], pa.int64()).cast(_UTC),
            pa.array([answer.elapsed for answer in answers], pa.int32()),
        ]
        return pa.StructArray.from_arrays(columns, fields=self._fields)

    def _parsed(
        self,
        decoder: JsonDecoder,
        answers: Sequence[Answer],
        outcomes: list[str],
        errors: list[str | None],
        named: Callable[[int], str],
    ) -> pa.Array:
        """The bodies of accepted answers, typed; a body that does not fit changes its row's outcome and error."""
        rows = [i for i, answer in enumerate(answers) if answer.kind == "accepted" and (answer.body or "").strip()]
        texts = [_wrapped((answers[i].body or "").encode()) for i in rows]
        batch, problems = decoder.documents(texts)
        for number, problem in sorted(problems.items()):
            row = rows[number]
            text = f"the body does not fit the schema: {problem.removeprefix('value.')}"
            if self._fail:
                raise ResponseError(f"{named(row)}: {text}; change the schema, or set mode=PERMISSIVE")
            outcomes[row] = "malformed"
            errors[row] = f"{answers[row].error}; {text}" if answers[row].error else text
        places: list[int | None] = [None] * len(answers)
        for number, row in enumerate(rows):
            places[row] = number
        values = batch.column(0).take(pa.array(places, pa.int64()))
        if not self._corrupt:
            return values
        kept = [answers[row].body if outcomes[row] == "malformed" else None for row in range(len(answers))]
        return self._with_corrupt(values, pa.array(kept, pa.string()))

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
