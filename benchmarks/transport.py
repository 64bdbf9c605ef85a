"""Requests a second of one process with 64 in flight: plain aiohttp against our transport, in alternating repetitions.

    python benchmarks/transport.py --requests 10000 --rounds 7

Prints the median of each and the ratio of the medians; absolute figures say more about the machine than about the code.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import uvloop

from trunkline.http.message import Request
from trunkline.http.transport import AiohttpTransport, Settings

IN_FLIGHT = 64
BODY = b'{"id":%d,"name":"abcdefgh","v":1.5}'
HEADERS = {
    "User-Agent": "trunkline/0",
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate",
    "Content-Type": "application/json",
}


async def plain(url: str, count: int) -> None:
    """What a user would write with aiohttp alone."""
    numbers = iter(range(count))

    async def work(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            async with session.post(url, data=BODY % number, headers=HEADERS) as response:
                await response.read()
                assert response.status == 201

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(work(session) for _ in range(IN_FLIGHT)))


def ours(url: str, count: int) -> None:
    """The transport as the client drives it."""
    transport = AiohttpTransport(Settings())
    started = done = 0
    while done < count:
        while started < count and started - done < IN_FLIGHT:
            transport.start(Request("POST", url, body=BODY % started), url, HEADERS)
            started += 1
        for exchange in transport.poll(1.0):
            assert exchange.status == 201, exchange.detail
            done += 1
    transport.close()


WAYS = {
    "aiohttp on asyncio": lambda url, count: asyncio.run(plain(url, count)),
    "aiohttp on uvloop": lambda url, count: uvloop.run(plain(url, count)),
    "AiohttpTransport": ours,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--delay", default="0", help="seconds the server waits before each answer")
    arguments = parser.parse_args()
    command = [sys.executable, str(Path(__file__).with_name("server.py")), "--delay", arguments.delay]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/rows"
        rates: dict[str, list[float]] = {name: [] for name in WAYS}
        for run in WAYS.values():
            run(url, arguments.requests // 10)
        for _ in range(arguments.rounds):
            for name, run in WAYS.items():
                began = time.perf_counter()
                run(url, arguments.requests)
                rates[name].append(arguments.requests / (time.perf_counter() - began))
        server.terminate()
    base = statistics.median(rates["aiohttp on uvloop"])
    for name, values in rates.items():
        median = statistics.median(values)
        print(f"{name:20} {median:8.0f} requests/s  x{median / base:.2f}  ({min(values):.0f} to {max(values):.0f})")


if __name__ == "__main__":
    main()
