"""Each step's rows are made once."""

from __future__ import annotations

from tests.pipelines.conftest import Files

from trunkline.pipelines.evaluation import eager, kept
from trunkline.pipelines.planning import plan

READ = "read { format = parquet, path = /a }"
WRITE = "write { format = parquet, path = /b }"


def evaluated(files: Files, *steps: str) -> tuple[set[str], set[str]]:
    """The steps that are kept, and those that are evaluated there and then."""
    planned = plan(files.read(f"name = p\nsteps = [ {', '.join(f'{{ {step} }}' for step in steps)} ]"))
    return kept(planned), eager(planned)


def test_rows_that_are_wanted_once_are_not_kept(files: Files) -> None:
    assert evaluated(files, f"name = a, {READ}", 'name = b, sql = "SELECT * FROM a"', f"name = c, {WRITE}") == (
        set(),
        set(),
    )


def test_rows_are_kept_where_they_part_and_not_before(files: Files) -> None:
    """Two writes of one query: the query is kept, not what it reads."""
    steps = (f"name = a, {READ}", 'name = b, sql = "SELECT * FROM a"', f"name = c, {WRITE}", f"name = d, {WRITE}")
    assert evaluated(files, *steps) == ({"b"}, set())


def test_what_is_checked_is_what_is_written(files: Files) -> None:
    steps = (f"name = a, {READ}", "name = b, expect = [ { rule = not_null, column = id } ]", f"name = c, {WRITE}")
    assert evaluated(files, *steps) == ({"a"}, set())


def test_a_check_that_nobody_follows_keeps_nothing(files: Files) -> None:
    steps = (f"name = a, {READ}", "name = b, expect = [ { rule = not_null, column = id } ]")
    assert evaluated(files, *steps) == (set(), set())


def test_a_check_that_goes_over_its_rows_several_times_keeps_them(files: Files) -> None:
    """For `unique`, and for what it puts aside, though nobody takes the others."""
    for rule in ("{ rule = unique, column = id }", '{ rule = not_null, column = id, severity = "quarantine:/odd" }'):
        assert evaluated(files, f"name = a, {READ}", f"name = b, expect = [ {rule} ]") == ({"a"}, set())
    rule = '{ rule = references, column = id, step = a, severity = "quarantine:/odd" }'
    assert evaluated(files, f"name = a, {READ}", f"name = b, {READ}", f"name = c, expect = [ {rule} ]") == (
        {"a", "b"},
        set(),
    )


def test_rows_that_a_rule_refers_to_are_kept(files: Files) -> None:
    steps = (
        f"name = a, {READ}",
        f"name = b, {READ}",
        "name = c, expect = [ { rule = references, column = id, step = a, severity = drop } ]",
        f"name = d, {WRITE}",
    )
    assert evaluated(files, *steps) == ({"a", "b"}, set())


def test_a_step_whose_failure_means_something_is_evaluated_there_and_then(files: Files) -> None:
    for key in ("retry {}", "timeout = 1m", "breaker {}", "on_failure = skip"):
        steps = (f"name = a, {READ}, {key}", f"name = b, {WRITE}")
        assert evaluated(files, *steps) == ({"a"}, {"a"})


def test_a_stream_is_never_kept(files: Files) -> None:
    read = "read { format = rate, stream = true }"
    write = "write { format = parquet, path = /b, checkpoint = /c }"
    assert evaluated(files, f"name = a, {read}", f"name = b, {write}", f"name = c, {write}") == (set(), set())
