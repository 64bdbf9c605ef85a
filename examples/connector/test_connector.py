"""The connector keeps what every connector owes to Spark: `pytest` in this folder."""

from __future__ import annotations

import pytest
from connector import ShopDataSource

from trunkline.testing import ReaderContract, WriterContract

pytest_plugins = ["trunkline.testing.plugin"]


class TestShopReader(ReaderContract):
    source = ShopDataSource
    secrets = ("api.token",)

    def options(self):
        """What a user writes to read the API."""
        return {"url": self.server.url_for("/orders"), "api.token": "looked-for-everywhere"}

    def serve(self, records, steps=()):
        """How the API hands out rows: ten in a page, with the address of the next one."""
        self.server.dataset("GET /orders", rows=records, steps=steps, paging="nextUrl", size=10)


class TestShopWriter(WriterContract):
    source = ShopDataSource
    secrets = ("api.token",)

    @pytest.fixture(autouse=True)
    def _target(self, fault_server):
        """A target that holds nothing, for each test."""
        self.server = fault_server
        self.server.route("POST /copies", [{"status": 201}], store=True)

    def options(self):
        return {"url": self.server.url_for("/copies"), "api.token": "looked-for-everywhere"}

    def arrived(self):
        """The rows the target holds."""
        return self.server.stored("/copies")

    def refuse_all(self):
        """From now on it takes none."""
        self.server.route("POST /copies", [{"status": 422}])
