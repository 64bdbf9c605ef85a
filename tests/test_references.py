"""What the documentation says is so: its snippets run, its samples are what the wire has, its tables are generated.

Every ```python and ```sql block of a page runs, in order and in one namespace per page, against a fault server. A page
starts with `spark` and the `df` of `FRAMES`. So that pages can show addresses and paths as users write them, these are
exchanged before a block runs: `https://api.example.com` for the server, whose routes stand in `ROUTES`, `/data` and
`/run/secrets` for temporary folders, `examples/doors.py` for a copy that reads its key there. README.md needs none of
this: it runs as it stands.

A ```text block right after one that prints is what it must print. An ```http request right after one is what the
server must have got; without `HTTP/1.1` it is a dialogue of requests and, indented, their answers, and there must have
been no others. A ```python block that begins with `.option` is put into the read of the dialogue after it.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import io
import json
import re
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_type
from pyspark.sql.types import IntegerType, StructField, StructType, _parse_datatype_string
from scripts.generate_docs import outdated
from tests.rest.conftest import read_here

import trunkline
from trunkline.errors import OptionError, TrunklineError
from trunkline.jobs.options import TABLE as JOBS
from trunkline.options import Option
from trunkline.responses import SCHEMA
from trunkline.rest.options import TABLE
from trunkline.rest.source import RestDataSource
from trunkline.testing import FaultServer

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "skill.md", *sorted((ROOT / "references").glob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
WITH_SNIPPETS = [
    page for page in PAGES if re.search(r"^```(python|sql)$", page.read_text(encoding="utf-8"), re.MULTILINE)
]
API = "https://api.example.com"

FRAMES = {
    "rest.md": "SELECT id, name, concat(lower(name), '@example.com') AS email, 'core' AS team"
    " FROM VALUES (1, 'Ann'), (2, 'Bob'), (3, 'Eve'), (4, 'Joe') AS t (id, name)",
    "authentication-patterns.md": "SELECT 1 AS id, 'Ann' AS name",
    "enrichment.md": "SELECT * FROM VALUES (101, 1), (102, 2), (103, 3), (104, 1) AS t (order_id, company)",
    "delivery.md": "SELECT id, name, TIMESTAMP'2026-11-21 08:00:00' AS updated_at"
    " FROM VALUES (1, 'Ann'), (2, 'Bob') AS t (id, name)",
    "middleware.md": "SELECT * FROM VALUES (1, 'Ann', false), (2, 'Bob', true) AS t (id, name, deleted)",
}
ROUTES: dict[str, list[dict[str, Any]]] = {
    "POST /users": [{"status": 201}],
    "* /users/{id}": [{"status": 200}],
    "POST /users/batch": [
        {"each": [{"when": {"json": {"id": 2}}, "status": 409, "error": {"message": "exists"}}], "wrap": "items"}
    ],
    "GET /companies/{id}": [
        {"when": {"path": "/1"}, "body": {"name": "Acme", "founded": "1999-05-01"}},
        {"when": {"path": "/2"}, "status": 404, "body": {"error": "unknown company"}},
        {"body": {"name": "Initech", "founded": "unknown"}},
    ],
    "POST /scores": [
        {"body": {"items": [{"order_id": number, "score": number / 200} for number in (104, 103, 102, 101)]}},
    ],
    "POST /signups": [
        {"when": {"json": {"id": 3}}, "status": 422, "body": {"error": "name is taken"}},
        {"status": 201},
    ],
    "POST /legacy": [
        {"when": {"json": {"id": 1}}, "times": 1, "body": {"ok": False, "code": "busy"}},
        {"when": {"json": {"id": 2}}, "body": {"ok": False, "code": "name is taken"}},
        {"body": {"ok": True}},
    ],
}


def only(condition: dict[str, Any]) -> dict[str, Any]:
    """Rows for requests of which this holds."""
    return {"rows": THREE, "paging": "none", "steps": [{"unless": condition, "status": 401}]}


# What is read: by the route, the arguments of `FaultServer.dataset`.
THREE = [{"id": 1}, {"id": 2}, {"id": 3}]
PEOPLE = [
    {"id": 1, "name": "Ann", "joined": "2025-03-01", "address": {"city": "Bonn"}},
    {"id": 2, "name": "Bob", "joined": "2025-07-15", "address": {"city": "Lyon"}},
    {"id": 3, "name": "Eve", "joined": "2026-01-02", "address": {"city": "Graz"}},
]
NUMBERED = {
    "count": 1000,
    "template": {"id": {"times": 1, "plus": 1}, "at": {"time": "2026-01-01T00:00:00Z", "every": 3600}},
}
DATASETS: dict[str, dict[str, Any]] = {
    "GET /users": {"rows": PEOPLE, "paging": "nextUrl", "size": 2, "next_form": "path"},
    "GET /countries": {"rows": THREE, "paging": "none", "records": ""},
    "GET /orders": {"rows": THREE, "paging": "offset", "cap": 2, "total": True},
    "GET /products": {"rows": THREE, "paging": "page", "total": "header", "records": "data"},
    "GET /companies/{id}/orders": {"rows": THREE, "paging": "cursor", "size": 2},
    "GET /events": {"rows": THREE, "paging": "cursor", "size": 2, "records": "data", "next_field": "meta.next"},
    "POST /graphql": {
        "rows": THREE, "paging": "cursor", "size": 2, "params_in": "body", "cursor_param": "variables.after",
        "records": "data.users.nodes", "next_field": "data.users.pageInfo.endCursor", "next_missing": "token",
        "has_more": "data.users.pageInfo.hasNextPage",
    },
    "GET /documents": {
        "rows": THREE, "paging": "headerCursor", "size": 2, "params_in": "header", "cursor_param": "x-ms-continuation",
        "next_header": "x-ms-continuation", "records": "Documents",
    },
    "GET /issues": {"rows": THREE, "paging": "link", "size": 2, "records": ""},
    "GET /invoices": {
        "rows": THREE, "paging": "nextUrl", "size": 2, "records": "value", "next_field": ["@odata.nextLink"],
        "next_missing": "absent",
    },
    "GET /trades": {"rows": THREE, "paging": "lastRecord", "size": 2, "records": ""},
    "GET /readings": {**NUMBERED, "size": 100, "total": True, "filters": {
        "from": ["at", "ge"], "to": ["at", "lt"], "min_id": ["id", "ge"], "max_id": ["id", "le"],
        "since": ["at", "ge"], "until": ["at", "lt"], "after": ["id", "gt"],
    }},
    "GET /exports": {
        **NUMBERED, "size": 100, "filters": {"from": ["at", "ge"], "to": ["at", "lt"]}, "max_range_rows": 150,
    },
    "GET /log": {**NUMBERED, "size": 100},
    "GET /account": only({"header": {"Authorization": "Bearer api-token"}}),
    "GET /intranet": only({"header": {"Authorization": "Basic bG9hZGVyOmFwaS1wYXNzd29yZA=="}}),
    "GET /keyed": only({"header": {"X-Api-Key": "api-token"}}),
    "GET /metered": only({"query": {"api_key": "api-token"}}),
    "GET /session": only({"header": {"X-Session-Token": "api-token"}}),
    "GET /ledger": {**NUMBERED, "size": 100, "steps": [{"bearer": "/token"}]},
    "GET /shops/de/sales": {"rows": [{"id": 1, "amount": "9.50"}, {"id": 2, "amount": "12.00"}], "paging": "none"},
    "GET /shops/fr/sales": {"rows": [{"id": 3, "amount": "7.25"}], "paging": "none"},
    "GET /things": {"paging": "none", "records": "", "rows": [{
        "id": 9007199254740993, "price": "12.50", "at": "2026-01-02T03:04:05+01:00", "local": "2026-01-02 03:04",
        "day": "2026-01-02", "note": {"any": 1}, "tags": ["a", "b"], "props": {"k": 1}, "address": {"city": "Bonn"},
        "anything": [1, "two"],
    }]},
    "GET /prices": {"rows": [{"id": 1, "price": "12.50"}, {"id": 2, "price": "on request"}], "paging": "none"},
}  # fmt: skip


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str
    line: int


@pytest.fixture
def spark(spark_session: SparkSession) -> Iterator[SparkSession]:
    """The shared session, which keeps no setting of a page."""
    trunkline.register(spark_session)
    yield spark_session
    spark_session.conf.unset("spark.sql.execution.pyspark.udf.hideTraceback.enabled")


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Secrets and the module of doors: the same for all tests, because Spark takes a file of a name only once."""
    folder = tmp_path_factory.mktemp("fixed")
    (folder / "secrets").mkdir()
    for name in ("api-token", "signing-key", "api-password", "client-secret"):
        (folder / "secrets" / name).write_text(f"{name}\n")
    doors = (ROOT / "examples" / "doors.py").read_text(encoding="utf-8")
    (folder / "doors.py").write_text(doors.replace("/run/secrets/", f"{folder}/secrets/"))
    return folder


