"""In which order steps run, and whose rows each takes."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from tests.pipelines.conftest import Files

from trunkline.pipelines import Pipeline, plan
from trunkline.pipelines.planning import sorted_by


def planned(files: Files, *lines: str) -> list[tuple[str, tuple[str, ...], tuple[str, ...], bool]]:
    pipeline = files.read("name = x, steps = [\n" + "\n".join(lines) + "\n]")
    return [(one.step.name, one.inputs, one.needs, one.streaming) for one in plan(pipeline)]


def test_a_step_takes_the_rows_of_the_one_before_it(files: Files) -> None:
    found = planned(
        files, "{ name = a, read { table = t } }", '{ name = b, call = "m:f" }', "{ name = c, write { table = u } }",
        "{ name = d, write { table = v } }", "{ name = e, read { table = w }, after = c }",
    )  # fmt: skip
    assert found == [
        ("a", (), (), False), ("b", ("a",), ("a",), False), ("c", ("b",), ("b",), False), ("d", ("c",), ("c",), False),
        ("e", (), ("c",), False),
    ]  # fmt: skip


def test_a_select_takes_the_rows_of_the_steps_it_names(files: Files) -> None:
    """After FROM and JOIN, in lists and subqueries, in any case and in backquotes; no columns, texts and comments."""
    sql = """SELECT 'orders', events, users.id, (SELECT max(n) FROM peak) -- FROM customers
      FROM Users AS u, (SELECT * FROM `old-orders` WHERE n IN (1, 2)) o, extra JOIN later USING (id) /* JOIN backup */
      JOIN lake.orders WHERE last > 1 ORDER BY n, customers"""
    names = ("users", "orders", "old-orders", "customers", "backup", "extra", "events", "peak")
    reads = [f"{{ name = {name}, read {{ table = t }} }}" for name in names]
    found = planned(
        files, *reads, f'{{ name = q, sql = """{sql}""" }}', "{ name = later, read { table = t } }",
        "{ name = last, write { table = t } }", "{ name = rest, sql = SELECT }",
    )  # fmt: skip
    taken = {name: inputs for name, inputs, _, _ in found}
    assert (taken["q"], taken["last"], taken["rest"]) == (
        ("peak", "users", "old-orders", "extra", "later"), ("later",), ("last",),
    )  # fmt: skip
    assert [name for name, *_ in found].index("later") < [name for name, *_ in found].index("q")


def test_a_step_may_bear_the_name_of_the_table_it_selects_from(files: Files) -> None:
    found = planned(files, "{ name = a, read { table = t } }", '{ name = users, sql = "SELECT * FROM users" }')
    assert found[1] == ("users", ("a",), ("a",), False)


def test_a_fallback_runs_before_and_is_nobodys_step_before(files: Files) -> None:
    found = planned(
        files, "{ name = a, read { table = t }, on_failure = fallback:b }", "{ name = b, read { table = u } }",
        "{ name = c, write { table = v } }",
    )  # fmt: skip
    assert found == [("b", (), (), False), ("a", (), ("b",), False), ("c", ("a",), ("a",), False)]


def test_rows_of_a_stream_are_a_stream(files: Files) -> None:
    found = planned(
        files, "{ name = a, read { table = t } }", "{ name = b, read { format = rate, stream = true } }",
        '{ name = c, sql = "SELECT * FROM b JOIN a" }', "{ name = d, write { format = console } }",
        "{ name = e, input = a, write { table = u } }",
    )  # fmt: skip
    assert [(name, streaming) for name, _, _, streaming in found] == [
        ("a", False), ("b", True), ("c", True), ("d", True), ("e", False),
    ]  # fmt: skip


def test_a_long_chain_is_planned(files: Files) -> None:
    pipeline: Pipeline = files.read(
        "name = x, steps = [ { name = s0, read { table = t } }\n"
        + "\n".join(f"{{ name = s{n}, sql = S }}" for n in range(1, 1500)) + "]"
    )  # fmt: skip
    assert [one.step.name for one in plan(pipeline)] == [f"s{n}" for n in range(1500)]


graphs = st.dictionaries(st.integers(0, 9), st.lists(st.integers(0, 9), max_size=3), max_size=10)


@given(graphs)
def test_each_comes_after_what_it_needs_or_the_circle_is_shown(graph: dict[int, list[int]]) -> None:
    needs = {str(name): [str(other) for other in others] for name, others in graph.items()}
    order, circle = sorted_by(needs)
    if circle:
        assert circle[0] == circle[-1]
        assert all(needed in needs[name] for name, needed in itertools.pairwise(circle))
    else:
        assert sorted(order) == sorted(needs)
        before = [set(order[:at]) for at in range(len(order))]
        assert all(set(needs[name]) & set(needs) <= done for name, done in zip(order, before, strict=True))


@given(st.lists(st.integers(0, 5), max_size=6))
def test_without_needs_the_order_is_that_of_the_file(names: list[int]) -> None:
    needs: dict[str, list[str]] = {str(name): [] for name in names}
    assert sorted_by(needs) == (list(needs), [])
