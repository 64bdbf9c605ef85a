"""What a pipeline file may say, for editors (JSON Schema) and for people (Markdown): both made of the model."""

from __future__ import annotations

from typing import Any

from trunkline.jobs.options import TABLE as JOBS
from trunkline.option_docs import json_schema as options_schema
from trunkline.pipelines.config import Pipeline
from trunkline.rest.options import TABLE as REST


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12). Where `format` is `rest` or `jobs`, `options` are those of the format.

    References are text, so a value such as `${vars.size}` is let through wherever text is; numbers are numbers.
    """
    schema: dict[str, Any] = Pipeline.model_json_schema(by_alias=True)
    parts = schema["$defs"]
    for part, use in (("Read", "read"), ("Write", "write")):
        parts[part]["allOf"] = [_if_format(name, _options(table, name, use)) for name, table in _TABLES.items()]
    parts["Request"]["properties"]["options"] |= _options(REST, "rest", "request")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema | {"title": "Trunkline pipeline"}


def markdown() -> str:
    """A Markdown table for each group of keys, in the order of the model."""
    schema = Pipeline.model_json_schema(by_alias=True)
    blocks = []
    for title, part in (("a pipeline", schema), *((title, schema["$defs"][name]) for name, title in _TITLES.items())):
        required = part.get("required", ())
        rows = [_row(key, held, key in required) for key, held in part["properties"].items()]
        head = [f"**{title}**: {part['description'].split(chr(10))[0]}", ""]
        blocks.append("\n".join([*head, "| key | value | default | meaning |", "|---|---|---|---|", *rows]))
    return "\n\n".join(blocks) + "\n"


_TITLES = {
    "Spark": "spark", "Hook": "hooks", "Notify": "notify", "Metrics": "metrics", "Prometheus": "prometheus",
    "OpenTelemetry": "opentelemetry", "Audit": "audit", "Step": "steps", "Read": "read", "Write": "write",
    "Request": "request", "Rule": "expect", "Retry": "retry", "Breaker": "breaker",
}  # fmt: skip
_WORDS = {"string": "text", "integer": "number", "boolean": "true, false", "object": "keys and values", "array": "list"}
_TABLES = {"rest": REST, "jobs": JOBS}


def _options(table: Any, name: str, use: str) -> dict[str, Any]:
    found = options_schema(table, name, None if use == "read" else use)
    # Groups may be nested too, and a required one may come from `path`.
    return {"type": "object", "properties": found["properties"]}


def _row(key: str, held: dict[str, Any], required: bool) -> str:
    default = held.get("default")
    if required:
        shown = "required"
    elif default in (None, "", [], {}) or isinstance(default, dict):
        shown = ""
    elif isinstance(default, list):
        shown = f"`[{', '.join(default)}]`"
    else:
        seconds = any("pattern" in one and "ms|s" in one["pattern"] for one in _kinds(held))
        shown = f"`{default:g}s`" if seconds else f"`{str(default).lower() if isinstance(default, bool) else default}`"
    values = ", ".join(dict.fromkeys(_value(one) for one in _kinds(held)))
    return f"| `{key}` | {values} | {shown} | {held.get('description', '')} |".replace("\n", " ")


def _kinds(held: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in held.get("anyOf", [held]) if one.get("type") != "null"]


def _value(held: dict[str, Any]) -> str:
    if "enum" in held:
        return ", ".join(f"`{one}`" for one in held["enum"])
    if "$ref" in held:
        return "group"
    if "pattern" in held and "ms|s" in held["pattern"]:
        return "duration"
    if "pattern" in held and ":" in held["pattern"]:
        return "function"
    kind = held.get("type", "any")
    if isinstance(kind, list):
        return "name, or list of them"
    items = held.get("items", {})
    if kind == "array" and "enum" in items:
        return f"list of {_value(items)}"
    return "list of groups" if kind == "array" and "$ref" in items else _WORDS.get(kind, kind)


def _if_format(name: str, options: dict[str, Any]) -> dict[str, Any]:
    given = {"properties": {"format": {"const": name}}, "required": ["format"]}
    return {"if": given, "then": {"properties": {"options": options}}}
