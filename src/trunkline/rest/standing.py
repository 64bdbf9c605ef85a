"""What single answers say of all of them: whether the credential is good, and why a task of `request()` ends early."""

from __future__ import annotations

from collections.abc import Callable

from trunkline.errors import AuthError, RejectedError, TrunklineError, UnavailableError
from trunkline.http.client import Client
from trunkline.http.message import origin
from trunkline.options import Options
from trunkline.rest.answers import UNAUTHORIZED, Answer

_NOT_LOGGED_IN = 401


class Standing:
    """How a task stands with its origin.

    Args:
        options: Of the request.
        client: Is stopped where no row can fare better.
        clean: Cuts credentials out of errors.
    """

    def __init__(self, options: Options, client: Client, clean: Callable[[str], str]) -> None:
        self._fails: bool = options["onError"] == "fail"
        self._origin = origin(options["url"])
        self._client = client
        self._clean = clean
        self._error: TrunklineError | None = None
        self._unauthorized = ""
        self._well = False
        self._first_refusal = ""

    def heed(self, answer: Answer, named: Callable[[], str]) -> None:
        """Learn from a row's answer, and stop where `onError=fail` says so.

        Args:
            answer: Of a row.
            named: Names its request.
        """
        if answer.kind == "accepted":
            self._well = True
            return
        if answer.status == _NOT_LOGGED_IN and answer.kind == "rejected":
            self._unauthorized = self._unauthorized or f"{named()}: {answer.error}"
        elif answer.status:
            self._well = True
        if answer.kind == "unsent" or (self._first_refusal and not self._fails):
            return
        tries = f"after {answer.attempts} {'try' if answer.attempts == 1 else 'tries'}"
        text = f"{named()} {tries}: {answer.error}" if answer.attempts else answer.error
        self._first_refusal = self._first_refusal or text
        # What a stop cut short is told by what stopped it.
        if not self._fails or (self._client.stopped is not None and answer.kind == "exhausted"):
            return
        kind: type[TrunklineError] = UnavailableError if answer.kind == "exhausted" else RejectedError
        kind = AuthError if answer.status in UNAUTHORIZED else kind
        message = f"a row was {answer.kind}: {text}. To go on with the others: onError=row."
        self.fail(kind(message, status=answer.status or None))

    def fail(self, error: TrunklineError) -> None:
        """Remember the first failure and send nothing more; what is in flight still ends and is written down."""
        if self._error is None:
            self._error = error
        self._client.stop(str(error))

    def check(self) -> None:
        """Raise what ended the task before its rows did.

        Raises:
            TrunklineError: It was this.
        """
        if self._error is not None:
            raise self._error
        client = self._client
        if client.failure is not None:
            raise type(client.failure)(self._clean(str(client.failure)))
        if client.stopped is not None:
            stopped, first = client.stopped, self._first_refusal
            # What could not be reached refused the row for the same reason.
            cause = first if stopped in first else f"{self._origin}: {stopped}" + (f". {first}" if first else "")
            if client.schedule.auth_refused:
                raise AuthError(self._clean(f"{cause}. Check auth.*."))
            raise UnavailableError(self._clean(f"{cause}. Ask again later."))
        if self._unauthorized and not self._well:
            raise AuthError(
                f"every request of a task was refused with status 401; {self._unauthorized}. Check auth.*; where 401 "
                "is an answer, add it to successCodes.",
                status=_NOT_LOGGED_IN,
            )
