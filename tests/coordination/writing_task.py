"""Run by test_processes.py as a Spark worker's process: one task of a write, without Spark.

python writing_task.py PARTITION FIRST LAST < writer      # a pickled RestBatchWriter; prints the pickled report, in hex
"""

from __future__ import annotations

import pickle
import sys

import pyarrow as pa

from trunkline.responses import Task
from trunkline.rest.delivery import Delivery


def main() -> None:
    partition, first, last = map(int, sys.argv[1:])
    writer = pickle.load(sys.stdin.buffer)
    task = Task(writer._plan.run_id, None, partition, partition)
    parts = [range(at, min(at + 20, last)) for at in range(first, last, 20)]
    batches = [pa.record_batch({"id": pa.array(part, pa.int64())}) for part in parts]
    print(pickle.dumps(Delivery(writer._plan, task, writer._plan.run_id).run(iter(batches))).hex())


if __name__ == "__main__":
    main()
