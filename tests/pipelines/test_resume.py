"""What a later run does not do again, and what it refuses to."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.pipelines.conftest import Files

from trunkline.errors import OptionError
from trunkline.jobs.files import write_text
from trunkline.pipelines.dry_run import shown_plan
from trunkline.pipelines.planning import Planned, plan
from trunkline.pipelines.prepared import Prepared, prepare
from trunkline.pipelines.report import Report, StepReport
from trunkline.pipelines.resume import Resume, digest, finished, newest, read_run, run_name
from trunkline.pipelines.steps import target_of

FILE = """
name = daily
steps = [
  { name = a, read { format = parquet, path = /a } }
  { name = one, write { format = parquet, path = /one, MODE } }
  { name = b, sql = "SELECT * FROM a" }
  { name = checked, expect = [ { rule = not_null, column = id } ] }
  { name = two, write { format = parquet, path = /two, mode = overwrite } }
]
"""


def planned(files: Files, mode: str = "mode = append") -> tuple[Planned, ...]:
    return plan(files.read(FILE.replace("MODE", mode)))


def former(steps: tuple[Planned, ...], **outcomes: str) -> Report:
    reports = [
        StepReport(
            one.step.name,
            one.step.kind,
            outcomes.get(one.step.name, "waiting"),
            attempts=1,
            target=target_of(one.step.write) if one.step.write else None,
            digest=digest(one.step),
        )
        for one in steps
    ]
    return Report("daily", "daily-1", "p.conf", "2026-05-01T00:00:00", reports)


def killed(prepared: Prepared) -> None:
    """Its claim is that of a process which is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    claim = prepared.claim
    claim._held = json.dumps(json.loads(claim._held) | {"pid": process.pid})
    claim._write(prepared.report.run_id, ".json")


def refused(*args: Any, **more: Any) -> str:
    with pytest.raises(OptionError) as caught:
        finished(*args, **more)
    return caught.value.problems[0]


def test_a_write_that_is_done_is_kept_and_what_later_steps_need_is_made_anew(files: Files) -> None:
    steps = planned(files)
    report = former(steps, a="success", one="success", b="success", checked="success", two="running")
    assert finished(steps, report) == {"one"}


def test_what_only_finished_writes_need_is_not_made_anew(files: Files) -> None:
    steps = planned(files)
    report = former(steps, a="success", one="success", b="success", checked="success", two="success")
    assert finished(steps, report) == {"a", "one", "b", "checked", "two"}


@pytest.mark.parametrize("outcome", ["running", "failed", "fallback", "skipped"])
def test_an_append_that_was_begun_is_refused_with_both_ways_to_go_on(files: Files, outcome: str) -> None:
    steps = planned(files)
    told = refused(steps, former(steps, a="success", one=outcome))
    seen = "was begun and its end was not seen" if outcome == "running" else "failed, and some of it may be there"
    assert f"one (parquet /one, mode append) {seen}: " in told
    assert "rows could be there twice" in told
    assert "--done one" in told
    assert "--repeat one" in told
    assert finished(steps, former(steps, a="success", one=outcome), repeat=["one"]) == set()
    assert finished(steps, former(steps, a="success", one=outcome), done=["one"]) == {"one"}


@pytest.mark.parametrize("outcome", ["waiting", "not run"])
def test_an_append_that_was_never_begun_is_simply_done(files: Files, outcome: str) -> None:
    steps = planned(files)
    assert finished(steps, former(steps, a="success", one=outcome)) == set()


def test_an_append_that_was_skipped_because_another_step_gave_nothing_was_never_begun(files: Files) -> None:
    steps = planned(files)
    report = former(steps, a="skipped", one="skipped")
    report.step("one").attempts = 0
    assert finished(steps, report) == set()


def test_a_refusal_names_the_place_where_the_rows_may_be_and_no_password(files: Files) -> None:
    """That of the run, also where the file says another one by now."""
    text = """
    name = daily
    steps = [
      { name = a, sql = "SELECT 1 AS id" }
      {
        name = out
        write { format = jdbc, mode = append, options { url = "jdbc:sqlserver://h;password=hunter2-old", dbtable = t } }
      }
    ]
    """
    runs, path = str(files.folder / "runs"), files.write(text)
    first = prepare(path, (), runs, None, "console")
    first.report.step("out").outcome = "running"
    first.save()
    first.claim.release()
    files.write(text.replace("//h;password=hunter2-old", "//other;password=hunter2-new"))
    for go_on in (partial(prepare, log="console"), shown_plan):
        with pytest.raises(OptionError) as caught:
            go_on(path, (), runs, Resume("last"))
        assert "out (jdbc jdbc:sqlserver://h;password=***, mode append) was begun" in str(caught.value)
        assert "hunter2" not in str(caught.value)


