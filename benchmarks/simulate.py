"""What 1, 8 and 100 independent tasks make of one limited server, in virtual time.

python -m benchmarks.simulate            # writes benchmarks/results/simulate.md
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tests.http.simulation import (
    SERVICE,
    SPREAD,
    TRAVEL,
    OverrunServer,
    RateServer,
    Result,
    Server,
    SlotServer,
    simulate,
)

from trunkline.coordination.leases import Leases
from trunkline.http.pacing import RateLimit

SECONDS = 60.0
TASKS = (1, 8, 100)
PER_SECOND = 200.0
SLOTS = 20
RESULTS = Path(__file__).parent / "results" / "simulate.md"

# Name, server, what it can do in a second.
SERVERS: list[tuple[str, Callable[[], Server], float]] = [
    ("200/s, 429", lambda: RateServer(PER_SECOND), PER_SECOND),
    ("200/s, 429 with Retry-After: 1", lambda: RateServer(PER_SECOND, retry_after="1"), PER_SECOND),
    ("20 at once, 503", lambda: SlotServer(SLOTS), SLOTS / SERVICE),
    ("20 at once, queues", lambda: SlotServer(SLOTS, queues=True), SLOTS / SERVICE),
    ("slower beyond 20", lambda: OverrunServer(SLOTS), SLOTS / SERVICE),
]
HEAD = "| server | tasks | ok/s | possible | refused | of sent | wait p50 s | wait p99 s | least, most ok of a task |"
SETTING = f"""{SECONDS:.0f} virtual seconds from a cold start, rows without end, each task with a schedule of its own
and no word of the others. A request or answer travels {TRAVEL * 1000:.0f} ms, work takes {SERVICE * 1000:.0f} ms
± {SPREAD:.0%}; the rate server is a token bucket with a burst of 10. `wait` is from pulling a row to its acceptance,
retries included."""
REMARK = """20 at once cannot be filled by 20 in flight, some of which are always travelling; and a hundred tasks that
know nothing of each other arrive at random, so that 20 slots refuse 16 % when 20 are wanted on average (Erlang B)."""


def row(name: str, tasks: int, possible: float, result: Result) -> str:
    sent = result.accepted + result.refused
    return (
        f"| {name} | {tasks} | {result.accepted / SECONDS:.1f} | {result.accepted / SECONDS / possible:.1%} "
        f"| {result.refused} | {result.refused / sent:.1%} | {result.wait(0.5):.2f} | {result.wait(0.99):.2f} "
        f"| {min(result.per_task)}, {max(result.per_task)} |"
    )


def table() -> list[str]:
    lines = [HEAD, "|---|" + "---:|" * 8]
    for name, server, possible in SERVERS:
        lines += [row(name, tasks, possible, simulate(tasks, server(), SECONDS)) for tasks in TASKS]
    split = simulate(8, RateServer(PER_SECOND), SECONDS, rate=lambda: RateLimit([(PER_SECOND, 1.0)], share=1 / 8))
    lines.append(row("200/s, rateLimit=200/s, rateLimitTasks=8", 8, PER_SECOND, split))
    return lines


def fixed_table(server: Callable[[], Server]) -> list[str]:
    lines = ["| concurrency | ok/s | refused | wait p99 s |", "|---|---:|---:|---:|"]
    for fixed in (10, 16, 18, 19, 20, 21, 22, 24, 28, 32, None):
        result = simulate(1, server(), SECONDS, concurrency=fixed)
        lines.append(
            f"| {fixed or 'auto'} | {result.accepted / SECONDS:.1f} | {result.refused} | {result.wait(0.99):.2f} |"
        )
    return lines


def seeds_table() -> list[str]:
    """8 tasks at 200/s for ten seeds: one run says little of how much luck is in it."""
    runs = [simulate(8, RateServer(PER_SECOND), SECONDS, seed=seed) for seed in range(10)]
    accepted = [run.accepted / SECONDS for run in runs]
    refused = [run.refused for run in runs]
    least = [min(run.per_task) / (run.accepted / 8) for run in runs]
    return [
        "| | least | most |",
        "|---|---:|---:|",
        f"| ok/s | {min(accepted):.1f} | {max(accepted):.1f} |",
        f"| refused | {min(refused)} | {max(refused)} |",
        f"| the slowest task's part of a fair share | {min(least):.0%} | {max(least):.0%} |",
    ]


def coordinator_table() -> list[str]:
    """One coordinator, from a cold start; with 1,000 tasks a task's turn comes every five seconds, so longer."""
    columns = ["tasks", "with rows", "ok/s", "of the rate", "refused", "most in 1 s", "slowest, fastest of the mean"]
    columns += ["calls/s", "most calls in 1 s"]
    lines = [f"| {' | '.join(columns)} |", "|---|---:|" + "---:|" * 7]
    for tasks, busy, seconds in ((1, 1, 60.0), (8, 8, 60.0), (8, 2, 60.0), (100, 100, 60.0), (1000, 1000, 600.0)):
        leases = Leases([(PER_SECOND, 1.0)])
        result = simulate(tasks, RateServer(PER_SECOND), seconds, leases=leases, rows=_first(busy))
        mean = result.accepted / busy
        working = result.per_task[:busy]
        lines.append(
            f"| {tasks} | {busy} | {result.accepted / seconds:.1f} | {result.accepted / seconds / PER_SECOND:.1%} "
            f"| {result.refused / max(1, result.accepted):.2%} | {result.most_within(1.0)} "
            f"| {min(working) / mean:.1%}, {max(working) / mean:.1%} "
            f"| {len(result.calls_at) / seconds:.0f} | {result.most_calls_within(1.0)} |"
        )
    return lines


def _first(busy: int) -> Callable[[int, float], bool]:
    """Only the first so many tasks have rows."""
    return lambda task, now: task < busy


def main() -> None:
    text = [
        "# Simulated tasks against one limited server",
        "",
        "`python -m benchmarks.simulate`",
        "",
        SETTING,
        "",
        *table(),
        "",
        REMARK,
        "",
        "## 20 at once, 503: one task, fixed and found",
        "",
        *fixed_table(lambda: SlotServer(SLOTS)),
        "",
        "## Slower by the square beyond 20: one task, fixed and found",
        "",
        *fixed_table(lambda: OverrunServer(SLOTS)),
        "",
        "## 200/s, 8 tasks, ten seeds",
        "",
        *seeds_table(),
        "",
        "## rateLimit=200/s by a coordinator",
        "",
        *coordinator_table(),
        "",
    ]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text("\n".join(text))
    sys.stdout.write("\n".join(text))


if __name__ == "__main__":
    main()
