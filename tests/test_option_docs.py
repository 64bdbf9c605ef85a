"""Option tables as documentation: a table for pages, a schema for editors."""

from __future__ import annotations

import json

from trunkline.http.kinds import URL
from trunkline.kinds import BOOLEAN, CHOICE, CREDENTIAL, TEXT
from trunkline.option_docs import json_schema, markdown
from trunkline.options import Option

TABLE = (
    Option("url", URL, "Where.", required=True, example="https://h/x", group="One"),
    Option("auth.type", CHOICE, "How.", "none", choices=("none", "apiKey"), later=("aws",), group="Two"),
    Option("auth.token", CREDENTIAL, "Which.", group="Two"),
    Option("tls.verify", BOOLEAN, "Whether.", "true", group="Two"),
    Option("records", TEXT, "Where in the answer.", group="Two", applies=("read", "stream")),
)


def test_the_documentation_is_a_table_per_group() -> None:
    """Names, values, defaults and meaning, in the order of declaration."""
    assert markdown(TABLE, use="write") == (
        "**One**\n\n"
        "| option | values | default | meaning |\n"
        "|---|---|---|---|\n"
        "| `url` | URL | required | Where. |\n"
        "\n"
        "**Two**\n\n"
        "| option | values | default | meaning |\n"
        "|---|---|---|---|\n"
        "| `auth.type` | `none`, `apiKey` | `none` | How. |\n"
        "| `auth.token` | credential |  | Which. |\n"
        "| `tls.verify` | true, false | `true` | Whether. |\n"
    )


def test_the_schema_names_every_option() -> None:
    """Types, choices, defaults; credentials are write-only; unknown keys are errors."""
    assert json.loads(json.dumps(json_schema(TABLE, "test", use="write"))) == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Options of the format test",
        "type": "object",
        "properties": {
            "url": {"description": "Where.", "type": "string", "pattern": "^https?://", "examples": ["https://h/x"]},
            "auth.type": {"description": "How.", "type": "string", "enum": ["none", "apiKey"], "default": "none"},
            "auth.token": {"description": "Which.", "type": "string", "writeOnly": True},
            "tls.verify": {
                "description": "Whether.",
                "anyOf": [{"type": "boolean"}, {"enum": ["true", "false"]}],
                "default": "true",
            },
            "checkpointLocation": True,
            "queryName": True,
            "outputMode": True,
        },
        "additionalProperties": False,
        "required": ["url"],
    }
