"""The entry point: one module unchanged on every platform, with the same result; exit codes; what is told where."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from tests.jobs.conftest import Told
from tests.jobs.test_where import NAMES, placed
from tests.servers.process import Server

from trunkline.errors import MissingExtraError
from trunkline.jobs import hand_over as handing
from trunkline.jobs.entry import execute, main
from trunkline.jobs.hand_over import hand_over
from trunkline.jobs.result import Result
from trunkline.jobs.where import Where
from trunkline.session import get_spark

# One job for all places: it uses their Spark, and takes typed arguments.
EVENS = """
    from trunkline.jobs import AbstractJob, AbstractJobFactory

    class Evens(AbstractJob):
        def __init__(self, spark):
            self.spark = spark

        def execute_job(self, upto: int, day: str, **kwargs):
            found = self.spark.range(upto).where("id % 2 = 0").count()
            return {"metrics": {"rows": found}, "quality": {"passed": True}, "day": day}

    class EvensFactory(AbstractJobFactory):
        def create_job(self, **kwargs):
            return Evens(self._get_spark_session(**kwargs))

    def main(**kwargs):
        return EvensFactory().run(**kwargs)
"""
WORDS = ["--module_name=evens", '--evens={"upto": 10, "day": "2026-05-01"}', "--run_key=k1"]
# Of each run its own; all else is the same everywhere.
OWN = ("run_id", "platform", "started_at", "ended_at")
SAME: dict[str, Any] = {
    "job": "evens",
    "run_key": "k1",
    "status": "SUCCESS",
    "failure_type": None,
    "artifacts": None,
    "quality": {"passed": True},
    "metrics": {"rows": 5},
    "output": {"day": "2026-05-01"},
    "error": None,
    "notices": [],
}
Write = Callable[..., str]
Run = Callable[..., Told]


def told_by(command: list[str], folder: Path, **more: str) -> tuple[int, dict[str, Any], str]:
    """Run a command where the job's module is; its exit code, its result, and all that it printed."""
    own = {"TRUNKLINE_PLATFORM", "SPARK_REMOTE", "PYSPARK_GATEWAY_PORT", "PYSPARK_SUBMIT_ARGS"}
    environment = {name: value for name, value in os.environ.items() if name not in own} | more
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
    environment["PYTHONPATH"] = path
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=240
    )
    lines = done.stdout.splitlines()
    assert lines, done.stderr[-3000:]
    return done.returncode, json.loads(lines[-1]), done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_the_same_module_runs_as_every_platform_calls_it(
    spark_session: SparkSession, job_module: Write, name: str
) -> None:
    """With each platform's words and environment the result is the same, but for the facts of the run."""
    job_module(EVENS, "evens")
    argv, environ, files, where = placed(name, WORDS)
    result, found, path = execute(argv, environ, files.get)
    document = json.loads(result.line())
    assert (found, path, result.exit_code) == (where, None, 0)
    assert document["platform"] == where.platform
    assert document["run_id"] == ("550315892394120" if name == "databricks" else where.run_id or document["run_id"])
    assert {key: value for key, value in document.items() if key not in OWN} == SAME


@pytest.mark.slow
def test_the_same_module_runs_in_a_process_of_its_own(job_module: Write, tmp_path: Path) -> None:
    job_module(EVENS, "evens")
    code, result, _ = told_by([sys.executable, "-m", "trunkline.jobs", *WORDS], tmp_path, TRUNKLINE_PLATFORM="local")
    assert (code, result["platform"]) == (0, "local")
    assert {key: value for key, value in result.items() if key not in OWN} == SAME


@pytest.mark.slow
def test_the_same_module_runs_in_spark_submit(job_module: Write, tmp_path: Path) -> None:
    """By a script of three lines, with the master that spark-submit names."""
    job_module(
        EVENS + "\n    from trunkline.session import get_spark\n    print('master', get_spark().sparkContext.master)\n",
        "evens",
    )
    script = tmp_path / "entry.py"
    script.write_text("from trunkline.jobs.entry import main_exit\n\nmain_exit()\n")
    submit = [str(Path(sys.executable).with_name("spark-submit")), "--master", "local[3]"]
    code, result, printed = told_by([*submit, str(script), *WORDS], tmp_path)
    assert (code, result["platform"]) == (0, "spark")
    assert "master local[3]" in printed
    assert {key: value for key, value in result.items() if key not in OWN} == SAME


