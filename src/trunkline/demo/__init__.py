"""`trunkline demo`: 5,210 airports go from Spark to an API that is having a bad day, each exactly once, and back.

The code that is shown is the code that runs.
"""

from __future__ import annotations

import secrets
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trunkline.demo.api import CLIENT, PAGES, TOKEN_SECONDS, Ledger, Progress, bad_day, ledger, serve
from trunkline.demo.screen import Screen
from trunkline.demo.surroundings import check, local_spark, stage
from trunkline.testing import FaultServer

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_DATA = Path(__file__).with_name("airports.csv")
# A busy machine needs a while for two micro-batches.
_PATIENCE = 30.0
_SECRET = "DEMO_SECRET"  # noqa: S105 - the name of a variable, not what it holds

_READ = """
airports = spark.read.csv(data, header=True, inferSchema=True)
"""
_WRITE = f"""
access = {{
    "url": f"{{api}}/airports",
    "auth.type": "oauth2",
    "auth.tokenUrl": f"{{api}}/token",
    "auth.clientId": "{CLIENT}",
    "auth.clientSecret": "env:{_SECRET}",
}}
delivery = {{
    **access,
    "rateLimit": "500/s",
    "rateLimitTasks": 2,
    "idempotency.header": "Idempotency-Key",
    "onError": "deadLetter",
    "responses": responses,
}}
df = airports.repartition(2)
df.write.format("rest").mode("append").options(**delivery).save()
"""
_LOOK = """
log = spark.read.parquet(responses)
tries = log.where("outcome = 'accepted'").groupBy("attempts").count()
refused = rejected(spark, responses)  # the rows as they were, and why
"""
_MEND = """
cities = "map('RODN', 'Okinawa', 'UAIT', 'Turkistan', 'VCRI', 'Mattala')"
city = expr(f"{cities}[ident]")
mended = refused.drop("response").withColumn("municipality", city)
mended.write.format("rest").mode("append").options(**delivery).save()
"""
_READ_BACK = """
pages = {
    **access,
    "pagination": "offset",
    "page.size": 500,
    "page.sizeParam": "limit",
    "page.totalField": "total",
}
reader = spark.read.format("rest").schema(airports.schema)
held = reader.options(**pages, numPartitions=4).load()
missing = airports.join(held, "ident", "left_anti").count()
"""
_FOLLOW = """
stream = spark.readStream.format("rest").schema("ident STRING, name STRING")
new = stream.options(**pages, pollInterval="1s").load()
query = new.writeStream.format("memory").queryName("seen").start()
query.processAllAvailable()
"""
# What opens while the stream runs.
_OPENED = [{"ident": "XX01", "name": "Demo Field"}, {"ident": "XX02", "name": "Second Runway"}]


def run() -> int:
    """Tell the story on standard output.

    Returns:
        The exit code: 0, or 1 when the server does not hold each row exactly once.

    Raises:
        TrunklineError: There is no Spark 4, or no Java to run it on; says what to install.
    """
    version = check()
    secret = secrets.token_urlsafe(24)
    with stage(**{_SECRET: secret}) as (screen, server, folder):
        bad_day(server, secret)
        return _tell(screen, server, folder, version)


