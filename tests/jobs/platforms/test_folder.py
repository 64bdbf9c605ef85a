"""Runs kept in a folder: one per key, replaced whole, and listed without opening what nobody asked for."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from trunkline.jobs.folder import Kept, RunFolder, run_id_of
from trunkline.jobs.locks import held, locked
from trunkline.jobs.options import write_options
from trunkline.jobs.platforms import local
from trunkline.jobs.run import Run, RunFilter, RunRequest

NOON = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
MANY = 10_000


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(str(tmp_path / "runs"), "local")


def add(folder: RunFolder, key: str, job: str = "my.etl", owner: str = "1.a") -> Kept:
    assert folder.add(RunRequest("local", job, key), owner, {})
    kept = folder.kept(run_id_of(key))
    assert kept is not None
    return kept


def end(folder: RunFolder, kept: Kept, at: datetime, state: str = "SUCCEEDED") -> None:
    folder.write(replace(kept, run=replace(kept.run, state=state, started_at=at, ended_at=at)))


@contextmanager
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The ids of the runs that are opened meanwhile."""
    ids: list[str] = []
    kept = RunFolder.kept

    def noted(self: RunFolder, run_id: str) -> Kept | None:
        ids.append(run_id)
        return kept(self, run_id)

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "kept", noted)
        yield ids


def as_it_is(found: list[Kept]) -> list[Kept]:
    return found


def keys(folder: RunFolder, wanted: RunFilter) -> list[str | None]:
    return [kept.run.run_key for kept in folder.listed(wanted, as_it_is)]


def test_what_is_written_is_what_is_read(folder: RunFolder) -> None:
    kept = add(folder, "k")
    assert kept.run == Run("local", "my.etl", run_id_of("k"), "k", url=folder.path(run_id_of("k"), "log").as_uri())
    run = replace(
        kept.run, state="FAILED", state_detail="d", started_at=NOON, ended_at=NOON + timedelta(microseconds=1),
        attempt=2, error="é\n", result="{}",
    )  # fmt: skip
    written = replace(kept, run=run, outer_id="driver-1")
    folder.write(written)
    assert folder.kept(run_id_of("k")) == written
    assert folder.kept("another") is None


def test_a_key_is_added_once_however_many_ask_at_once(folder: RunFolder) -> None:
    made: list[bool] = []
    barrier = threading.Barrier(8)

    def ask(owner: str) -> None:
        barrier.wait()
        made.append(folder.add(RunRequest("local", "my.etl", "k"), owner, {}))

    callers = [threading.Thread(target=ask, args=(f"{n}.a",)) for n in range(8)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert sorted(made) == [False] * 7 + [True]
    assert [name.name for name in (folder.root / "runs").iterdir()] == [run_id_of("k")]
    assert len(list((folder.root / "open").iterdir())) == 1
    assert sorted(path.name for path in folder.root.iterdir()) == ["ended", "keepers", "open", "runs"]


def test_the_request_is_kept_with_what_its_starter_needs(folder: RunFolder) -> None:
    request = RunRequest("local", "my.etl", "k", {"n": 1}, "t", {"team": "blue"})
    folder.add(request, "1.a", {"command": ["true"]})
    assert folder.request(run_id_of("k")) == {
        "job": "my.etl", "run_key": "k", "target": "t", "labels": {"team": "blue"}, "command": ["true"],
    }  # fmt: skip


def test_a_lock_is_held_by_one_and_ends_with_the_block(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not held(path)
    with locked(path) as mine:
        assert mine
        assert held(path)
        with locked(path) as second:
            assert not second
    assert not held(path)


def test_a_lock_on_a_file_that_was_removed_is_none(tmp_path: Path) -> None:
    """Its holder removed it while another waited at the same file: both would hold a lock of that name."""
    path = tmp_path / "lock"
    with path.open("ab"):
        real = Path.stat

        def gone(self: Path, *, follow_symlinks: bool = True) -> object:
            path.unlink(missing_ok=True)
            return real(self, follow_symlinks=follow_symlinks)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Path, "stat", gone)
            with locked(path) as mine:
                assert not mine


def test_times_pass_a_run_that_has_not_started_and_take_one_that_ended_without_by_its_end() -> None:
    waits = Run("local", "my.etl", "1")
    never = replace(waits, state="CANCELLED", ended_at=NOON)
    ran = replace(never, started_at=NOON - timedelta(seconds=1))
    assert [RunFilter(since=NOON).takes(run) for run in (waits, never, ran)] == [True, True, False]
    assert [RunFilter(until=NOON).takes(run) for run in (waits, never, ran)] == [True, False, True]


def test_runs_are_listed_newest_first_by_start_or_by_when_they_were_asked_for(folder: RunFolder) -> None:
    for n, key in enumerate(("c", "a", "b")):
        end(folder, add(folder, key), NOON + timedelta(seconds=n))
    add(folder, "waits")  # now, which is later
    assert keys(folder, RunFilter()) == ["waits", "b", "a", "c"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (RunFilter(states=frozenset({"TIMED_OUT"})), ["t"]),
        (RunFilter(states=frozenset({"PENDING_APPROVAL", "PENDING"})), ["waits", "p"]),
        (RunFilter(since=NOON + timedelta(seconds=2)), ["waits", "p"]),
        (RunFilter(until=NOON + timedelta(seconds=2)), ["waits", "t", "s"]),
        (RunFilter(since=NOON + timedelta(seconds=1), until=NOON + timedelta(seconds=2)), ["waits", "t"]),
        (RunFilter(jobs=("my.other",)), ["t"]),
        (RunFilter(jobs=("my.other", "my.etl"), states=frozenset({"SUCCEEDED"})), ["s"]),
    ],
)
def test_only_what_is_asked_for_is_opened(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, wanted: RunFilter, expected: list[str]
) -> None:
    end(folder, add(folder, "s"), NOON)
    end(folder, add(folder, "t", "my.other"), NOON + timedelta(seconds=1), "TIMED_OUT")
    end(folder, add(folder, "p"), NOON + timedelta(seconds=2), "PENDING_APPROVAL")
    add(folder, "waits")
    with opened(monkeypatch) as ids:
        assert keys(folder, wanted) == expected
    # Those that are not over are always looked at: their state is not in a name.
    assert set(ids) == {run_id_of(key) for key in {*expected, "waits"}}


