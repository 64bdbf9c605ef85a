"""What sparkrouter 0.2.1 does wrong, measured by running it: each a test that shows ours does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.jobs.conftest import Told

from trunkline import testing
from trunkline.jobs import LogNotification, WebhookNotification
from trunkline.jobs.where import find_out
from trunkline.testing import FaultServer
from trunkline.testing.noop import Call

ECHO = """
    def main(**kwargs):
        return {name: kwargs[name] for name in kwargs if name not in ("platform", "run_id", "run_key")}
"""
HOOKS = """
    from trunkline.jobs import AbstractJob

    class Work(AbstractJob):
        def execute_job(self, outcome: str):
            if outcome == "raises":
                raise ValueError("no rows")
            return {"status": outcome, "rows": 3}

        def on_success(self, results):
            print("on_success called")
            raise RuntimeError("the mail server is down")

        def on_failure(self, error_message):
            print(f"on_failure called: {error_message}")
            raise RuntimeError("the mail server is down")
"""
Run = Callable[..., Told]
Write = Callable[..., str]


def test_key_equals_value_is_understood(job_module: Write, run_job: Run) -> None:
    told = run_job(f"--module_name={job_module(ECHO)}", "--day=2026-05-01", "--query=a=b")
    assert told.result["output"] == {"day": "2026-05-01", "query": "a=b"}


def test_a_value_that_begins_with_dashes_stays_a_value(job_module: Write, run_job: Run) -> None:
    told = run_job(f"--module_name={job_module(ECHO)}", "--separator=--", "--flags=--verbose", "--full")
    assert told.result["output"] == {"separator": "--", "flags": "--verbose", "full": True}


def test_execute_job_with_kwargs_receives_everything(job_module: Write, run_job: Run) -> None:
    name = job_module("""
        from trunkline.jobs import AbstractJob, AbstractJobFactory

        class Work(AbstractJob):
            def execute_job(self, **kwargs):
                return dict(kwargs)

        class WorkFactory(AbstractJobFactory):
            def create_job(self, **kwargs):
                return Work()
    """)
    told = run_job(f"--module_name={name}", '--work={"day": "2026-05-01", "limit": 5}', "--run_id=r1")
    assert told.result["output"] == {"day": "2026-05-01", "limit": 5, "platform": "local", "run_id": "r1"}


def test_an_unknown_argument_is_named(job_module: Write, run_job: Run) -> None:
    name = job_module("def main(input_path: str, limit: int = 5):\n    return None\n")
    told = run_job(f"--module_name={name}", "--input_path=in", "--limti=7")
    assert (told.code, told.result["failure_type"]) == (2, "CONFIGURATION")
    assert f"limti is no argument of {name}: did you mean limit?" in told.result["error"]["message"]


@pytest.mark.parametrize("failing", [False, True])
def test_passwords_are_not_printed(
    job_module: Write, run_job: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: bool
) -> None:
    """Neither from the command line, the job's object or a reference; in no text of the result, hooks or logs."""
    name = job_module("""
        from trunkline.jobs import AbstractJob

        class Work(AbstractJob):
            def __init__(self):
                self.told = []

            def execute_job(self, password, connection, endpoint, api_key, fail=False):
                assert (password, connection["dbToken"]) == ("pass-0", "token-1")
                assert (endpoint, api_key) == ("https://x/secret-2", "key-3-abc")
                text = f"login with {password}, {connection['dbToken']} at {endpoint} by {api_key} refused"
                if fail:
                    raise ValueError(text)
                return {"said": text}

            def on_failure(self, error_message):
                print(error_message)
    """)
    monkeypatch.setenv("SECRET_ENDPOINT", "https://x/secret-2")
    (tmp_path / "key").write_text("key-3-abc\n")
    work = {"connection": {"dbToken": "token-1"}, "api_key": f"file:{tmp_path}/key", "fail": failing}
    told = run_job(
        f"--module_name={name}", "--password", "pass-0", "--endpoint=env:SECRET_ENDPOINT", f"--work={json.dumps(work)}",
        f"--result_path={tmp_path}/result.json",
    )  # fmt: skip
    assert told.code == (1 if failing else 0), told.result
    everything = told.out + told.err + (tmp_path / "result.json").read_text()
    assert "login with ***, *** at *** by *** refused" in everything
    for secret in ("pass-0", "token-1", "secret-2", "key-3-abc"):
        assert secret not in everything


