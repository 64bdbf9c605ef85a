"""What each run came to, as one small JSON file beside its records."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

from trunkline.errors import ResponseLogError
from trunkline.responses.location import Location

# Beside the records, in names that Spark's file sources skip.
SUMMARY_FOLDER = "_summary"


def write_summary(location: Location, name: str, summary: dict[str, Any]) -> None:
    """Write one run's summary beside its records.

    Raises:
        ResponseLogError: It could not be written.
    """
    folder = location.within(SUMMARY_FOLDER)
    # A run that is continued has a summary for each try.
    target = f"{name}-{uuid.uuid4().hex[:8]}.json"
    local = isinstance(folder.files, pafs.LocalFileSystem)
    written = f"{folder.path}/.{target}.tmp" if local else f"{folder.path}/{target}"
    try:
        folder.files.create_dir(folder.path, recursive=True)
        with folder.files.open_output_stream(written) as stream:
            stream.write(json.dumps(summary, indent=2).encode() + b"\n")
        if local:
            folder.files.move(written, f"{folder.path}/{target}")
    except (OSError, pa.ArrowException) as error:
        raise ResponseLogError(f"the summary in {folder.path} cannot be written: {error}") from None


def read_summaries(location: Location) -> list[dict[str, Any]]:
    """Every summary in the log, oldest first."""
    folder = location.within(SUMMARY_FOLDER)
    found = folder.files.get_file_info(pafs.FileSelector(folder.path, allow_not_found=True))
    summaries = []
    for file in found:
        if file.base_name.endswith(".json") and not file.base_name.startswith("."):
            with folder.files.open_input_stream(file.path) as stream:
                summaries.append(json.loads(stream.read()))
    return sorted(summaries, key=lambda summary: str(summary.get("finished_at", "")))
