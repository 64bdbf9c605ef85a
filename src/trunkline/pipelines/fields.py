"""What the keys of a pipeline file may hold: types for pydantic, with how each is read, and groups of keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from trunkline.errors import MissingExtraError

try:
    from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
except ImportError:
    raise MissingExtraError('pipelines need pydantic: pip install "trunkline[pipelines]"') from None

from trunkline.config.scalars import Number, as_text, bare
from trunkline.kinds import DOOR, DURATION, duration, text_of
from trunkline.pipelines.secrets import is_secret


def one_or_many(given: Any) -> Any:
    """A list of texts, also where one stands alone."""
    return [_text(item) for item in given] if isinstance(given, (list, tuple)) else [_text(given)]


def written(given: Any) -> Any:
    """Options as they were written: scalars as text, null left out."""
    if isinstance(given, Mapping):
        return {key: written(value) for key, value in given.items() if value is not None}
    if isinstance(given, (list, tuple)):
        return [written(item) for item in given]
    return text_of(given.text if isinstance(given, Number) else given)


def _text(given: Any) -> Any:
    return as_text(given) if isinstance(given, (bool, int, float)) else given


def _address(given: Any) -> Any:
    """Without a scheme it is one of HTTP; a reference stays one."""
    if not isinstance(given, str) or "://" in given or not given.strip() or is_secret(given, "address"):
        return given
    # No address, and no reference either: it is refused as what it is.
    return given if given.startswith("file:") else f"http://{given}"


def _seconds(given: Any) -> float:
    if isinstance(given, (list, dict)):
        raise ValueError("is no duration: write 250ms, 30s, 5m, 1h or 2d")
    return duration(as_text(given))


def _function(given: Any) -> Any:
    return DOOR.parse(given) if isinstance(given, str) else given


def _flat(given: Any, prefix: str = "") -> Any:
    """Spark's settings by their whole name, as they were written."""
    if not isinstance(given, Mapping):
        return given
    found: dict[str, Any] = {}
    for key, value in given.items():
        if value is None:
            continue
        if isinstance(value, (list, tuple)):
            raise ValueError(f"{prefix}{key} is a list: Spark takes text")
        held = _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": written(value)}
        twice = found.keys() & held.keys()
        if twice:
            raise ValueError(f"{', '.join(sorted(twice))} is given twice")
        found |= held
    return found


Text = Annotated[str, BeforeValidator(_text), Field(min_length=1)]
Address = Annotated[str, BeforeValidator(_address), Field(min_length=1)]
Names = Annotated[
    tuple[Text, ...],
    BeforeValidator(one_or_many),
    WithJsonSchema({"type": ["string", "array"], "items": {"type": "string"}}),
]
Seconds = Annotated[float, BeforeValidator(_seconds), WithJsonSchema(DURATION.schema)]
Function = Annotated[str, BeforeValidator(_function), WithJsonSchema(DOOR.schema)]
# What these hold may be a credential: no repr shows it.
Options = Annotated[dict[str, Any], BeforeValidator(written), Field(repr=False)]
Conf = Annotated[dict[str, str], BeforeValidator(_flat), Field(repr=False)]
Plain = Annotated[dict[str, Any], BeforeValidator(bare), Field(repr=False)]


class Section(BaseModel):
    """A group of keys: unknown ones are refused, and null is as if the key were not there."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, defer_build=True)
    # Names that users of other tools try first.
    known_as: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        # A name that nobody knows is refused with null too: in YAML, {sql: SELECT a, b} has a key b.
        known = {held.alias or name for name, held in cls.model_fields.items()}
        return {key: value for key, value in given.items() if value is not None or key not in known}
