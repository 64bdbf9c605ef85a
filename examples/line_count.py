"""A job that needs no Spark: counts the lines of a file, and asks for a look when there are too many.

python -m trunkline.jobs --module_name=line_count --line_count='{"path": "line_count.py"}'
"""

from __future__ import annotations

from pathlib import Path


def main(path: str, most: int = 100) -> dict[str, object]:
    lines = len(Path(path).read_text().splitlines())
    return {"status": "SUCCESS" if lines <= most else "PENDING_APPROVAL", "metrics": {"lines": lines}}
