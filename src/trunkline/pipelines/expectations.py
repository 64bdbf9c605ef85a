"""What is expected of rows, checked in one pass over them.

    rows, results = checked(df, rules, others, "steps.checked")
    results[0]     # {"rule": "not_null id", "severity": "drop", "passed": False, "rows": 10, "wrong_rows": 2, ...}

A rule about single rows becomes a condition; how many rows break which one is one aggregate. `unique` needs an
aggregate of its own. Null is right for every rule but `not_null` and `condition`, as in a CHECK of SQL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

from trunkline.errors import TrunklineError
from trunkline.pipelines.config import Rule
from trunkline.pipelines.rules import all_of, column_name, conditions_of, describe, leaves
from trunkline.pipelines.step_checks import QUARANTINE

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

Result = dict[str, Any]


class ExpectationError(TrunklineError):
    """Rows are not as a rule of severity `fail` says."""


class Checked(NamedTuple):
    """Rows after their check.

    Attributes:
        good: Those that are let through.
        aside: Those for quarantine, by its path, with the column `_broken`: the rules each breaks.
        results: One for each rule, in their order.
        rows: How many there were, None for a stream.
        passed_on: How many are let through, None for a stream.
    """

    good: DataFrame
    aside: Mapping[str, DataFrame]
    results: list[Result]
    rows: int | None
    passed_on: int | None


def checked(df: DataFrame, rules: Sequence[Rule], others: Mapping[str, DataFrame]) -> Checked:
    """Check all rows of a batch.

    Args:
        df: The rows.
        rules: What is expected of them.
        others: The rows of the steps that `references` names.
    """
    from pyspark.sql import functions as f

    columns = df.columns
    marked, conditions = conditions_of(df, rules, others)
    leaving = [number for number in conditions if leaves(rules[number])]
    aggregates = [f.count(f.lit(1)).alias("rows")]
    aggregates += [f.count(f.when(~right, 1)).alias(f"wrong{number}") for number, right in conditions.items()]
    aggregates.append(f.count(f.when(~all_of(conditions, leaving), 1)).alias("leaving"))
    for number, rule in enumerate(rules):
        if rule.rule == "freshness":
            newest = f.max(f.col(column_name(rule.column[0])).cast("timestamp"))
            aggregates.append(
                (f.unix_timestamp(f.current_timestamp()) - f.unix_timestamp(newest)).alias(f"age{number}")
            )
    found = marked.agg(*aggregates).collect()[0].asDict()
    results = []
    for number, rule in enumerate(rules):
        wrong = found.get(f"wrong{number}")
        if rule.rule == "unique":
            wrong = _repeated(df, rule)
        results.append(_result(rule, found["rows"], wrong, found.get(f"age{number}")))
    names = [f.col(column_name(name)) for name in columns]
    good = marked.where(all_of(conditions, leaving)).select(*names) if leaving else df
    return Checked(
        good, _aside(marked, rules, conditions, names), results, found["rows"], found["rows"] - found["leaving"]
    )


def watched(df: DataFrame, rules: Sequence[Rule], name: str) -> Checked:
    """The same for a stream, of which nobody has all rows: `fail` ends the query at the first wrong row.

    Args:
        df: The stream.
        rules: What is expected of its rows.
        name: Of the observed numbers, one for each rule: `wrong0`, `wrong1`.
    """
    from pyspark.sql import functions as f

    marked, conditions = conditions_of(df, rules, {})
    counts = [f.count(f.when(~right, 1)).alias(f"wrong{number}") for number, right in conditions.items()]
    good = marked.observe(name, f.count(f.lit(1)).alias("rows"), *counts)
    for number, right in conditions.items():
        if rules[number].severity == "fail":
            told = f.lit(f"ExpectationError: a row is not as expected: {describe(rules[number])}")
            good = good.where(f.when(right, True).otherwise(f.raise_error(told).cast("boolean")))
    leaving = [number for number in conditions if leaves(rules[number])]
    good = good.where(all_of(conditions, leaving)) if leaving else good
    results = [_result(rule, None, 0, None) for rule in rules]
    return Checked(good, {}, results, None, None)


def failed(results: Sequence[Result]) -> None:
    """Fail if a rule of severity `fail` is broken.

    Raises:
        ExpectationError: Names every such rule, and how many rows break it. No value of a row is in it.
    """
    told = [result["told"] for result in results if result["severity"] == "fail" and not result["passed"]]
    if told:
        raise ExpectationError("; ".join(told))


def _repeated(df: DataFrame, rule: Rule) -> int:
    """How many rows are the same as another one in these columns. A null is not the same as another."""
    from pyspark.sql import functions as f

    keys = [f.col(column_name(name)) for name in rule.column]
    there = reduce(lambda one, other: one & other, [key.isNotNull() for key in keys])
    groups = df.where(there).groupBy(*keys).agg(f.count(f.lit(1)).alias("_times")).where("_times > 1")
    return int(groups.agg(f.sum("_times")).collect()[0][0] or 0)


def _result(rule: Rule, rows: int | None, wrong: int | None, age: int | None) -> Result:
    said = describe(rule)
    if rule.rule == "row_count":
        passed = (rule.min is None or (rows or 0) >= rule.min) and (rule.max is None or (rows or 0) <= rule.max)
        told = f"there are {rows:,} rows, and {said}"
    elif rule.rule == "freshness":
        # Without rows nothing is fresh.
        passed = age is not None and age <= (rule.max_age or 0)
        told = f"{said}: {'there is none' if age is None else f'it is {age:,} s old'}"
    else:
        passed = not wrong
        told = f"{wrong or 0:,} of {rows or 0:,} rows are not as expected: {said}"
    return {
        "rule": rule.rule, "said": said, "severity": rule.severity, "passed": passed, "rows": rows, "wrong_rows": wrong,
        "told": told,
    }  # fmt: skip


def _aside(
    marked: DataFrame, rules: Sequence[Rule], conditions: Mapping[int, Column], names: Sequence[Column]
) -> dict[str, DataFrame]:
    from pyspark.sql import functions as f

    found = {}
    for path in dict.fromkeys(rule.severity for rule in rules if rule.severity.startswith(QUARANTINE)):
        numbers = [number for number in conditions if rules[number].severity == path]
        broken = f.array_compact(f.array(*[f.when(~conditions[one], f.lit(describe(rules[one]))) for one in numbers]))
        rows = marked.where(~all_of(conditions, numbers)).select(*names, broken.alias("_broken"))
        found[path.removeprefix(QUARANTINE)] = rows
    return found
