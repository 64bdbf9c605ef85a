"""The pytest fixtures, run in a pytest of their own."""

from __future__ import annotations

import re

import pytest

pytest_plugins = ["pytester"]


def test_fixtures_fail_tests_and_keep_them_apart(pytester: pytest.Pytester) -> None:
    """Unmet expectations and undeclared requests are errors at the end of the test that caused them, and only there."""
    pytester.makepyfile(
        test_inner="""
        import requests

        pytest_plugins = ["trunkline.testing.plugin"]

        def test_fine(fault_server):
            fault_server.route("GET /a", [{}])
            fault_server.expect("GET /a", times=1)
            assert requests.get(fault_server.url_for("/a"), timeout=60).status_code == 200

        def test_unmet(fault_server):
            fault_server.expect("GET /a", times=2)

        def test_stray(fault_server):
            requests.get(fault_server.url_for("/a"), timeout=60)

        def test_apart(fault_server):
            assert fault_server.ledger() == []

        def test_killed_server_is_replaced(fault_server):
            import os, signal
            os.kill(fault_server.pid, signal.SIGKILL)
            while fault_server.alive:
                pass

        def test_after_the_kill(fault_server):
            fault_server.route("GET /a", [{}])
            assert requests.get(fault_server.url_for("/a"), timeout=60).status_code == 200

        def test_module_first(module_fault_server):
            module_fault_server.route("GET /b", [{}])

        def test_module_second(module_fault_server):
            assert requests.get(module_fault_server.url_for("/b"), timeout=60).status_code == 200
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:pytest_spark", "-q")
    result.assert_outcomes(passed=8, errors=3)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_unmet*",
            "*expected 2 x GET /a, got 0*",
            "*ERROR at teardown of test_stray*",
            "*undeclared GET /a on main: no such route*",
            "*ERROR at teardown of test_killed_server_is_replaced*",
            "*the fault server does not run*",
        ]
    )


def test_failed_assertions_of_contracts_show_their_values(pytester: pytest.Pytester) -> None:
    """Those of every contract, though the test file imports it before pytest has heard of the plugin."""
    pytester.makepyfile(
        test_inner="""
        from trunkline.testing import ReaderContract, WriterContract
        from trunkline.testing.transport_contract import TransportContract
        from trunkline.testing.transport_contract.subject import eventually

        pytest_plugins = ["trunkline.testing.plugin"]

        class Source:
            @property
            def name(self):
                return "odd"

        class TestWriter(WriterContract):
            source = Source

        class TestReader(ReaderContract):
            source = Source

        def test_transport(monkeypatch):
            monkeypatch.setattr("trunkline.testing.transport_contract.subject.PATIENCE", 0)
            eventually(lambda: False)
        """
    )
    result = pytester.runpytest_subprocess(
        "-q", "-p", "no:pytest_spark", "-W", "error", "-k", "class_method or transport"
    )
    shown = result.stdout.str()
    assert result.parseoutcomes()["failed"] == 3
    # Where CI is set, pytest's summary shows them once more.
    assert len(re.findall(r"^E +\+  where False = <function ismethod", shown, re.MULTILINE)) == 2
    assert re.search(r"it never came to hold\nE +assert [\d.]+ < [\d.]+", shown)