@pytest.fixture
def files(tmp_path: Path, fixed: Path, fault_server: FaultServer) -> Files:
    return Files(tmp_path, fixed, fault_server)


@pytest.mark.parametrize("page", WITH_SNIPPETS, ids=lambda page: page.name)
def test_every_snippet_runs_and_does_what_the_page_shows(
    page: Path,
    spark: SparkSession,
    fault_server: FaultServer,
    files: Files,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = blocks(page)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name, steps in ROUTES.items():
        fault_server.route(name, steps)
    for name, options in DATASETS.items():
        fault_server.dataset(name, **options)
    fault_server.oauth("/token", clients={"loader": "client-secret"}, max_uses=3)
    names: dict[str, Any] = {"spark": spark}
    if page.name in FRAMES:
        names["df"] = spark.sql(FRAMES[page.name])
        names["df"].write.parquet(f"{tmp_path}/data/incoming")
    (tmp_path / "data").mkdir(exist_ok=True)
    for name in ("orders", "users"):
        (tmp_path / "data" / f"{name}.csv").write_text("id\n1\n")
    for block, following in zip(found, [*found[1:], Block("", "", 0)], strict=True):
        where = f"{page.name}:{block.line}"
        before = len(fault_server.ledger())
        if block.language == "sql":
            for statement in filter(None, map(str.strip, files.real(block.text).split(";"))):
                spark.sql(statement)
        elif block.language == "python" and block.text.startswith("."):
            path = following.text.split()[1].partition("?")[0]
            read = f'spark.read.format("rest").schema("id INT"){block.text.rstrip()}.load("{API}{path}")'
            assert sorted(row.id for row in eval(files.real(read), names).collect()) == [1, 2, 3]
        elif block.language == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(files.real(block.text), where, "exec"), names)
            if re.search(r"\bprint\(|\.show\(", block.text):
                assert (where, following.language) == (where, "text")
                assert files.shown(printed.getvalue()).rstrip() == following.text.rstrip()
        if block.language in {"python", "sql"} and following.language == "http":
            sent = [(one.method, one.target, one.body.decode()) for one in fault_server.ledger()[before:]]
            check_wire(files.real(following.text), where, sent, fault_server)


