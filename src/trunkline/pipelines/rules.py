"""A rule as a condition of Spark's, and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import reduce
from typing import TYPE_CHECKING, Any

from trunkline.pipelines.config import Rule
from trunkline.pipelines.step_checks import RULES

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def describe(rule: Rule) -> str:
    """A rule in a few words."""
    column = ", ".join(rule.column)
    bounds = " and ".join(
        f"{word} {value}" for word, value in (("at least", rule.min), ("at most", rule.max)) if value is not None
    )
    return {
        "not_null": f"{column} is not null",
        "unique": f"{column} is unique",
        "one_of": f"{column} is one of {len(rule.values)} values",
        "between": f"{column} is {bounds}",
        "matches": f"{column} matches {rule.pattern}",
        "length": f"the length of {column} is {bounds}",
        "row_count": f"the number of rows is {bounds}",
        "freshness": f"the newest {column} is at most {rule.max_age or 0:g} s old",
        "condition": f"{rule.condition}",
        "references": f"{column} is in {rule.step}",
    }[rule.rule]


def leaves(rule: Rule) -> bool:
    """Whether wrong rows do not go on: they are dropped or put aside."""
    return rule.severity not in {"fail", "warn"}


def conditions_of(
    df: DataFrame, rules: Sequence[Rule], others: Mapping[str, DataFrame]
) -> tuple[DataFrame, dict[int, Column]]:
    """The rows, with a mark for each rule that looks into other rows, and what is true of a right row."""
    from pyspark.sql import functions as f

    conditions: dict[int, Column] = {}
    for number, rule in enumerate(rules):
        if not RULES[rule.rule].by_row:
            continue
        if rule.rule == "references":
            mark = f"_trunkline_found_{number}"
            theirs = column_name(rule.step_column or rule.column[0])
            known = others[rule.step or ""].select(f.col(theirs).alias(f"{mark}_value")).distinct()
            known = known.withColumn(mark, f.lit(True))
            df = df.join(known, f.col(column_name(rule.column[0])) == f.col(f"{mark}_value"), "left")
            right = f.col(column_name(rule.column[0])).isNull() | f.col(mark).isNotNull()
        else:
            right = _right(rule)
        conditions[number] = right
    return df, conditions


def _right(rule: Rule) -> Column:
    from pyspark.sql import functions as f

    if rule.rule == "condition":
        return f.coalesce(f.expr(f"({rule.condition})").cast("boolean"), f.lit(False))
    column = f.col(column_name(rule.column[0]))
    if rule.rule == "not_null":
        return column.isNotNull()
    if rule.rule == "one_of":
        right = column.isin(*rule.values)
    elif rule.rule == "matches":
        right = column.rlike(rf"\A(?:{rule.pattern})\z")
    else:
        measured = f.length(column) if rule.rule == "length" else column
        right = f.lit(True)
        if rule.min is not None:
            right = right & (measured >= _literal(rule.min))
        if rule.max is not None:
            right = right & (measured <= _literal(rule.max))
    # Null is right, and so is what cannot be compared with it.
    return f.coalesce(right, f.lit(True))


def _literal(value: Any) -> Any:
    return value if isinstance(value, (int, float, str, date, datetime)) else str(value)


def all_of(conditions: Mapping[int, Column], numbers: Sequence[int]) -> Column:
    """That all these conditions are true."""
    from pyspark.sql import functions as f

    return reduce(lambda one, other: one & other, [conditions[number] for number in numbers], f.lit(True))


def column_name(name: str) -> str:
    """A column's name. A dot is that of a field; a name with a space needs backquotes."""
    return name if "`" in name or all(part.isidentifier() for part in name.split(".")) else f"`{name}`"
