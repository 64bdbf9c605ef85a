"""Prometheus and its push gateway from Debian (2.42 and 1.5 on Debian 12).

Shows: whether what we serve is taken as it is meant: names, types, units and help (`metadata`), values and labels
(`values`), which text format is spoken, what becomes of series whose target is gone; and what a push leaves behind for
the next scrape, which is what people see of a run that is over.

    prometheus = start_prometheus()
    prometheus.scrape("daily", f"127.0.0.1:{port}")
    prometheus.values('trunkline_steps_total{job="daily"}')    # {(("outcome", "success"), ("step", "a")): 1.0}

Cannot show: recording rules and alerts (none are configured), days of history, a scrape over TLS.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from tests.servers.install import install_debian, unpacked
from tests.servers.process import Server, start

PACKAGES = ("prometheus", "prometheus-pushgateway")
# Prometheus takes none below a millisecond; a second is what tests can wait for.
SCRAPE_SECONDS = 1

_CONFIGURATION = """\
global:
  scrape_interval: {seconds}s
  scrape_timeout: {seconds}s
scrape_configs:
  - job_name: tests
    honor_labels: true  # as a push gateway is scraped: `job` is the group's
    file_sd_configs:
      - files: ["{folder}/targets.json"]
        refresh_interval: {seconds}s
"""

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus.

    Attributes:
        targets: What it scrapes, as `file_sd_configs` has it.
    """

    server: Server
    targets: list[dict[str, Any]] = field(default_factory=list)

    def scrape(self, job: str, address: str) -> None:
        """Scrape `host:port` from now on, as this job."""
        self.targets.append({"targets": [address], "labels": {"job": job}})
        written = self.server.folder / "targets.new"
        written.write_text(json.dumps(self.targets), encoding="utf-8")
        written.replace(self.server.folder / "targets.json")

    def values(self, query: str) -> dict[Labels, float]:
        """What PromQL gives now, by the labels but for those of the target."""
        answer = self._ask("query", query=query)
        own = {"__name__", "job", "instance"}
        return {
            tuple(sorted((name, text) for name, text in one["metric"].items() if name not in own)): float(
                one["value"][1]
            )
            for one in answer["result"]
        }

    def names(self, job: str) -> set[str]:
        """The names of all series that a job ever had."""
        found = self._ask("label/__name__/values", **{"match[]": f'{{job="{job}"}}'})
        return set(found)

    def metadata(self, job: str) -> dict[str, tuple[str, str, str]]:
        """The type, the unit and the help of each number, as it stood at the last scrape."""
        found = self._ask("targets/metadata", match_target=f'{{job="{job}"}}')
        return {one["metric"]: (one["type"], one["unit"], one["help"]) for one in found}

    def target(self, job: str) -> dict[str, Any]:
        """How the scrapes of a job go: `health`, `lastError`."""
        found = [one for one in self._ask("targets")["activeTargets"] if one["labels"]["job"] == job]
        return dict(found[0]) if found else {"health": "unknown", "lastError": ""}

    def until(self, query: str, wanted: Mapping[Any, float] | None = None) -> dict[Labels, float]:
        """What PromQL gives, as soon as it is what is wanted, or anything; and what it gives after a minute if not.

        A scrape that fails takes all series of its target away until the next.
        """
        deadline = time.monotonic() + 60
        while not ((found := self.values(query)) == wanted or (found and wanted is None)):
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        return found

    def stop(self) -> None:
        """End it."""
        self.server.stop()

    def _ask(self, what: str, **parameters: str) -> Any:
        with requests.Session() as session:
            session.trust_env = False  # a proxy of the machine must not stand between
            answer = session.get(f"{self.server.url}/api/v1/{what}", params=parameters, timeout=60)
        answer.raise_for_status()
        return answer.json()["data"]


def start_prometheus() -> Prometheus:
    """Install Prometheus unless it is there, and start one that scrapes nothing yet."""
    folder = install_debian("prometheus", PACKAGES)

    def command(port: int, run: Path) -> list[str]:
        (run / "targets.json").write_text("[]", encoding="utf-8")
        text = _CONFIGURATION.format(seconds=SCRAPE_SECONDS, folder=run)
        (run / "prometheus.yml").write_text(text, encoding="utf-8")
        return [
            str(unpacked(folder, "usr/bin/prometheus")),
            f"--config.file={run}/prometheus.yml",
            f"--storage.tsdb.path={run}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]

    server = start("prometheus", command)
    deadline = time.monotonic() + 60
    # It answers before it has opened its database, and until then that it is not available.
    while not _is_ready(server.url) and time.monotonic() < deadline:
        time.sleep(0.05)
    return Prometheus(server)


def _is_ready(url: str) -> bool:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(f"{url}/-/ready", timeout=60).ok


def start_pushgateway() -> Server:
    """Install the push gateway unless it is there, and start an empty one."""
    folder = install_debian("prometheus", PACKAGES)

    def command(port: int, _: Path) -> list[str]:
        program = str(unpacked(folder, "usr/bin/prometheus-pushgateway"))
        return [program, f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]

    return start("pushgateway", command)
