"""Merging a response log's files: no record lost, none doubled, nothing touched that is still written."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trunkline.compact import compact
from trunkline.errors import ResponseLogError
from trunkline.responses import SCHEMA, Record, ResponseLog, Task, locate, write_summary

AN_HOUR = 3600.0


def record(outcome: str = "accepted") -> Record:
    return Record("r-1", None, "POST", "http://h/rows", outcome, 201, "", 1, None, None, 1.5e9, 0.01)


def write_run(root: Path, run: str = "r", *, parts: int = 2, files: int = 5, rows: int = 3, attempt: int = 0) -> None:
    """A run whose tasks each wrote several files."""
    for part in range(parts):
        log = ResponseLog(
            locate(str(root)), Task(run, None, part, attempt), flush_seconds=1.0, flush_rows=10**6, clock=lambda: 0.0
        )
        for number in range(files):
            digests = [f"{attempt}-{part}-{number}-{row}".encode() for row in range(rows)]
            log.add(record(), digests, [0] * rows, [None] * rows)
            log.flush()


def finish(root: Path, run: str = "r", at: float | None = None) -> None:
    """The run's summary, written now unless told otherwise."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at or time.time() + 1)) + ".000+00:00"
    write_summary(locate(str(root)), f"{run}-0", {"run_id": run, "batch_id": None, "finished_at": stamp})


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.parquet") if not path.name.startswith("."))


def records(root: Path) -> Counter[str]:
    """Every record in the log, whole, with how often it is there."""
    return Counter(repr(row) for path in files(root) for row in pq.read_table(path, partitioning=None).to_pylist())


def test_a_finished_run_has_one_file_per_partition_and_the_same_records(tmp_path: Path) -> None:
    write_run(tmp_path)
    finish(tmp_path)
    before = records(tmp_path)
    done = list(compact(str(tmp_path)))
    assert [(one.before, one.after, one.left_alone) for one in done] == [(5, 1, ""), (5, 1, "")]
    assert records(tmp_path) == before
    assert before.total() == 2 * 5 * 3
    assert {path.parent.name for path in files(tmp_path)} == {"part=00000", "part=00001"}


def test_doing_it_again_changes_nothing(tmp_path: Path) -> None:
    write_run(tmp_path)
    finish(tmp_path)
    list(compact(str(tmp_path)))
    once = [(path, path.stat().st_mtime_ns) for path in files(tmp_path)]
    assert [(one.before, one.after) for one in compact(str(tmp_path))] == [(1, 1), (1, 1)]
    assert [(path, path.stat().st_mtime_ns) for path in files(tmp_path)] == once


def test_a_task_finds_what_was_accepted_in_the_merged_file(tmp_path: Path) -> None:
    write_run(tmp_path, parts=1)
    log = ResponseLog(locate(str(tmp_path)), Task("r", None, 0, 1), flush_seconds=1, flush_rows=10)
    before = sorted(log.settled(["accepted"])["row_digest"].to_pylist())
    finish(tmp_path)
    list(compact(str(tmp_path)))
    assert sorted(log.settled(["accepted"])["row_digest"].to_pylist()) == before


def test_a_run_without_a_summary_is_left_alone(tmp_path: Path) -> None:
    write_run(tmp_path)
    before = files(tmp_path)
    assert {one.left_alone for one in compact(str(tmp_path))} == {
        "the run has no summary: it is still written, or was killed"
    }
    assert files(tmp_path) == before


def test_a_run_that_goes_on_after_its_summary_is_left_alone(tmp_path: Path) -> None:
    finish(tmp_path, at=time.time() - AN_HOUR)
    write_run(tmp_path)
    before = files(tmp_path)
    assert {one.left_alone for one in compact(str(tmp_path))} == {
        "a file is newer than the run's summary: the run goes on"
    }
    assert files(tmp_path) == before


def test_an_old_run_without_a_summary_is_merged_when_asked_to(tmp_path: Path) -> None:
    write_run(tmp_path)
    before = records(tmp_path)
    young = list(compact(str(tmp_path), older_than=AN_HOUR))
    assert {one.after for one in young} == {5}
    old = list(compact(str(tmp_path), older_than=AN_HOUR, now=time.time() + 2 * AN_HOUR))
    assert {one.after for one in old} == {1}
    assert records(tmp_path) == before


def test_a_run_that_went_on_is_merged_again(tmp_path: Path) -> None:
    write_run(tmp_path)
    finish(tmp_path)
    list(compact(str(tmp_path)))
    write_run(tmp_path, attempt=1)
    finish(tmp_path)
    before = records(tmp_path)
    assert {(one.before, one.after) for one in compact(str(tmp_path))} == {(6, 1)}
    assert records(tmp_path) == before


