"""What `lake.yaml` calls: rows into a Delta table by delta-rs (`pip install deltalake`), without jars of Spark's.

    - name: sink
      call: delta_sink:DeltaSink
      config: {path: /lake/customers, mode: merge, merge_keys: [id]}

One call is one commit. It bears the name of the run and step as Delta's application transaction (`txn`), so a run that
was killed after the commit and is gone on with does not commit again, not even where it appends.

The rows pass through the driver's memory. What is too much for that is for Spark's own `format: delta`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from pyspark.sql import DataFrame

from trunkline.pipelines import Context


@dataclass
class DeltaConfig:
    """Checked before Spark starts.

    Attributes:
        path: A folder or URI; the first write makes the table.
        mode: What becomes of the rows that are there.
        merge_keys: Of `merge`: rows with equal keys are updated, the others added. Null is the same key as null.
        partition_by: Columns, where the table is made.
        storage_options: Of the object store, as delta-rs names them; secrets by reference.
    """

    path: str
    mode: Literal["append", "overwrite", "merge"] = "append"
    merge_keys: tuple[str, ...] = ()
    partition_by: tuple[str, ...] = ()
    storage_options: dict[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if bool(self.merge_keys) != (self.mode == "merge"):
            raise ValueError("mode merge and merge_keys go together")


class DeltaSink:
    """Writes the rows it is given, once for each run and step, and passes them on."""

    def __init__(self, config: DeltaConfig) -> None:
        self.config = config

    def run(self, df: DataFrame, context: Context) -> None:
        config, name = self.config, f"{context.origin}/{context.step}"
        there = DeltaTable.is_deltatable(config.path, config.storage_options)
        table = DeltaTable(config.path, storage_options=config.storage_options) if there else None
        if table is not None and table.transaction_version(name) is not None:
            context.logger.info("was_committed", table=config.path, version=table.version())
            return
        rows = df.toArrow()
        once = CommitProperties(app_transactions=[Transaction(name, 1)])
        if table is not None and config.mode == "merge":
            same = " AND ".join(f'old."{key}" IS NOT DISTINCT FROM new."{key}"' for key in config.merge_keys)
            merge = table.merge(rows, same, source_alias="new", target_alias="old", commit_properties=once)
            merge.when_matched_update_all().when_not_matched_insert_all().execute()
        else:
            write_deltalake(
                table or config.path,
                rows,
                # The first merge finds no table, and must not meet one that another made meanwhile.
                mode="error" if config.mode == "merge" else config.mode,
                partition_by=list(config.partition_by) or None,
                storage_options=config.storage_options,
                commit_properties=once,
            )
        context.metrics.count("delta_rows", rows.num_rows)
