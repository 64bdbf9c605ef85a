"""`--resume auto`: what a scheduler says at every try, whatever became of the try before."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.cli import main
from trunkline.errors import OptionError
from trunkline.pipelines.report import Report, StepReport
from trunkline.pipelines.resume import Resume, read_former

AUTO = Resume("auto")


def leave(folder: Path, outcome: str, run_id: str = "daily-20260501T010000000-aaaaaa") -> None:
    (folder / run_id).mkdir()
    report = Report("daily", run_id, "p.conf", "", [StepReport("a", "sql")], outcome=outcome)
    (folder / run_id / "report.json").write_text(report.json())


def test_the_first_try_begins(tmp_path: Path) -> None:
    """Neither a folder nor a run is needed."""
    assert read_former(str(tmp_path / "runs"), AUTO, "daily") is None


@pytest.mark.parametrize("outcome", ["running", "failed", "pending_approval"])
def test_a_later_try_goes_on_with_a_run_that_did_not_end_well(tmp_path: Path, outcome: str) -> None:
    leave(tmp_path, "success", "daily-20260430T010000000-cccccc")
    leave(tmp_path, outcome)
    former = read_former(str(tmp_path), AUTO, "daily")
    assert former is not None
    assert former.run_id == "daily-20260501T010000000-aaaaaa"


@pytest.mark.parametrize("outcome", ["success", "degraded"])
def test_one_that_was_cleared_after_it_ended_well_begins_anew(tmp_path: Path, outcome: str) -> None:
    leave(tmp_path, "failed", "daily-20260430T010000000-cccccc")
    leave(tmp_path, outcome)
    assert read_former(str(tmp_path), AUTO, "daily") is None


def test_where_all_is_done_anew_nothing_can_be_taken_for_done(tmp_path: Path) -> None:
    """But `--repeat` may stand in every try: all is repeated anyway."""
    assert read_former(str(tmp_path), Resume("auto", repeat=("out",)), "daily") is None
    with pytest.raises(OptionError, match=r"no run of daily in .* is unfinished: nothing can be taken for done"):
        read_former(str(tmp_path), Resume("auto", done=("out",)), "daily")


def test_the_folder_may_belong_to_several_pipelines(tmp_path: Path) -> None:
    leave(tmp_path, "failed", "daily-2-20260501T010000000-aaaaaa")
    assert read_former(str(tmp_path), AUTO, "daily") is None


def test_a_variable_that_is_not_set_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--resume "$RUN"` without RUN is refused: a run from the beginning could double rows."""
    path = tmp_path / "p.conf"
    path.write_text("name = daily\nsteps = [ { name = a, sql = SELECT } ]")
    assert main(["run", str(path), "--runs", str(tmp_path / "runs"), "--resume", "", "--dry-run"]) == 2
    assert capsys.readouterr().err == "trunkline: resume: '' is no id of a run\n"
