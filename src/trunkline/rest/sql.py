"""`request()` from SQL: the table function `rest_request`, which `trunkline.register` makes known.

    SELECT id, response.response_body.name
    FROM rest_request(
        TABLE(users), options => map('url', 'https://api.example.com/users/{id}'), schema => 'name STRING'
    )

Spark plans it in `analyze`, once for each time that the statement is planned, on the driver: options are checked there,
credentials looked up, and the run gets its name. Each task makes an object of the class and gives it rows one by one.
Table functions over Arrow batches came with Spark 4.1, but have no `analyze`, without which the columns of the table
could not come out again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyspark.sql.types import MapType, StructType
from pyspark.sql.udtf import AnalyzeArgument, AnalyzeResult

from trunkline.errors import OptionError
from trunkline.loading import WithoutFrames, loaded

if TYPE_CHECKING:
    from trunkline.rest.asking import AskPlan

NAME = "rest_request"


@dataclass
class Analyzed(AnalyzeResult):
    """What `analyze` tells Spark, and the tasks through it.

    Attributes:
        plan: Of the request.
        rows: The columns of the table.
    """

    plan: AskPlan | None = field(default=None, repr=False)
    rows: StructType = field(default_factory=StructType)


class RestRequest:
    """The table function, as Spark calls it: `rest_request(rows TABLE, options MAP<STRING, STRING>, schema STRING)`.

    Args:
        analyzed: What `analyze` gave.
    """

    def __init__(self, analyzed: Analyzed) -> None:
        self._asking = loaded("rest.asking_rows").AskingRows(analyzed.plan, analyzed.rows, analyzed.schema)

    @staticmethod
    def analyze(rows: AnalyzeArgument, options: AnalyzeArgument, schema: AnalyzeArgument | None = None) -> Analyzed:
        """Check everything, and name the columns that come out.

        Args:
            rows: A table: each row becomes a request.
            options: Those of `request()`; credentials as references only, because statements are kept in clear.
            schema: What accepted bodies are parsed into, as DDL.

        Raises:
            OptionError: Arguments, options, columns or schema are wrong; nothing has been sent.
        """
        with WithoutFrames():
            return _analyzed(rows, options, schema)

    def eval(self, rows: Any, options: Any = None, schema: Any = None) -> Iterable[tuple[Any, ...]] | None:
        """Take a row in; give those that are answered by now, whichever they are."""
        answered: Iterable[tuple[Any, ...]] | None = self._asking.give(rows)
        return answered

    def terminate(self) -> Iterator[tuple[Any, ...]]:
        """Give all rows that did not come out before."""
        yield from self._asking.rest()

    def cleanup(self) -> None:
        """Ask no more; where all rows came out there is nothing left to end."""
        self._asking.stop()


def _analyzed(rows: AnalyzeArgument, options: AnalyzeArgument, schema: AnalyzeArgument | None) -> Analyzed:
    if not rows.isTable or not isinstance(rows.dataType, StructType):
        raise OptionError(f"{NAME}: the first argument is a table: {NAME}(TABLE(users), options => map(...))")
    parsed = loaded("rest.options").request_options(_given(options))
    literals = parsed.literals()
    if literals:
        raise OptionError(
            f"{NAME}: {', '.join(literals)}: a statement is kept in clear, in the query history and the event log, and "
            "a credential must not stand in it: give a reference instead, env:NAME, file:/path or databricks:scope/key"
        )
    plan, out = loaded("rest.ask").plan_of(rows.dataType, parsed.resolved(), _body(schema), streaming=False)
    return Analyzed(out, plan=plan, rows=rows.dataType)


def _given(options: AnalyzeArgument) -> dict[str, str]:
    """The options, which must be known when the query is planned.

    Raises:
        OptionError: They are not, or are no map, or some are null.
    """
    if not isinstance(options.dataType, MapType) or options.value is None:
        raise OptionError(f"{NAME}: options must be a constant map of strings: options => map('url', 'https://...')")
    nulls = sorted(str(name) for name, value in options.value.items() if value is None)
    if nulls:
        raise OptionError(f"{NAME}: {', '.join(nulls)}: is null: give a value or leave it out")
    return {str(name): str(value) for name, value in options.value.items()}


def _body(schema: AnalyzeArgument | None) -> Any:
    """The type of bodies, None for a string; read here, because the process that plans has no Spark to ask.

    Raises:
        OptionError: It is no constant string, or no DDL.
    """
    if schema is None or (schema.isConstantExpression and schema.value is None):
        return None
    if not isinstance(schema.value, str):
        raise OptionError(f"{NAME}: schema must be a constant string: schema => 'name STRING, age INT'")
    try:
        return loaded("rest.ddl").parse_ddl(schema.value)
    except ValueError as error:
        raise OptionError(f"{NAME}: the schema {schema.value!r} cannot be read: {error}") from None
