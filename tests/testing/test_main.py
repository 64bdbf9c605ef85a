"""The fault server as a command: `python -m trunkline.testing`, as the page on testing shows it."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "references" / "testing-patterns.md"


@contextmanager
def serving(folder: Path, routes: Any, *more: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The command with a file of routes, and the addresses that it names first."""
    (folder / "routes.json").write_text(json.dumps(routes))
    command = [sys.executable, "-m", "trunkline.testing", "routes.json", *more]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, dict(process.stdout.readline().rstrip().split(" ", 1) for _ in range(2))
        finally:
            process.kill()


def told(process: subprocess.Popen[str], count: int) -> list[str]:
    """So many lines of it."""
    assert process.stdout is not None
    return [process.stdout.readline().rstrip("\n") for _ in range(count)]


def send(method: str, url: str, body: bytes | None = None, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method), timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ended(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """A command that ends by itself: its exit code and what it said."""
    command = [sys.executable, "-m", "trunkline.testing", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_sample_of_the_page_does_what_the_page_shows(tmp_path: Path) -> None:
    """Its file of routes is taken, and its requests are told line by line, as it prints them."""
    part = PAGE.read_text(encoding="utf-8").split("python -m trunkline.testing")[0].rsplit("## ", 1)[1]
    part += PAGE.read_text(encoding="utf-8").split(part, 1)[1]
    routes, command, shown = (
        re.findall(rf"^```{language}\n(.*?)^```$", part, re.DOTALL | re.MULTILINE)[0]
        for language in ("json", "sh", "text")
    )
    port = free_port()
    words = command.replace("8800", str(port)).split()
    assert words[:4] == ["python", "-m", "trunkline.testing", "routes.json"]
    with serving(tmp_path, json.loads(routes), *words[4:]) as (process, addresses):
        assert addresses["main"] == f"http://127.0.0.1:{port}"
        lines = shown.splitlines()
        for line in lines[2:]:
            method, path, status = line.split()
            assert send(method, addresses["main"] + path, b'{"id": 1}' if method == "POST" else None) == int(status)
        assert [lines[0].replace("8800", str(port)), *told(process, len(lines) - 2)] == [
            f"main {addresses['main']}",
            *lines[2:],
        ]


def test_the_ledger_keeps_requests_whole_and_lines_show_no_query(tmp_path: Path) -> None:
    routes = [{"route": "POST /rows", "steps": [{"status": 201}], "store": True}]
    with serving(tmp_path, routes, "--ledger", "ledger.jsonl") as (process, addresses):
        send("POST", f"{addresses['main']}/rows?api_key=s3cr3t", b'{"id": 1}', Authorization="Bearer s3cr3t")
        assert told(process, 1) == ["POST /rows 201"]
        (kept,) = (json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines())
        assert (kept["method"], kept["target"], kept["status"]) == ("POST", "/rows?api_key=s3cr3t", 201)
        assert (kept["body"], kept["headers"]["authorization"], kept["stored"]) == ('{"id": 1}', "Bearer s3cr3t", True)
        assert (tmp_path / "ledger.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_request_without_an_answer_is_told_when_it_is_over(tmp_path: Path) -> None:
    """A reset has no status, and what nobody declared is told as what it was answered."""
    with serving(tmp_path, [{"route": "GET /a", "steps": [{"fault": "reset"}]}]) as (process, addresses):
        with pytest.raises(ConnectionError):
            send("GET", f"{addresses['main']}/a")
        assert send("GET", f"{addresses['main']}/b") == 404
        assert told(process, 2) == ["GET /a - reset", "GET /b 404"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_it_is_told_to(tmp_path: Path, number: signal.Signals) -> None:
    """With 0, saying nothing, and its address is free again."""
    with serving(tmp_path, []) as (process, addresses):
        process.send_signal(number)
        assert process.communicate(timeout=60) == ("", "")
        assert process.returncode == 0
        with pytest.raises(urllib.error.URLError, match="refused"):
            send("GET", addresses["main"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "routes.json: no JSON: Expecting property name"),
        ("{}", "routes.json: expected a list of routes, datasets and token endpoints"),
        ("[{}]", "routes.json, entry 1: expected an object with one of route, dataset, oauth"),
        (
            '[{"route": "GET /a", "steps": [{}]}, {"route": "GET /b", "steps": [{"statsu": 1}]}]',
            "routes.json, entry 2: route 'GET /b', step 1: unknown key 'statsu': did you mean 'status'?",
        ),
        (
            '[{"dataset": "GET /a", "cuont": 1}]',
            "routes.json, entry 1: unknown option 'cuont': did you mean 'count'?",
        ),
        (
            '[{"dataset": "GET /a", "count": 1, "dely": 1}]',
            "routes.json, entry 1: unknown option 'dely': did you mean 'delay'?",
        ),
        (
            '[{"route": "GET /a", "steps": [{"dataset": {"pagng": "page"}}]}]',
            "routes.json, entry 1: route 'GET /a', step 1: unknown option of a dataset 'pagng': did you mean 'paging'?",
        ),
        ('[{"route": "GET /a", "stps": [{}]}]', "routes.json, entry 1: unknown key 'stps': did you mean 'steps'?"),
        ('[{"route": "GET /a"}]', "routes.json, entry 1: steps is missing"),
    ],
)
def test_a_file_that_cannot_be_is_told_before_anything_is_served(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "routes.json").write_text(text)
    code, printed, error = ended(tmp_path, "routes.json")
    assert (code, printed, error[: len(said)]) == (2, "", said)
    assert len(error.splitlines()) == 1


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    (tmp_path / "routes.json").write_text("[]")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = f"the fault server did not start: port {port} cannot be had: Address already in use\n"
        assert ended(tmp_path, "routes.json", "--port", str(port)) == (2, "", said)
