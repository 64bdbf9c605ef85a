"""Every way Trunkline fails, named by what the reader does next.

```
TrunklineError
├── OptionError         fix the options        (also a ValueError)
├── MissingExtraError   install what is named  (also an ImportError)
├── AuthError           fix the credential
├── RejectedError       fix the rows: the server refused them for good
├── UnavailableError    run again later: the server never answered for good
├── ResponseError       the server's 2xx breaks its promise
├── RunError            look at the job run that did not succeed
└── ResponseLogError    make the response log writable
```

Messages hold what is needed to act and never a secret. All of them survive pickling, so they cross
from a worker to the driver unchanged:

    >>> import pickle
    >>> pickle.loads(pickle.dumps(RejectedError("refused", status=422))).status
    422
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class TrunklineError(Exception):
    """Something Trunkline cannot go on from; the message says what to do."""

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.__dict__.update(details)


class OptionError(TrunklineError, ValueError):
    """One or more options are unknown, missing, malformed or contradict each other.

    Args:
        message: The first line, or the whole text when there are no `problems`.
        problems: One sentence per problem; all problems of a call are reported at once.
    """

    problems: tuple[str, ...]

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        lines = [message, *(f"  - {problem}" for problem in problems if problem not in message)]
        super().__init__("\n".join(lines), problems=tuple(problems))

    def __reduce__(self) -> tuple[object, ...]:
        return (_option_error, (str(self), self.problems))


def _option_error(text: str, problems: tuple[str, ...]) -> OptionError:
    error = OptionError(text)
    error.problems = problems
    return error


class MissingExtraError(TrunklineError, ImportError):
    """A feature needs a package that is not installed; the message is the command that installs it."""


class AuthError(TrunklineError):
    """The server, or the token endpoint, refused the credential.

    Details: `status`, `attempts` where there was an answer.
    """

    status: int | None = None


class RejectedError(TrunklineError):
    """The server refused rows for good, or it is unknown whether it took them and they must not be sent again.

    Details: `status`, `outcome` (`rejected`, `ambiguous`), `summary` (the counts of the write); `gone`, where a
    platform of jobs knows of a run no more.
    """

    status: int | None = None
    outcome: str = "rejected"
    gone: bool = False


class UnavailableError(TrunklineError):
    """The server could not be reached or kept failing until the attempts or the deadline ran out.

    Details: `status`; `later`, where a platform of jobs has no room for one more run now.
    """

    status: int | None = None
    later: bool = False


class ResponseError(TrunklineError):
    """A successful status with a body that is not what was agreed."""


class RunError(TrunklineError):
    """A job run that was waited for did not succeed, or did not end in time.

    Details: `runs`, all runs of the call as they were last seen.
    """

    runs: Sequence[Any] = ()


class ResponseLogError(TrunklineError):
    """The response log could not be read or written; sending stopped, because nothing may be sent unrecorded."""
