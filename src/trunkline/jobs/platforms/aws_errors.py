"""What AWS and boto say when a call fails, by the names of `trunkline.errors`.

An `UnavailableError` with `later=True` says that there is no room now: the same start succeeds when a run has ended.
"""

from __future__ import annotations

from trunkline.errors import AuthError, MissingExtraError, OptionError, RejectedError, TrunklineError, UnavailableError

try:
    from botocore.exceptions import (
        ClientError,
        CredentialRetrievalError,
        InvalidRegionError,
        MetadataRetrievalError,
        NoCredentialsError,
        NoRegionError,
        ParamValidationError,
        PartialCredentialsError,
        ProfileNotFound,
        SSOError,
        TokenRetrievalError,
    )
    from botocore.retries.standard import ThrottledRetryableChecker
except ImportError:
    raise MissingExtraError('this platform needs boto3: pip install "trunkline[aws]"') from None

# botocore's own list.
_THROTTLED = frozenset(ThrottledRetryableChecker._THROTTLED_ERROR_CODES)  # noqa: SLF001
# No room for one more run: the errors of StartJobRun in botocore's model of Glue.
_FULL = frozenset({"ConcurrentRunsExceededException", "ResourceNumberLimitExceededException"})
# What EMR says of a cluster that has its 256 active steps; a ValidationException like any other.
_FULL_SAYS = "number of active steps"
# Glue's own time-out, a 400: whether it did what was asked is not said.
_TIMED_OUT = frozenset({"OperationTimeoutException"})
# AWS's common errors, and those of its token service. Only the first kind has a message that is worth showing: others
# quote the request as it was signed, session token and all.
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_UNKNOWN_CALLER = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "OptInRequired",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_LOGIN = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile in AWS_PROFILE, or run where a role is attached"
)
_NO_LOGIN = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    MetadataRetrievalError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)


def translated(service: str, error: Exception) -> TrunklineError:
    """What an error of boto is to us."""
    if isinstance(error, ClientError):
        code, status = _code(error), _status(error)
        said = _said(error)
        whole = f"{service}: {code}: {said[:1000]}" if said and "<" not in said[:1] else f"{service}: {code or status}"
        if code in _DENIED:
            return AuthError(whole, status=status)
        if code in _UNKNOWN_CALLER:
            return AuthError(f"{service} refused the credential ({code}): renew it, or {_LOGIN}", status=status)
        if code in _FULL or _FULL_SAYS in said.lower():
            return UnavailableError(f"{whole} (no room for one more run now)", status=status, later=True)
        if code in _THROTTLED or code in _TIMED_OUT or status >= 500:
            return UnavailableError(whole, status=status)
        return RejectedError(whole, status=status)
    if isinstance(error, _NO_LOGIN):
        return AuthError(f"{service}: no AWS credentials found ({type(error).__name__}): {_LOGIN}")
    if isinstance(error, (NoRegionError, InvalidRegionError)):
        option = "emrServerless.region" if service == "emr-serverless" else f"{service}.region"
        return OptionError(f"{service}: no AWS region: give {option}, or set AWS_REGION")
    if isinstance(error, ParamValidationError):
        return RejectedError(f"{service}: {error}")
    return UnavailableError(f"{service} could not be reached: {error}")


def gone(run_id: str, error: ClientError) -> RejectedError:
    """The error for a run that its service does not know any more."""
    return RejectedError(f"there is no run {run_id} any more: {_code(error)}: {_said(error)}", gone=True)


def throttled(error: ClientError) -> bool:
    """Whether AWS refuses it for a moment, before it does anything of it."""
    return _code(error) in _THROTTLED


def undecided(error: ClientError) -> bool:
    """Whether AWS leaves open if it did what was asked."""
    return _code(error) in _TIMED_OUT or _status(error) >= 500


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _said(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Message", "")).strip()


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
