"""The schema that editors use is that of the model and of our option tables."""

from __future__ import annotations

import re

from pydantic import BaseModel

from trunkline.jobs.options import TABLE as JOBS
from trunkline.kinds import DURATION
from trunkline.pipelines import config, json_schema, observability
from trunkline.pipelines.fields import Section
from trunkline.rest.options import TABLE as REST


def test_every_key_of_the_model_is_described() -> None:
    schema = json_schema()
    parts = {"Pipeline": schema, **schema["$defs"]}
    sections = [
        one for one in (vars(config) | vars(observability)).values()
        if isinstance(one, type) and issubclass(one, Section) and one not in {Section, config.Source}
    ]  # fmt: skip
    assert len(sections) == len(parts)
    for section in sections:
        keys = {field.alias or name for name, field in section.model_fields.items()}
        properties = parts[section.__name__]["properties"]
        assert (section.__name__, set(properties)) == (section.__name__, keys)
        assert [key for key, held in properties.items() if not held.get("description")] in ([], ["options"])
        assert parts[section.__name__]["additionalProperties"] is False
    assert issubclass(config.Pipeline, BaseModel)


def test_options_are_those_of_the_format() -> None:
    parts = json_schema()["$defs"]
    for part, use in (("Read", ("read", "stream")), ("Write", ("write",))):
        given = {
            rule["if"]["properties"]["format"]["const"]: set(rule["then"]["properties"]["options"]["properties"])
            for rule in parts[part]["allOf"]
        }
        for name, table in (("rest", REST), ("jobs", JOBS)):
            assert {option.name for option in table if set(use) & set(option.applies)} <= given[name]


def test_durations_are_text_of_their_pattern() -> None:
    timeout = json_schema()["$defs"]["Step"]["properties"]["timeout"]
    [written] = [one for one in timeout["anyOf"] if one["type"] == "string"]
    assert written["pattern"] == DURATION.schema["pattern"]
    assert re.match(written["pattern"], "10m")
