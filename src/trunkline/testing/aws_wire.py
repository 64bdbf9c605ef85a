"""What the doubles of AWS's services share: how they refuse, and how they cut lists into pages."""

from __future__ import annotations

from typing import Any

from trunkline.testing.platform_api import Answer

Json = dict[str, Any]


class RefusedError(Exception):
    """Ends a call with an error of AWS."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.answer = refusal(code, message, status)


def refusal(code: str, message: str, status: int = 400) -> Answer:
    """An error as AWS writes it, for JSON and for REST."""
    return Answer(status, {"__type": code, "message": message}, {"x-amzn-ErrorType": code})


def page(found: list[Any], given: Json, name: str, most: int) -> Json:
    """A page of a list; `NextToken` holds where the next one begins."""
    begin, limit = int(given.get("NextToken") or 0), min(given.get("MaxResults", most), most)
    more = {"NextToken": str(begin + limit)} if begin + limit < len(found) else {}
    return {name: found[begin : begin + limit], **more}
