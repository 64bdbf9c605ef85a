"""A job: what it does, what it needs, and what is told of its end.

    class Load(AbstractJob):
        def __init__(self, reader, writer):
            self.reader, self.writer = reader, writer

        def execute_job(self, input_path: str, output_path: str):
            rows = self.reader.read(input_path)
            self.writer.write(rows, output_path)
            return {"metrics": {"rows": rows.count()}}

    class LoadFactory(AbstractJobFactory):
        def create_job(self, **kwargs):
            spark = self._get_spark_session(**kwargs)
            return Load(ParquetReader(spark), ParquetWriter(spark))

    def main(**kwargs):
        return LoadFactory().run(**kwargs)

A function that takes its arguments by name is a job as well: `--module_name=my_project.load:load`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

from trunkline.credentials import Redactor
from trunkline.errors import OptionError
from trunkline.jobs.arguments import JobObject
from trunkline.jobs.binding import bound, named_in, parameters_of, takes_any
from trunkline.jobs.notes import clean, notice, secrets_in
from trunkline.jobs.result import status_of
from trunkline.kinds import json_object

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class AbstractJob(ABC):
    """A job with hooks for its end.

    The hooks cannot change the outcome: what one of them raises is a notice in the result and in the log.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "run" in cls.__dict__:
            message = f"{cls.__name__} replaces run, which is the same for every job: write execute_job"
            raise TypeError(message)

    @abstractmethod
    def execute_job(self, *args: Any, **kwargs: Any) -> Any:
        """Do the work. Name the parameters: what is misspelt or missing is then refused before anything runs.

        A parameter called `platform`, `run_id`, `run_key`, `region` or `workspace` is filled in where that is known
        and nothing was given.

        Returns:
            None, or a dict: `status` (SUCCESS, PENDING_APPROVAL, FAILED, DEGRADED), `metrics`, `artifacts` and
            `quality` become those of the result, everything else its `output`.
        """

    def on_success(self, results: Any) -> None:  # noqa: B027 - a job need not have hooks
        """Called with what `execute_job` returned, if that is a success. One that waits for approval is not, yet."""

    def on_failure(self, error_message: str) -> None:  # noqa: B027
        """Called with why it failed, without secrets, if `execute_job` raised or returned a failed status."""

    @final
    def run(self, **kwargs: Any) -> Any:
        """Execute the job, then the hook that fits. Subclasses cannot replace it.

        Args:
            **kwargs: For `execute_job`.

        Returns:
            What `execute_job` returned.

        Raises:
            OptionError: Arguments are missing or unknown; `execute_job` was not called.
            Exception: What `execute_job` raised, as it was.
        """
        name = type(self).__name__
        redactor = Redactor(secrets_in(kwargs))
        own = named_in(parameters_of(self.execute_job) or {})
        given = {key: value for key, value in kwargs.items() if key in own or not isinstance(value, JobObject)}
        try:
            results = self.execute_job(**bound(self.execute_job, given, f"{name}.execute_job"))
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            if isinstance(error, SystemExit) and not error.code:
                raise
            self._failed(redactor.clean(clean(f"{name} failed: {type(error).__name__}: {error}")), redactor)
            raise
        status = status_of(results)
        if status in {"FAILED", None}:
            what = "a failed status" if status else "what is no result"
            self._failed(f"{name} failed: it returned {what}", redactor)
        elif status != "PENDING_APPROVAL":
            try:
                self.on_success(results)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the work is done whatever a hook does
                notice(redactor.clean(f"on_success of {name} failed: {type(error).__name__}: {error}"))
        return results

    def _failed(self, message: str, redactor: Redactor) -> None:
        try:
            self.on_failure(message)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it must not hide the cause
            notice(redactor.clean(f"on_failure of {type(self).__name__} failed: {type(error).__name__}: {error}"))


class AbstractJobFactory(ABC):
    """Makes a job with all that it needs, and runs it."""

    # The fields of configurations that `create_job` asked for: it has a use for them, if `execute_job` has none.
    _configured: frozenset[str] = frozenset()

    @abstractmethod
    def create_job(self, *args: Any, **kwargs: Any) -> AbstractJob:  # noqa: D417 - `*args` allows named ones
        """The job, with what it reads from and writes to handed in.

        Args:
            **kwargs: All arguments. Those that only this method needs stand in its signature, before `**kwargs`.
        """

    def run(self, **kwargs: Any) -> Any:
        """Create the job and run it.

            factory.run(input_path="in", output_path="out")
            factory.run(my_etl_job='{"input_path": "in", "output_path": "out"}')   # the same

        Returns:
            What its `execute_job` returned.

        Raises:
            OptionError: Arguments are missing or unknown.
            Exception: What `create_job` or `execute_job` raised.
        """
        self._configured = frozenset()
        job = self.create_job(**self._taken_by_create(kwargs))
        parameters = parameters_of(job.execute_job) or {}
        own, rest = set(named_in(parameters)), takes_any(parameters)
        elsewhere = self._configured | set(named_in(parameters_of(self.create_job) or {}))
        given = {
            key: value
            for key, value in _with_fields(kwargs, own, strict=not rest).items()
            if key in own or rest or key not in elsewhere
        }
        return job.run(**given)

    def parse_job_config(self, job_name: str, **kwargs: Any) -> dict[str, Any]:
        """The configuration of a job out of all arguments; it need not be called for `execute_job` to get its fields.

            config = self.parse_job_config("my_etl_job", **kwargs)

        Args:
            job_name: The argument that holds it, a dict or the text of a JSON object.
            **kwargs: All arguments.

        Raises:
            OptionError: It is missing, or no JSON object.
        """
        given = kwargs.get(job_name)
        if given is None:
            raise OptionError(f"{job_name or 'job_name'} is missing: give --{job_name or 'my_job'}={{...}}")
        try:
            config = json_object(given)
        except ValueError as error:
            raise OptionError(f"{job_name}: {error}") from None
        self._configured |= config.keys()
        return config

    def _get_spark_session(self, **kwargs: Any) -> SparkSession:
        """The Spark of the place where the job runs; see `trunkline.session.get_spark`."""
        from trunkline.session import get_spark

        return get_spark()

    def _taken_by_create(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        parameters = parameters_of(self.create_job) or {}
        if takes_any(parameters):
            return dict(arguments)
        return {key: value for key, value in arguments.items() if key in named_in(parameters)}


def _with_fields(arguments: Mapping[str, Any], own: set[str], *, strict: bool) -> dict[str, Any]:
    """The fields of the job's own argument beside the others, where a caller gave it as a whole.

    The entry point says which one it is. Without it, it is the only object that the job has no parameter for, if the
    job could not run without its fields.
    """
    if any(isinstance(value, JobObject) for value in arguments.values()):
        return dict(arguments)
    found = {}
    for key, value in arguments.items():
        if key not in own and (isinstance(value, Mapping) or (isinstance(value, str) and value.lstrip()[:1] == "{")):
            try:
                found[key] = json_object(value)
            except ValueError:
                continue
    if len(found) != 1 or not (strict or own - arguments.keys()):
        return dict(arguments)
    ((name, fields),) = found.items()
    return {**fields, **{key: value for key, value in arguments.items() if key != name}}
