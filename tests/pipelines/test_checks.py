"""What a file demands beyond its shape: each demand is told with its line, all at once, before Spark is loaded."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from tests.pipelines.conftest import Files

from trunkline.errors import OptionError

READ = '{ name = a, read { format = parquet, path = "/x" } }'
LIVE = "{ name = a, read { format = rate, stream = true } }"
WRITE = "write { format = parquet, path = /y"
NO_CREDENTIAL = "is a secret, and this option takes none: auth.* and secretHeaders do"
IGNORED = "and Spark would ignore it: did you mean "


def steps(*lines: str) -> str:
    """A file: its first step stands in line 2."""
    return "name = x, steps = [\n" + "\n".join(lines) + "\n]"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        # Steps and their names
        (steps("{ name = a }"), ["2: steps.a takes one of read, sql, call, request, expect, write: none is given"]),
        (
            steps("{ name = a, sql = S, write { table = t } }"),
            ["2: steps.a takes one of read, sql, call, request, expect, write: sql and write are given"],
        ),
        (
            steps(READ, "{ name = A, sql = S }"),
            ["3: steps.A.name is the name of another step: names are unique, in any case of letters"],
        ),
        (steps(READ, "{ name = b, sql = S, input = c }"), ["3: steps.b.input: there is no step c"]),
        (
            steps(READ.replace("= a", "= users"), "{ name = b, sql = S, after = [user] }"),
            ["3: steps.b.after: there is no step user: did you mean users?"],
        ),
        (steps(READ, "{ name = b, sql = S, input = b }"), ["3: steps.b.input names the step itself"]),
        (
            steps("{ name = a, input = b, read { table = t } }", "{ name = b, sql = S, input = [] }"),
            ["2: steps.a.input: a read takes no rows: `after` makes it wait"],
        ),
        (steps("{ name = a, sql = S, config { x = 1 } }"), ["2: steps.a.config is for call"]),
        (
            steps("{ name = a, sql = S, input = c }", "{ name = b, sql = S }", "{ name = c, sql = S, input = b }"),
            ["2: steps.a goes in a circle: a needs c needs b needs a"],
        ),
        (
            steps(
                "{ name = a, sql = SELECT * FROM b }".replace("SELECT * FROM b", '"SELECT * FROM b"'),
                '{ name = b, sql = "SELECT * FROM a" }',
            ),
            ["2: steps.a goes in a circle: a needs b needs a"],
        ),
        (
            steps(READ, "{ name = b, sql = S, on_failure = fallback:c }", '{ name = c, sql = "SELECT * FROM b" }'),
            ["3: steps.b goes in a circle: b needs c needs b"],
        ),
        (
            steps(READ, "{ name = b, sql = S }", "{ name = c, input = [a, b], write { table = t } }"),
            ["4: steps.c.input: write takes the rows of one step: a and b are given"],
        ),
        (
            steps("{ name = c, input = [], write { table = t } }"),
            ["2: steps.c.input: write takes the rows of one step: none is given"],
        ),
        (
            steps(READ, "{ name = b, sql = S, on_failure = ignore }"),
            ["3: steps.b.on_failure: ignore is none of fail, skip, fallback:STEP"],
        ),
        (steps(READ, "{ name = b, sql = S, on_failure = fallback:z }"), ["3: steps.b.on_failure: there is no step z"]),
        (
            steps("{ name = a, sql = S, retry { initial_delay = 2m } }"),
            ["2: steps.a.retry.max_delay is shorter than initial_delay"],
        ),
        # Read and write
        (steps("{ name = a, read { path = /x } }"), ["2: steps.a.read needs format or table"]),
        (
            steps("{ name = a, read { table = t, format = delta } }"),
            ["2: steps.a.read.table is given beside path or format: a table knows its own"],
        ),
        (
            steps("{ name = a, read { table = t, schema = x INT } }".replace("x INT", '"x INT"')),
            ["2: steps.a.read.schema: a table has its own"],
        ),
        (steps(READ, "{ name = b, write { path = /x } }"), ["3: steps.b.write needs format or table"]),
        (
            steps(READ, "{ name = b, write { path = /x, table = t } }"),
            ["3: steps.b.write.table is given beside path: a write has one target"],
        ),
        (
            steps(READ, f"{{ name = b, {WRITE}, mode = merge }} }}"),
            [
                "3: steps.b.write.mode: merge needs merge_keys",
                "3: steps.b.write.merge_keys: parquet cannot merge: delta, iceberg, hudi can, or a table of one",
            ],
        ),
        (
            steps(READ, f"{{ name = b, {WRITE}, merge_keys = id }} }}"),
            ["3: steps.b.write.merge_keys is for mode = merge"],
        ),
        (
            steps(READ, "{ name = b, write { format = jobs, mode = overwrite, table = t, partition_by = x } }"),
            [
                "3: steps.b.write.mode: jobs can only append",
                "3: steps.b.write.table: jobs writes to no table",
                "3: steps.b.write.partition_by: jobs makes no folders",
            ],
        ),
        # Streams
        (
            steps(READ, f"{{ name = b, {WRITE}, trigger = 5s, checkpoint = /c, output_mode = append }} }}"),
            [
                f"3: steps.b.write.{key} is for streams, and the input is none: set stream = true on its read"
                for key in ("trigger", "checkpoint", "output_mode")
            ],
        ),
        (
            steps(READ, f"{{ name = b, {WRITE}, stream = true }} }}"),
            ["3: steps.b.write.stream: its input is no stream: set stream = true on its read"],
        ),
        (
            steps(LIVE, f"{{ name = b, {WRITE}, stream = false, checkpoint = /c }} }}"),
            ["3: steps.b.write.stream: its input is a stream"],
        ),
        (
            steps(LIVE, f"{{ name = b, {WRITE} }} }}"),
            ["3: steps.b.write: a stream needs checkpoint, a folder that knows how far it is"],
        ),
        (
            steps(LIVE, f"{{ name = b, {WRITE}, checkpoint = /c, mode = overwrite }} }}"),
            ["3: steps.b.write.mode: a stream cannot overwrite: see output_mode"],
        ),
        (
            steps(LIVE, f"{{ name = b, {WRITE}, checkpoint = /c, trigger = sometimes }} }}"),
            ["3: steps.b.write.trigger is neither available_now nor a duration such as 10s"],
        ),
        (
            steps(LIVE, "{ name = b, expect = [\n{ rule = unique, column = id }\n{ rule = row_count, min = 1 } ] }"),
            [
                "4: steps.b.expect[0]: unique needs all rows, and a stream never has them all",
                "5: steps.b.expect[1]: row_count needs all rows, and a stream never has them all",
            ],
        ),
        (
            steps(LIVE, '{ name = b, read { table = t }, on_failure = "fallback:a" }'),
            ["3: steps.b.on_failure: a stream and a batch cannot stand in for each other: see a"],
        ),
        # Expectations
        (
            steps(READ, "{ name = b, expect = [ { rule = not_null } ] }"),
            ["3: steps.b.expect[0]: not_null needs column"],
        ),
        (
            steps(READ, "{ name = b, expect = [ { rule = not_nul, column = id } ] }"),
            [
                (
                    "3: steps.b.expect[0].rule: not_nul is none of not_null, unique, one_of, between, matches, length, "
                    "row_count, freshness, condition or "
                    "references: did you mean not_null?"
                )
            ],
        ),
        (
            steps(READ, f"{{ name = b, {WRITE}, mode = overwrit }} }}"),
            [
                (
                    "3: steps.b.write.mode: overwrit is none of append, overwrite, error, errorifexists, ignore or "
                    "merge: did you mean overwrite?"
                )
            ],
        ),
        # No word: it may be a secret
        (
            steps(READ, f"{{ name = b, {WRITE}, mode = hunter2 }} }}"),
            ["3: steps.b.write.mode is none of append, overwrite, error, errorifexists, ignore or merge"],
        ),
        (
            steps(
                "{ name = a, read { format = cvs, path = /x } }", "{ name = b, write { format = parquett, path = /y } }"
            ),
            [
                "2: steps.a.read.format: there is no format cvs: did you mean csv?",
                "3: steps.b.write.format: there is no format parquett: did you mean parquet?",
            ],
        ),
        (
            steps(
                '{ name = a, read { format = csv, path = /x, schema = "id INTT" } }',
                '{ name = b, request { schema = "name STRIN", options { url = "https://a.example" } } }',
            ),
            [
                "2: steps.a.read.schema: id: there is no type INTT: did you mean INT?",
                "3: steps.b.request.schema: name: there is no type STRIN: did you mean STRING?",
            ],
        ),
        (
            steps(READ, "{ name = b, expect = [ { rule = between, column = id } ] }"),
            ["3: steps.b.expect[0]: between needs min or max"],
        ),
        (
            steps(READ, "{ name = b, expect = [ { rule = one_of, column = id, pattern = x } ] }"),
            ["3: steps.b.expect[0]: one_of needs values", "3: steps.b.expect[0].pattern is not for the rule one_of"],
        ),
        (
            steps(READ, "{ name = b, expect = [ { rule = not_null, column = [a, b] } ] }"),
            ["3: steps.b.expect[0].column: not_null is about one column: write a rule for each"],
        ),
        (
            steps(READ, "{ name = b, expect = [ { rule = row_count, min = -1, max = 1.5 } ] }"),
            [
                "3: steps.b.expect[0].min must be a whole number, 0 or more",
                "3: steps.b.expect[0].max must be a whole number, 0 or more",
            ],
        ),
        (
            steps(READ, "{ name = b, expect = [ { rule = between, column = id, min = [1], max { a = 1 } } ] }"),
            ["3: steps.b.expect[0].min must be one value", "3: steps.b.expect[0].max must be one value"],
        ),
        (
            steps(READ, "{ name = b, expect = [ { rule = references, column = id, step = c } ] }"),
            ["3: steps.b.expect[0].step: there is no step c"],
        ),
        (
            steps(READ, "{ name = b, expect = [ { rule = unique, column = id, severity = drop } ] }"),
            ["3: steps.b.expect[0].severity: unique is about all rows together: it can fail or warn"],
        ),
        (
            steps(READ, "{ name = b, expect = [ { rule = not_null, column = id, severity = error } ] }"),
            ["3: steps.b.expect[0].severity: error is none of fail, warn, drop, quarantine:PATH"],
        ),
        (
            steps(READ, '{ name = b, expect = [ { rule = not_null, column = id, severity = "quarantine:" } ] }'),
            ["3: steps.b.expect[0].severity: quarantine needs a path: quarantine:/data/rejected"],
        ),
        # The options of our formats
        (
            steps(
                '{ name = a, read { format = rest, options { url = "https://a.example", pagination = pages\n'
                "headrs { X = 1 } } } }"
            ),
            [
                (
                    "2: steps.a.read.options.pagination: 'pages' is none of none, page, offset, cursor, link, nextUrl, "
                    "lastRecord, "
                    "headerCursor, auto"
                ),
                "3: steps.a.read.options.headrs.X is unknown: did you mean headers?",
            ],
        ),
        (
            steps('{ name = a, read { format = rest, path = "/x" } }'),
            [
                (
                    '2: steps.a.read.options: the path is no URL: give load("https://..."), save("https://...") or the '
                    "option url"
                )
            ],
        ),
        (
            steps(
                '{ name = a, read { format = rest, stream = true, path = "https://a.example",'
                " options { maxRows = 5 } } }"
            ),
            ["2: steps.a.read.options.maxRows is for reading, not for reading a stream"],
        ),
        (
            steps("{ name = a, read { format = jobs, options { platform = moon } } }"),
            [
                (
                    "2: steps.a.read.options.platform: 'moon' is none of local, spark, databricks, glue, emr, "
                    "emr-serverless, container"
                )
            ],
        ),
        (
            steps(READ, '{ name = b, request { options { url = "https://a.example", bodyy = x } } }'),
            ["3: steps.b.request.options.bodyy is unknown: did you mean body.type?"],
        ),
        (
            steps("{ name = a, read { format = kafka, options { topics = [a, b] } } }"),
            ["2: steps.a.read.options.topics is a list: Spark takes text"],
        ),
        (
            steps(
                "{ name = a, read { format = csv, path = /x, options { heder = true\n multiline = true } } }",
                "{ name = b, write { format = JDBC, options { dbtabel = t\n url = x, fetchsise = 5 } } }",
            ),
            [
                f"2: steps.a.read.options.heder is unknown to csv, {IGNORED}header?",
                f"4: steps.b.write.options.dbtabel is unknown to JDBC, {IGNORED}dbtable?",
                f"5: steps.b.write.options.fetchsise is unknown to JDBC, {IGNORED}fetchsize?",
            ],
        ),
        (
            steps(
                '{ name = a, read { format = rest, options { url = "https://a.example", params { k = "env:K" }\n'
                'headers { X = "vault:a/b#c" } } } }'
            ),
            [
                f"2: steps.a.read.options.params.k {NO_CREDENTIAL}",
                f"3: steps.a.read.options.headers.X {NO_CREDENTIAL}",
            ],
        ),
    ],
)
def test_what_cannot_be_is_told_with_its_line(files: Files, text: str, told: list[str]) -> None:
    assert files.told(text) == [f"p.conf:{one}" for one in told]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('spark { master = local, remote = "sc://x" }', ["spark.remote is given beside master: a session is either"]),
        ("spark.conf { sql.x = 1 }", ["spark.conf.sql.x is no setting of Spark's: they begin with spark."]),
        ("spark.conf { spark.master = local }", ["spark.conf.spark.master has a key of its own: spark.master"]),
        ("notify = [ { on = failed } ]", ["notify[0] takes one of webhook, sns, log, call: none is given"]),
        (
            "notify = [ { log = a, sns = b, options { x = 1 } } ]",
            [
                "notify[0] takes one of webhook, sns, log, call: sns and log are given",
                "notify[0].options is for webhook",
            ],
        ),
        (
            'notify = [ { webhook = "env:A", options { auth.tpe = bearer, deadline = soon, url = "https://b" } } ]',
            [
                "notify[0].options.url is the webhook itself",
                "notify[0].options.auth.tpe is unknown: did you mean auth.type?",
                "notify[0].options.deadline: 'soon' is no duration: write 250ms, 30s, 5m, 1h or 2d",
            ],
        ),
        (
            "metrics { labels { a = b } }",
            ["metrics needs prometheus or opentelemetry: without one the numbers go nowhere"],
        ),
        (
            'metrics.prometheus { pushgateway = "ftp://gateway:9091" }',
            ["metrics.prometheus.pushgateway is no address: write http://gateway:9091 or gateway:9091"],
        ),
        (
            # No such file is looked into: it would be the host `file`.
            'metrics.prometheus { pushgateway = "file:/run/gateway" }',
            ["metrics.prometheus.pushgateway is no address: write http://gateway:9091 or gateway:9091"],
        ),
        (
            "metrics.prometheus { pushgateway = gateway:many }",
            ["metrics.prometheus.pushgateway is no address: write http://gateway:9091 or gateway:9091"],
        ),
        ("metrics.prometheus { }", ["metrics.prometheus needs port or pushgateway"]),
        (
            "metrics { opentelemetry { endpoint = collector }, labels { a-b = c, __x = d, job = e, step = f } }",
            [
                "metrics.labels.a-b is no name of a label: letters, digits and _",
                "metrics.labels.__x is no name of a label: letters, digits and _",
                "metrics.labels.job is a label that the numbers have already",
                "metrics.labels.step is a label that the numbers have already",
                "metrics.opentelemetry.endpoint is no URL: write http://collector:4318",
            ],
        ),
        (
            'hooks = [ { call = "a:b", on = [before_stp] } ]',
            [
                (
                    "hooks[0].on[0]: before_stp is none of before_pipeline, after_pipeline, before_step, after_step, "
                    "on_failure or on_retry: did you mean before_step?"
                )
            ],
        ),
        (
            "secrets { a = hunter2 }",
            ["secrets.a holds no reference: env:NAME, file:/path, vault:path#field, aws-secretsmanager:id, ..."],
        ),
        ('secrets { a = "vault:x" }', ["secrets.a: a vault: reference is written vault:mount/path#field"]),
        (
            'secrets { a = "env:A" }, vars { b = "secret://a" }',
            ["vars.b: a secret is written ${secrets.a}, and declared in secrets { }"],
        ),
        ('secrets { api = "env:A" }, vars { b = "secret:apj" }', ["vars.b: secrets has no apj: did you mean api?"]),
        ('vars { b = "enc:gAAAA" }', ['vars.b is encrypted: give the key, secrets { encryption_key = "env:NAME" }']),
        ('vars { b = "vault:x" }', ["vars.b: a vault: reference is written vault:mount/path#field"]),
        (
            'secrets { a = "env:A" }, vars { b = "Bearer "${secrets.a} }',
            ["a secret is a value of its own: it cannot be joined with text"],
        ),
    ],
)
def test_what_cannot_be_of_the_whole_pipeline_is_told(files: Files, text: str, told: list[str]) -> None:
    assert files.told(f"name = x, {text}\nsteps = [ {READ} ]") == [f"p.conf:1: {one}" for one in told]


STREAM = "{ name = events, read { format = rate, stream = true } }"
CHECKPOINT = "format = parquet, path = /a, checkpoint = /c"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            steps("{ name = a, read { format = rate, stream = true }, retry {}, on_failure = skip }"),
            [
                "2: steps.a.retry is for the write of a stream: what comes before runs there",
                "2: steps.a.on_failure is for the write of a stream: what comes before runs there",
            ],
        ),
        (
            steps(STREAM, '{ name = a, expect = [ { rule = not_null, column = v, severity = "quarantine:/q" } ] }'),
            ["3: steps.a.expect[0].severity: a stream has no quarantine: fail, warn or drop"],
        ),
        (
            steps(STREAM, f"{{ name = a, write {{ {CHECKPOINT} }} }}", "{ name = b, after = a, read { table = t } }"),
            ["4: steps.b.after: a is a stream, which ends only as a write with trigger = available_now"],
        ),
        (
            steps(READ, "{ name = b, write { format = jdbc, mode = append }, retry {} }"),
            ["3: steps.b.retry: a write of jdbc that fails may leave rows, which another run would double"],
        ),
        (
            steps(READ, '{ name = b, write { format = rest, options { url = "https://a.example" } }, retry {} }'),
            [
                (
                    "3: steps.b.retry: a second run would send rows again: give responses, by which it skips what was "
                    "accepted"
                )
            ],
        ),
    ],
)
def test_what_a_run_could_not_keep_is_refused(files: Files, text: str, told: list[str]) -> None:
    assert files.told(text) == [f"p.conf:{one}" for one in told]


def test_a_secret_is_refused_where_none_is_looked_up(files: Files) -> None:
    """It would reach Spark as the text `secret:api`."""
    text = """
    name = x, secrets { api = "env:A", encryption_key = "env:K" }, vars { t = ${secrets.api} }
    steps = [
      { name = a, read { format = csv, path = ${secrets.api}, schema = "enc:gAAAA" } }
      { name = b, call = "m:f", config { t = ${vars.t}, u = "Bearer "${vars.t} } }
    ]
    """
    where = "is a secret, and none is looked up here: only in conf, config, options"
    assert files.told(text) == [
        f"p.conf:4: steps.a.read.path {where}",
        f"p.conf:4: steps.a.read.schema {where}",
        "p.conf:5: steps.b.config.u: joins a secret with text: a secret is a value of its own",
    ]


def test_a_credential_in_sql_is_refused(files: Files) -> None:
    """Whether it stands in the file or comes from the environment: Spark writes queries down."""
    text = """
    name = x, vars { db_password = "hunter2-long", user = user }
    steps = [
      { name = a, sql = "SELECT '${vars.db_password}' AS x" }
      { name = b, expect = [ { rule = condition, condition = "x <> '${API_TOKEN}'" } ] }
      { name = c, call = "m:f", config { password = user } }
      { name = d, sql = "SELECT user, '${HOME}', 'postgres' AS kind FROM c" }
      { name = e, read { format = jdbc, options { url = x, query = "SELECT '${API_TOKEN}'" } } }
    ]
    """
    # The password of the database is not asked for: that it is a word of the query too means nothing.
    environment = {"API_TOKEN": "from-the-environment", "HOME": "/home/somebody", "PG_PASSWORD": "postgres"}
    with pytest.raises(OptionError) as caught:
        files.read(text, environment=environment)
    told = "holds a credential, and Spark writes SQL into its event log: give it to a call, by config"
    assert [problem.partition("p.conf:")[2] for problem in caught.value.problems] == [
        f"4: steps.a.sql {told}",
        f"5: steps.b.expect[0].condition {told}",
        f"8: steps.e.read.options.query {told}",
    ]


def test_a_reference_where_none_is_looked_up_is_refused(files: Files) -> None:
    """It would be taken for a path, or for a label. What a rule allows, and a folder of files, may look so."""
    held = """
    name = x, description = "env:PROD", spark { remote = "env:REMOTE" }, metrics { labels { team = "env:TEAM" }, %s }
    steps = [
      { name = a, read { format = csv, path = "file:/data/in" } }, { name = d, call = "env:main" }
      { name = b, expect = [ { rule = one_of, column = stage, values = ["env:PROD"] } ] }
      { name = c, write { format = parquet, path = "vault:secret/lake#path" } }
    ]
    """
    told = "is a reference, and none is looked up here:"
    variable = "an environment variable is written"
    assert files.told(held % "prometheus.port = 9108") == [
        f"p.conf:2: spark.remote {told} {variable} ${{REMOTE}}",
        f"p.conf:2: metrics.labels.team {told} {variable} ${{TEAM}}",
        f"p.conf:6: steps.c.write.path {told} give it to an option or a config",
    ]


def test_an_option_of_spark_is_text_at_any_depth(files: Files) -> None:
    held = "format = csv, path = /x, options { fs { a { b = [1, 2] } } }"
    assert files.told(steps(f"{{ name = a, read {{ {held} }} }}")) == [
        "p.conf:2: steps.a.read.options.fs.a.b is a list: Spark takes text"
    ]


def test_a_webhook_is_a_url(files: Files) -> None:
    """Also one that stands in the file: it is not tried before the run ends."""
    told = files.told('notify = [ { webhook = "hooks.example.com/T0" }, { webhook = "env:HOOK" } ]\n' + steps(LIVE))
    assert told[0] == "p.conf:1: notify[0].webhook is no URL: write https://host/path, or a reference to it"


def test_all_problems_are_told_at_once_in_the_order_of_the_file(files: Files) -> None:
    text = steps("{ name = a }", "{ name = b, sql = S, input = z }", f"{{ name = c, {WRITE}, mode = merge }} }}")
    assert [one.split(": ")[0] for one in files.told(text)] == ["p.conf:2", "p.conf:3", "p.conf:4", "p.conf:4"]


@pytest.mark.parametrize(
    "step",
    [
        "write { format = console }",
        "write { format = delta, path = /y, checkpoint = /c, mode = merge, merge_keys = id, trigger = available_now }",
        'write { format = rest, checkpoint = /c, options { url = "https://a.example" } }',
        "expect = [ { rule = not_null, column = id, severity = drop } ]",
        'request { options { url = "https://a.example/{id}", responseColumn = r, maxRequests = 5 } }',
    ],
)
def test_what_a_stream_can_do_is_let_through(files: Files, step: str) -> None:
    files.read(steps(LIVE, f"{{ name = b, {step} }}"))


def test_a_checkpoint_may_be_that_of_the_session(files: Files) -> None:
    files.read(
        "spark.conf { spark.sql.streaming.checkpointLocation = /c }\n" + steps(LIVE, f"{{ name = b, {WRITE} }} }}")
    )


def test_options_of_other_formats_are_theirs(files: Files) -> None:
    """Of formats that are no part of Spark, of a driver of JDBC, and of Hadoop."""
    for held in (
        'format = snowflake, options { sfUrll = x, sfPassword = "env:DB" }',
        'format = jdbc, options { url = x, socketTimeout = 5, password = "env:DB" }',
        "format = csv, path = /x, options { HEADER = true, fs.s3a.endpoint = x, rescuedDataColumn = r, cryptic = y }",
    ):
        files.read(steps(f"{{ name = a, read {{ {held} }} }}"))


def test_a_key_of_a_write_among_its_options_is_told_where_it_stands(files: Files) -> None:
    """As an option Spark would ignore it. A format's own option of such a name, and another's options, are theirs."""
    options = "partitionBy = day, output_mode = append, SaveMode = overwrite, mode = FAILFAST, compression = zstd"
    told = files.told(
        steps(LIVE.replace(", stream = true", ""), f"{{ name = b, {WRITE}, options {{ {options} }} }} }}")
    )
    assert told == [
        f"p.conf:3: steps.b.write.options.{name} is no option of parquet: write {key}, beside options"
        for name, key in {
            "partitionBy": "partition_by", "output_mode": "output_mode", "SaveMode": "mode", "mode": "mode"
        }.items()
    ]  # fmt: skip
    read = "read { format = json, path = /x, options { mode = FAILFAST, stream = true } }"
    assert files.told(steps(f"{{ name = a, {read} }}")) == [
        "p.conf:2: steps.a.read.options.stream is no option of json: write stream, beside options"
    ]
    files.read(steps("{ name = a, read { format = snowflake, options { partitionBy = day } } }"))


def test_a_format_that_is_near_to_none_is_somebodys(files: Files) -> None:
    """A connector's, a class, one of Python's, and names that are in use though they look like one of Spark's."""
    for name in (
        "cloudFiles",
        "deltaSharing",
        "com.acme.csvv",
        "JSON",
        "binaryfile",
        "tsv",
        "jsonl",
        "hubspot",
        "hive",
    ):
        files.read(steps(f"{{ name = a, read {{ format = {name} }} }}"))


