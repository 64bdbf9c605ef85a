"""`trunkline validate`, `trunkline run`, `trunkline new pipeline`: files, checked without Spark and run with it."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from trunkline.errors import OptionError

# Of a file, in any shell.
_NEW_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_CHECKED = """\
Checked: keys, options, schemas, the order of the steps, that packages of yours are there.
Only a run can tell: SQL, columns, your code, addresses, logins, formats that others bring."""
_NEW = """\
# Rows become requests, and answers rows.
#
#   trunkline validate {name}.yaml
#   trunkline run {name}.yaml --override vars.api=http://127.0.0.1:8080 --override vars.root=/tmp/{name}

name: "{name}"
vars:
  api: https://api.example.com
  root: /data/{name}

steps:
  # Where the rows come from. A table instead: read: {{table: customers}}
  - name: source
    sql: SELECT id AS customer_id FROM range(1, 11)

  # Each row becomes a request; `trunkline describe rest --request` lists the options.
  - name: asked
    request:
      schema: name STRING
      options:
        url: ${{vars.api}}/customers/{{customer_id}}
        # auth: {{type: bearer, token: env:API_TOKEN}}
        # rateLimit: 50/s

  # What must be so of each answer. Which is not: severity fail (the default), warn, drop or quarantine:PATH.
  - name: checked
    expect:
      - {{rule: condition, condition: response.outcome = 'accepted'}}

  # Where the answers go, with their status, tries and times.
  - name: sink
    write: {{format: parquet, path: "${{vars.root}}/answers", mode: overwrite}}
"""


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
    from trunkline.pipelines.report import aligned

    pipeline = read_pipeline(given.file, given.override, code=True)
    planned = plan(pipeline)
    rows = [("STEP", "KIND", "ROWS OF", "AFTER")]
    for step, inputs, needs, streaming in planned:
        after = [name for name in needs if name not in inputs]
        kind = f"{step.kind}, stream" if streaming else step.kind
        rows.append((step.name, kind, ", ".join(inputs) or "-", ", ".join(after) or "-"))
    print(f"{pipeline.name} is valid: {len(planned)} step{'s' if len(planned) > 1 else ''}\n")
    for line in aligned(rows):
        print(line)
    print(f"\n{_CHECKED}")


def run(given: argparse.Namespace) -> int:
    """Run a file, or show what would be run.

    Returns:
        0 success, 1 failed, 2 configuration, 3 pending approval, 4 degraded.

    Raises:
        OptionError: The file or the run to go on with is wrong.
    """
    from trunkline.pipelines.resume import Resume

    if (given.repeat or given.done) and given.resume is None:
        raise OptionError("--repeat and --done are for --resume")
    # An empty id, of a variable that is not set, is no run: it must not begin a new one.
    resume = None if given.resume is None else Resume(given.resume, tuple(given.repeat), tuple(given.done))
    if given.dry_run:
        from trunkline.pipelines.dry_run import shown_plan

        print(shown_plan(given.file, given.override, given.runs, resume))
        return 0
    from trunkline.pipelines.report import PipelineError
    from trunkline.pipelines.run import run_pipeline

    try:
        report = run_pipeline(
            config_path=given.file, overrides=given.override, runs=given.runs, resume=resume, log=given.log
        )
    except PipelineError as error:
        if error.report is None:
            raise
        report = error.report
    print(report.table())
    if report.outcome == "failed":
        again = f"to go on, run the same with --resume {report.run_id}"
        print(f"trunkline: {report.pipeline} failed: {again}", file=sys.stderr)
    return report.exit_code


def new_pipeline(given: argparse.Namespace) -> None:
    """Write a pipeline to begin with, NAME.yaml.

    Raises:
        OptionError: There is a file already, or the name is none for a file.
    """
    if not _NEW_NAME.fullmatch(given.name):
        raise OptionError(f"{given.name!r} is no name of a file to begin with: a letter, then letters, digits, _ and -")
    path = Path(f"{given.name}.yaml")
    if path.exists():
        raise OptionError(f"{path} is there already; nothing was written")
    path.write_text(_NEW.format(name=given.name), encoding="utf-8")
    print(
        f"{path} written. To begin with:\n"
        f"  put the address of your API at vars.api in {path}, and its path at url\n"
        f"  trunkline validate {path}\n"
        f"  trunkline run {path} --override vars.root=/tmp/{given.name}"
    )
