"""What tests of the coordinator share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from trunkline.coordination import links


@pytest.fixture(autouse=True)
def own_links() -> Iterator[None]:
    """Each test is a process of its own to the coordinator."""
    links._LINKS.clear()
    yield
    links._LINKS.clear()
