"""Requests a second of one process with 64 in flight: bare clients, our transports, and the engine's client on each.

    python benchmarks/transport.py --requests 10000 --rounds 5
    python benchmarks/transport.py --url http://127.0.0.1:8080/rows    # a server of one's own: nginx `return 201 "{}"`

All ways take turns, round by round, so that what else the machine does meets them alike. The table shows the best of
each, as requests a second and as processor time per request, and both as ratios to bare libcurl. On a machine that is
not idle only the processor time means something. `wrk` is measured beside them where it is installed.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import aiohttp
import pycurl
import uvloop

from trunkline.http.aiohttp_transport import AiohttpTransport
from trunkline.http.auth import Auth
from trunkline.http.client import Client, Transport
from trunkline.http.concurrency import Concurrency
from trunkline.http.libcurl import LibcurlTransport
from trunkline.http.message import Request
from trunkline.http.schedule import Schedule
from trunkline.http.transport import Settings
from trunkline.http.verdict import Rules

IN_FLIGHT = 64
BODY = b'{"id":%d,"name":"abcdefgh","v":1.5}'
HEADERS = {
    "User-Agent": "trunkline/0",
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate",
    "Content-Type": "application/json",
}
WRK = '{"id":1,"name":"abcdefgh","v":1.5}'


def bare_libcurl(url: str, count: int) -> None:
    """The shortest loop there is over pycurl's multi interface; it checks nothing."""
    multi = pycurl.CurlMulti()
    multi.setopt(pycurl.M_MAXCONNECTS, IN_FLIGHT * 2)
    idle = []
    for _ in range(IN_FLIGHT):
        curl = pycurl.Curl()
        curl.setopt(pycurl.URL, url)
        curl.setopt(pycurl.HTTPHEADER, [*(f"{name}: {value}" for name, value in HEADERS.items()), "Expect:"])
        curl.setopt(pycurl.WRITEFUNCTION, len)
        curl.setopt(pycurl.HEADERFUNCTION, len)
        idle.append(curl)
    started = done = 0
    while done < count:
        while idle and started < count:
            curl = idle.pop()
            curl.setopt(pycurl.POSTFIELDS, BODY % started)
            multi.add_handle(curl)
            started += 1
        multi.perform()
        _, complete, failed = multi.info_read()
        assert not failed, failed
        for curl in complete:
            multi.remove_handle(curl)
            idle.append(curl)
        done += len(complete)
        if not complete:
            multi.select(1.0)
    multi.close()


async def bare_aiohttp(url: str, count: int) -> None:
    """What a user would write with aiohttp alone."""
    numbers = iter(range(count))

    async def work(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            async with session.post(url, data=BODY % number, headers=HEADERS) as response:
                await response.read()
                assert response.status == 201

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(work(session) for _ in range(IN_FLIGHT)))


def through_transport(kind: Callable[[Settings], Transport], url: str, count: int) -> None:
    """A transport as the client drives it."""
    transport = kind(Settings())
    started = done = 0
    while done < count:
        while started < count and started - done < IN_FLIGHT:
            transport.start(Request("POST", url, body=BODY % started), url, HEADERS)
            started += 1
        for exchange in transport.poll(1.0):
            assert exchange.status == 201, exchange.detail
            done += 1
    transport.close()


def through_client(kind: Callable[[Settings], Transport], url: str, count: int) -> None:
    """The client with a fixed concurrency: schedule and verdict too, no rows and no log."""
    schedule = Schedule(Concurrency(IN_FLIGHT), random=random.Random(1))
    rules = Rules(success=frozenset(range(200, 300)), retry=frozenset({429, 503}))
    client = Client(kind(Settings()), schedule, rules, Auth("none"), headers=HEADERS)
    requests = (Request("POST", url, body=BODY % number) for number in range(count))
    accepted = sum(outcome is not None and outcome.kind == "accepted" for outcome in client.send(requests))
    client.close()
    assert accepted == count


WAYS: dict[str, Callable[[str, int], None]] = {
    "bare libcurl": bare_libcurl,
    "bare aiohttp, uvloop": lambda url, count: uvloop.run(bare_aiohttp(url, count)),
    "AiohttpTransport": partial(through_transport, AiohttpTransport),
    "LibcurlTransport": partial(through_transport, LibcurlTransport),
    "Client, aiohttp": partial(through_client, AiohttpTransport),
    "Client, libcurl": partial(through_client, LibcurlTransport),
}


def wrk(url: str) -> float | None:
    """Requests a second of wrk with one thread, None where it is not installed."""
    program = shutil.which("wrk")
    if program is None:
        return None
    script = Path(__file__).with_name("results") / ".wrk.lua"
    script.write_text(f"wrk.method = 'POST'\nwrk.body = '{WRK}'\n", encoding="utf-8")
    command = [program, "-t1", f"-c{IN_FLIGHT}", "-d3s", "-s", str(script), url]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    script.unlink()
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    return float(found[1]) if found else None


@contextmanager
def own_server(delay: str) -> Iterator[str]:
    """The server of `server.py` in a process of its own; its URL."""
    command = [sys.executable, str(Path(__file__).with_name("server.py")), "--delay", delay]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/rows"
        server.terminate()


def measure(url: str, requests: int, rounds: int) -> None:
    best: dict[str, tuple[float, float]] = {}
    for way in WAYS.values():
        way(url, requests // 10)
    for _ in range(rounds):
        for name, way in WAYS.items():
            began, busy = time.perf_counter(), time.process_time()
            way(url, requests)
            busy, took = time.process_time() - busy, time.perf_counter() - began
            rate, cost = requests / took, busy / requests * 1e6
            known = best.get(name, (0.0, float("inf")))
            best[name] = max(known[0], rate), min(known[1], cost)
    base_rate, base_cost = best["bare libcurl"]
    print("| | requests/s | to bare libcurl | processor time, microseconds a request | bare libcurl to it |")
    print("|---|---:|---:|---:|---:|")
    bare = wrk(url)
    if bare is not None:
        print(f"| wrk, one thread | {bare:,.0f} | {bare / base_rate:.2f} | | |")
    for name, (rate, cost) in best.items():
        print(f"| {name} | {rate:,.0f} | {rate / base_rate:.2f} | {cost:.1f} | {base_cost / cost:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--delay", default="0", help="seconds our own server waits before each answer")
    parser.add_argument("--url", help="a server that answers 201, instead of our own")
    arguments = parser.parse_args()
    if arguments.url:
        measure(arguments.url, arguments.requests, arguments.rounds)
        return
    with own_server(arguments.delay) as url:
        measure(url, arguments.requests, arguments.rounds)


if __name__ == "__main__":
    main()
