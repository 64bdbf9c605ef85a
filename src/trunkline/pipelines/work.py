"""The work of a run: what each step does with Spark, and the rows it leaves to the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from trunkline.errors import TrunklineError
from trunkline.pipelines import expectations, steps
from trunkline.pipelines.attempts import end_jobs
from trunkline.pipelines.calls import Context
from trunkline.pipelines.evaluation import Counting, eager, kept
from trunkline.pipelines.logs import cleaned
from trunkline.pipelines.metrics import flowing
from trunkline.pipelines.planning import Planned
from trunkline.pipelines.prepared import Prepared
from trunkline.pipelines.report import StepReport
from trunkline.pipelines.resume import run_name
from trunkline.pipelines.settings import restored
from trunkline.pipelines.sinks import quoted
from trunkline.pipelines.streams import ROWS, Running, Streams
from trunkline.pipelines.tries import tries_of_rows, tries_of_write

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


class Work:
    """Does the steps of a run.

    Args:
        prepared: All that was made ready before Spark.
        spark: The session.
        source: The rows that the first step is given.
        former: What stood in the session's configuration before.

    Attributes:
        eager: The steps that are evaluated there and then.
        streams: The queries that run.
        counting: Counts the rows of steps.
        frames: The rows of each step that is done.
    """

    def __init__(
        self, prepared: Prepared, spark: SparkSession, source: DataFrame | None, former: Mapping[str, str | None]
    ) -> None:
        self._given = prepared
        self._former = former
        self._source = source
        self._planned = {one.step.name: one for one in prepared.planned}
        self._kept = kept(prepared.planned)
        self._persisted: list[DataFrame] = []
        self.spark = spark
        self.eager = eager(prepared.planned)
        self.streams = Streams(prepared.stopping, self._seen)
        self.counting = Counting()
        self.frames: dict[str, DataFrame] = {}

    def close(self, *, ending: bool) -> None:
        """Let go of what Spark keeps for this run.

        Args:
            ending: Whether jobs may still run, which are to be ended.
        """
        try:
            if ending:
                end_jobs(self.spark, self._given.report.run_id)
            self.streams.stop()
            for df in self._persisted:
                df.unpersist()
            for name in [*self.frames, *(["source_df"] if self._source is not None else [])]:
                self.spark.catalog.dropTempView(name)
        finally:
            restored(self.spark, self._former, self._given.notice)

    def _seen(self, one: Running) -> None:
        flowing(self._given.metrics, one.name, one.rows_in, one.observed(ROWS, "rows"))

    def context(self, step: str | None = None, config: Any = None) -> Context:
        """What the user's code is given."""
        logger = self._given.logger.bind(step=step) if step else self._given.logger
        report = self._given.report
        metrics = self._given.metrics
        return Context(self.spark, config, logger, metrics, report.run_id, report.pipeline, step, report.origin)

    def give(self, name: str, df: DataFrame) -> None:
        """These are the rows of a step: a view of its name."""
        self.frames[name] = df
        df.createOrReplaceTempView(quoted(name))

    def taken(self, one: Planned) -> list[DataFrame]:
        """The rows that a step takes, as far as they are there."""
        if self._source is not None and one is self._given.first:
            return [self._source]
        return [self.frames[name] for name in one.inputs if name in self.frames]

    def ancestors(self, name: str) -> list[str]:
        """All steps whose rows a step's are made of."""
        found: dict[str, None] = {}
        waiting = list(self._planned[name].inputs)
        while waiting:
            other = waiting.pop()
            if other not in found:
                found[other] = None
                waiting += self._planned[other].inputs
        return list(found)

    def tell_tries(self, names: Iterable[str]) -> None:
        """Put into the report how often rows of these steps, if they are requests, were asked for."""
        for name in names:
            for tries in self.counting.arrived([_tries(name)]).values():
                self._given.report.step(name).http = tries

    def once(self, one: Planned, report: StepReport) -> DataFrame | None:
        """One run of a step."""
        step, name = one.step, one.step.name
        df = self._made(one, report)
        if df is None or one.streaming or step.kind == "write":
            return df
        if name in self._kept:
            df = self.counting.counted(df, name).persist()
            self._persisted.append(df)
        if name in self.eager:
            df.write.format("noop").mode("overwrite").save()
        return df

    def _made(self, one: Planned, report: StepReport) -> DataFrame | None:
        step, spark = one.step, self.spark
        path = f"steps.{step.name}.{step.kind}"
        given = self.taken(one)
        if self._source is not None and one is self._given.first:
            if step.read is not None:
                return self._source
            self._source.createOrReplaceTempView("source_df")
        if step.read is not None:
            return steps.read(spark, step.read, self._options(step.read, path))
        if step.sql is not None:
            return spark.sql(step.sql)
        if step.call is not None:
            loaded = self._given.calls[step.name]
            made = loaded.run(*given, context=self.context(step.name, loaded.config))
            return _frame(made, given, step.call)
        if step.request is not None:
            from trunkline.rest import request

            options = self._options(step.request, path) | self._named(one)
            found: DataFrame = request(given[0], options, step.request.schema_)
            # In a stream nobody counts them.
            return found if one.streaming else self.counting.observed(found, _tries(step.name), tries_of_rows(options))
        if step.expect is not None:
            return self._expected(one, given[0], report)
        self._write(one, given[0], report)
        return given[0]

    def _options(self, part: Any, path: str) -> dict[str, Any]:
        return steps.options_of(part, self._given.pipeline, self._given.secrets, f"{path}.options")

    def _named(self, one: Planned) -> dict[str, Any]:
        """The name of the run, where a format remembers what was sent; a stream has that of its checkpoint."""
        return {} if one.streaming else run_name(one.step, self._given.report.step(one.step.name).origin)

    def _expected(self, one: Planned, df: DataFrame, report: StepReport) -> DataFrame:
        rules = one.step.expect or ()
        if one.streaming:
            found = expectations.watched(df, rules, f"trunkline_{one.step.name}")
        else:
            others = {rule.step: self.frames[rule.step] for rule in rules if rule.step}
            found = expectations.checked(df, rules, others)
        report.expectations = cleaned(found.results, self._given.secrets.clean)
        report.rows_in, report.rows_out = found.rows, found.passed_on
        expectations.failed(found.results)
        for path, rows in found.aside.items():
            # One folder for each step of the runs that go on with each other: what is done again replaces it.
            where = f"{path.rstrip('/')}/run_id={self._given.report.origin}/step={one.step.name}"
            rows.write.mode("overwrite").parquet(where)
        return found.good

    def _write(self, one: Planned, df: DataFrame, report: StepReport) -> None:
        part, name = one.step.write, one.step.name
        if part is None:
            return
        options = self._options(part, f"steps.{name}.write") | self._named(one)
        if one.streaming:
            from pyspark.sql import functions as f

            counted = df.observe(ROWS, f.count(f.lit(1)).alias("rows"))
            self.streams.add(name, steps.start(counted, name, part, options), one.step.timeout)
        else:
            with tries_of_write(options if part.format == "rest" else {}, report):
                steps.write(self.counting.counted(df, name), part, options)


def _tries(name: str) -> str:
    """Under which name the tries of a step are counted: no step has it."""
    return f"{name} tries"


def _frame(made: Any, given: list[DataFrame], call: str) -> DataFrame | None:
    """What a function returned: rows, or nothing; then its first input goes on, as with a write."""
    if made is None:
        return given[0] if given else None
    if not hasattr(made, "createOrReplaceTempView"):
        raise TrunklineError(f"{call} returned a {type(made).__name__}: it must return a DataFrame, or nothing")
    found: DataFrame = made
    return found
