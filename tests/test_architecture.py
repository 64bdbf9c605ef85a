"""Imports point one way, and what is quick to import stays quick."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import trunkline

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "trunkline"

# A part is a module or folder right under the package. It imports from itself and from lower storeys. One that is not
# named here belongs to the foundation, and imports from nothing above it.
FOUNDATION, ENGINE, CONNECTORS, PIPELINES, DEMO, COMMANDS = range(6)
STOREYS = {
    "http": ENGINE,
    "coordination": ENGINE,
    "responses": ENGINE,
    "compact": ENGINE,
    "session": CONNECTORS,
    "rest": CONNECTORS,
    "jobs": CONNECTORS,
    "splunk": CONNECTORS,
    "azure_monitor": CONNECTORS,
    "pipelines": PIPELINES,
    "testing": PIPELINES,
    "demo": DEMO,
    "cli": COMMANDS,
}
# These are used without Spark too.
ENGINE_PARTS = {"http", "coordination"}
# From the connectors upward the parts of one storey do not know each other, but for the Spark session they all use.
SHARED = {"session"}

# Slow to import, or absent on some clusters: `import trunkline` must load none of these.
HEAVY = {"aiohttp", "azure", "boto3", "botocore", "grpc", "numpy", "pandas", "pyarrow", "pycurl", "pyspark", "requests"}
HTTP_LIBRARIES = {"aiohttp", "httpx", "pycurl", "requests", "urllib3"}

# Without the package's own __init__.py, which imports from anywhere, but on demand only.
MODULES = sorted(set(PACKAGE.rglob("*.py")) - {PACKAGE / "__init__.py"})
IDS = [str(path.relative_to(PACKAGE)) for path in MODULES]


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_imports_point_downward(path: Path) -> None:
    """A part never imports from a higher storey, nor a connector from another connector."""
    part = part_of(path)
    wrong = [
        f"line {line}: {name}"
        for line, name in imported(path)
        for other in [name.split(".")[1] if name.startswith("trunkline.") else part]
        if not may_import(part, other)
    ]
    assert wrong == []


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_libraries_stay_in_their_place(path: Path) -> None:
    """The engine never names Spark, and a connector never names an HTTP library."""
    part = part_of(path)
    banned = set()
    if part in ENGINE_PARTS:
        banned = {"pyspark"}
    elif STOREYS.get(part) == CONNECTORS:
        banned = HTTP_LIBRARIES
    assert [(line, name) for line, name in imported(path) if name.split(".")[0] in banned] == []


def test_root_is_light_at_the_top() -> None:
    """`trunkline/__init__.py` imports at its top only from the standard library."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    names = {name.split(".")[0] for node in tree.body for _, name in imports(node)}
    assert names - sys.stdlib_module_names == set()


def test_importing_the_package_loads_nothing_heavy() -> None:
    """`import trunkline` loads neither Spark nor an HTTP or cloud library."""
    assert loaded_by("import trunkline") & HEAVY == set()


def test_the_engine_loads_no_spark() -> None:
    """Every module of engine and coordinator can be imported without loading Spark, directly or through others."""
    modules = [dotted(path) for path in MODULES if part_of(path) in ENGINE_PARTS]
    assert modules != []
    assert "pyspark" not in loaded_by("\n".join(f"import {name}" for name in modules))


def test_version_is_the_distribution_version() -> None:
    """The version the package reports is the one it is released under."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.findall(r'^version = "(.*)"$', project, re.MULTILINE) == [trunkline.__version__]


def test_extra_all_is_the_sum_of_the_production_extras() -> None:
    """`trunkline[all]` installs what the extras for production install together, no more and no less."""
    requirements = [Requirement(line) for line in importlib.metadata.requires("trunkline") or ()]
    markers = [(f"{needed.name}{needed.specifier}", needed.marker) for needed in requirements]

    def needs(extra: str) -> set[str]:
        return {
            name for name, marker in markers if marker and not marker.evaluate() and marker.evaluate({"extra": extra})
        }

    extras = set(importlib.metadata.metadata("trunkline").get_all("Provides-Extra") or ())
    production = extras - {"all", "docs", "testing"}
    assert needs("all") == set().union(*(needs(extra) for extra in production))


def may_import(part: str, other: str) -> bool:
    """Tell whether one part may import from another."""
    own, theirs = (STOREYS.get(name, FOUNDATION) for name in (part, other))
    if own == theirs and own >= CONNECTORS:
        return part == other or bool({part, other} & SHARED)
    return theirs <= own


def part_of(path: Path) -> str:
    """Name the part a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def dotted(path: Path) -> str:
    """Name the module a file holds."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> list[tuple[int, str]]:
    """List all that a file imports, wherever in the file it does so."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [found for node in ast.walk(tree) for found in imports(node)]


def imports(node: ast.AST) -> list[tuple[int, str]]:
    """List line and full dotted name of what one statement imports."""
    if isinstance(node, ast.Import):
        return [(node.lineno, alias.name) for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"line {node.lineno}: a relative import hides where it points"
        return [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return []


def loaded_by(code: str) -> set[str]:
    """Run code in a new interpreter and return the top-level modules it loaded."""
    report = f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    finished = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return set(finished.stdout.split())