def test_runs_of_jobs_are_started_again_under_the_keys_of_the_first_run(files: Files) -> None:
    """The write bears the name of the run and the step, unless it has one; changed, it may start them elsewhere."""
    text = (
        'name = daily\nsteps = [ { name = a, sql = "SELECT 1 AS job" },'
        " { name = started, write { format = jobs, options { platform = local } } } ]"
    )
    steps = plan(files.read(text))
    for outcome in ("failed", "running"):
        assert finished(steps, former(steps, a="success", started=outcome)) == set()
    assert run_name(steps[1].step, "daily-1") == {"writeId": "daily-1-started"}
    changed = plan(files.read(text.replace("platform = local", "platform = glue, writeId = mine")))
    assert run_name(changed[1].step, "daily-1") == {}
    cure = "look there, then say --done started if it is complete, or clean up and say --repeat started"
    for outcome, told in (
        ("success", "was done, and the file has changed since"),
        ("running", "was begun and its end was not seen, and the file has changed since"),
    ):
        assert refused(changed, former(steps, a="success", started=outcome)) == (
            f"started (jobs) {told}: done again, runs could be started twice: {cure}"
        )


def test_runs_of_jobs_whose_rows_are_made_otherwise_by_now_are_not_simply_started(files: Files) -> None:
    """Their keys are made of their values: others would be other runs, beside those that were started."""
    text = (
        'name = daily\nsteps = [ { name = a, sql = "SELECT 1 AS job" }, { name = b, sql = "SELECT * FROM a" },'
        " { name = started, write { format = jobs, options { platform = local } } } ]"
    )
    report = former(plan(files.read(text)), a="success", b="success", started="failed")
    changed = plan(files.read(text.replace("SELECT 1", "SELECT 2")))
    cure = "look there, then say --done started if it is complete, or clean up and say --repeat started"
    assert refused(changed, report) == (
        "started (jobs) failed, and some of it may be there, and the file has changed since: "
        f"done again, runs could be started twice: {cure}"
    )
    assert finished(changed, report, repeat=["started"]) == set()


def test_a_write_that_is_to_be_repeated_is_named_after_the_run_that_was_told_so(files: Files) -> None:
    """Under its former name nothing would be done. It keeps the new one, also if that run did not come to it."""
    runs = str(files.folder / "runs")
    path = files.write(FILE.replace("MODE", "mode = append"))
    ids, origins, kept = [], [], []
    for resume, outcome in (
        (None, "success"),
        (Resume("last", repeat=("one",)), "not run"),
        (Resume("last"), "success"),
        (Resume("last"), "kept"),
    ):
        report = (prepared := prepare(path, (), runs, resume, "console")).report
        ids.append(report.run_id)
        origins.append([ids.index(report.step(name).origin) for name in ("one", "two")])
        kept.append(report.step("one").outcome == "kept")
        report.step("one").outcome, report.step("two").outcome = outcome, "failed"
        prepared.save()
        killed(prepared)
    assert origins == [[0, 0], [1, 0], [1, 0], [1, 0]]
    assert kept == [False, False, False, True]


def test_a_write_that_a_run_did_not_come_to_is_as_the_run_before_left_it(files: Files) -> None:
    """Rows of it may be where the first run sent them; that the second failed early changes nothing about that."""
    runs, text = str(files.folder / "runs"), FILE.replace("MODE", "mode = MODE")
    first = prepare(files.write(text.replace("MODE", "overwrite")), (), runs, None, "console")
    first.report.step("one").outcome = "running"
    first.save()
    killed(first)
    second = prepare(files.write(text.replace("MODE", "overwrite")), (), runs, Resume("last"), "console")
    second.report.step("one").outcome = "not run"
    second.save()
    killed(second)
    with pytest.raises(OptionError) as caught:
        prepare(files.write(text.replace("MODE", "append")), (), runs, Resume("last"), "console")
    assert "one (parquet /one, mode append) was begun and its end was not seen" in str(caught.value)


def test_the_newest_run_is_the_one_that_no_other_goes_on_with(tmp_path: Path) -> None:
    """Their names are of the clocks of several machines: that of the second was an hour behind."""
    first, second = "daily-20260501T020000000-aaaaaa", "daily-20260501T010000000-bbbbbb"
    for run, before in ((first, None), (second, first)):
        report = Report("daily", run, "p.conf", "", [StepReport("a", "sql")], resumed_from=before, origin=first)
        write_text(f"{tmp_path}/{run}/report.json", report.json())
        write_text(f"{tmp_path}/{first}/runners/{run}.json", "{}")
    for named in (first, second, "last"):
        assert newest(str(tmp_path), read_run(str(tmp_path), named, "daily")).run_id == second


