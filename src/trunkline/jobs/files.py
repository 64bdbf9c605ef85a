"""A small text file at a path or URI: the configuration of a job, and where its result goes."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.errors import MissingExtraError, OptionError

if TYPE_CHECKING:
    from trunkline.responses import Location

_LOGIN = re.compile(r"://[^/\s@]*@")
_QUERY = re.compile(r"(\w+://[^\s?]*)\?\S*")


def read_text(uri: str) -> str:
    """What stands there, UTF-8.

    Raises:
        OptionError: It cannot be read.
        MissingExtraError: A URI needs pyarrow, which is not installed.
    """
    try:
        if _is_local(uri):
            return Path(_local(uri)).read_text(encoding="utf-8")
        location = _locate(uri)
        with location.files.open_input_stream(location.path) as stream:
            data: bytes = stream.read()
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise OptionError(f"{shown(uri)} is not UTF-8 text") from None
    except OSError as error:
        raise OptionError(shown(f"{uri} cannot be read: {error.strerror or error}")) from None


def write_text(uri: str, text: str) -> None:
    """Write it whole: on a local path under another name first, on an object store as one put.

    Raises:
        OSError: It cannot be written.
        OptionError: The URI is of a kind that cannot be opened.
        MissingExtraError: A URI needs pyarrow, which is not installed.
    """
    if not _is_local(uri):
        location = _locate(uri)
        with location.files.open_output_stream(location.path) as stream:
            stream.write(text.encode())
        return
    path = Path(_local(uri))
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    hidden.write_text(text, encoding="utf-8")
    hidden.replace(path)


def shown(text: str) -> str:
    """A message with its URIs fit to be shown: without a login or a query in them."""
    return _QUERY.sub(r"\1", _LOGIN.sub("://***@", text))


def _is_local(uri: str) -> bool:
    return "://" not in uri or uri.startswith("file://")


def _local(uri: str) -> str:
    path = uri.removeprefix("file://").removeprefix("file:")
    # What Databricks calls its own file system is a folder there.
    return "/dbfs/" + path.removeprefix("dbfs:/").lstrip("/") if path.startswith("dbfs:/") else path


def _locate(uri: str) -> Location:
    try:
        from trunkline.responses import locate
    except ImportError:
        raise MissingExtraError(f"{shown(uri)} needs pyarrow: pip install pyarrow") from None
    try:
        return locate(uri)
    except OptionError as error:
        raise OptionError(shown(str(error))) from None
