"""`trunkline coordinator`: what it takes and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trunkline.cli import USAGE, main


@pytest.mark.parametrize("name", ["token", "clientSecret", "CLIENTSECRET", "auth.password", "refreshtoken"])
def test_a_credential_in_clear_is_refused_on_a_command_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["coordinator", "--auth", "type=bearer", "--auth", f"{name}=hunter2"]) == USAGE
    told = capsys.readouterr()
    assert "others can see a command line: give env:NAME or file:/path" in told.err
    assert "hunter2" not in told.out + told.err


def test_what_is_no_pair_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["coordinator", "--auth", "hunter2"]) == USAGE
    assert "hunter2" not in capsys.readouterr().err


def test_a_key_that_others_can_read_is_not_used_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.json"
    file.write_text(json.dumps({"coordinator.token": "k" * 64}))
    file.chmod(0o644)
    assert main(["coordinator", "--options-file", str(file)]) == USAGE
    assert "is not yours alone, so its key is no secret" in capsys.readouterr().err


def test_every_address_is_none_that_workers_can_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["coordinator", "--host", "0.0.0.0"]) == USAGE
    assert "host=0.0.0.0 is every address of this machine: name the one that workers call" in capsys.readouterr().err
