"""Telling others what happens: hooks, notifications, the audit trail. None of them changes the run or its rows.

    class Timing:
        def before_step(self, step, context): ...
        def after_step(self, step, context, result): ...

    def told(event, context, **facts): ...

What goes wrong in one of them is a notice in the report and a line of the log.
"""

from __future__ import annotations

import getpass
import json
import socket
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any, get_args

from trunkline.credentials import Redactor
from trunkline.jobs.files import shown, write_text
from trunkline.jobs.notes import Notes, open_notes
from trunkline.jobs.notify import LogNotification, SnsNotification, WebhookNotification
from trunkline.pipelines.calls import Loaded, called, load_with_secrets
from trunkline.pipelines.config import Pipeline
from trunkline.pipelines.logs import cleaned
from trunkline.pipelines.observability import Event, Hook, Notify
from trunkline.pipelines.report import Report
from trunkline.pipelines.secrets import PipelineSecrets, referred, revealed

EVENTS: tuple[str, ...] = get_args(Event)


class Hooks:
    """The hooks of a pipeline, called in the order of the file.

    Args:
        hooks: Of the file.
        secrets: For their `config`.
        notice: Told what goes wrong.

    Raises:
        OptionError: One cannot be imported or made.
    """

    def __init__(self, hooks: Sequence[Hook], secrets: PipelineSecrets, notice: Callable[[str], None]) -> None:
        self._notice = notice
        self._hooks: list[tuple[Hook, Loaded]] = []
        for at, hook in enumerate(hooks):
            where = f"hooks[{at}]"
            loaded = load_with_secrets(hook.call, hook.config, where, secrets, EVENTS)
            self._hooks.append((hook, loaded))

    def tell(self, event: str, **facts: Any) -> None:
        """Call those that want this event. An error of one is a notice, and the others are called."""
        for hook, loaded in self._hooks:
            function = getattr(loaded.made, event, None) if loaded.is_class else loaded.made
            if function is None or (hook.on and event not in hook.on):
                continue
            try:
                called(function, {"event": event, "config": loaded.config, **facts})
            except Exception as error:  # noqa: BLE001 - a hook never changes the run
                frame = traceback.extract_tb(error.__traceback__)[-1]
                at = f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
                self._notice(f"the hook {hook.call} failed in {event}: {type(error).__name__}: {error} ({at})")


class Audit:
    """JSON lines of what was done: who, when, what, where to, how it ended.

    Args:
        uri: The file; None for none.
        clean: Cuts secrets out.
        notice: Told if it cannot be written.
        **facts: In every line.
    """

    def __init__(
        self, uri: str | None, clean: Callable[[str], str], notice: Callable[[str], None], **facts: str | None
    ) -> None:
        self._uri = uri
        self._clean = clean
        self._notice = notice
        self._lines: list[str] = []
        self._facts = {**facts, "user": _user(), "host": socket.gethostname()}

    def tell(self, event: str, **facts: Any) -> None:
        """One more line. The file is written whole each time: an object store cannot append."""
        if self._uri is None:
            return
        line = {"time": now(), "event": event, **self._facts, **facts}
        self._lines.append(json.dumps(cleaned(line, self._clean), ensure_ascii=False))
        try:
            write_text(self._uri, "\n".join(self._lines) + "\n")
        except Exception as error:  # noqa: BLE001 - told once, for the trail is worth nothing then
            self._notice(shown(f"the audit trail {self._uri} cannot be written: {error}"))
            self._uri = None


def notifications(pipeline: Pipeline, secrets: PipelineSecrets) -> list[tuple[Notify, Any]]:
    """Who is to be told of the end, ready to tell.

    Raises:
        OptionError: Options are wrong, a reference points to nothing, or a class cannot be made.
    """
    found: list[tuple[Notify, Any]] = []
    for at, one in enumerate(pipeline.notify):
        where = f"notify[{at}]"
        if one.webhook is not None:
            url = secrets.resolved({"webhook": one.webhook}, where)["webhook"]
            secrets.resolved(one.options, f"{where}.options")
            found.append((one, WebhookNotification(revealed(url), referred(one.options, pipeline.secrets))))
        elif one.sns is not None:
            found.append((one, SnsNotification(one.sns)))
        elif one.log is not None:
            found.append((one, LogNotification(one.log)))
        elif one.call is not None:
            loaded = load_with_secrets(one.call, one.config, where, secrets, ("notify",))
            found.append((one, loaded.made))
    return found


def notify(told: Sequence[tuple[Notify, Any]], report: Report, redactor: Redactor) -> list[str]:
    """Tell those who want to know of this end; what went wrong.

    Args:
        told: From `notifications`.
        report: Of the run.
        redactor: Of the run's secrets.
    """
    notes = Notes(redactor=redactor)
    subject = f"{report.pipeline}: {report.outcome}"
    message: Mapping[str, Any] = {
        "pipeline": report.pipeline,
        "run_id": report.run_id,
        "outcome": report.outcome,
        "seconds": round(report.seconds, 3),
        "error": report.error,
        "steps": {step.name: step.outcome for step in report.steps},
    }
    with open_notes(notes):
        for one, teller in told:
            if report.outcome not in one.on:
                continue
            try:
                teller.notify(subject, message) if hasattr(teller, "notify") else teller(subject, message)
            except Exception as error:  # noqa: BLE001 - a notification never changes the run
                notes.notices.append(redactor.clean(f"{one.call} did not notify: {type(error).__name__}: {error}"))
    return notes.notices


def now() -> str:
    """The time, in UTC, as reports and trails have it."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _user() -> str | None:
    with suppress(Exception):
        return getpass.getuser()
    return None
