from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.rest.paths import MISSING, at

KEYS = st.text("ab.$0", min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("document", "path", "found"),
    [
        ({"a": {"b": 1}}, "a.b", 1),
        ({"a": {"b": 1}}, "$.a.b", 1),
        ({"@odata.nextLink": "u"}, "@odata.nextLink", "u"),
        ({"d": {"@odata.nextLink": "u"}}, "d.@odata.nextLink", "u"),
        ({"a.b": 1, "a": {"b": 2}}, "a.b", 1),
        ({"a.b": {"x": 1}, "a": {"b": {"c": 2}}}, "a.b.c", 2),
        ({"a": [{"b": 1}, {"b": 2}]}, "a.1.b", 2),
        ([1, 2], "1", 2),
        ({"a": None}, "a", None),
        ([1], "$", [1]),
        ({"a": {"b": 1}}, "a.c", MISSING),
        ({"a": "b"}, "a.b", MISSING),
        ({"a": [1]}, "a.1", MISSING),
        ({"a": [1]}, "a.-1", MISSING),
        (None, "a", MISSING),
        ({}, "", MISSING),
    ],
)
def test_a_path_finds_what_stands_there_keys_with_dots_first(document: Any, path: str, found: Any) -> None:
    assert at(document, path, MISSING) is found if found is MISSING else at(document, path, MISSING) == found


@given(st.lists(KEYS, min_size=1, max_size=4))
def test_any_keys_joined_by_dots_lead_to_what_is_there_alone(keys: list[str]) -> None:
    document: Any = 7
    for key in reversed(keys):
        document = {key: document}
    path = ".".join(keys)
    if path != "$" and not path.startswith("$."):
        assert at(document, path) == 7
