"""`trunkline validate`: a pipeline file checked, without Spark."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from trunkline.errors import OptionError


def validate(given: argparse.Namespace) -> None:
    """Check a file and show in which order its steps run, or print the schema.

    Raises:
        OptionError: With every problem of the file.
    """
    if given.schema:
        from trunkline.pipelines.schema import json_schema

        print(json.dumps(json_schema(), indent=2))
        return
    if given.file is None:
        raise OptionError("which file? trunkline validate pipeline.conf, or trunkline validate --schema")
    from trunkline.pipelines.checks import read_pipeline
    from trunkline.pipelines.planning import plan

    pipeline = read_pipeline(given.file, given.override)
    planned = plan(pipeline)
    rows = [("STEP", "KIND", "ROWS OF", "AFTER")]
    for step, inputs, needs, streaming in planned:
        after = [name for name in needs if name not in inputs]
        kind = f"{step.kind}, stream" if streaming else step.kind
        rows.append((step.name, kind, ", ".join(inputs) or "-", ", ".join(after) or "-"))
    print(f"{pipeline.name} is valid: {len(planned)} step{'s' if len(planned) > 1 else ''}\n")
    for line in _table(rows):
        print(line)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