def test_a_step_that_was_taken_out_of_the_file_and_put_back_was_done_all_the_same(files: Files) -> None:
    """An append that the first run finished, and that the file of the second did not have, is not done by the third."""
    runs, whole = str(files.folder / "runs"), FILE.replace("MODE", "mode = append")
    without = "\n".join(line for line in whole.splitlines() if "name = one" not in line)
    kept: list[set[str]] = []
    for text in (whole, without, without, whole):
        prepared = prepare(files.write(text), (), runs, Resume("last") if kept else None, "console")
        kept.append({step.name for step in prepared.report.steps if step.outcome == "kept"})
        for step in prepared.report.steps:
            step.outcome = "success" if step.name in {"a", "one"} else "failed"
        prepared.save()
        killed(prepared)
    assert kept == [set(), set(), set(), {"one"}]


@pytest.mark.parametrize("mode", ["mode = overwrite", "mode = error"])
def test_a_write_that_cannot_double_rows_is_done_again(files: Files, mode: str) -> None:
    steps = planned(files, mode)
    assert finished(steps, former(steps, a="success", one="running")) == set()


def test_half_a_write_is_not_taken_for_all_of_it(files: Files) -> None:
    steps = planned(files, "mode = ignore")
    assert "leave half of the rows as all" in refused(steps, former(steps, a="success", one="running"))


def test_a_write_that_the_file_changed_is_not_done_yet(files: Files) -> None:
    """An overwrite is done anew; an append may double rows."""
    report = former(planned(files, "mode = overwrite"), a="success", one="success")
    assert "one" not in finished(planned(files, "mode = overwrite, options { compression = zstd }"), report)
    report = former(planned(files), a="success", one="success")
    told = refused(planned(files, "mode = append, options { compression = zstd }"), report)
    assert "was done, and the file has changed since" in told


def test_a_write_with_a_response_log_goes_on_under_the_name_of_the_first_run(files: Files) -> None:
    steps = plan(
        files.read(
            "name = daily\nsteps = [ { name = a, read { format = parquet, path = /a } }, { name = one, write {"
            ' format = rest, options { url = "https://x.example/a", responses = /log } } } ]'
        )
    )
    assert finished(steps, former(steps, a="success", one="running")) == set()
    assert run_name(steps[1].step, "daily-1") == {"runId": "daily-1-one"}
    assert run_name(steps[0].step, "daily-1") == {}


def test_a_run_that_goes_on_and_is_killed_at_once_has_lost_nothing(files: Files) -> None:
    """Its first report, which is there before Spark starts, already tells what is finished."""
    runs = str(files.folder / "runs")
    path = files.write(FILE.replace("MODE", "mode = append"))
    first = prepare(path, (), runs, None, "console")
    for name in ("a", "one", "b"):
        first.report.step(name).outcome = "success"
    first.save()
    killed(first)
    for _ in range(3):
        again = prepare(path, (), runs, Resume("last"), "console")
        held = read_run(runs, "last", "daily")
        assert (held.run_id, held.origin) == (again.report.run_id, first.report.run_id)
        assert [step.outcome for step in held.steps] == ["waiting", "kept", "waiting", "waiting", "waiting"]
        killed(again)


def test_the_last_run_is_the_newest_of_this_pipeline(tmp_path: Path) -> None:
    for pipeline, run in (
        ("daily", "daily-20260501T010000000-aaaaaa"),
        ("daily", "daily-20260502T010000000-000000"),
        ("daily-2", "daily-2-20260503T010000000-bbbbbb"),
    ):
        (tmp_path / run).mkdir()
        (tmp_path / run / "report.json").write_text(
            Report(pipeline, run, "p.conf", "", [StepReport("a", "sql")]).json()
        )
    assert read_run(str(tmp_path), "last", "daily").run_id == "daily-20260502T010000000-000000"
    assert read_run(str(tmp_path), "daily-20260501T010000000-aaaaaa", "daily").steps == [StepReport("a", "sql")]
    with pytest.raises(OptionError, match="there is no run of weekly"):
        read_run(str(tmp_path), "last", "weekly")
    with pytest.raises(OptionError, match="is a run of daily-2, not of daily"):
        read_run(str(tmp_path), "daily-2-20260503T010000000-bbbbbb", "daily")
    for name in ("../daily", "none"):
        with pytest.raises(OptionError, match=r"is no id of a run|there is no run none"):
            read_run(str(tmp_path), name, "daily")
