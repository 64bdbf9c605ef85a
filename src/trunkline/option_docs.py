"""Tables of options as documentation: Markdown for pages, JSON Schema for editors and pipeline files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trunkline.kinds import BOOLEAN
from trunkline.option_names import SPARK_KEYS
from trunkline.options import USES, Option


def markdown(table: Sequence[Option], use: str | None = None) -> str:
    """The documentation of a table: a Markdown table per group, in the order of declaration.

    Args:
        table: The options.
        use: Only those that apply there; without it, a column says what each is for.
    """
    chosen = [option for option in table if use is None or use in option.applies]
    blocks = []
    for group in dict.fromkeys(option.group for option in chosen):
        rows = [_markdown_row(option, uses=use is None) for option in chosen if option.group == group]
        heading = [f"**{group}**", ""] if group else []
        columns = ["option", *(["for"] if use is None else []), "values", "default", "meaning"]
        blocks.append("\n".join([*heading, f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *rows]))
    return "\n\n".join(blocks) + "\n"


def json_schema(table: Sequence[Option], format: str, use: str | None = None) -> dict[str, Any]:  # noqa: A002
    """JSON Schema (draft 2020-12) of the dotted options, for editors and pipeline files."""
    chosen = [option for option in table if use is None or use in option.applies]
    required = [option.name for option in chosen if option.required]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Options of the format {format}",
        "type": "object",
        "properties": {option.name: _property(option) for option in chosen} | dict.fromkeys(SPARK_KEYS, True),
        "additionalProperties": False,
    } | ({"required": required} if required else {})


def _markdown_row(option: Option, *, uses: bool) -> str:
    values = ", ".join(f"`{choice}`" for choice in option.choices) or option.kind.name
    default = "required" if option.required else "" if option.default is None else f"`{option.default}`"
    applies = f" {', '.join(option.applies) if len(option.applies) < len(USES) else 'all'} |" if uses else ""
    return f"| `{option.name}` |{applies} {values} | {default} | {option.doc} |".replace("\n", " ")


def _property(option: Option) -> dict[str, Any]:
    schema: dict[str, Any] = {"description": option.doc} | option.kind.schema
    if option.choices:
        schema["enum"] = list(option.choices)
    if option.kind is BOOLEAN:
        schema = {"description": option.doc, "anyOf": [{"type": "boolean"}, {"enum": ["true", "false"]}]}
    if option.default is not None:
        schema["default"] = option.default
    if option.example is not None:
        schema["examples"] = [option.example]
    if option.kind.secret:
        schema["writeOnly"] = True
    return schema
