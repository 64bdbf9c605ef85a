"""Where a response log is: from what a user writes to a file system and a path in it."""

from __future__ import annotations

import os
from typing import NamedTuple

import pyarrow as pa
import pyarrow.fs as pafs

from trunkline.errors import OptionError

# What Spark, Databricks and Hadoop call a file system, and what pyarrow opens for it.
_SPELLINGS = {"dbfs:/": "/dbfs/", "s3a://": "s3://", "s3n://": "s3://"}
_REFUSED = {
    "wasbs://": "abfss://container@account.dfs.core.windows.net/path",
    "wasb://": "abfss://...",
    "adl://": "abfss://...",
}


class Location(NamedTuple):
    """A folder: the file system and the path within it."""

    files: pafs.FileSystem
    path: str

    def within(self, *names: str) -> Location:
        """A folder below this one."""
        return Location(self.files, "/".join((self.path.rstrip("/"), *names)))


def locate(uri: str) -> Location:
    """The folder a path or URI names: a local path, or any URI `pyarrow.fs` knows.

    `dbfs:/`, `s3a://` and `s3n://` are read as what they mean.

    Raises:
        OptionError: The URI is of a kind that cannot be opened; says how to spell it.
    """
    for prefix, instead in _REFUSED.items():
        if uri.startswith(prefix):
            raise OptionError(f"{prefix} cannot be opened here: write {instead}")
    for prefix, instead in _SPELLINGS.items():
        if uri.startswith(prefix):
            uri = instead + uri[len(prefix) :].lstrip("/")
            break
    if "://" not in uri:
        path = uri.removeprefix("file:")
        return Location(pafs.LocalFileSystem(), os.path.abspath(path))  # noqa: PTH100 - pyarrow wants text
    try:
        files, path = pafs.FileSystem.from_uri(uri)
    except (pa.ArrowException, OSError, ValueError, ImportError) as error:
        raise OptionError(f"{uri.split('?', 1)[0]} cannot be opened: {error}") from None
    return Location(files, path)


def prepare_folder(uri: str) -> Location:
    """Locate the log's folder and make it, so that a wrong path is told before anything is sent.

    Raises:
        OptionError: It cannot be opened or made.
    """
    location = locate(uri)
    try:
        location.files.create_dir(location.path, recursive=True)
    except (OSError, pa.ArrowException) as error:
        raise OptionError(f"the response log {uri} cannot be made: {error}") from None
    return location
