"""Streaming pipelines that are killed, restarted and told to end lose nothing, and double nothing but what may be."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.pipelines.test_kills import reports, started
from tests.rest.test_stream_kills import committed

from trunkline.testing import FaultServer

# An hour of a trigger of ten seconds.
BATCHES, ROWS = 360, 10
# Of a response log: how many accepted rows may be unwritten, and how many requests the one task has in flight.
FLUSH, CONCURRENCY = 5, 2
HOUR = """
name = hour
vars { root = /data, once { trigger = available_now } }
spark { master = "local[2]", conf { spark.ui.enabled = false, spark.sql.streaming.minBatchesToRetain = 1000 } }
steps = [
  {
    name = events
    read { format = json, stream = true, path = ${vars.root}/in, schema = "id BIGINT" }
    read.options { maxFilesPerTrigger = 1 }
  }
  { name = kept, write = ${vars.once} { format = parquet, path = ${vars.root}/rows, checkpoint = ${vars.root}/kept } }
  {
    name = sent
    input = events
    write = ${vars.once} {
      format = rest
      checkpoint = ${vars.root}/sent
      options { url = "URL", responses = ${vars.root}/answers, concurrency = CONCURRENCY, log.flush = "1s,FLUSH" }
    }
  }
]
"""


def batches(folder: Path, checkpoint: str) -> int:
    return len(list((folder / checkpoint / "commits").glob("[0-9]*")))


def written(folder: Path, server: FaultServer, text: str, files: int, rows: int, delay: float = 0) -> None:
    (folder / "in").mkdir()
    for number in range(files):
        lines = [json.dumps({"id": number * rows + n}) for n in range(rows)]
        (folder / "in" / f"{number:04d}.json").write_text("\n".join(lines))
    server.route("POST /rows", [{"status": 201, "delay": delay}], store=True)
    text = text.replace("/data", f'"{folder}"').replace("URL", server.url_for("/rows"))
    (folder / "p.conf").write_text(text.replace("CONCURRENCY", str(CONCURRENCY)).replace("FLUSH", str(FLUSH)))


def accepted(server: FaultServer) -> Counter[int]:
    return Counter(one.json["id"] for one in server.ledger("POST /rows") if one.stored)


def reached(folder: Path, process: subprocess.Popen[bytes], checkpoint: str, count: int) -> None:
    """Wait until so many micro-batches are done."""
    until = time.monotonic() + 600
    while batches(folder, checkpoint) < count and time.monotonic() < until:
        assert process.poll() is None, (folder / "log").read_text()[-3_000:]
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
def test_an_hour_of_micro_batches_with_restarts_loses_nothing(fault_server: FaultServer, tmp_path: Path) -> None:
    """360 micro-batches to files and to an API: killed three times, told to end once, and gone on with each time.

    The files have each row once; the API's ledger has each, and repeats none but what a kill may repeat.
    """
    written(tmp_path, fault_server, HOUR, BATCHES, ROWS)
    chance = random.Random(3)
    for number, share in enumerate((0.15, 0.35, 0.55, 0.75)):
        process = started(tmp_path, *(["--resume", "last"] if number else []))
        reached(tmp_path, process, "sent", int(share * BATCHES))
        time.sleep(chance.uniform(0, 1))
        if number == 2:
            process.terminate()
            assert process.wait(120) == 0
            assert reports(tmp_path)[-1]["outcome"] == "success"
        else:
            os.killpg(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
    process = started(tmp_path, "--resume", "last")
    assert process.wait(1_500) == 0, (tmp_path / "log").read_text()[-3_000:]
    # A kill between Spark's note of a file and the plan of its micro-batch puts two files into the next one.
    for name in ("kept", "sent"):
        assert BATCHES - 3 <= batches(tmp_path, name) <= BATCHES
    assert Counter(committed(tmp_path)) == Counter(range(BATCHES * ROWS))
    counts = accepted(fault_server)
    assert set(counts) == set(range(BATCHES * ROWS))
    # Told to end, it does not wait for a micro-batch that has just begun after the last: so that counts as a kill.
    assert sum(counts.values()) - BATCHES * ROWS <= 4 * (FLUSH + CONCURRENCY)
    last = {step["name"]: step["rows_out"] for step in reports(tmp_path)[-1]["steps"]}
    assert 0 < last["sent"] < BATCHES * ROWS


LIVE = """
name = live
vars { root = /data }
spark { master = "local[2]", conf { spark.ui.enabled = false } }
steps = [
  {
    name = events
    read { format = json, stream = true, path = ${vars.root}/in, schema = "id BIGINT" }
    read.options { maxFilesPerTrigger = 1 }
  }
  {
    name = sent
    write {
      format = rest
      checkpoint = ${vars.root}/sent
      trigger = 12s
      options { url = "URL", responses = ${vars.root}/answers, concurrency = 1 }
    }
  }
]
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("told", [os.kill, os.killpg])
def test_a_stream_that_is_told_to_end_ends_after_its_micro_batch(
    fault_server: FaultServer, tmp_path: Path, told: Callable[[int, int], None]
) -> None:
    """SIGTERM in the midst of a micro-batch: exit code 0, a report with its rows, and no row is sent again later.

    To the runner alone, and to its whole process group, to which its Spark belongs too.
    """
    written(tmp_path, fault_server, LIVE, 3, 20, delay=0.2)
    process = started(tmp_path)
    until = time.monotonic() + 200
    while len(accepted(fault_server)) < 25 and time.monotonic() < until:
        assert process.poll() is None, (tmp_path / "log").read_text()[-3_000:]
        time.sleep(0.05)
    assert len(accepted(fault_server)) < 40
    told(process.pid, signal.SIGTERM)
    assert process.wait(60) == 0
    # Two files of three, in whatever order Spark takes them.
    assert sorted(accepted(fault_server).values()) == [1] * 40
    (report,) = reports(tmp_path)
    assert (report["outcome"], report["steps"][1]["outcome"]) == ("success", "success")
    assert (report["steps"][1]["rows_in"], report["steps"][1]["rows_out"]) == (40, 40)
    process = started(tmp_path)
    until = time.monotonic() + 200
    while len(accepted(fault_server)) < 60 and time.monotonic() < until:
        time.sleep(0.2)
    told(process.pid, signal.SIGTERM)
    assert process.wait(60) == 0
    assert accepted(fault_server) == Counter(range(60))
