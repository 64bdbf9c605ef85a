"""Pipelines that run: order, retries, fallbacks, hooks, secrets, what the report says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from tests.pipelines import steps_of_tests
from tests.pipelines.conftest import Files

from trunkline.cli import main
from trunkline.errors import OptionError
from trunkline.pipelines import PipelineError, Report, Resume, claims, run_pipeline

SEEN = steps_of_tests.SEEN
HERE = "tests.pipelines.steps_of_tests"


@pytest.fixture(autouse=True)
def _unseen() -> Iterator[None]:
    SEEN.clear()
    yield
    SEEN.clear()


def run(spark: SparkSession, files: Files, text: str, **more: Any) -> Report:
    """The report, also of a run that failed."""
    try:
        return run_pipeline(spark, files.write(text), runs=str(files.folder / "runs"), **more)
    except PipelineError as error:
        if error.report is None:
            raise
        return error.report


def outcomes(report: Report) -> dict[str, str]:
    return {step.name: step.outcome for step in report.steps}


def temporary_views(spark: SparkSession) -> set[str]:
    """Of the session, which other tests share."""
    return {table.name for table in spark.catalog.listTables() if table.isTemporary}


def test_a_step_is_tried_again_and_hooks_see_it_all(spark: SparkSession, files: Files) -> None:
    """Two failures, then rows; a hook that fails is told of and changes nothing; views and rows are let go."""
    views = temporary_views(spark)
    report = run(
        spark,
        files,
        f"""
        name = "try again"
        hooks = [ {{ call = "{HERE}:failing_hook", on = [before_step] }}, {{ call = "{HERE}:Watching" }} ]
        steps = [
          {{ name = old-numbers, call = "{HERE}:numbers" }}
          {{ name = flaky, call = "{HERE}:flaky", retry {{ max_attempts = 3, initial_delay = 1ms }} }}
          {{ name = few, call = "{HERE}:Limit", config {{ rows = 3 }} }}
          {{ name = joined, sql = "SELECT f.id FROM few f JOIN `old-numbers` o ON f.id = o.id" }}
          {{ name = out, write {{ format = parquet, path = "{files.folder}/out" }} }}
        ]
        """,
    )
    assert (report.outcome, report.exit_code) == ("success", 0)
    assert [(step.outcome, step.attempts, step.rows_out) for step in report.steps] == [
        ("success", 1, 10),
        ("success", 3, 10),
        ("success", 1, None),
        ("success", 1, None),
        ("success", 1, 3),
    ]
    assert SEEN == [
        "before_pipeline",
        ("before_step", "old-numbers"), "numbers", ("after_step", "old-numbers", ["id"]),
        ("before_step", "flaky"), "flaky", ("on_retry", "flaky", "UnavailableError", 1),
        "flaky", ("on_retry", "flaky", "UnavailableError", 2), "flaky", ("after_step", "flaky", ["id"]),
        ("before_step", "few"), ("after_step", "few", ["id"]),
        ("before_step", "joined"), ("after_step", "joined", ["id"]),
        ("before_step", "out"), ("after_step", "out", ["id"]),
        ("after_pipeline", "success"),
    ]  # fmt: skip
    assert len(report.notices) == 5
    assert report.notices[0].startswith(
        f"the hook {HERE}:failing_hook failed in before_step: ValueError: no luck in before_step (steps_of_tests.py:"
    )
    assert temporary_views(spark) == views
    held = json.loads((files.folder / "runs" / report.run_id / "report.json").read_text())
    assert (held["outcome"], held["steps"][4]["rows_out"], len(held["notices"])) == ("success", 3, 5)


def test_settings_arrive_as_they_are_written_or_it_is_told_why_not(spark: SparkSession, files: Files) -> None:
    """On a session that is there, only what Spark lets change, and only until the end; its master is left alone."""
    master = spark.sparkContext.master
    before = [spark.conf.get(name, None) for name in steps_of_tests.SETTINGS]
    assert before == [None, "2", None]
    report = run(
        spark,
        files,
        f"""
        name = settings
        spark {{ master = "local[7]", app_name = x, conf {{
          spark.sql.files.maxRecordsPerFile = 007, spark.sql.shuffle.partitions = 3, spark.sql.files.maxPartitionNum = 9
          spark.driver.memory = 1g, spark.sql.ui.retainedExecutions = 9
        }} }}
        steps = [ {{ name = a, call = "{HERE}:settings" }} ]
        """,
    )
    assert report.outcome == "success"
    assert SEEN == [["007", "3", "9"]]
    assert [spark.conf.get(name, None) for name in steps_of_tests.SETTINGS] == before
    assert report.notices == [
        f"spark.conf.{name} is settled when a session starts, and this one has"
        for name in ("spark.driver.memory", "spark.sql.ui.retainedExecutions")
    ]
    assert spark.sparkContext.master == master


@pytest.mark.parametrize("bad", ["spark.sql.shuffle.partitions = many", "spark.sql.files.maxPartitionNum = 9"])
def test_a_run_that_fails_gives_the_session_back_as_it_was(spark: SparkSession, files: Files, bad: str) -> None:
    """Whether a step fails, or a setting is one that Spark refuses."""
    before = [spark.conf.get(name, None) for name in steps_of_tests.SETTINGS]
    report = run(
        spark,
        files,
        f"""
        name = settings
        spark {{ conf {{ spark.sql.files.maxRecordsPerFile = 7, {bad} }} }}
        steps = [ {{ name = a, sql = "SELECT assert_true(false)" }}, {{ name = b, write {{ format = noop }} }} ]
        """,
    )
    assert report.outcome == "failed"
    assert [spark.conf.get(name, None) for name in steps_of_tests.SETTINGS] == before


def test_a_run_that_another_process_took_over_ends(
    spark: SparkSession, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was taken for dead: the step that runs is ended in Spark, no other begins, and the report says why."""
    monkeypatch.setattr(claims, "BEAT", 0.1)
    report = run(
        spark,
        files,
        f"""
        name = lost
        hooks = [ {{ call = "{HERE}:TakenOver", config {{ runs = "{files.folder}/runs" }} }} ]
        steps = [
          {{
            name = slow
            call = "{HERE}:slow"
            retry {{ max_attempts = 3, initial_delay = 1ms }}
            on_failure = "fallback:other"
          }}
          {{ name = other, input = [], call = "{HERE}:numbers" }}
          {{ name = out, write {{ format = noop, mode = overwrite }} }}
        ]
        """,
        source_df=spark.range(4),
    )
    assert (report.outcome, report.exit_code, report.failure_type) == ("failed", 1, "CANCELLED")
    assert report.error == f"another process took this one for dead and goes on with {report.run_id}"
    assert outcomes(report) == {"slow": "failed", "other": "not run", "out": "not run"}
    assert (report.step("slow").attempts, SEEN) == (1, [])