def _tell(screen: Screen, server: FaultServer, folder: Path, version: str) -> int:
    began = time.monotonic()
    responses = str(folder / "responses")
    screen.heading("Trunkline: from Spark to a REST API that is having a bad day, each row exactly once.")
    screen.say(
        f"The API runs at {server.url}. Its tokens expire after {TOKEN_SECONDS} seconds; it asks for a pause (429), "
        "fails now and then (503), sometimes keeps a row and loses the answer, and refuses incomplete airports (422)."
    )
    screen.wait(f"Spark {version} starts ...")
    with local_spark(folder / "scratch") as spark:
        from pyspark.sql.functions import expr

        import trunkline
        from trunkline.rest import rejected, summary

        trunkline.register(spark)
        names: dict[str, Any] = {
            "api": server.url, "data": str(_DATA), "responses": responses,
            "spark": spark, "expr": expr, "rejected": rejected,
        }  # fmt: skip
        screen.move(f"Spark {version} runs after {time.monotonic() - began:.1f} s, on two cores.", last=True)

        screen.heading("1  Write a table to the API")
        screen.code(_READ.strip() + "\n" + _WRITE.strip())
        _do(_READ, names)
        rows = names["airports"].count()
        with Progress(screen, server, rows):
            _do(_WRITE, names)
        told = summary(responses)[-1]
        screen.say(
            f"{told['rows']:,} rows: {told['accepted']:,} accepted, {told['rejected']:,} refused. "
            f"{told['requests']:,} requests, {told['retries']:,} of them another try."
        )

        screen.heading("2  Ask the response log what happened")
        screen.code(_LOOK)
        _do(_LOOK, names)
        for attempts, count in names["tries"].orderBy("attempts").collect():
            screen.lines(f"{count:>7,} rows accepted at the {_ordinal(attempts)} try")
        for row in names["refused"].orderBy("ident").collect():
            screen.lines(f"{row.response.status_code:>7} {row.ident}  {row.name}: {row.response.response_body}")

        screen.heading("3  Mend the refused rows and send only these")
        screen.code(_MEND)
        _do(_MEND, names)
        told = summary(responses)[-1]
        screen.say(f"{told['rows']:,} rows: {told['accepted']:,} accepted.")
        seen = ledger(server)

        screen.heading("4  Read back what the API holds, in parallel")
        serve(server)
        screen.code(_READ_BACK)
        _do(_READ_BACK, names)
        screen.say(
            f"{names['held'].count():,} rows in {server.count(PAGES):,} pages of 300 at most, though 500 were asked "
            f"for: the server has a cap. {names['missing']:,} missing."
        )

        screen.heading("5  Follow what is new")
        screen.code(_FOLLOW)
        _do(_FOLLOW, names)
        before = spark.table("seen").count()
        server.add_rows("/airports", _OPENED)
        _wait_for_rows(spark, before + len(_OPENED))
        screen.say(f"{before:,} rows to begin with. Then the API gets two more, and the stream has them:")
        for row in spark.table("seen").where("ident LIKE 'XX%'").orderBy("ident").collect():
            screen.lines(f"{row.ident:>7}  {row.name}")
        names["query"].stop()
    return _conclude(screen, seen, rows, responses, folder, began)


def _conclude(screen: Screen, seen: Ledger, rows: int, responses: str, folder: Path, began: float) -> int:
    screen.heading("6  Count what the API holds")
    once = seen.rows == seen.airports == rows
    screen.say(f"Its own ledger: {seen.rows:,} rows, {seen.airports:,} different airports; the table has {rows:,}.")
    screen.lines(
        f"{seen.slowed:>7,} requests told to come back later (429): they waited as told",
        f"{seen.failed:>7,} met an error (503): tried again after growing pauses",
        f"{seen.lost:>7,} rows kept, answer lost: sent again, same key, kept once",
        f"{seen.tokens:>7,} tokens fetched, each before the last one expired",
    )
    took = time.monotonic() - began
    if not once:
        screen.heading("That is not each row exactly once: please report it, with the folder below.")
        screen.say(str(folder))
        return 1
    screen.heading(f"Each row exactly once, in {took:.0f} seconds.")
    screen.say("The response log stays for you to look at, and so does what Spark itself had to say:")
    screen.lines(f"trunkline log show {responses}", f"less {folder / 'spark.log'}")
    return 0


def _wait_for_rows(spark: SparkSession, count: int) -> None:
    """Until the stream has seen so many, or half a minute has gone."""
    until = time.monotonic() + _PATIENCE
    while spark.table("seen").count() < count and time.monotonic() < until:
        time.sleep(0.1)


def _do(code: str, names: dict[str, Any]) -> None:
    exec(textwrap.dedent(code), names)  # noqa: S102 - the very code that is shown, so that it cannot be wrong


def _ordinal(number: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")
