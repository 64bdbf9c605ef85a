"""`trunkline new project` and `new job`: what they write passes its own tests and runs from its Makefile."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from trunkline.cli import main

Captured = pytest.CaptureFixture[str]

FILES = [
    ".github/workflows/ci.yml",
    ".gitignore",
    "Makefile",
    "README.md",
    "conftest.py",
    "jobs/__init__.py",
    "jobs/libs/__init__.py",
    "jobs/libs/api.py",
    "jobs/libs/tests/stand_in.py",
    "jobs/libs/tests/test_api.py",
    "jobs/sample_job/__init__.py",
    "jobs/sample_job/arguments.json",
    "jobs/sample_job/destinations.py",
    "jobs/sample_job/orchestration.py",
    "jobs/sample_job/sources.py",
    "jobs/sample_job/tests/test_destinations.py",
    "jobs/sample_job/tests/test_orchestration.py",
    "jobs/sample_job/tests/test_sources.py",
    "jobs/sample_job/tests/test_transformations.py",
    "jobs/sample_job/transformations.py",
    "local_dev_env/local.env",
    "local_dev_env/secrets.env.example",
    "pyproject.toml",
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new project, whose .venv is set up: it has the packages of the tests' own."""
    monkeypatch.chdir(tmp_path)
    assert main(["new", "project", "salesforce"]) == 0
    folder = tmp_path / "salesforce"
    monkeypatch.chdir(folder)
    venv.create(folder / ".venv", symlinks=True)
    [packages] = (folder / ".venv").glob("lib/python*/site-packages")
    (packages / "outer.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    (folder / ".venv" / ".ready").touch()
    return folder


def make(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """As from a shell: nothing of the tests' own Spark and make gets there."""
    own = ("TRUNKLINE_", "PYSPARK_", "SPARK_", "PYTHONPATH", "PYTEST_", "MAKE", "MFLAGS", "ARGS")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return subprocess.run(["make", *words], cwd=project, env=environment, capture_output=True, text=True, check=False)


def git(project: Path, *words: str) -> list[str]:
    done = subprocess.run(["git", *words], cwd=project, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_project_is_these_files_and_git_ignores_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """What others need is not ignored; no file bears the template's name."""
    monkeypatch.chdir(tmp_path)
    assert main(["new", "project", "salesforce"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [re.sub(" TRUNKLINE=.*", "", line) for line in told] == [
        "salesforce written. To begin with:", "  cd salesforce", "  make setup", "  make test",
    ]  # fmt: skip
    folder = tmp_path / "salesforce"
    (folder / "local_dev_env" / "secrets.env").write_text("API_TOKEN=real")
    git(folder, "init", "--quiet")
    assert sorted(git(folder, "ls-files", "--others", "--exclude-standard")) == FILES
    assert git(folder, "ls-files", "--others") == sorted([*FILES, "local_dev_env/secrets.env"])
    assert git(folder, "check-ignore", "local_dev_env/secrets.env") == ["local_dev_env/secrets.env"]
    assert [name for name in FILES if "sample-project" in (folder / name).read_text()] == []
    assert 'name = "salesforce"\n' in (folder / "pyproject.toml").read_text()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_tests_of_a_new_project_pass_as_generated(project: Path) -> None:
    done = make(project, "test")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].strip("= ").startswith("6 passed in ")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_tests_of_a_second_job_pass_beside_those_of_the_first(project: Path, capsys: Captured) -> None:
    assert main(["new", "job", "accounts"]) == 0
    assert capsys.readouterr().out.endswith("jobs/accounts written. Its tests: make test ARGS=jobs/accounts\n")
    done = make(project, "test", "ARGS=jobs/sample_job jobs/accounts")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].strip("= ").startswith("8 passed in ")


def test_a_new_project_and_a_second_job_are_clean_for_ruff(project: Path) -> None:
    """By its own settings. mypy looks at the files themselves in `make lint` of Trunkline, and in the slow test."""
    assert main(["new", "job", "accounts"]) == 0
    assert "sample_job" not in "".join(path.read_text() for path in (project / "jobs" / "accounts").rglob("*.*"))
    for words in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words], cwd=project, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_new_project_and_a_second_job_are_clean_as_ci_looks_at_them(project: Path) -> None:
    assert main(["new", "job", "accounts"]) == 0
    done = make(project, "lint")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_job_runs_from_the_makefile(project: Path) -> None:
    """As the README says it: against `make api`, with the token of secrets.env, which nothing shows."""
    example = project / "local_dev_env" / "secrets.env.example"
    (project / "local_dev_env" / "secrets.env").write_text(example.read_text())
    served = subprocess.Popen(
        ["make", "api"], cwd=project, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    with served:
        assert served.stdout is not None
        command = served.stdout.readline().partition("make ")[2].split()
        done = make(project, *command)
        served.communicate("\n")
    result = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, result["status"]) == (0, "SUCCESS"), done.stdout + done.stderr
    assert (result["metrics"], result["artifacts"]) == ({"customers": 1}, ["data/sample_job"])
    assert list((project / "data" / "sample_job").glob("*.parquet")) != []
    assert "local-token" not in done.stdout + done.stderr
    assert served.returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_job_without_its_secret_says_so(project: Path) -> None:
    done = make(project, "execute", "JOB=sample_job")
    assert done.returncode == 2
    assert "env:API_TOKEN is not set" in json.loads(done.stdout.splitlines()[-1])["error"]["message"]


def test_a_job_that_is_not_there_is_asked_for(project: Path) -> None:
    done = make(project, "execute", "JOB=nowhere")
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "which job? make execute JOB=sample_job"


@pytest.mark.parametrize("name", ["2fast", "sales-force.v2", "A"])
def test_any_name_of_a_distribution_is_one_of_a_project(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the name of no module, so it need not be one of Python."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()  # empty: it is written there
    assert main(["new", "project", name]) == 0
    assert f'name = "{name}"\n' in (tmp_path / name / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["project", "-fast"], "NAME"),  # taken for an option
        (["project", "--", "-fast"], "'-fast' is no name of a project: letters and digits, "),
        (["project", "a b"], "'a b' is no name of a project: letters and digits, -, _ and . between them"),
        (["project", "../up"], "'../up' is no name of a project: "),
        (["project", "."], "'.' is no name of a project: "),
        (["project", ""], "'' is no name of a project: "),
        (["project", "zürich"], "'zürich' is no name of a project: "),
        (["project", "Trunkline"], "'Trunkline' is the name of a package that the project needs: "),
        (["project", "pyspark"], "'pyspark' is the name of a package that the project needs: "),
        (["project", "full"], "full is there already, and not empty; nothing was written"),
        (["project", "file"], "file is there already, and no folder; nothing was written"),
        (["job", "orders"], "there is no folder jobs here: go to that of a project, or trunkline new project NAME"),
        (["job", "2fast"], "'2fast' is no name of a job: a small letter, then small letters, digits and _"),
        (["job", "sales-force"], "'sales-force' is no name of a job: "),
        (["job", "class"], "'class' is no name of a job: "),
        (["job", "../up"], "'../up' is no name of a job: "),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    here = tmp_path / "here"
    (here / "full").mkdir(parents=True)
    (here / "full" / "mine").touch()
    (here / "file").touch()
    monkeypatch.chdir(here)
    assert main(["new", *words]) == 2
    assert told in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "full", "here", "mine"]


def test_a_job_that_is_there_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs" / "orders").mkdir(parents=True)
    assert main(["new", "job", "orders"]) == 2
    assert capsys.readouterr().err == "trunkline: jobs/orders is there already; nothing was written\n"
    assert list((tmp_path / "jobs" / "orders").iterdir()) == []
