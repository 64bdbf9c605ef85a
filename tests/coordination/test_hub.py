"""What calls mean, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.coordination.hub import Hub


def call(worker: str, rate: str, windows: list[tuple[float, float]]) -> dict[str, Any]:
    return {"worker": worker, "rates": {rate: {"used": 0, "back": 0, "stock": 0, "want": None, "windows": windows}}}


def test_rates_of_queries_that_are_over_make_room_for_others() -> None:
    hub = Hub((), "none", lambda number: None)
    for query in range(500):
        answer = hub.sync(call(f"w{query}", f"https://api{query}", [(10, 1.0)]), query * 10.0)
        assert answer["rates"][f"https://api{query}"]["lease"]["permits"] == 1


def test_more_rates_at_a_time_than_a_query_has_are_refused() -> None:
    hub = Hub((), "none", lambda number: None)
    for query in range(100):
        hub.sync(call("w", f"https://api{query}", [(10, 1.0)]), 0.0)
    with pytest.raises(ValueError, match="too many rates"):
        hub.sync(call("w", "https://one-more", [(10, 1.0)]), 0.0)
