"""`trunkline demo --pipeline`: one pipeline for each way an API asks who is there, and what the API saw of each.

The files that are shown are the files that run; they stand in `auth_pipelines`, beside this module.
"""

from __future__ import annotations

import base64
import secrets
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs

from trunkline.demo.screen import Screen
from trunkline.demo.surroundings import check, local_spark, stage
from trunkline.testing import FaultServer

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from trunkline.pipelines import Pipeline, Report

PIPELINES = ("none", "basic", "bearer", "oauth2_password", "oauth2_client_credentials")
FOLDER = Path(__file__).with_name("auth_pipelines")
# As the files have them.
_USER, _CLIENT = "loader", "trunkline"
_CREDENTIALS = ("API_PASSWORD", "API_TOKEN", "API_CLIENT_SECRET")
_ROWS = 100
# The one whose file is shown whole.
_SHOWN = "oauth2_client_credentials"


class Seen(NamedTuple):
    """What the server saw of a pipeline.

    Attributes:
        asked: How often each customer was asked for.
        refused: Requests answered with 401.
        schemes: Of their `Authorization`; "-" where there was none.
        grants: The grant of each token that was asked for.
    """

    asked: Counter[int]
    refused: int
    schemes: set[str]
    grants: list[str]


def run() -> int:
    """Run the five pipelines, and tell of them on standard output.

    Returns:
        The exit code: 0, or 1 when a row was not asked for exactly once, or an answer is missing or wrong.

    Raises:
        TrunklineError: There is no Spark 4, or no Java to run it on, or the extra `pipelines` is missing; says what to
            install.
    """
    from trunkline.pipelines import read_pipeline

    version = check()
    pipelines = [read_pipeline(str(FOLDER / f"{name}.yaml")) for name in PIPELINES]
    credentials = {name: secrets.token_urlsafe(24) for name in _CREDENTIALS}
    with stage(**credentials) as (screen, server, folder):
        serve(server, credentials)
        return _tell(screen, server, folder, version, pipelines)


def serve(server: FaultServer, credentials: Mapping[str, str], rows: int = _ROWS) -> None:
    """Declare an API for each pipeline: a customer under an address, behind the door that the pipeline opens."""
    password, secret = credentials["API_PASSWORD"], credentials["API_CLIENT_SECRET"]
    basic = base64.b64encode(f"{_USER}:{password}".encode()).decode()
    doors: dict[str, list[dict[str, Any]]] = {
        "none": [],
        "basic": [{"unless": {"header": {"Authorization": f"Basic {basic}"}}, "status": 401}],
        "bearer": [{"bearer": [credentials["API_TOKEN"]]}],
        "oauth2_password": [{"bearer": "/oauth2_password/token"}],
        "oauth2_client_credentials": [{"bearer": "/oauth2_client_credentials/token"}],
    }
    server.oauth("/oauth2_password/token", clients={_CLIENT: secret}, users={_USER: password})
    server.oauth("/oauth2_client_credentials/token", clients={_CLIENT: secret})
    for name, door in doors.items():
        for customer in range(1, rows + 1):
            server.route(f"GET /{name}/customers/{customer}", [*door, {"body": _answer(customer)}])


def make_source(spark: SparkSession, root: str, rows: int = _ROWS) -> None:
    """Write the table of customers that each pipeline reads, in two partitions."""
    spark.range(1, rows + 1, 1, 2).withColumnRenamed("id", "customer_id").write.parquet(f"{root}/customers")


def run_one(spark: SparkSession, name: str, root: str, api: str) -> Report:
    """Run a pipeline.

    Raises:
        PipelineError: It failed.
    """
    from trunkline.pipelines import run_pipeline

    given = {"vars.root": root, "vars.api": api}
    return run_pipeline(spark, str(FOLDER / f"{name}.yaml"), overrides=given, runs=f"{root}/runs")


def seen(server: FaultServer, name: str) -> Seen:
    """Read the server's own account."""
    asked: Counter[int] = Counter()
    found = Seen(asked, server.count(f"POST /{name}/token", status=401), set(), [])
    refused = 0
    for one in server.ledger(method="GET"):
        start, _, customer = one.path.rpartition("/")
        if start != f"/{name}/customers":
            continue
        asked[int(customer)] += 1
        refused += one.status == 401
        found.schemes.add(one.headers.get("authorization", "-").partition(" ")[0])
    for one in server.ledger(f"POST /{name}/token"):
        found.grants.extend(parse_qs(one.content.decode()).get("grant_type", []))
    return found._replace(refused=found.refused + refused)


def problems(name: str, found: Seen, answers: list[tuple[int, str, int]], rows: int = _ROWS) -> list[str]:
    """What is not as it must be: each customer asked for once, and its answer kept once.

    Args:
        name: Of the pipeline.
        found: What the server saw.
        answers: The rows in the table of answers: customer, tier, score.
        rows: How many customers there are.

    Returns:
        Sentences; none when all is well.
    """
    told = []
    once = sum(1 for customer in range(1, rows + 1) if found.asked[customer] == 1)
    if once != rows or found.asked.total() != rows:
        told.append(f"{name}: {once:,} of {rows:,} rows were asked for once, in {found.asked.total():,} requests")
    right = [(customer, *_answer(customer).values()) for customer in range(1, rows + 1)]
    if sorted(answers) != right:
        kept = len(set(answers) & set(right))
        told.append(f"{name}: {kept:,} of {rows:,} answers are in the table, which has {len(answers):,} rows")
    if found.refused:
        told.append(f"{name}: {found.refused:,} requests were refused (401)")
    return told