def test_what_nobody_takes_is_not_opened(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(10):
        end(folder, add(folder, str(n)), NOON + timedelta(seconds=n))
    with opened(monkeypatch) as ids:
        assert next(folder.listed(RunFilter(), as_it_is)).run.run_key == "9"
    assert len(ids) == 1


def test_a_run_cut_off_between_its_end_and_its_name_is_listed_once(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file says that it is over, and it is still among those that are not."""
    kept = add(folder, "k")
    with monkeypatch.context() as killed:
        killed.setattr(Path, "unlink", lambda *_, **__: None)
        end(folder, kept, NOON)
    assert keys(folder, RunFilter()) == ["k"]
    assert keys(folder, RunFilter(states=frozenset({"SUCCEEDED"}))) == ["k"]
    assert folder.waiting("1.a") == []


def test_a_name_without_its_run_is_passed_over(folder: RunFolder) -> None:
    """What is left of a caller that was killed while it added a run, and of a run that was deleted by hand."""
    add(folder, "k")
    (folder.root / "open" / f"{1:020d}_9.z_{'0' * 24}").touch()
    (folder.root / "ended" / f"{1:020d}_SUCCEEDED_{'0' * 8}_{'0' * 24}").touch()
    assert keys(folder, RunFilter()) == ["k"]


def test_an_owners_runs_wait_in_the_order_they_were_asked_for(folder: RunFolder) -> None:
    for key in ("b", "a"):
        add(folder, key)
    add(folder, "c", owner="1.ab")
    assert folder.waiting("1.a") == [run_id_of("b"), run_id_of("a")]
    assert folder.waiting("1.ab") == [run_id_of("c")]


def timed(what: Callable[[], object]) -> float:
    start = time.perf_counter()
    what()
    return time.perf_counter() - start


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ten_thousand_runs_that_ran_are_listed_and_narrowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    """Each was a process; what is asked for reaches the folder: of 10,000 runs those that fit are opened, no other."""
    given = {"platform": "local", "local.folder": str(tmp_path / "runs"), "local.workers": "2"}
    options = write_options(given)
    monkeypatch.setattr(local, "_command", lambda request, _: ["false" if request.run_key.endswith("7") else "true"])

    def start_all() -> None:
        for n in range(MANY):
            local.start(RunRequest("local", f"my.job{n % 100}", f"k{n}"), options)

    figures = {"start": timed(start_all)}
    begun = time.perf_counter()
    unfinished = frozenset({"PENDING", "RUNNING"})
    while next(local.list_runs(RunFilter(states=unfinished), options), None) is not None:
        time.sleep(1)
    figures["until all had ended"] = time.perf_counter() - begun
    runs: list[Run] = []
    figures["list all"] = timed(lambda: runs.extend(local.list_runs(RunFilter(), options)))
    assert len({run.run_id for run in runs}) == len(runs) == MANY
    started = [run.started_at for run in runs if run.started_at is not None]
    assert len(started) == MANY
    assert started == sorted(started, reverse=True)
    asked = {
        "one job": RunFilter(jobs=("my.job42",)),
        "failed": RunFilter(states=frozenset({"FAILED"})),
        "since": RunFilter(since=started[99]),
        "none": RunFilter(until=started[-1]),
    }
    expected = {"one job": 100, "failed": 1000, "since": 100, "none": 0}
    for name, wanted in asked.items():
        with opened(monkeypatch) as ids:
            found: list[Run] = []
            figures[name] = timed(lambda wanted=wanted, found=found: found.extend(local.list_runs(wanted, options)))  # type: ignore[misc]
        assert (len(found), len(ids)) == (expected[name], expected[name])
    with opened(monkeypatch) as ids:
        figures["newest"] = timed(lambda: next(local.list_runs(RunFilter(), options)))
    assert len(ids) == 1
    record_property("seconds", json.dumps({name: round(value, 3) for name, value in figures.items()}))
    print(figures)
    # Generous for a machine that is busy otherwise: 1 s is what it takes here.
    assert figures["list all"] < 10
    assert figures["one job"] < 1
