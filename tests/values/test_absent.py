"""Fields of a schema that no record has."""

from __future__ import annotations

import logging

import pyarrow as pa
import pytest
from pyspark.sql.types import StructType, VariantType

from trunkline.errors import ResponseError
from trunkline.values import JsonDecoder, ReadOptions, open_envelope
from trunkline.values.absent import AbsentFields, _tell, is_near
from trunkline.values.spark_types import arrow_schema

TEXT = pa.string()


def look(schema: dict[str, pa.DataType], *pages: str, mode: str = "misspelt") -> None:
    """Read pages, each a JSON array, and look at every one as a read does."""
    kinds = pa.schema(schema)
    decoder, fields = JsonDecoder(kinds, ReadOptions()), AbsentFields(kinds, mode)
    for page in pages:
        answer = open_envelope(page.encode(), "$")
        fields.look(decoder.array(answer.records).columns, answer.texts)


@pytest.mark.parametrize(
    ("schema", "page", "said"),
    [
        ({"user_name": TEXT, "id": TEXT}, '[{"id": 1, "userName": "Ann"}]', "no record has user_name, but userName"),
        ({"userid": TEXT}, '[{"userId": 1}]', "no record has userid, but userId"),
        ({"id": TEXT, "nmae": TEXT}, '[{"id": 1, "name": "Ann"}]', "no record has nmae, but name"),
        ({"id": TEXT, "userIds": TEXT}, '[{"id": 1, "usreIds": "a"}]', "no record has userIds, but usreIds"),
        (
            {"adress": pa.struct({"city": TEXT}), "id": TEXT},
            '[{"id": 1, "address": {"city": "x"}}]',
            "has adress, but address",
        ),
        (
            {"address": pa.struct({"town": TEXT, "citty": TEXT})},
            '[{"address": {"town": "a", "city": "b"}}]',
            "no record has address.citty, but city",
        ),
        (
            {"lines": pa.list_(pa.struct({"prize": TEXT, "id": TEXT}))},
            '[{"lines": []}, {"lines": [{"prices": 1, "id": 1, "priz": 2}]}]',
            "no record has lines[].prize, but priz",
        ),
        (
            {"props": pa.map_(TEXT, pa.struct({"Size": TEXT}))},
            '[{"props": {"a": {"size": 1}}}]',
            "no record has props{}.Size, but size",
        ),
    ],
)
def test_a_misspelt_field_is_an_error_that_names_the_right_one(
    schema: dict[str, pa.DataType], page: str, said: str
) -> None:
    with pytest.raises(ResponseError) as caught:
        look(schema, page)
    assert said in str(caught.value)
    assert "did you mean" in str(caught.value)
    look(schema, page, mode="null")


@pytest.mark.parametrize(
    ("schema", "pages"),
    [
        ({"id": TEXT, "deletedAt": TEXT}, ['[{"id": 1, "name": "a"}]']),
        ({"id": TEXT, "nmae": TEXT}, ['[{"id": 1, "name": "a", "nmae": null}]']),
        ({"id": TEXT, "nmae": TEXT}, ['[{"id": 1, "name": "a"}, {"nmae": "b"}]']),
        ({"name": TEXT, "nmae": TEXT}, ['[{"name": "a"}]']),
        ({"id": TEXT, "line2": TEXT}, ['[{"id": 1, "line1": "a"}]']),
        ({"id": TEXT, "data": TEXT}, ['[{"id": 1, "date": "a"}]']),
        ({"created_by": TEXT, "id": TEXT}, ['[{"id": 1, "created_at": "a"}]']),
        ({"id": TEXT, "address": pa.struct({"citty": TEXT})}, ['[{"id": 1, "address": null, "city": "a"}]']),
        ({"id": TEXT, "nmae": TEXT}, ["[]"]),
        (
            {"id": TEXT, "any": arrow_schema(StructType().add("v", VariantType())).field("v").type},
            ['[{"id": 1, "any": {"nmae": 1}}]'],
        ),
    ],
)
def test_a_field_that_is_left_out_is_null(schema: dict[str, pa.DataType], pages: list[str]) -> None:
    """Absence proves nothing: it takes another field of nearly its name that the schema leaves out."""
    look(schema, *pages)


def test_a_field_that_was_seen_may_be_left_out_later() -> None:
    look({"id": TEXT, "nmae": TEXT}, '[{"id": 1, "nmae": "a"}]', '[{"id": 2, "name": "a"}]')


def test_a_field_that_must_be_there() -> None:
    """With `error` a field that no record of the first page has ends the read, however the others are called."""
    with pytest.raises(
        ResponseError, match=r"no record has deletedAt; beside what the schema takes they hold name, x:"
    ):
        look({"id": TEXT, "deletedAt": TEXT}, '[{"id": 1, "name": "a", "x": 1}]', mode="error")
    look({"id": TEXT, "deletedAt": TEXT}, '[{"id": 1}, {"deletedAt": null}]', mode="error")


def test_a_field_that_may_be_wrong_is_told_once_for_each_read(caplog: pytest.LogCaptureFixture) -> None:
    """However many tasks it has in a process; with what to do."""
    _tell.cache_clear()
    with caplog.at_level(logging.WARNING, "trunkline.rest"):
        for read in ("one", "one", "another"):
            fields = AbsentFields([pa.field("id", TEXT), pa.field("deletedAt", TEXT)], "misspelt", read=read)
            for _ in range(2):
                fields.look([pa.array(["1"]), pa.array([None], TEXT)], lambda: [b'{"id": "1"}'])
    told = (
        "no record so far has deletedAt, which the schema names: null in every row. Compare the name with the API's; "
        "where it is right, missingFields=null says so, and missingFields=error makes this an error"
    )
    assert [record.getMessage() for record in caplog.records] == [told] * 2


def test_records_are_looked_at_only_where_a_column_holds_nothing() -> None:
    """A page whose columns all hold something costs no look at its text, and neither do pages after the first ones."""
    asked: list[int] = []

    def records() -> list[bytes]:
        asked.append(1)
        return [b"{}"] * 1000

    fields = AbsentFields([pa.field("a", pa.int64()), pa.field("b", pa.int64())], "misspelt")
    fields.look([pa.array([1, None]), pa.array([None, 2])], records)
    assert asked == []
    fields = AbsentFields([pa.field("a", pa.int64())], "misspelt")
    for _ in range(3):
        fields.look([pa.array([None])], records)
    assert asked == [1]


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("userName", "user_name", True), ("User Name", "username", True), ("nmae", "name", True),
        ("tag", "tags", False), ("usersId", "userId", True),
        ("street", "strekt", True), ("id", "ids", False), ("date", "data", False), ("price1", "price2", False),
        ("birthday", "joined", False), ("", "a", False), ("abcd", "badc", False),
    ],
)  # fmt: skip
def test_names_that_may_be_one(one: str, other: str, near: bool) -> None:
    """Equal but for case and separators, or one slip apart."""
    assert is_near(one, other) is near
    assert is_near(other, one) is near