@pytest.mark.slow
def test_a_failed_job_fails_spark_submit_with_its_code(job_module: Write, tmp_path: Path) -> None:
    job_module("def main():\n    return {'status': 'pending_approval'}\n", "waits")
    script = tmp_path / "entry.py"
    script.write_text("from trunkline.jobs.entry import main_exit\n\nmain_exit()\n")
    submit = [str(Path(sys.executable).with_name("spark-submit")), "--master", "local[1]"]
    code, result, _ = told_by([*submit, str(script), "--module_name=waits"], tmp_path)
    assert (code, result["status"]) == (3, "PENDING_APPROVAL")


@pytest.mark.slow
def test_the_same_module_runs_in_a_connect_session(job_module: Write, tmp_path: Path) -> None:
    job_module(
        EVENS + "\n    from trunkline.session import get_spark\n    print(type(get_spark()).__module__)\n", "evens"
    )
    command = [sys.executable, "-m", "trunkline.jobs", *WORDS]
    code, result, printed = told_by(command, tmp_path, SPARK_REMOTE="local[2]", TRUNKLINE_PLATFORM="local")
    assert code == 0, printed[-3000:]
    assert "pyspark.sql.connect.session" in printed
    assert {key: value for key, value in result.items() if key not in OWN} == SAME


@pytest.mark.parametrize(
    ("text", "code", "status", "failure"),
    [
        ("return None", 0, "SUCCESS", None),
        ("return {'status': 'Succeeded'}", 0, "SUCCESS", None),
        ("return {'status': 'DEGRADED'}", 4, "SUCCESS", "DEGRADED"),
        ("return {'status': 'pending approval'}", 3, "PENDING_APPROVAL", None),
        ("return {'status': 'fail', 'error': 'no rows'}", 1, "FAILED", "STATUS"),
        ("return {'status': 'active'}", 1, "FAILED", "RESULT"),
        ("yield 1", 1, "FAILED", "RESULT"),
        ("raise ValueError('no rows')", 1, "FAILED", "ERROR"),
        ("raise KeyboardInterrupt", 1, "FAILED", "CANCELLED"),
        ("import sys; sys.exit(0)", 0, "SUCCESS", None),
        ("import sys; sys.exit(7)", 1, "FAILED", "ERROR"),
        ("from trunkline.errors import OptionError; raise OptionError('url is missing')", 2, "FAILED", "CONFIGURATION"),
    ],
)
def test_every_end_has_its_exit_code(
    job_module: Write, run_job: Run, text: str, code: int, status: str, failure: str | None
) -> None:
    told = run_job(f"--module_name={job_module(f'def main():{chr(10)}    {text}{chr(10)}')}")
    assert (told.code, told.result["status"], told.result["failure_type"]) == (code, status, failure)
    assert (told.result["error"] is None) == (status != "FAILED")


@pytest.mark.parametrize(
    ("module", "words", "failure", "message"),
    [
        (
            None,
            ["--module_name=no_such_module_x"],
            "CONFIGURATION",
            "there is no module no_such_module_x: is its wheel",
        ),
        (None, ["--module_name=no_such_module_x.etl"], "CONFIGURATION", "there is no module no_such_module_x:"),
        (None, [], "CONFIGURATION", "module_name is missing"),
        (None, ["--module_name"], "CONFIGURATION", "module_name needs a value"),
        (None, ["--module_name=../etl.py"], "CONFIGURATION", "module_name names no module"),
        (None, ["etl"], "CONFIGURATION", "word 1 belongs to no argument"),
        ("import no_such_library_x", [], "ERROR", "No module named 'no_such_library_x'"),
        ("x = 1", [], "CONFIGURATION", "no main and no job"),
        ("main = 5", [], "CONFIGURATION", "main is no function"),
        ("def load(): ...", ["lod"], "CONFIGURATION", "has no lod"),
    ],
)
def test_what_is_no_job_is_named(
    job_module: Write, run_job: Run, module: str | None, words: list[str], failure: str, message: str
) -> None:
    if module is not None:
        words = [f"--module_name={job_module(module)}" + (f":{words[0]}" if words else "")]
    told = run_job(*words)
    assert told.result["failure_type"] == failure
    assert told.code == (1 if failure == "ERROR" else 2)
    assert message in told.result["error"]["message"]
    assert message in told.err


