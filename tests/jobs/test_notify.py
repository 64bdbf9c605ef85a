"""Notifications arrive, and one that does not changes nothing and tells no secret."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable

import pytest
from tests.jobs.conftest import Told
from tests.servers.process import Server

from trunkline.credentials import Redactor
from trunkline.errors import OptionError
from trunkline.jobs import LogNotification, SnsNotification, WebhookNotification
from trunkline.jobs.notes import Notes, open_notes
from trunkline.testing import FaultServer

QUICK = {"retry.maxDelay": "10ms", "deadline": "60s"}
# For one that never takes it: a machine that stalls only ends this sooner.
HASTY = {**QUICK, "deadline": "1s"}


def test_a_log_gets_subject_and_message_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), open_notes(Notes(redactor=Redactor(["hunter2"]))):
        assert LogNotification().notify("done", {"rows": 1, "by": "hunter2"})
    assert caplog.messages == ['done: {"rows": 1, "by": "***"}']


def test_a_webhook_gets_json_with_the_credential(fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    fault_server.route("POST /hook", [{"status": 200}], store=True)
    monkeypatch.setenv("HOOK_URL", fault_server.url_for("/hook"))
    monkeypatch.setenv("HOOK_TOKEN", "t0ken-123")
    webhook = WebhookNotification("env:HOOK_URL", {"auth": {"type": "bearer", "token": "env:HOOK_TOKEN"}})
    assert webhook.notify("failed", "no rows")
    assert webhook.notify("done", {"rows": 1})
    (first, _) = fault_server.ledger("POST /hook")
    assert {name.lower(): value for name, value in first.headers.items()}["authorization"] == "Bearer t0ken-123"
    assert fault_server.stored("/hook") == [
        {"subject": "failed", "message": "no rows"},
        {"subject": "done", "message": {"rows": 1}},
    ]


def test_a_webhook_may_want_another_form(fault_server: FaultServer) -> None:
    fault_server.route("POST /hook", [{"status": 200}], store=True)
    url = fault_server.url_for("/hook")
    assert WebhookNotification(url, body=lambda subject, message: {"text": f"{subject}: {message}"}).notify("a", "b")
    assert fault_server.stored("/hook") == [{"text": "a: b"}]


def test_a_webhook_that_is_not_well_is_tried_again(fault_server: FaultServer) -> None:
    fault_server.route("POST /hook", [{"status": 503, "times": 2}, {"status": 200}])
    assert WebhookNotification(fault_server.url_for("/hook"), QUICK).notify("a", "b")
    assert fault_server.count("POST /hook") == 3


@pytest.mark.parametrize(
    "answer", [{"status": 403, "body": "no entry with t0ken-123 at /T0/secret-path"}, {"status": 503}]
)
def test_a_webhook_that_refuses_is_a_notice_without_secrets(
    fault_server: FaultServer, answer: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever knows the path of a webhook can post to it, so it is not shown either."""
    fault_server.route("POST /T0/secret-path", [answer])
    options = {"auth.type": "bearer", "auth.token": "t0ken-123", **HASTY}
    webhook = WebhookNotification(fault_server.url_for("/T0/secret-path"), options)
    notes = Notes()
    with open_notes(notes):
        assert not webhook.notify("a", "b")
    assert notes.notices == [record.message for record in caplog.records if record.name == "trunkline.jobs"]
    (told,) = notes.notices
    assert re.match(r"the webhook at http://127\.0\.0\.1:\d+ was not notified: ", told)
    assert not re.search("t0ken-123|secret-path", told + repr(webhook))


def test_a_webhook_that_nobody_answers_is_a_notice(caplog: pytest.LogCaptureFixture) -> None:
    assert not WebhookNotification("http://127.0.0.1:9/x", HASTY).notify("a", "b")
    assert "was not notified" in caplog.messages[-1]


def test_wrong_options_of_a_webhook_are_told_when_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_THERE", raising=False)
    with pytest.raises(OptionError, match="retries"):
        WebhookNotification("https://hooks.example.com/x", {"retries": "3"})
    with pytest.raises(OptionError, match="env:NOT_THERE"):
        WebhookNotification("env:NOT_THERE")


def test_a_notification_that_fails_leaves_the_run_as_it_is(
    job_module: Callable[..., str], run_job: Callable[..., Told]
) -> None:
    name = job_module("""
        from trunkline.jobs import AbstractJob, WebhookNotification

        class Work(AbstractJob):
            def execute_job(self):
                return {"rows": 3}

            def on_success(self, results):
                WebhookNotification("http://127.0.0.1:9/x", {"retry.maxAttempts": "1"}).notify("done", results)
    """)
    told = run_job(f"--module_name={name}")
    assert (told.code, told.result["output"]) == (0, {"rows": 3})
    assert told.result["notices"][0].startswith("the webhook at http://127.0.0.1:9 was not notified: ")


def test_sns_hands_on_what_is_published(
    moto: Server, fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against moto, which passes it to a subscriber of ours; signatures are not checked there."""
    fault_server.route("POST /subscriber", [{"status": 200}])
    boto3 = pytest.importorskip("boto3")
    for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test"), ("DEFAULT_REGION", "eu-central-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    client = boto3.client("sns", endpoint_url=moto.url)
    topic = client.create_topic(Name="jobs")["TopicArn"]
    client.subscribe(TopicArn=topic, Protocol="http", Endpoint=fault_server.url_for("/subscriber"))
    sns = SnsNotification(topic, endpoint=moto.url)
    assert sns.notify("läuft\nnicht " + "x" * 200, {"rows": 1})
    fault_server.wait_for("POST /subscriber")
    published = [json.loads(exchange.body) for exchange in fault_server.ledger("POST /subscriber")]
    (said,) = [message for message in published if message["Type"] == "Notification"]
    assert (said["Subject"], said["Message"]) == ("l?uft nicht " + "x" * 88, '{"rows": 1}')
    notes = Notes()
    with open_notes(notes):
        assert not SnsNotification(topic + "-gone", endpoint=moto.url).notify("a", "b")
    assert "was not notified: NotFound" in notes.notices[0]


def test_sns_without_boto3_is_a_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    notes = Notes()
    with open_notes(notes):
        assert not SnsNotification("arn:aws:sns:eu-central-1:1:jobs").notify("a", "b")
    said = "was not notified: MissingExtraError: SNS needs boto3: pip install 'trunkline[aws]'"
    assert notes.notices == [f"the topic arn:aws:sns:eu-central-1:1:jobs {said}"]


def test_messages_are_json_that_any_receiver_reads(fault_server: FaultServer) -> None:
    fault_server.route("POST /hook", [{"status": 204}], store=True)
    assert WebhookNotification(fault_server.url_for("/hook")).notify("ä", {"text": 'a "b"\n'})
    (exchange,) = fault_server.ledger("POST /hook")
    assert json.loads(exchange.body) == {"subject": "ä", "message": {"text": 'a "b"\n'}}