def kept(spark: SparkSession, name: str, root: str) -> list[tuple[int, str, int]]:
    """What a pipeline wrote: customer, tier, score."""
    table = spark.read.parquet(f"{root}/answers/{name}")
    rows = table.selectExpr("customer_id", "response.response_body.tier", "response.response_body.score").collect()
    return [(row.customer_id, row.tier, row.score) for row in rows]


def conclude(screen: Screen, saw: Sequence[Sequence[str]], wrong: Sequence[str], folder: Path, began: float) -> int:
    """Show the server's account and the verdict.

    Args:
        screen: Where to.
        saw: The account, with its headings.
        wrong: What `problems` found.
        folder: What stays.
        began: When, of `time.monotonic()`.

    Returns:
        The exit code.
    """
    from trunkline.pipelines.report import aligned

    screen.heading("4  What the API saw")
    screen.lines(*aligned(saw))
    if wrong:
        screen.heading("That is not each row once: please report it, with the folder below.")
        screen.lines(*wrong, str(folder))
        return 1
    took = time.monotonic() - began
    screen.heading(f"Five pipelines, each row asked for once and each answer kept once, in {took:.0f} seconds.")
    screen.say("All of it stays for you to look at, and so do the five files:")
    log, file = folder / "responses" / _SHOWN, FOLDER / f"{_SHOWN}.yaml"
    screen.lines(f"ls {folder}", f"trunkline log show {log}", f"trunkline validate {file}")
    return 0


def _answer(customer: int) -> dict[str, Any]:
    return {"tier": ("bronze", "silver", "gold")[customer % 3], "score": customer * 37 % 101}


def _auth(pipeline: Pipeline) -> list[tuple[str, str]]:
    """Its group `auth`, a line for each key, and its name before the first."""
    [asked] = [step.request for step in pipeline.steps if step.request is not None]
    lines = [f"{key}: {value}" for key, value in asked.options["auth"].items()]
    return [(pipeline.name if line == lines[0] else "", line) for line in lines]


def _tell(screen: Screen, server: FaultServer, folder: Path, version: str, pipelines: Sequence[Pipeline]) -> int:
    from trunkline.pipelines.report import aligned

    began = time.monotonic()
    root = str(folder)
    screen.heading("Trunkline: five pipelines, five ways in which an API asks who is there.")
    screen.say(
        f"The API, with its OAuth2 endpoints, runs at {server.url}. Each row of a table of {_ROWS:,} customers becomes "
        "a request, each answer a row of another table. A pipeline is a file, and credentials are names in it."
    )
    screen.heading("1  The files")
    screen.code((FOLDER / f"{_SHOWN}.yaml").read_text(encoding="utf-8"))
    screen.say("The other four have another name and another auth:")
    screen.lines("", *aligned([row for one in pipelines if one.name != _SHOWN for row in _auth(one)]))

    wrong: list[str] = []
    saw = [("PIPELINE", "REQUESTS", "ROWS ASKED ONCE", "REFUSED", "AUTHORIZATION", "TOKENS")]
    screen.heading("2  Run them")
    screen.wait(f"Spark {version} starts ...")
    with local_spark(folder / "scratch") as spark:
        screen.move(f"Spark {version} runs after {time.monotonic() - began:.1f} s, on two cores.", last=True)
        make_source(spark, root)
        for name in PIPELINES:
            screen.wait(f"{name} ...")
            report = run_one(spark, name, root, server.url)
            screen.move("", last=True)
            screen.lines(*report.table().splitlines())
            found = seen(server, name)
            wrong += problems(name, found, kept(spark, name, root))
            once = sum(1 for times in found.asked.values() if times == 1)
            grants = ", ".join(f"{times} by {grant}" for grant, times in Counter(found.grants).items())
            numbers = (f"{found.asked.total():,}", f"{once:,}", f"{found.refused:,}")
            saw.append((name, *numbers, " ".join(sorted(found.schemes)), grants or "-"))

        screen.heading("3  What they wrote")
        screen.say(f"Each answer is a row with its status, its tries and its times; here of {_SHOWN}:")
        screen.lines("", *_first_rows(spark, f"{root}/answers/{_SHOWN}"))

    return conclude(screen, saw, wrong, folder, began)


def _first_rows(spark: SparkSession, path: str) -> list[str]:
    from trunkline.pipelines.report import aligned

    shown = spark.read.parquet(path).selectExpr(
        "customer_id",
        "response.response_body.tier",
        "response.response_body.score",
        "response.status_code",
        "response.outcome",
        "response.attempts",
    )
    rows = shown.orderBy("customer_id").limit(3).collect()
    return aligned([shown.columns, *([str(value) for value in row] for row in rows)])