def test_a_credential_is_known_without_being_looked_up(files: Files) -> None:
    """`${secrets.x}`, `enc:` and references of every kind stand where the table wants a credential."""
    for token in ("${secrets.t}", '"enc:gAAAA"', '"vault:kv/a#b"', '"azure-keyvault:v/n"', '"file:/no/such"'):
        options = f'url = "https://a.example", auth.type = bearer, auth.token = {token}'
        files.read('secrets { t = "aws-secretsmanager:a", encryption_key = "env:K" }\n' + steps(
            f"{{ name = a, read {{ format = rest, options {{ {options} }} }} }}"))  # fmt: skip


COLD = """
import sys
from trunkline.cli import main
code = main(["validate", sys.argv[1]])
loaded = {name.partition(".")[0] for name in sys.modules}
print(code, sorted(loaded & {"pyspark", "pyarrow", "pandas", "numpy", "boto3", "botocore", "azure", "hvac", "requests",
                             "aiohttp", "databricks", "cryptography", "pyhocon"}))
"""


@pytest.mark.parametrize("valid", [True, False])
def test_a_file_is_checked_without_spark_or_a_cloud(files: Files, valid: bool) -> None:
    text = steps(
        '{ name = a, read { format = rest, options { url = "https://a.example", auth.type = bearer,'
        ' auth.token = "vault:a/b#c" } } }',
        "{ name = b, write { format = jobs, options { platform = glue } } }" if valid else "{ name = b }",
    )
    done = subprocess.run([sys.executable, "-c", COLD, files.write(text)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ("0 []" if valid else "2 []")


def test_the_command_shows_the_order_and_takes_overrides(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    from trunkline.cli import main

    path = files.write(steps(LIVE, f"{{ name = b, {WRITE}, checkpoint = ${{vars.c}} }} }}"))
    assert main(["validate", path]) == 2
    assert capsys.readouterr().err == (
        f"trunkline: {path}:3: ${{vars.c}} has no value: set vars.c, or write ${{?vars.c}} where it may be missing\n"
    )
    assert main(["validate", path, "--override", "vars.c=/tmp/c", "--override", "name=other"]) == 0
    assert capsys.readouterr().out == (
        "other is valid: 2 steps\n\nSTEP  KIND           ROWS OF  AFTER\na     read, stream   -        -\n"
        "b     write, stream  a        -\n\n"
        "Checked: keys, options, schemas, the order of the steps, that packages of yours are there.\n"
        "Only a run can tell: SQL, columns, your code, addresses, logins, formats that others bring.\n"
    )
    assert main(["validate"]) == 2
    assert capsys.readouterr().err == (
        "trunkline: which file? trunkline validate pipeline.conf, or trunkline validate --schema\n"
    )
    assert main(["validate", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Trunkline pipeline"


def test_checking_takes_longer_only_in_proportion(files: Files) -> None:
    """Four times the steps, about four times the work: no step is compared with all others."""

    def calls(count: int) -> int:
        chain = ["{ name = s0, read { table = t } }", *(f"{{ name = s{n}, sql = S }}" for n in range(1, count))]
        path = steps(*chain)
        files.read(path)  # what is imported and cached at the first time does not count
        seen = 0

        def count_call(frame: object, event: str, argument: object) -> None:
            nonlocal seen
            seen += event in {"call", "c_call"}

        sys.setprofile(count_call)
        try:
            files.read(path)
        finally:
            sys.setprofile(None)
        return seen

    assert calls(400) < 4.4 * calls(100)