def test_equal_records_stay_as_many_as_they_were(tmp_path: Path) -> None:
    """A run that is repeated can log the same request twice; both happened."""
    write_run(tmp_path, parts=1)
    write_run(tmp_path, parts=1)
    finish(tmp_path)
    before = records(tmp_path)
    assert max(before.values()) == 2
    list(compact(str(tmp_path)))
    assert records(tmp_path) == before


def test_files_of_the_target_size_stay_as_they_are(tmp_path: Path) -> None:
    write_run(tmp_path, parts=1)
    finish(tmp_path)
    before = files(tmp_path)
    assert [one.after for one in compact(str(tmp_path), target_bytes=1)] == [5]
    assert files(tmp_path) == before
    size = before[0].stat().st_size
    assert [one.after for one in compact(str(tmp_path), target_bytes=2 * size + size // 2)] == [3]


def test_a_file_of_another_version_keeps_its_partition_as_it_is(tmp_path: Path) -> None:
    write_run(tmp_path, parts=1)
    strange = files(tmp_path)[0]
    newer = pq.read_table(strange, partitioning=None).append_column("more", pa.array([1, 2, 3]))
    pq.write_table(newer, strange)
    finish(tmp_path)
    before = files(tmp_path)
    [one] = compact(str(tmp_path))
    assert one.left_alone == f"{strange.name} was written by another version of trunkline"
    assert files(tmp_path) == before


def test_a_torn_file_is_an_error_that_names_it_and_deletes_nothing(tmp_path: Path) -> None:
    write_run(tmp_path, parts=1)
    finish(tmp_path)
    before = files(tmp_path)
    before[2].write_bytes(b"torn")
    with pytest.raises(ResponseLogError, match=r"part=00000 cannot be compacted: .*; no record was deleted"):
        list(compact(str(tmp_path)))
    assert files(tmp_path) == before


@pytest.mark.parametrize("moment", ["move", "delete_file:1", "delete_file:3"])
def test_being_killed_loses_nothing_and_the_next_one_mends_it(tmp_path: Path, moment: str) -> None:
    """Killed before the rename, before the first deletion, and between two: records are copies at worst, then whole."""
    write_run(tmp_path, parts=1)
    finish(tmp_path)
    before = records(tmp_path)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), moment], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert set(records(tmp_path)) == set(before)
    list(compact(str(tmp_path)))
    assert records(tmp_path) == before
    assert len(files(tmp_path)) == 1


def test_what_a_killed_one_left_hidden_is_swept_after_a_day(tmp_path: Path) -> None:
    write_run(tmp_path, parts=1)
    finish(tmp_path)
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), "move"], check=False)
    [hidden] = tmp_path.rglob(".compacted-*.tmp")
    assert [one.after for one in compact(str(tmp_path), older_than=AN_HOUR, now=time.time() + 25 * AN_HOUR)] == [1]
    assert not hidden.exists()


def test_two_at_once_keep_every_record_once(tmp_path: Path) -> None:
    write_run(tmp_path, parts=4, files=20)
    finish(tmp_path)
    before = records(tmp_path)
    code = "import sys; from trunkline.compact import compact; list(compact(sys.argv[1]))"
    both = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(2)]
    assert [one.wait() for one in both] == [0, 0]
    assert records(tmp_path) == before


def test_the_merged_file_has_the_schema_of_the_log(tmp_path: Path) -> None:
    write_run(tmp_path, parts=1)
    finish(tmp_path)
    list(compact(str(tmp_path)))
    [path] = files(tmp_path)
    schema = pq.read_schema(path)
    assert schema.equals(SCHEMA)
    assert schema.metadata[b"trunkline.responses"] == SCHEMA.metadata[b"trunkline.responses"]


# Kills itself right before the call of a file system's method, or before its n-th call.
KILLED = textwrap.dedent(
    """
    import os, signal, sys
    import pyarrow.fs as pafs
    from trunkline import compact, responses

    name, _, number = sys.argv[2].partition(":")
    calls = 0

    class Deadly(pafs.LocalFileSystem):
        def __getattribute__(self, asked):
            global calls
            if asked == name:
                calls += 1
                if calls >= int(number or 1):
                    os.kill(os.getpid(), signal.SIGKILL)
            return super().__getattribute__(asked)

    compact.locate = lambda uri: responses.Location(Deadly(), uri)
    list(compact.compact(sys.argv[1]))
    """
)
