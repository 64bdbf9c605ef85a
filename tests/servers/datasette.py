"""Datasette 0.65: tables of a SQLite file over HTTP, read-only, in pages by an opaque token and by a URL.

Shows: `next` (a token: the last key, or the last value and the key where rows are sorted) and `next_url` beside each
other, both null at the end; the same URL in a `Link` header; `filtered_table_rows_count`; pages of 100 rows unless
`_size` says otherwise, and 400 for more than 1000; SQLite's nulls, reals and texts as JSON; whole tables as CSV.

Cannot show: credentials, limits on rate, faults, writes.

    GET /test/rows.json?_shape=objects&_size=2

    200
    {"rows": [{"id": 1, "name": "a"}, {"id": 2, "name": null}], "filtered_table_rows_count": 5, "next": "2",
     "next_url": "http://127.0.0.1:8001/test/rows.json?_shape=objects&_size=2&_next=2", ...}
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tests.servers.install import ISOLATED, install_python
from tests.servers.process import Server, start

# Datasette and what serves it; the packages below those have kept their interfaces for years.
REQUIREMENTS = ("datasette==0.65.5", "uvicorn==0.54.0", "httpx==0.28.1", "asgiref==3.13.0", "click==8.5.1")
DATABASE = "test"

Row = tuple[int | float | str | None, ...]


def start_datasette(table: str, columns: str, rows: Sequence[Row]) -> Server:
    """Install Datasette unless it is there, and start it over one table.

    Args:
        table: Answers at `/test/{table}.json`.
        columns: As in CREATE TABLE: `id INTEGER PRIMARY KEY, name TEXT`.
        rows: One value for each column.
    """
    programs = install_python("datasette", REQUIREMENTS) / "bin"

    def command(port: int, folder: Path) -> list[str]:
        file = folder / f"{DATABASE}.db"
        file.unlink(missing_ok=True)  # of an attempt whose port was taken
        with closing(sqlite3.connect(file)) as database, database:
            database.execute(f"CREATE TABLE {table} ({columns})")
            places = ", ".join("?" * len(rows[0]))
            database.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
        datasette = [str(programs / "python"), *ISOLATED, str(programs / "datasette")]
        return [*datasette, "serve", str(file), "--host", "127.0.0.1", "--port", str(port)]

    return start("datasette", command)