def test_an_error_in_on_success_neither_calls_on_failure_nor_is_silent(
    job_module: Write, run_job: Run, caplog: pytest.LogCaptureFixture
) -> None:
    told = run_job(f"--module_name={job_module(HOOKS)}", "--outcome=success")
    assert (told.code, told.result["status"], told.result["output"]) == (0, "SUCCESS", {"rows": 3})
    assert told.result["notices"] == ["on_success of Work failed: RuntimeError: the mail server is down"]
    assert "on_failure called" not in told.out
    assert caplog.messages == told.result["notices"]


def test_an_error_in_on_failure_does_not_hide_the_cause(job_module: Write, run_job: Run) -> None:
    told = run_job(f"--module_name={job_module(HOOKS)}", "--outcome=raises")
    assert (told.code, told.result["error"]["type"], told.result["error"]["message"]) == (1, "ValueError", "no rows")
    assert 'raise ValueError("no rows")' in told.result["error"]["stack_trace"]
    assert told.result["notices"] == ["on_failure of Work failed: RuntimeError: the mail server is down"]
    assert told.out.count("on_failure called: Work failed: ValueError: no rows") == 1


@pytest.mark.parametrize("status", ["failed", "FAILED", "Failure", "error"])
def test_a_job_that_returns_a_failed_status_does_not_exit_with_0(job_module: Write, run_job: Run, status: str) -> None:
    told = run_job(f"--module_name={job_module(HOOKS)}", f"--outcome={status}")
    assert (told.code, told.result["status"], told.result["failure_type"]) == (1, "FAILED", "STATUS")
    assert told.result["output"] == {"rows": 3}
    assert "on_success called" not in told.out
    assert "on_failure called: Work failed: it returned a failed status" in told.out


def test_there_is_a_channel_for_the_result(job_module: Write, run_job: Run, tmp_path: Path) -> None:
    """The last line of standard output, however the job left it, and a file where one is asked for."""
    name = job_module(
        "def main():\n    print('half a line', end='')\n    return {'metrics': {'rows': 3}, 'day': 'today'}\n"
    )
    told = run_job(f"--module_name={name}", f"--result_path={tmp_path}/deep/result.json", "--run_key=k1", "--run_id=r1")
    times = [told.result.pop(name) for name in ("started_at", "ended_at")]
    assert all(time.endswith("Z") for time in times)
    assert told.result == {
        "job": name,
        "run_id": "r1",
        "run_key": "k1",
        "platform": "local",
        "status": "SUCCESS",
        "failure_type": None,
        "artifacts": None,
        "quality": None,
        "metrics": {"rows": 3},
        "output": {"day": "today"},
        "error": None,
        "notices": [],
    }
    assert (tmp_path / "deep" / "result.json").read_text() == told.out.splitlines()[-1] + "\n"


def test_emr_notifications_and_doubles_are_there(fault_server: FaultServer, caplog: pytest.LogCaptureFixture) -> None:
    """What was promised there and dropped. SNS is told of in test_notify.py, by a server of its own."""
    files = {"/mnt/var/lib/info/job-flow.json": '{"jobFlowId": "j-1"}'}
    assert find_out([], {}, files.get).platform == "emr"
    fault_server.route("POST /hook", [{"status": 200}], store=True)
    with caplog.at_level("INFO"):
        kinds = (LogNotification(), WebhookNotification(fault_server.url_for("/hook")))
        told = [kind.notify("loaded", "3 rows") for kind in kinds]
    assert (told, len(fault_server.stored("/hook"))) == ([True, True], 1)
    assert "loaded" in caplog.text
    source, sink, double = testing.NoopSource([1]), testing.NoopSink(), testing.NoopNotification()
    sink.write(source.read("in"), "out")
    double.notify("a", "b")
    assert (source.reads, sink.written, sink.calls, double.sent) == (
        [Call(("in",), {})], [[1]], [Call(("out",), {})], [("a", "b")],
    )  # fmt: skip
