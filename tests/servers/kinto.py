"""Kinto 26.5: a real REST API that stores what it is sent, in memory, with accounts.

Shows: rows stored by POST, PUT, PATCH and DELETE one by one; `POST /v1/batch` answering for each request on its own
(201, 412 and 400 mixed in one 200); `ETag`, `If-Match` and `If-None-Match` with 412; 401 for a wrong password; paging
by an opaque token in `Next-Page` (with `_limit`); changes since a timestamp with tombstones (`_since`); filters.

Cannot show: rate limits, faults of any kind, `Retry-After`, idempotency keys (it ignores the header), OAuth2 (see
`gate.py`), speed: one Python process, some hundreds of requests a second, and nothing survives its end.

    POST /v1/batch
    {"defaults": {"method": "PUT"},
     "requests": [{"path": "/v1/buckets/test/collections/c/records/1", "body": {"data": {"n": 1}}}]}

    {"responses": [{"status": 201, "path": "/v1/buckets/test/collections/c/records/1",
                    "body": {"data": {"id": "1", "n": 1, "last_modified": 1763690000000}}, "headers": {...}}]}
"""

from __future__ import annotations

import dataclasses
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from tests.servers.install import ISOLATED, install_python
from tests.servers.process import Server, start

# Kinto and what it is built on; the packages below those have kept their interfaces for years.
REQUIREMENTS = (
    "kinto==26.5.0",
    "waitress==3.0.2",
    "pyramid==2.1",
    "pyramid_multiauth==1.1.0",
    "pyramid_tm==2.6",
    "WebOb==1.8.11",
    "colander==2.0",
    "dockerflow==2026.3.4",
    "bcrypt==5.0.0",
)
BUCKET = "test"
# Kinto's own default is 25; a writer's batch should not be cut by it unless a test asks for one larger than this.
BATCH_MAX_REQUESTS = 500

_INI = """\
[server:main]
use = egg:waitress#main
host = 127.0.0.1
port = {port}
threads = 8

[app:main]
use = egg:kinto
kinto.includes = kinto.plugins.accounts
kinto.storage_backend = kinto.core.storage.memory
kinto.cache_backend = kinto.core.cache.memory
kinto.permission_backend = kinto.core.permission.memory
kinto.userid_hmac_secret = {secret}
kinto.batch_max_requests = {batch_max_requests}
kinto.bucket_create_principals = system.Authenticated
kinto.account_create_principals = system.Everyone
multiauth.policies = account
multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy

[loggers]
keys = root

[handlers]
keys = console

[formatters]
keys = plain

[logger_root]
level = WARNING
handlers = console

[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = plain

[formatter_plain]
format = %(asctime)s %(levelname)s %(name)s %(message)s
"""


@dataclass(frozen=True)
class Kinto(Server):
    """A running Kinto; `url` ends with `/v1`.

    Attributes:
        auth: User and password of the account that owns the bucket, for HTTP Basic.
        backend: Where `new_collection` and `records` go: `url`, or Kinto itself when `url` is that of a proxy.
    """

    auth: tuple[str, str] = field(repr=False)
    backend: str

    def new_collection(self) -> str:
        """Make an empty collection; returns the path of its records below `url`, the same through any proxy."""
        collection = f"/buckets/{BUCKET}/collections/{secrets.token_hex(8)}"
        requests.put(self.backend + collection, auth=self.auth, timeout=10).raise_for_status()
        return f"{collection}/records"

    def records(self, path: str) -> list[dict[str, Any]]:
        """What a collection holds, by id: each row with `id` and `last_modified` (milliseconds) beside its fields."""
        answer = requests.get(self.backend + path, params={"_sort": "id"}, auth=self.auth, timeout=30)
        answer.raise_for_status()
        rows: list[dict[str, Any]] = answer.json()["data"]
        return rows


def start_kinto() -> Kinto:
    """Install Kinto unless it is there, start it, and make its account and its bucket."""
    programs = install_python("kinto", REQUIREMENTS) / "bin"

    def command(port: int, folder: Path) -> list[str]:
        ini = folder / "kinto.ini"
        settings = _INI.format(port=port, secret=secrets.token_hex(16), batch_max_requests=BATCH_MAX_REQUESTS)
        ini.write_text(settings, encoding="utf-8")
        kinto = [str(programs / "python"), *ISOLATED, str(programs / "kinto")]
        return [*kinto, "start", "--ini", str(ini), "--port", str(port)]

    server = start("kinto", command)
    url = f"{server.url}/v1"
    kinto = Kinto(url, server.folder, server.process, ("alice", secrets.token_hex(8)), url)
    try:
        account = {"data": {"password": kinto.auth[1]}}
        requests.put(f"{url}/accounts/{kinto.auth[0]}", json=account, timeout=10).raise_for_status()
        requests.put(f"{url}/buckets/{BUCKET}", auth=kinto.auth, timeout=10).raise_for_status()
    except BaseException:
        kinto.stop()
        raise
    return kinto


def behind(kinto: Kinto, proxy: Server, path: str) -> Kinto:
    """The same Kinto, reached through a proxy: `url` is the proxy's, and `stop` ends the proxy."""
    return dataclasses.replace(
        kinto, url=proxy.url + path, folder=proxy.folder, process=proxy.process, backend=kinto.backend
    )
