"""A file system that behaves like an object store on a bad day: slow, or refusing, in front of a local folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow.fs as pafs


class BadDay(pafs.FileSystemHandler):  # type: ignore[misc]
    """Hands everything to the local file system; `opening` is called first with the path of each Parquet file written.

    It may take its time, and what it raises is what the writer meets.
    """

    def __init__(self, opening: Callable[[str], None]) -> None:
        self._opening = opening
        self._local = pafs.LocalFileSystem()

    def open_output_stream(self, path: str, metadata: Any) -> Any:
        if path.endswith(".parquet"):
            self._opening(path)
        return self._local.open_output_stream(path, metadata=metadata)

    def get_type_name(self) -> str:
        return "bad-day"

    def get_file_info(self, paths: Sequence[str]) -> Any:
        return self._local.get_file_info(paths)

    def get_file_info_selector(self, selector: Any) -> Any:
        return self._local.get_file_info(selector)

    def create_dir(self, path: str, recursive: bool) -> None:
        self._local.create_dir(path, recursive=recursive)

    def delete_dir(self, path: str) -> None:
        self._local.delete_dir(path)

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        self._local.delete_dir_contents(path, missing_dir_ok=missing_dir_ok)

    def delete_root_dir_contents(self) -> None:
        raise NotImplementedError

    def delete_file(self, path: str) -> None:
        self._local.delete_file(path)

    def move(self, src: str, dest: str) -> None:
        self._local.move(src, dest)

    def copy_file(self, src: str, dest: str) -> None:
        self._local.copy_file(src, dest)

    def open_input_stream(self, path: str) -> Any:
        return self._local.open_input_stream(path)

    def open_input_file(self, path: str) -> Any:
        return self._local.open_input_file(path)

    def open_append_stream(self, path: str, metadata: Any) -> Any:
        return self._local.open_append_stream(path, metadata=metadata)

    def normalize_path(self, path: str) -> str:
        return str(self._local.normalize_path(path))


def store(opening: Callable[[str], None]) -> Any:
    """The file system to put into a `Location`."""
    return pafs.PyFileSystem(BadDay(opening))