def test_no_other_attempt_is_made_once_the_run_was_taken_over(
    spark: SparkSession, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It learns of it in the delay before the second."""
    monkeypatch.setattr(claims, "BEAT", 0.1)
    report = run(
        spark,
        files,
        f"""
        name = lost
        hooks = [ {{ call = "{HERE}:TakenOver", on = [on_retry], config {{ runs = "{files.folder}/runs" }} }} ]
        steps = [ {{ name = flaky, call = "{HERE}:flaky", retry {{ max_attempts = 3, initial_delay = 60s }} }} ]
        """,
        source_df=spark.range(4),
    )
    assert (report.outcome, report.failure_type, report.step("flaky").attempts) == ("failed", "CANCELLED", 1)
    assert SEEN == ["flaky"]


def test_a_session_is_given_back_as_it_was_also_to_another_thread(spark: SparkSession, files: Files) -> None:
    """In a thread of its own a pipeline finds the session that is there, though none is active in it."""
    conf, step = "spark.sql.shuffle.partitions = 3", f'name = a, call = "{HERE}:settings"'
    text = f"name = t\nspark {{ conf {{ {conf} }} }}\nsteps = [ {{ {step} }} ]"
    given = {"config_path": files.write(text), "runs": str(files.folder / "runs")}
    thread = threading.Thread(target=run_pipeline, kwargs=given)
    thread.start()
    thread.join()
    assert SEEN == [[None, "3", None]]
    assert spark.conf.get("spark.sql.shuffle.partitions") == "2"


def test_a_failed_step_ends_the_run_and_no_secret_is_told(
    spark: SparkSession, files: Files, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes after is not run; the secret that the error quotes is in no report, log, trail or message."""
    monkeypatch.setenv("PLANTED", "hunter2-planted")
    text = f"""
        name = secretive
        secrets {{ one = "env:PLANTED" }}
        audit {{ }}
        notify = [ {{ call = "{HERE}:Told" }} ]
        steps = [
          {{ name = numbers, call = "{HERE}:numbers" }}
          {{ name = broken, call = "{HERE}:broken", config {{ password = ${{secrets.one}}, token = literal-planted }} }}
          {{ name = out, write {{ format = csv, path = "{files.folder}/out", options {{ password = also-planted }} }} }}
        ]
        """
    with pytest.raises(PipelineError) as caught:
        run_pipeline(spark, files.write(text), runs=str(files.folder / "runs"), log="json")
    report = caught.value.report
    assert report is not None
    assert str(caught.value) == "secretive failed: broken: cannot do it with ***"
    assert outcomes(report) == {"numbers": "success", "broken": "failed", "out": "not run"}
    assert (report.exit_code, report.failure_type) == (1, "ERROR")
    assert SEEN == ["numbers", "broken", ("notified", "secretive: failed", "failed")]
    assert not (files.folder / "out").exists()
    told = capsys.readouterr()
    written = [path.read_text() for path in (files.folder / "runs").rglob("*") if path.is_file()]
    assert len(written) == 4
    everywhere = "\n".join([told.out, told.err, report.table(), repr(caught.value), *written])
    assert "planted" not in everywhere
    lines = [json.loads(line) for line in told.err.splitlines() if line.startswith("{")]
    assert {line["run_id"] for line in lines} == {report.run_id}
    assert [line["event"] for line in lines if line["level"] != "warning"] == [
        "before_pipeline", "before_step", "after_step", "before_step", "on_failure", "after_pipeline",
    ]  # fmt: skip


def test_a_failed_run_says_on_the_command_line_how_to_go_on(
    spark: SparkSession, files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    path = files.write('name = daily\nsteps = [ { name = a, sql = "SELECT nothing" } ]')
    assert main(["run", path, "--runs", f"{files.folder}/runs"]) == 1
    (report,) = (files.folder / "runs").glob("*/report.json")
    way = f"run the same with --resume {report.parent.name}"
    assert capsys.readouterr().err.splitlines()[-1] == f"trunkline: daily failed: to go on, {way}"


def test_what_may_fail_is_skipped_or_replaced_and_the_run_is_degraded(spark: SparkSession, files: Files) -> None:
    """A skipped step takes those along that need it; a fallback runs only if it is needed."""
    report = run(
        spark,
        files,
        f"""
        name = degraded
        steps = [
          {{ name = numbers, call = "{HERE}:numbers" }}
          {{ name = empty, sql = "SELECT * FROM numbers WHERE id < 2", on_failure = skip }}
          {{ name = other, sql = "SELECT id + 100 AS id FROM numbers" }}
          {{ name = unneeded, sql = "SELECT * FROM numbers" }}
          {{ name = good, sql = "SELECT * FROM numbers", on_failure = "fallback:unneeded" }}
          {{ name = bad, sql = "SELECT assert_true(false) FROM numbers", on_failure = "fallback:other" }}
          {{ name = out, write {{ format = parquet, path = "{files.folder}/out" }} }}
          {{ name = broken, input = numbers, call = "{HERE}:broken", config {{ password = x }}, on_failure = skip }}
          {{ name = lost, sql = "SELECT * FROM broken" }}
        ]
        """,
    )
    assert (report.outcome, report.exit_code) == ("degraded", 4)
    assert outcomes(report) == {
        "numbers": "success", "empty": "success", "other": "success", "unneeded": "unused", "good": "success",
        "bad": "fallback", "out": "success", "broken": "skipped", "lost": "skipped",
    }  # fmt: skip
    assert report.step("lost").error == "needs broken, which gave nothing"
    assert sorted(row.id for row in spark.read.parquet(f"{files.folder}/out").collect()) == list(range(100, 110))


def test_a_step_that_takes_too_long_is_ended_in_spark_too(spark: SparkSession, files: Files) -> None:
    """A query of ten minutes is over soon after one second, and none of its jobs runs on."""
    report = run(
        spark,
        files,
        f"""
        name = slow
        steps = [ {{ name = slow, call = "{HERE}:slow", timeout = 1s }} ]
        """,
        source_df=spark.range(4),
    )
    slow = report.step("slow")
    assert (report.outcome, slow.error_type, slow.error) == (
        "failed",
        "StepTimeoutError",
        "took longer than 1 s, and was ended",
    )
    assert slow.seconds < 250
    assert list(spark.sparkContext.statusTracker().getActiveJobsIds()) == []


def test_a_run_goes_on_after_it_was_killed_and_repeats_no_finished_write(spark: SparkSession, files: Files) -> None:
    """Killed after the first write: the append is not repeated, what the second needs is made anew, once."""
    text = f"""
        name = daily
        steps = [
          {{ name = numbers, call = "{HERE}:numbers" }}
          {{ name = one, write {{ format = parquet, path = "{files.folder}/one", mode = append }} }}
          {{ name = dies, call = "{HERE}:dies_once" }}
          {{ name = two, write {{ format = parquet, path = "{files.folder}/two", mode = overwrite }} }}
        ]
        """
    with pytest.raises(steps_of_tests.KilledError):
        run(spark, files, text)
    report = run(spark, files, text, resume="last")
    assert outcomes(report) == {"numbers": "success", "one": "kept", "dies": "success", "two": "success"}
    for name in ("one", "two"):
        assert sorted(row.id for row in spark.read.parquet(f"{files.folder}/{name}").collect()) == list(range(10))
    again = run(spark, files, text, resume="last")
    assert outcomes(again) == dict.fromkeys(("numbers", "one", "dies", "two"), "kept")
    assert SEEN == ["numbers", "dies", "numbers", "dies"]


def test_a_run_that_goes_on_has_the_rows_of_a_finished_write_and_replaces_what_was_put_aside(
    spark: SparkSession, files: Files
) -> None:
    """The first write takes the rows that the pipeline is called with; those of the second come through it."""
    text = f"""
        name = daily
        steps = [
          {{ name = one, write {{ format = parquet, path = "{files.folder}/one", mode = append }} }}
          {{
            name = checked
            expect = [ {{ rule = between, column = id, max = 6, severity = "quarantine:{files.folder}/odd" }} ]
          }}
          {{ name = dies, call = "{HERE}:dies_once" }}
          {{ name = two, write {{ format = parquet, path = "{files.folder}/two" }} }}
        ]
        """
    with pytest.raises(steps_of_tests.KilledError):
        run(spark, files, text, source_df=spark.range(10))
    report = run(spark, files, text, source_df=spark.range(10), resume="last")
    assert outcomes(report) == {"one": "kept", "checked": "success", "dies": "success", "two": "success"}
    rows = {name: spark.read.parquet(f"{files.folder}/{name}").collect() for name in ("one", "two", "odd")}
    assert {name: sorted(row.id for row in found) for name, found in rows.items()} == {
        "one": list(range(10)),
        "two": list(range(7)),
        "odd": [7, 8, 9],
    }
    assert {row.run_id for row in rows["odd"]} == {report.origin}


def test_an_append_during_which_the_run_was_killed_is_not_repeated_unasked(spark: SparkSession, files: Files) -> None:
    """Refused before anything runs, with the command line's exit code for usage; told to, it is repeated."""
    text = f"""
        name = daily
        steps = [ {{ name = a, write {{ format = parquet, path = "{files.folder}/a", mode = append }} }} ]
        """
    path = files.write(text)
    report = run(spark, files, text, source_df=spark.range(2))
    held = Path(f"{files.folder}/runs/{report.run_id}/report.json")
    # What a process leaves that is killed between the commit of the rows and the end of the step.
    held.write_text(held.read_text().replace('"success"', '"running"'))
    with pytest.raises(OptionError, match="--repeat a"):
        run_pipeline(spark, path, spark.range(2), runs=f"{files.folder}/runs", resume="last")
    assert main(["run", path, "--runs", f"{files.folder}/runs", "--resume", "last", "--dry-run"]) == 2
    done = run_pipeline(spark, path, spark.range(2), runs=f"{files.folder}/runs", resume=Resume("last", done=("a",)))
    assert (done.outcome, outcomes(done)) == ("success", {"a": "kept"})
    assert spark.read.parquet(f"{files.folder}/a").count() == 2


def test_a_step_may_say_wait(spark: SparkSession, files: Files) -> None:
    """Exit code 3, nothing after it is run, and it is no failure."""
    report = run(
        spark,
        files,
        f"""
        name = gate
        steps = [ {{ name = gate, call = "{HERE}:ask_first" }}, {{ name = out, write {{ format = noop }} }} ]
        """,
        source_df=spark.range(4),
    )
    assert (report.outcome, report.exit_code) == ("pending_approval", 3)
    assert outcomes(report) == {"gate": "pending_approval", "out": "not run"}


def test_what_the_users_code_lacks_is_told_before_spark(files: Files) -> None:
    """A class is imported, and its configuration checked, before anything runs; no value is told."""
    for step, told in (
        ('call = "no.such:thing"', "steps.a: no.such:thing cannot be imported: there is no no beside the file"),
        (f'call = "{HERE}:SEEN"', f"steps.a: {HERE}:SEEN is neither a function nor a class"),
        (f'call = "{HERE}:Told"', f"steps.a: {HERE}:Told has none of the methods run, transform, __call__"),
        (f'call = "{HERE}:Limit", config {{ rows = many }}', "steps.a.config.rows: Input should be a valid integer"),
        (f'call = "{HERE}:Limit", config {{ rows = 1, row = 2 }}', "steps.a.config.row is unknown to LimitConfig"),
    ):
        with pytest.raises(OptionError) as caught:
            run_pipeline(config_path=files.write(f"name = p\nsteps = [ {{ name = a, {step} }} ]"))
        assert str(caught.value).startswith(told)


def test_rows_are_checked_in_one_pass_and_wrong_ones_go_where_the_rules_say(spark: SparkSession, files: Files) -> None:
    """Each rule counts its wrong rows; drops and quarantines leave; null is right unless the rule is about it."""
    df = spark.sql(
        "SELECT * FROM VALUES (1, 'de', 'Ann', DATE'2020-01-01'), (2, 'fr', 'Bob', DATE'2020-01-02'),"
        " (2, 'xx', 'Eve', NULL), (4, NULL, NULL, NULL), (NULL, 'de', 'Joey', NULL) AS t (id, country, name, day)"
    )
    rules = f"""
        {{ rule = not_null, column = id, severity = drop }}
        {{ rule = unique, column = id, severity = warn }}
        {{ rule = one_of, column = country, values = [de, fr], severity = "quarantine:{files.folder}/odd" }}
        {{ rule = between, column = id, min = 2, max = 3, severity = warn }}
        {{ rule = between, column = day, min = "2020-01-02", severity = warn }}
        {{ rule = matches, column = name, pattern = "[A-Z][a-z]{{2}}", severity = warn }}
        {{ rule = length, column = name, max = 3, severity = warn }}
        {{ rule = row_count, min = 6, severity = warn }}
        {{ rule = freshness, column = day, max_age = 1d, severity = warn }}
        {{ rule = condition, condition = "name <> 'Eve'", severity = warn }}
        {{ rule = references, column = id, step = known, severity = warn }}
    """
    report = run(
        spark,
        files,
        f"""
        name = checks
        steps = [
          {{ name = rows, sql = "SELECT * FROM source_df" }}
          {{ name = known, input = [], sql = "SELECT * FROM VALUES (1), (2) AS t (id)" }}
          {{ name = checked, input = rows, expect = [ {rules} ] }}
          {{ name = out, write {{ format = parquet, path = "{files.folder}/out" }} }}
        ]
        """,
        source_df=df,
    )
    assert report.outcome == "success"
    assert [(rule["rule"], rule["wrong_rows"], rule["passed"]) for rule in report.step("checked").expectations] == [
        ("not_null", 1, False), ("unique", 2, False), ("one_of", 1, False), ("between", 2, False),
        ("between", 1, False), ("matches", 1, False), ("length", 1, False), ("row_count", None, False),
        ("freshness", None, False), ("condition", 2, False), ("references", 1, False),
    ]  # fmt: skip
    assert (report.step("checked").rows_in, report.step("checked").rows_out, report.step("out").rows_out) == (5, 3, 3)
    assert sorted(row.id for row in spark.read.parquet(f"{files.folder}/out").collect()) == [1, 2, 4]
    odd = spark.read.parquet(f"{files.folder}/odd").drop("run_id").collect()
    assert [(row.name, row._broken, row.step) for row in odd] == [("Eve", ["country is one of 2 values"], "checked")]


def test_a_broken_rule_fails_the_run_and_nothing_is_written(spark: SparkSession, files: Files) -> None:
    report = run(
        spark,
        files,
        f"""
        name = strict
        steps = [
          {{ name = checked, expect = [ {{ rule = between, column = id, max = 2 }}, {{ rule = row_count, min = 9 }} ] }}
          {{ name = out, write {{ format = parquet, path = "{files.folder}/out" }} }}
        ]
        """,
        source_df=spark.range(5),
    )
    told = "2 of 5 rows are not as expected: id is at most 2; there are 5 rows, and the number of rows is at least 9"
    assert (report.outcome, report.error) == ("failed", f"checked: {told}")
    assert not (files.folder / "out").exists()


def test_streams_run_together_are_counted_and_are_done_before_what_waits_for_them(
    spark: SparkSession, files: Files
) -> None:
    """Two queries of one read; one drops rows; a batch that comes after sees all that was written."""
    source = files.folder / "in"
    source.mkdir()
    (source / "a.json").write_text("\n".join(json.dumps({"id": number}) for number in range(6)))
    report = run(
        spark,
        files,
        f"""
        name = live
        vars {{ root = "{files.folder}", once {{ format = parquet, trigger = available_now }} }}
        steps = [
          {{ name = events, read {{ format = json, stream = true, path = "{source}", schema = "id BIGINT" }} }}
          {{ name = all, write = ${{vars.once}} {{ path = ${{vars.root}}/all, checkpoint = ${{vars.root}}/c1 }} }}
          {{ name = checked, input = events, expect = [ {{ rule = between, column = id, max = 3, severity = drop }} ] }}
          {{ name = few, write = ${{vars.once}} {{ path = ${{vars.root}}/few, checkpoint = ${{vars.root}}/c2 }} }}
          {{ name = again, after = [all, few], read {{ format = parquet, path = ${{vars.root}}/few }} }}
          {{ name = out, write {{ format = parquet, path = ${{vars.root}}/out }} }}
        ]
        """,
    )
    assert report.error is None
    assert [(step.name, step.rows_in, step.rows_out) for step in report.steps if step.kind == "write"] == [
        ("all", 6, 6),
        ("few", 6, 4),
        ("out", 4, 4),
    ]
    assert [rule["told"] for rule in report.step("checked").expectations] == [
        "2 of 6 rows are not as expected: id is at most 3"
    ]
    assert sorted(row.id for row in spark.read.parquet(str(Path(files.folder) / "out")).collect()) == [0, 1, 2, 3]


def test_a_stream_that_fails_ends_the_others_and_no_step_begins_after_it(spark: SparkSession, files: Files) -> None:
    """It fails while a batch step runs: that one ends, the next does not begin, a query without an end is ended."""
    source = files.folder / "in"
    source.mkdir()
    (source / "a.json").write_text("\n".join(json.dumps({"id": number}) for number in range(6)))
    report = run(
        spark,
        files,
        f"""
        name = live
        vars {{ root = "{files.folder}" }}
        steps = [
          {{ name = events, read {{ format = json, stream = true, path = "{source}", schema = "id BIGINT" }} }}
          {{ name = all, write {{ format = parquet, path = ${{vars.root}}/all, checkpoint = ${{vars.root}}/c1 }} }}
          {{ name = wrong, input = events, expect = [ {{ rule = between, column = id, max = 3 }} ] }}
          {{ name = few, write {{ format = parquet, path = ${{vars.root}}/few, checkpoint = ${{vars.root}}/c2 }} }}
          {{ name = batch, input = [], sql = "SELECT 1 AS id" }}
          {{ name = calm, call = "{HERE}:until_the_stream_failed", config {{ stream = few }} }}
          {{ name = out, write {{ format = parquet, path = ${{vars.root}}/out }} }}
        ]
        """,
    )
    assert (report.outcome, report.error is not None and report.error.startswith("few: ")) == ("failed", True)
    assert {name: outcomes(report)[name] for name in ("all", "few", "calm", "out")} == {
        "all": "success", "few": "failed", "calm": "success", "out": "not run",
    }  # fmt: skip
    assert (report.step("all").rows_out, spark.streams.active) == (6, [])
    assert not (files.folder / "out").exists()
