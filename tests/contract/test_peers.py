"""The contract tells good writers from bad ones: a toy that keeps it, copies that break one clause each, and a peer."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pyspark import cloudpickle
from pyspark.sql import SparkSession
from pyspark.sql.datasource import DataSource
from tests.contract import toys
from tests.contract.toys import Flaw, Toy, flawed

from trunkline.testing import FaultServer
from trunkline.testing.source_contract import shared_workers
from trunkline.testing.spark_writer_contract import SparkWriterContract
from trunkline.testing.writer_contract import WriterContract
from trunkline.testing.writer_process import Workers

PEER = "cyber-spark-data-connectors==0.0.8"
CLOUD_LIBRARIES = {"azure.monitor": (), "azure.monitor.ingestion": ("LogsIngestionClient",)}


class ToyTarget(SparkWriterContract):
    """A folder."""

    source = Toy
    deduplicates = True
    secrets = ("api.token",)
    folder: Path

    def options(self) -> dict[str, str]:
        return {"folder": str(self.folder), "api.token": "t0p-s3cr3t", "chunkSize": "7"}

    def arrived(self) -> list[dict[str, Any]]:
        return self._read("rows")

    def refuse_all(self) -> None:
        (self.folder / "refuse").touch()

    def dead_letter_options(self) -> dict[str, str]:
        return {"deadLetters": "yes"}

    def dead_letters(self) -> list[dict[str, Any]]:
        return self._read("dead")

    def _read(self, name: str) -> list[dict[str, Any]]:
        files = (self.folder / name).glob("[!.]*")
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]


class TestToy(ToyTarget):
    """The toy without a flaw keeps every clause, or the flaws below would prove nothing."""

    @pytest.fixture(autouse=True)
    def _target(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "target"
        self.folder.mkdir()


# Which clause notices which flaw. Every clause has one, and names what is owed.
BROKEN: list[tuple[str, type[Toy | Flaw], str]] = [
    ("test_name_is_a_class_method", toys.NamedByProperty, "@classmethod"),
    ("test_options_come_with_names_in_lower_case", toys.KnowsCamelCase, "lower case"),
    ("test_options_come_with_names_in_lower_case", toys.CannotBePickled, "annot pickle"),
    ("test_options_come_with_names_in_lower_case", toys.OtherParameterNames, "unexpected keyword argument"),
    ("test_making_a_writer_sends_nothing", toys.SendsWhenMade, "1 too many"),
    ("test_overwriting_is_kept_or_refused", toys.AppendsToOverwrite, "overwrite"),
    ("test_every_row_arrives", toys.LosesTheLastRow, "2 missing"),
    ("test_every_row_arrives", toys.WritesTwice, "50 too many"),
    ("test_every_row_arrives", toys.SharesOneFile, "25 missing"),
    ("test_every_row_arrives", toys.FlushesInCommit, "50 missing"),
    ("test_tasks_without_rows", toys.NeedsARow, "StopIteration"),
    ("test_a_task_answers_with_a_message", toys.ReturnsNothing, "returned NoneType"),
    ("test_a_task_answers_with_a_message", toys.ReturnsWhatCannotBePickled, "cannot pickle"),
    ("test_rows_that_cannot_be_computed_fail_the_task", toys.SwallowsErrors, "partition is complete"),
    ("test_rows_that_cannot_be_computed_fail_the_task", toys.HidesTheCause, "nobody can find its cause"),
    ("test_a_repeated_task_loses_nothing", toys.NamesFilesByAttempt, "25 too many"),
    ("test_a_repeated_task_loses_nothing", toys.SendsOnFirstAttemptOnly, "1 missing"),
    ("test_two_attempts_at_the_same_time_lose_nothing", toys.NamesFilesByAttempt, "25 too many"),
    ("test_a_refusal_fails_the_write", toys.SwallowsRefusals, "in silence"),
    ("test_a_refusal_fails_the_write", toys.RemembersRefusalsInItself, "in silence"),
    ("test_a_refusal_is_not_raised_in_a_task", toys.RaisesInTasks, "four times"),
    ("test_abort_follows_a_failed_commit", toys.CountsMessagesInAbort, "after a commit that raised"),
    ("test_abort_takes_tasks_without_a_message", toys.CountsMessagesInAbort, "Spark passes None"),
    ("test_dead_letters_hold_what_was_refused", toys.LosesDeadLetters, "2 missing"),
    ("test_secrets_are_not_shown", toys.TellsTheTokenInMessages, "api.token in the message of task 0"),
    ("test_secrets_are_not_shown", toys.TellsTheTokenInErrors, "api.token in the error of a write"),
    ("test_secrets_are_not_shown", toys.PrintsTheToken, "api.token in what the workers printed"),
    ("test_secrets_are_not_shown", toys.LogsTheToken, "api.token in what the workers printed"),
    ("test_secrets_are_not_shown", toys.ShowsTheToken, "api.token in the repr of the writer"),
]
STREAM_BROKEN: list[tuple[str, type[Toy | Flaw], str]] = [
    ("test_every_row_arrives", toys.StreamCommitOfWrongArity, "takes 2 positional arguments but 3 were given"),
    ("test_abort_takes_tasks_without_a_message", toys.StreamCommitOfWrongArity, "takes 2 positional arguments"),
    ("test_a_repeated_micro_batch_loses_nothing", toys.NamesFilesByAttempt, "60 too many"),
    ("test_micro_batches_follow_each_other", toys.IgnoresTheBatch, "missing"),
    ("test_micro_batches_follow_each_other", toys.IgnoresTheQuery, "15 missing"),
]
SPARK_BROKEN: list[tuple[str, type[Toy | Flaw], str]] = [
    ("test_spark_appends", toys.LosesTheLastRow, "missing"),
    ("test_spark_tells_of_a_refusal", toys.SwallowsRefusals, "df.write"),
    ("test_spark_tells_of_a_refusal", toys.TellsTheTokenInErrors, "must show no credential"),
    ("test_spark_inserts", toys.LosesTheLastRow, "missing"),
    ("test_spark_streams", toys.LosesTheLastRow, "missing"),
    ("test_spark_restarts_a_stream", toys.IgnoresTheBatch, "missing"),
    ("test_spark_ends_a_refused_stream", toys.SwallowsRefusals, "micro-batch"),
]
ELSEWHERE = {"test_options_with_secrets_have_names_that_spark_hides"}


def broken(clause: str, flaw: type[Toy | Flaw], folder: Path, **arguments: Any) -> str:
    """Hold a clause against a flawed toy; gives the text of its failure."""
    contract = ToyTarget()
    contract.source = flaw if issubclass(flaw, Toy) else flawed(flaw)
    contract.folder = folder
    test = getattr(contract, clause)
    wanted = inspect.signature(test).parameters
    with pytest.raises((AssertionError, pytest.fail.Exception)) as raised:
        test(**{name: value for name, value in arguments.items() if name in wanted})
    return str(raised.value)


@pytest.fixture
def workers(request: pytest.FixtureRequest) -> Workers:
    return shared_workers(request.config)


@pytest.mark.parametrize("kind", ["batch", "stream"])
@pytest.mark.parametrize(("clause", "flaw", "why"), BROKEN)
def test_a_flaw_is_noticed(
    workers: Workers, kind: str, tmp_path: Path, clause: str, flaw: type[Toy | Flaw], why: str
) -> None:
    assert why in broken(clause, flaw, tmp_path, workers=workers, kind=kind)


@pytest.mark.parametrize(("clause", "flaw", "why"), STREAM_BROKEN)
def test_a_flaw_of_a_stream_is_noticed(
    workers: Workers, tmp_path: Path, clause: str, flaw: type[Toy | Flaw], why: str
) -> None:
    assert why in broken(clause, flaw, tmp_path, workers=workers, kind="stream")


@pytest.mark.parametrize(("clause", "flaw", "why"), SPARK_BROKEN)
def test_a_flaw_is_noticed_in_spark(
    spark_session: SparkSession, tmp_path: Path, clause: str, flaw: type[Toy | Flaw], why: str
) -> None:
    (tmp_path / "target").mkdir()
    assert why in broken(clause, flaw, tmp_path / "target", spark_session=spark_session, tmp_path=tmp_path)


def test_a_credential_in_an_option_that_spark_shows_is_noticed(tmp_path: Path) -> None:
    class Shown(ToyTarget):
        secrets = ("apikey",)

        def options(self) -> dict[str, str]:
            return {**super().options(), "apikey": "t0p-s3cr3t"}

    shown = Shown()
    shown.folder = tmp_path
    with pytest.raises(AssertionError, match="apikey must have `token`, `password` or `secret` in its name"):
        shown.test_options_with_secrets_have_names_that_spark_hides()


def test_a_writer_that_kills_its_process_or_hangs_is_noticed(workers: Workers, tmp_path: Path) -> None:
    assert "the process ended in run_task" in broken(
        "test_every_row_arrives", toys.EndsItsProcess, tmp_path, workers=workers, kind="batch"
    )


def test_every_clause_is_broken_by_some_flaw() -> None:
    """A clause that no writer can break would prove nothing of those that keep it."""
    clauses = {name for name in dir(SparkWriterContract) if name.startswith("test_")}
    noticed = {clause for clause, _, _ in [*BROKEN, *STREAM_BROKEN, *SPARK_BROKEN]}
    assert clauses == noticed | {"test_options_with_secrets_have_names_that_spark_hides"}


@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["batch", "stream"])
@pytest.mark.parametrize(
    ("clause", "why"),
    [
        ("test_tasks_without_rows", None),
        ("test_a_repeated_task_loses_nothing", None),
        ("test_abort_takes_tasks_without_a_message", None),
        ("test_every_row_arrives", None),
        ("test_a_refusal_fails_the_write", "in silence"),
        ("test_overwriting_is_kept_or_refused", "overwrite"),
        ("test_secrets_are_not_shown", "http_header_authorization in what the workers printed"),
    ],
)
def test_a_peer(
    workers: Workers,
    fault_server: FaultServer,
    peer: type[DataSource],
    kind: str,
    clause: str,
    why: str | None,
) -> None:
    """The REST sink of another package delivers rows, and reports success for rows that were refused."""
    contract = PeerTarget()
    contract.source, contract.server = peer, fault_server
    fault_server.route("POST /rows", [{"status": 201}], store=True)
    test = getattr(contract, clause)
    wanted = inspect.signature(test).parameters
    arguments = {name: value for name, value in {"workers": workers, "kind": kind}.items() if name in wanted}
    if why is None:
        test(**arguments)
        return
    with pytest.raises((AssertionError, pytest.fail.Exception)) as raised:
        test(**arguments)
    assert why in str(raised.value)


class PeerTarget(WriterContract):
    """One POST per row."""

    server: FaultServer
    secrets = ("http_header_authorization",)

    def options(self) -> dict[str, str]:
        return {"url": self.server.url_for("/rows"), "http_header_authorization": "Bearer t0p-s3cr3t"}

    def arrived(self) -> list[dict[str, Any]]:
        return list(self.server.stored("/rows"))

    def refuse_all(self) -> None:
        self.server.route("POST /rows", [{"status": 422, "body": "no, although you are Bearer t0p-s3cr3t"}])


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[type[DataSource]]:
    """`rest` of cyber-spark-data-connectors, without the cloud libraries it asks for and that `rest` does not use."""
    folder = tmp_path_factory.mktemp("peer")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), PEER]
    installed = subprocess.run(install, check=False, capture_output=True, text=True)
    if installed.returncode:
        pytest.skip(f"{PEER} cannot be installed here: {installed.stderr[-200:]}")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        # What its other connectors import at once; `rest` never calls it.
        for name, members in CLOUD_LIBRARIES.items():
            stand_in = ModuleType(name)
            vars(stand_in).update(dict.fromkeys(members, object))
            patch.setitem(sys.modules, name, stand_in)
        module = importlib.import_module("cyber_connectors.RestApi")
        # The processes of the contract were started without that folder, so the code itself travels to them.
        cloudpickle.register_pickle_by_value(sys.modules["cyber_connectors"])  # type: ignore[no-untyped-call]
        yield module.RestApiDataSource
        cloudpickle.unregister_pickle_by_value(sys.modules["cyber_connectors"])  # type: ignore[no-untyped-call]
