"""Writing to nginx, which limits rate, concurrency and size: every row is accepted once, by nginx's own log."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from pyspark.sql import DataFrame, SparkSession
from tests.rest.conftest import numbered
from tests.servers.nginx import bodies
from tests.servers.process import Server

ROWS = 300
T = TypeVar("T")


def write_to(url: str, df: DataFrame, **options: object) -> None:
    given = {name.replace("__", "."): str(value) for name, value in options.items()}
    df.write.format("rest").mode("append").options(**given).save(url)


def written_down(lines: Callable[[], list[T]], count: int) -> list[T]:
    """What stands in a log once there is so much; nginx writes a line a moment after it has answered."""
    deadline = time.monotonic() + 60
    while len(found := lines()) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def answers_to(server: Server, path: str, df: DataFrame, accepted: int, **options: object) -> dict[int, Counter[str]]:
    """By status, how often nginx gave it to which row, after the write of a DataFrame to a path."""
    before = len(server.answers())
    write_to(f"{server.url}{path}?id={{id}}", df, **options)
    found: dict[int, Counter[str]] = {}
    good = written_down(lambda: [one for one in server.answers()[before:] if one.startswith(f"{accepted} ")], ROWS)
    assert len(good) == ROWS
    for line in server.answers()[before:]:
        status, _, target = line.split()
        found.setdefault(int(status), Counter())[target.partition("?id=")[2]] += 1
    return found


def each_row_once(rows: Counter[str]) -> bool:
    return rows == Counter(str(row) for row in range(ROWS))


def test_every_row_arrives_once_beyond_a_limit_of_requests_a_second(spark: SparkSession, nginx: Server) -> None:
    answers = answers_to(nginx, "/limited", numbered(spark, ROWS), accepted=204)
    assert answers.keys() == {204, 429}
    assert each_row_once(answers[204])
    # nginx answers within a millisecond, so that one request at a time is too many already: what keeps the refusals
    # below the rows is that the task waits after each.
    assert answers[429].total() < ROWS


def test_a_rate_limit_as_high_as_the_servers_meets_no_refusal(spark: SparkSession, nginx: Server) -> None:
    # What is in flight when nginx stalls comes at once: no more than its burst.
    pace = {"rateLimit": "200/s", "rateLimitTasks": 2, "concurrency": 4}
    answers = answers_to(nginx, "/limited", numbered(spark, ROWS), accepted=204, **pace)
    assert answers.keys() == {204}
    assert each_row_once(answers[204])


def test_adaptive_concurrency_settles_below_a_limit_of_open_requests(spark: SparkSession, nginx: Server) -> None:
    answers = answers_to(nginx, "/busy", numbered(spark, ROWS), accepted=200)
    assert each_row_once(answers[200])
    # It has to try more in order to learn that eight are the most.
    assert 0 < answers.get(503, Counter()).total() < ROWS / 5


def small(server: Server, df: DataFrame, **options: object) -> list[tuple[int, str]]:
    """What `/small` was sent, with its answers, by the write of 1,000 rows."""
    before = len(bodies(server))
    write_to(f"{server.url}/small", df, batch__rows=200, **options)
    written_down(lambda: accepted_ids(bodies(server)[before:]), 1000)
    return bodies(server)[before:]


def accepted_ids(sent: list[tuple[int, str]]) -> list[int]:
    return [row["id"] for status, body in sent if status == 204 for row in json.loads(body)]


def test_batches_that_are_too_large_are_halved_and_those_after_them_are_made_smaller(
    spark: SparkSession, nginx: Server
) -> None:
    sent = small(nginx, spark.range(0, 1000, 1, 1), concurrency=1)
    assert sorted(accepted_ids(sent)) == list(range(1000))
    # 1,024 bytes hold about a hundred of these rows, of 10 bytes or so each: a batch of 200 is halved, perhaps twice.
    assert 1 <= sum(status == 413 for status, _ in sent) <= 3
    assert {status for status, _ in sent} == {204, 413}


def test_halves_of_a_batch_keep_the_order_of_rows_with_one_key(spark: SparkSession, nginx: Server) -> None:
    sent = small(nginx, spark.range(0, 1000, 1, 1).selectExpr("id", "'all' AS key"), keyColumns="key")
    assert accepted_ids(sent) == list(range(1000))
    assert sum(status == 413 for status, _ in sent) > 1
