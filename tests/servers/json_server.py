"""json-server 0.17.4: tables of a JSON file as REST resources, in pages that a Link header joins.

Shows: `Link` with first, prev, next and last, as full URLs; `X-Total-Count`; pages by number (`_page`, `_limit`);
ranges of a field, both ends included (`id_gte`, `id_lte`); answers that are a bare array.

Cannot show: credentials, limits, faults, types beyond JSON's own, and rows that change while they are read.

    GET /rows?_page=2&_limit=2

    200
    X-Total-Count: 5
    Link: <http://127.0.0.1:3000/rows?_page=1&_limit=2>; rel="first", ..., <...?_page=3&_limit=2>; rel="next", ...

    [{"id": 3}, {"id": 4}]
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.servers.install import install_node
from tests.servers.process import Server, start

PACKAGES = ("json-server@0.17.4",)


def start_json_server(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> Server:
    """Install json-server unless it is there, and start it with `tables`; each row has an `id` of its own."""
    installed = install_node("json-server", PACKAGES)

    def command(port: int, folder: Path) -> list[str]:
        database = folder / "db.json"
        database.write_text(json.dumps(tables), encoding="utf-8")
        program = installed / "node_modules" / "json-server" / "lib" / "cli" / "bin.js"
        return ["node", str(program), "--host", "127.0.0.1", "--port", str(port), "--quiet", str(database)]

    return start("json-server", command)