def check_wire(text: str, where: str, sent: list[tuple[str, str, str]], server: FaultServer) -> None:
    """One request was among those sent; a dialogue was all that was, and the server answers as it says."""
    head, _, body = text.partition("\n\n")
    first, _ = head.split("\n", 1)
    if not first.endswith(" HTTP/1.1"):
        told = dialogue(text)
        assert (where, [(one.method, one.target, one.body) for one in told]) == (where, sent)
        assert [one.really(server.url) for one in told] == [(one.headers, one.answer) for one in told]
        return
    method, target, _ = first.split(" ")
    matching = [one for one in sent if one[:2] == (method, target)]
    assert matching, f"{where}: {method} {target} is not among {sent}"
    if body:
        assert body.strip() in [one[2] for one in matching]


def anchors(page: Path) -> set[str]:
    """What a link may name in a page: its headings, as they are turned into addresses."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that is there, and from the site's pages only other pages."""
    text = page.read_text(encoding="utf-8")
    links = [link.partition("#") for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [file for file, _, _ in links if not (page.parent / file).exists()] == []
    within = [(page.parent / file if file else page, at) for file, mark, at in links if mark]
    assert [(file, at) for file, at in within if at not in anchors(file)] == []
    if page.parent.name == "references":
        assert [file for file, _, _ in links if "/" in file] == []


def test_generated_parts_are_up_to_date() -> None:
    """Tables of options and files shown whole; `python scripts/generate_docs.py` mends it."""
    assert outdated() == []


@pytest.mark.parametrize(("name", "table"), [("rest", TABLE), ("jobs", JOBS)])
def test_the_page_marks_the_options_of_every_format(name: str, table: Sequence[Option]) -> None:
    """Without its marker a table would be neither made nor checked."""
    text = (ROOT / "references" / f"{name}.md").read_text(encoding="utf-8")
    part = text.split(f"<!-- options:{name}:all -->")[1].split("<!-- /options -->")[0]
    shown = re.findall(r"^\| `([\w.]+)` \|", part, re.MULTILINE)
    assert sorted(shown) == sorted(option.name for option in table)


def test_the_table_of_the_response_log_is_its_schema() -> None:
    text = (ROOT / "references" / "rest.md").read_text(encoding="utf-8")
    table = text.split("| column | type | meaning |\n|---|---|---|\n")[1].split("\n\n")[0]
    shown = re.findall(r"^\| `(\w+)` \| (\S+) \|", table, re.MULTILINE)
    assert shown == [(field.name, from_arrow_type(field.type).simpleString()) for field in SCHEMA]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_option_named_exists(page: Path) -> None:
    """`group.name` of a known group, and the name in `name=value`; `field=value` is what a value looks like."""
    options = {option.name for option in (*TABLE, *JOBS)}
    groups = {name.split(".")[0] for name in options if "." in name}
    spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", page.read_text(encoding="utf-8"))
    dotted = {span for span in spans if re.fullmatch(r"[a-z]\w*\.[a-z]\w*", span) and span.split(".")[0] in groups}
    valued = {
        match[1] for span in spans if (match := re.match(r"([a-z][A-Za-z]*(?:\.[a-z][A-Za-z]*)?)=[\w<{][^&]*$", span))
    }
    assert {name for name in dotted | valued if not name.startswith("spark.")} - options <= {"field"}


def test_the_site_has_every_page() -> None:
    listed = re.findall(r"^  - (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(page.name for page in (ROOT / "references").glob("*.md"))


ROWS = {"url": f"{API}/users"}


@pytest.mark.parametrize(
    "options",
    [
        ROWS | {"retries": "3", "batchsize": "100", "onerror": "ignore"},
        ROWS | {"timeout.read": "60"},
        {},
        {"url": f"{API}/users/{{uid}}"},
        {"url": "https://{id}.example.com/"},
        ROWS | {"headers": '{"Authorization": "Bearer abc"}'},
        ROWS | {"auth.type": "bearer", "auth.token": "env:API_TOKEN"},
        ROWS | {"ratelimit": "10/s"},
        ROWS | {"onerror": "deadLetter"},
        ROWS | {"responses": "/proc/nowhere/log"},
        ROWS | {"tls.ca": "/no/such.pem"},
        ROWS | {"prepare": "no_such.doors:sign"},
        ROWS | {"overwrite": "true"},
    ],
    ids=lambda options: " ".join(sorted(options)) or "nothing",
)
def test_messages_before_the_first_request_are_as_documented(
    options: dict[str, str], monkeypatch: pytest.MonkeyPatch, spark_session: SparkSession
) -> None:
    monkeypatch.delenv("API_TOKEN", raising=False)
    overwrite = options.get("overwrite") == "true"
    source = RestDataSource({name: value for name, value in options.items() if name != "overwrite"})
    with pytest.raises(OptionError) as raised:
        source.writer(_parse_datatype_string("id int, name string"), overwrite)  # type: ignore[arg-type]
    assert f"```text\nOptionError: {raised.value}\n```" in errors_page()


@pytest.mark.parametrize(
    ("step", "query", "options"),
    [
        ({"status": 422, "body": {"error": "name is taken"}}, "SELECT 1 AS id", {}),
        ({"status": 301, "headers": {"Location": "https://other.example.com/login"}}, "SELECT 1 AS id", {}),
        ({"status": 401, "body": {"error": "invalid_token"}}, "SELECT 1 AS id", {}),
        (
            {"status": 201},
            "SELECT 1 AS id",
            {
                "auth.type": "oauth2",
                "auth.tokenUrl": f"{API}/token",
                "auth.clientId": "loader",
                "auth.clientSecret": "not the right one",
            },
        ),
        (
            {"status": 200, "headers": {"Content-Type": "text/html"}, "body": "<html>Please sign in</html>"},
            "SELECT 1 AS id",
            {},
        ),
        ({"status": 201}, "SELECT double('NaN') AS v", {}),
        ({"fault": "reset"}, "SELECT 1 AS id", {"delivery": "atMostOnce", "responses": "/data/responses"}),
    ],
    ids=["422", "301", "401", "oauth2", "HTML", "NaN", "atMostOnce"],
)
def test_messages_about_answers_are_as_documented(
    step: dict[str, Any],
    query: str,
    options: dict[str, str],
    spark: SparkSession,
    fault_server: FaultServer,
    files: Files,
) -> None:
    fault_server.route("POST /users", [step])
    fault_server.oauth("/token", clients={"loader": "right"})
    real = {name: files.real(value) for name, value in ({"url": f"{API}/users"} | options).items()}
    with pytest.raises(PySparkException) as raised:
        spark.sql(query).write.format("rest").mode("append").options(**real).save()
    [told] = re.findall(r"errors\.(\w+Error: .*)", files.shown(str(raised.value)))
    assert f"```text\n{told}\n" in errors_page()


ITEMS = {"url": f"{API}/items"}


@pytest.mark.parametrize(
    "options",
    [
        ITEMS | {"pagination": "cursor"},
        ITEMS | {"numPartitions": "4"},
        ITEMS | {"pagination": "offset", "numPartitions": "4"},
        ITEMS | {"page.param": "start"},
        ITEMS | {"page.size": "100"},
        {"url": f"{API}/items/{{id}}"},
        ITEMS | {"lowerBound": "2026-01-01", "upperBound": "2026-02-01"},
        ITEMS | {"mode": "PERMISSIVE"},
        ITEMS | {"incremental.field": "at"},
        ITEMS | {"pageSize": "100", "limit": "10"},
    ],
    ids=lambda options: " ".join(sorted(options)),
)
def test_messages_before_a_read_are_as_documented(options: dict[str, str], spark: SparkSession) -> None:
    with pytest.raises(OptionError) as raised:
        RestDataSource(options).reader(_parse_datatype_string("id int, at timestamp"))  # type: ignore[arg-type]
    assert f"```text\nOptionError: {raised.value}\n```" in errors_page()


@pytest.mark.parametrize(
    "options",
    [
        {"incremental.field": "at", "incremental.lookback": "10m"},
        {"incremental.field": "id", "incremental.param": "after", "incremental.lookback": "10m"},
        {"mode": "DROPMALFORMED"},
    ],
    ids=lambda options: " ".join(sorted(options)),
)
def test_messages_before_a_stream_are_as_documented(options: dict[str, str], spark: SparkSession) -> None:
    with pytest.raises(OptionError) as raised:
        RestDataSource(ITEMS | options).streamReader(_parse_datatype_string("id int, at timestamp"))  # type: ignore[arg-type]
    assert f"```text\nOptionError: {raised.value}\n```" in errors_page()


def lasting(**step: Any) -> dict[str, Any]:
    """A dataset that is not to be had."""
    return {"rows": THREE, "steps": [{"unless": {"path": "nowhere"}, **step}]}


@pytest.mark.parametrize(
    ("served", "options"),
    [
        ({"paging": "none", "records": ""}, {}),
        ({"paging": "none", "total": True, "totals": [9]}, {}),
        ({"envelope": {"errors": []}}, {"pagination": "offset"}),
        ({}, {"pagination": "offset", "records": "data.items"}),
        ({"size": 1}, {"pagination": "offset", "maxPages": "2"}),
        ({"size": 1, "paging": "cursor", "next_page": {2: 2}}, {"pagination": "cursor", "page.nextField": "next"}),
        ({"total": True, "totals": [5]}, {"pagination": "offset", "page.totalField": "total"}),
        ({"size": 2, "offset_param": "skip"}, {"pagination": "offset"}),
        (
            {"size": 2, "paging": "nextUrl", "next_host": "other"},
            {"pagination": "nextUrl", "page.nextField": "next"},
        ),
        (
            {"rows": None, "count": 10, "size": 4, "total": True, "changes": [{"after": 1, "delete": [0]}]},
            {"pagination": "offset", "page.totalField": "total"},
        ),
        (lasting(status=404, body={"error": "no such thing"}), {"pagination": "none"}),
        (lasting(status=401), {"pagination": "none"}),
        (
            lasting(status=200, headers={"Content-Type": "text/html"}, body="<html>Please sign in</html>"),
            {"pagination": "none"},
        ),
        ({"rows": [{"id": 1}, {"id": "two"}], "paging": "none"}, {"pagination": "none"}),
        ({"rows": [{"Id": 1}], "paging": "none"}, {"pagination": "none"}),
        (
            {"rows": [{"id": 1}, {"id": None}], "paging": "none"},
            {"pagination": "none", "partitionColumn": "id", "lowerBound": "1", "upperBound": "9",
             "partition.lowerParam": "from", "numPartitions": "2"},
        ),
    ],
    ids=[
        "auto", "auto disproved", "two lists", "no records", "maxPages", "circle", "total", "same page", "other host",
        "falling total", "404", "401", "HTML", "misfit", "misspelt", "null",
    ],
)  # fmt: skip
def test_messages_of_reads_are_as_documented(
    served: dict[str, Any], options: dict[str, str], fault_server: FaultServer, files: Files
) -> None:
    fault_server.dataset("GET /items", **{"rows": THREE, **served})
    schema = StructType([StructField("id", IntegerType())])
    with pytest.raises(TrunklineError) as raised:
        read_here(fault_server.url_for("/items"), schema, **options)
    text = f"errors.{type(raised.value).__name__}: {raised.value}"
    found = re.findall(r"errors\.(\w+Error: .*(?:\npagination=auto.*)?)", files.shown(text))
    assert f"```text\n{found[-1]}\n```" in errors_page()


def test_the_example_signs_what_it_sends(spark: SparkSession, fault_server: FaultServer, files: Files) -> None:
    """A server that has the key finds the same signature over time, method, path and body."""
    fault_server.route("PUT /users/{id}", [{"status": 200}])
    spark.sparkContext.addPyFile(files.real("examples/doors.py"))
    df: DataFrame = spark.sql(FRAMES["middleware.md"])
    options = {"url": fault_server.url_for("/users/{id}"), "method": "PUT", "prepare": "doors:sign"}
    df.write.format("rest").mode("append").options(**options).save()
    for sent in fault_server.ledger():
        message = b"\n".join([sent.headers["x-timestamp"].encode(), b"PUT", sent.path.encode(), sent.body])
        assert sent.headers["x-signature"] == hmac.new(b"signing-key", message, hashlib.sha256).hexdigest()
    assert fault_server.count() == 2


class Files:
    """Exchanges the addresses and paths that pages show for real ones, and back."""

    def __init__(self, data: Path, fixed: Path, server: FaultServer) -> None:
        self._pairs = {
            API: server.url,
            "files.example.net:443": f"127.0.0.1:{server.port('other')}",
            "/data/": f"{data}/data/",
            "/run/secrets/": f"{fixed}/secrets/",
            "examples/doors.py": f"{fixed}/doors.py",
            "examples/line_count.py": f"{ROOT}/examples/line_count.py",
        }

    def real(self, text: str) -> str:
        for shown, real in self._pairs.items():
            text = text.replace(shown, real)
        return text

    def shown(self, text: str) -> str:
        for shown, real in self._pairs.items():
            text = text.replace(real, shown)
        return text


class Told(NamedTuple):
    """A request of a dialogue, and the answer that the page shows."""

    method: str
    target: str
    sent: dict[str, str]
    body: str
    headers: dict[str, str]
    answer: Any

    def really(self, url: str) -> tuple[dict[str, str], Any]:
        """What the server answers: the headers that are shown, and the body."""
        data = self.body.encode() or None
        request = urllib.request.Request(url + self.target, data, self.sent, method=self.method)
        with urllib.request.urlopen(request) as answer:
            return {name: answer.headers[name] for name in self.headers}, json.load(answer)


def dialogue(text: str) -> list[Told]:
    """Requests with their headers and body, each followed by its answer, indented."""
    told = []
    for part in re.split(r"^(?=[A-Z]+ /)", text, flags=re.MULTILINE)[1:]:
        first, *lines = part.rstrip().split("\n")
        method, target = first.split(" ")
        asked = [line for line in lines if line and not line.startswith(" ")]
        answered = [line.strip() for line in lines if line.startswith(" ")]
        sent = dict(line.split(": ", 1) for line in asked if not line.startswith("{"))
        headers = dict(line.split(": ", 1) for line in answered if not line.startswith(("{", "[")))
        body = "".join(line for line in asked if line.startswith("{"))
        answer = json.loads("".join(line for line in answered if line.startswith(("{", "["))))
        told.append(Told(method, target, sent, body, headers, answer))
    return told


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(match[1], match[2], text.count("\n", 0, match.start()) + 1)
        for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    ]


def errors_page() -> str:
    return (ROOT / "references" / "error-handling.md").read_text(encoding="utf-8")
