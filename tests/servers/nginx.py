"""nginx from Debian: a fast server with limits.

| path | answers |
| --- | --- |
| `/empty` | 204, at once |
| `/ok` | 200 with `{"ok": true}`, at once |
| `/limited` | 204, or 429 beyond 200 requests a second (a burst of 20 passes); no `Retry-After` |
| `/busy` | 200 after 50 ms, or 503 when more than 8 requests are at work |
| `/small` | 204, or 413 when the body is over 1,024 bytes |

Any method will do. Shows: what a client costs by itself (nothing here is slower than the client), and how it gets on
with a server that limits rate, concurrency or size. `answers()` counts what was sent to the last three, with the query
as it was sent (`204 POST /limited?id=7`), and `bodies` gives what `/small` was sent.

Cannot show: stored rows (other bodies are thrown away), answers that name a wait, the limits of two clients with
different keys (the limits count all clients of 127.0.0.1 as one).
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.servers.install import install_debian, unpacked
from tests.servers.process import Server, start

PACKAGES = ("nginx-light",)

# `return` and `echo` differ in when they answer. `return` does at once, before any limit is looked at, so `/limited`
# gets its 204 through `try_files`, which comes after the limits; `echo_sleep` waits without holding a thread. A body is
# only read where it goes somewhere, so `/small` hands it on to `/empty` in order to log it.
_CONFIGURATION = """\
load_module {echo};
daemon off;
worker_processes 1;
user {user} {group};
pid {folder}/nginx.pid;
error_log stderr error;

events {{ worker_connections 4096; }}

http {{
  access_log off;
  log_format answers '$status $request_method $request_uri';
  log_format bodies escape=json '$status "$request_body"';
  default_type application/json;
  keepalive_requests 1000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  limit_req_zone $server_name zone=rate:1m rate={per_minute}r/m;
  limit_conn_zone $server_name zone=work:1m;

  server {{
    listen 127.0.0.1:{port} backlog=4096;
    server_name limits;
    client_max_body_size 64m;

    location = /empty {{ return 204; }}
    location = /ok {{ return 200 '{{"ok": true}}'; }}
    location = /limited {{
      access_log {folder}/access.log answers;
      limit_req zone=rate burst={burst} nodelay;
      limit_req_status 429;
      limit_req_log_level info;
      try_files /none @empty;
    }}
    location = /busy {{
      access_log {folder}/access.log answers;
      limit_conn work {concurrency};
      limit_conn_status 503;
      limit_conn_log_level info;
      echo_read_request_body;
      echo_sleep {seconds};
      echo '{{"ok": true}}';
    }}
    location = /small {{
      access_log {folder}/access.log answers;
      access_log {folder}/bodies.log bodies;
      client_max_body_size {max_body};
      client_body_buffer_size {max_body};
      proxy_pass http://127.0.0.1:{port}/empty;
    }}
    location @empty {{ access_log {folder}/access.log answers; return 204; }}
  }}
}}
"""


def start_nginx(
    *, rate: float = 200, burst: int = 20, concurrency: int = 8, seconds: float = 0.05, max_body: int = 1024
) -> Server:
    """Unpack nginx unless it is there, and start it.

    Args:
        rate: Requests a second that `/limited` accepts.
        burst: How many more it accepts at once before it answers 429.
        concurrency: Requests that `/busy` works on at the same time; the next gets 503.
        seconds: How long `/busy` works on one request.
        max_body: Bytes of a body that `/small` accepts.
    """
    installed = install_debian("nginx", PACKAGES)

    def command(port: int, folder: Path) -> list[str]:
        import grp  # POSIX only, like the servers; the fixtures are imported everywhere
        import pwd

        configuration = folder / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                echo=unpacked(installed, "usr/lib/nginx/modules/ngx_http_echo_module.so"),
                user=pwd.getpwuid(os.getuid()).pw_name,
                group=grp.getgrgid(os.getgid()).gr_name,
                folder=folder,
                port=port,
                per_minute=round(60 * rate),
                burst=burst,
                concurrency=concurrency,
                seconds=seconds,
                max_body=max_body,
            ),
            encoding="utf-8",
        )
        program = str(unpacked(installed, "usr/sbin/nginx"))
        return [program, "-p", str(folder), "-e", "stderr", "-c", str(configuration)]

    return start("nginx", command)


def bodies(server: Server) -> list[tuple[int, str]]:
    """For each request to `/small` the status it was answered and its body ("" when refused, unread), in order."""
    lines = (server.folder / "bodies.log").read_text(encoding="utf-8").splitlines()
    return [(int(line[:3]), json.loads(line[4:])) for line in lines]