def test_a_function_is_a_job(job_module: Write, run_job: Run) -> None:
    name = job_module("def load(day: str, limit: int = 1, platform: str = ''):\n    return [day, limit, platform]\n")
    told = run_job(f"--module_name={name}:load", "--day=2026-05-01", "--limit=7")
    assert (told.code, told.result["output"]) == (0, ["2026-05-01", 7, "local"])
    told = run_job(f"--module_name={name}:load", '--load={"day": "d", "limit": 3}')
    assert told.result["output"] == ["d", 3, "local"]


def test_what_nobody_runs_is_no_success(job_module: Write, run_job: Run) -> None:
    """An `async` function, or one that yields, has done nothing when it returns."""
    told = run_job(f"--module_name={job_module('async def main(): return 1')}")
    assert (told.code, told.result["failure_type"]) == (1, "RESULT")
    assert told.result["error"]["message"].startswith("the job returned a coroutine and has not run")


def test_help_is_the_page_of_the_entry_point(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "--module_name=my_project.etl_job_factory" in capsys.readouterr().out


def test_a_run_id_that_databricks_did_not_fill_in_is_none(job_module: Write, run_job: Run) -> None:
    name = job_module("def main(run_id): return run_id")
    assert run_job(f"--module_name={name}", "--run_id=55").result["run_id"] == "55"
    told = run_job(f"--module_name={name}", "--run_id={{job.run_id}}")
    assert told.result["run_id"] == told.result["output"] != "{{job.run_id}}"


def test_several_jobs_in_a_module_are_not_guessed_among(job_module: Write, run_job: Run) -> None:
    name = job_module("""
        from trunkline.jobs import AbstractJob

        class One(AbstractJob):
            def execute_job(self):
                return 1

        class Two(AbstractJob):
            def execute_job(self):
                return 2
    """)
    told = run_job(f"--module_name={name}")
    assert f"several jobs: name one, as in {name}:One" in told.result["error"]["message"]
    assert run_job(f"--module_name={name}:Two").result["output"] == 2


def test_a_job_that_takes_no_facts_gets_none(job_module: Write, run_job: Run) -> None:
    """`execute_job(input_path, output_path)` works as it is; one that asks for facts gets what is known."""
    plain = job_module("def main(input_path, output_path):\n    return [input_path, output_path]\n")
    told = run_job(f"--module_name={plain}", '--any={"input_path": "in", "output_path": "out"}', "--run_key=k")
    assert told.result["output"] == ["in", "out"]
    asking = job_module(
        "def main(platform, run_id, run_key, region='none'):\n    return [platform, run_id, run_key, region]\n"
    )
    told = run_job(f"--module_name={asking}", "--run_id=r", "--run_key=k")
    assert told.result["output"] == ["local", "r", "k", "none"]
    told = run_job(f"--module_name={asking}", "--run_id=r", "--run_key=k", "--region=mine", "--platform=own")
    assert told.result["output"] == ["own", "r", "k", "mine"]
    told = run_job(f"--module_name={plain}", '--any={"input_path": "in", "output_path": "out"}', "--region=mine")
    assert "region is no argument" in told.result["error"]["message"]


def test_a_configuration_file_holds_what_the_command_line_does(job_module: Write, run_job: Run, tmp_path: Path) -> None:
    name = job_module("def main(day, limit, password):\n    return [day, limit, f'got {password}']\n")
    config = {"module_name": name, "run_key": "k", "load": {"day": "d", "limit": 3}, "password": "hunter2"}
    (tmp_path / "job.json").write_text(json.dumps(config))
    told = run_job(f"--config={tmp_path}/job.json", '--load={"limit": 5}')
    assert (told.code, told.result["output"], told.result["run_key"]) == (0, ["d", 5, "got ***"], "k")
    assert run_job(f"--config={tmp_path}/none.json").code == 2


def test_a_configuration_and_a_result_may_be_on_an_object_store(
    job_module: Write, run_job: Run, moto: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On S3, as moto plays it: no signatures are checked there."""
    boto3 = pytest.importorskip("boto3")
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "test")
    client = boto3.client("s3", region_name="us-east-1", endpoint_url=moto.url)
    client.create_bucket(Bucket="jobs")
    name = job_module("def main(day): return day")
    client.put_object(Bucket="jobs", Key="job.json", Body=json.dumps({"module_name": name, "day": "today"}))
    more = f"region=us-east-1&scheme=http&endpoint_override={moto.url.removeprefix('http://')}"
    told = run_job(f"--config=s3://jobs/job.json?{more}", f"--result_path=s3://jobs/out/result.json?{more}")
    assert (told.code, told.result["output"], told.result["notices"]) == (0, "today", [])
    kept = client.get_object(Bucket="jobs", Key="out/result.json")["Body"].read()
    assert json.loads(kept) == told.result


def test_a_job_that_is_told_to_end_ends_in_a_result(job_module: Write, tmp_path: Path) -> None:
    """SIGTERM, as Kubernetes, Docker and schedulers send it, calls `on_failure` and is a cancelled run."""
    job_module(
        """
        import time
        from trunkline.jobs import AbstractJob

        class Sleeps(AbstractJob):
            def execute_job(self):
                print("asleep", flush=True)
                time.sleep(60)

            def on_failure(self, error_message):
                print(error_message)
        """,
        "sleeps",
    )
    command = [sys.executable, "-m", "trunkline.jobs", "--module_name=sleeps"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "asleep\n"
        process.send_signal(signal.SIGTERM)
        lines = process.stdout.read().splitlines()
    result = json.loads(lines[-1])
    assert (process.returncode, result["status"], result["failure_type"]) == (1, "FAILED", "CANCELLED")
    assert lines[0] == "Sleeps failed: KeyboardInterrupt: told to end by SIGTERM"


def test_a_result_that_cannot_be_written_is_told_and_changes_nothing(
    job_module: Write, run_job: Run, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    told = run_job(f"--module_name={job_module('def main(): return 1')}", f"--result_path={tmp_path}/file/result.json")
    assert (told.code, told.result["status"]) == (0, "SUCCESS")
    assert told.result["notices"][0].startswith(f"the result could not be written to {tmp_path}/file/result.json")


def test_kubernetes_gets_as_much_as_it_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """4096 bytes of termination log hold whole JSON: trace and output go first. Standard output has it all."""
    log = tmp_path / "termination-log"
    log.write_text("")
    monkeypatch.setattr(handing, "TERMINATION_LOG", log)
    result = Result("m", "r", platform="container", output={"rows": "x" * 5000}, metrics={"rows": 1})
    result.fail("ERROR", "ValueError", "no rows", "trace " * 1000)
    hand_over(result, Where("container"), None)
    kept = json.loads(log.read_text())
    assert len(log.read_bytes()) <= 4096
    assert (kept["error"]["message"], kept["error"]["stack_trace"], kept["output"]) == ("no rows", None, None)
    assert kept["metrics"] == {"rows": 1}
    whole = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (len(whole["output"]["rows"]), len(whole["error"]["stack_trace"])) == (5000, 6000)


def test_databricks_gets_a_task_value_where_there_are_any(
    spark_session: SparkSession, job_module: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A double stands for `dbutils`, which is nowhere but there. Without it nothing is missed."""
    hand_over(Result("m", "r", platform="databricks"), Where("databricks"), None)
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["notices"] == []
    double = job_module("""
        values = {}

        class DBUtils:
            def __init__(self, spark):
                self.jobs = self
                self.taskValues = self

            def set(self, key, value):
                if len(value) > 49152:
                    raise ValueError("too large")
                values[key] = value
    """)
    monkeypatch.setitem(sys.modules, "pyspark.dbutils", __import__(double))
    hand_over(Result("m", "r", platform="databricks", output="x" * 60_000, metrics=1), Where("databricks"), None)
    kept = json.loads(__import__(double).values["result"])
    assert (kept["run_id"], kept["metrics"], kept["output"]) == ("r", 1, None)


def test_the_session_that_is_active_is_found(spark_session: SparkSession) -> None:
    assert get_spark() is spark_session
    assert get_spark(app_name="other", config={"trunkline.test": "1"}).conf.get("trunkline.test") == "1"
    assert spark_session.sparkContext.appName == "trunkline-tests"


@pytest.mark.slow
def test_a_new_session_has_the_master_that_the_place_names(tmp_path: Path) -> None:
    """From the submit arguments of the environment; what the code asks for is kept beside it."""
    code = (
        "from trunkline.session import get_spark; spark = get_spark('mine', {'spark.sql.shuffle.partitions': '3'});"
        "print(f'''{{\"is\": \"{spark.sparkContext.master} {spark.sparkContext.appName}"
        " {spark.conf.get('spark.sql.shuffle.partitions')}\"}}''')"
    )
    given = "--master local[2] pyspark-shell"
    _, said, _ = told_by([sys.executable, "-c", code], tmp_path, PYSPARK_SUBMIT_ARGS=given)
    assert said == {"is": "local[2] mine 3"}


def test_without_spark_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(MissingExtraError, match=r"^there is no Spark here: run it with spark-submit or on a cluster"):
        get_spark()
