"""What `users.conf` calls: a transformation with a typed configuration, and a hook."""

from __future__ import annotations

import time

from pydantic import BaseModel
from pyspark.sql import DataFrame
from pyspark.sql.functions import sha2

from trunkline.pipelines import Context


class UserAnonymizerConfig(BaseModel):
    """Checked before Spark starts."""

    pii_fields: list[str]
    bits: int = 256


class UserAnonymizer:
    """Replaces personal data by its hash."""

    def __init__(self, config: UserAnonymizerConfig) -> None:
        self.config = config

    def transform(self, users: DataFrame, context: Context) -> DataFrame:
        for field in self.config.pii_fields:
            users = users.withColumn(field, sha2(users[field], self.config.bits))
        context.logger.info("anonymized_pii", field_count=len(self.config.pii_fields))
        return users


class Timing:
    """How long each step took, as a number of its own."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}

    def before_step(self, step_name: str, context: Context) -> None:
        self._began[step_name] = time.monotonic()

    def after_step(self, step_name: str, context: Context) -> None:
        context.metrics.gauge("hook_seconds", time.monotonic() - self._began[step_name], step=step_name)
