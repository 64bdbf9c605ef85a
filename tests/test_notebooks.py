"""The notebooks of `examples/notebooks` do what they show: run in a real kernel, they print what is kept in them.

All in one kernel, one after the other, with nothing of the one before in the names of the next: a kernel's Spark takes
longer to start than a notebook to run. Who changes a notebook keeps what it prints now by

    KEEP_OUTPUTS=1 pytest tests/test_notebooks.py -m ""

which leaves out what changes at every run, so that a change of a notebook is a change of what it says.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_output

FOLDER = Path(__file__).parents[1] / "examples" / "notebooks"
NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
# The quickest of them; a Spark of its own and ten queries each are too much for every run of the tests.
ALWAYS = "run_a_pipeline"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NotebookClient]:
    """A kernel, which is a process of its own, in a folder for what Spark leaves about."""
    client = NotebookClient(new_notebook(), timeout=240, kernel_name="python3")  # type: ignore[no-untyped-call]
    given = {**os.environ, "PYSPARK_PYTHON": sys.executable}
    with client.setup_kernel(cwd=str(tmp_path_factory.mktemp("notebooks")), env=given):
        yield client


@pytest.mark.slow
@pytest.mark.spark
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == ALWAYS else pytest.mark.slow) for name in NOTEBOOKS]
)
def test_a_notebook_prints_what_is_kept_in_it(kernel: NotebookClient, name: str) -> None:
    kept, run = read(name), read(name)
    forget = new_code_cell("%reset -f")  # type: ignore[no-untyped-call]
    for kernel.nb in (new_notebook(cells=[forget]), run):  # type: ignore[no-untyped-call]
        for index, cell in enumerate(kernel.nb.cells):
            if cell.cell_type == "code":
                kernel.execute_cell(cell, index)
    if os.environ.get("KEEP_OUTPUTS"):
        keep(run, name)
        return
    assert {cell.id: shown(cell) for cell in run.cells} == {cell.id: shown(cell) for cell in kept.cells}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_kept_without_what_changes_at_every_run(name: str) -> None:
    """No counts of runs, times, warnings of the JVM."""
    kept = read(name)
    nbformat.validate(kept)
    assert set(kept.metadata) == {"kernelspec", "language_info"}
    for cell in kept.cells:
        assert cell.metadata == {}
        if cell.cell_type == "code":
            assert cell.execution_count is None
            assert [(one.output_type, one.name) for one in cell.outputs] in ([], [("stream", "stdout")])


def read(name: str) -> NotebookNode:
    node: NotebookNode = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    return node


def shown(cell: NotebookNode) -> str:
    """What a cell printed on its standard output; a notebook that shows more says so by `print` and `show`."""
    return "".join(one.text for one in cell.get("outputs", []) if one.get("name") == "stdout")


def keep(run: NotebookNode, name: str) -> None:
    for cell in run.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            text = shown(cell)
            cell.execution_count = None
            cell.outputs = [new_output("stream", name="stdout", text=text)] if text else []  # type: ignore[no-untyped-call]
    nbformat.write(run, FOLDER / f"{name}.ipynb")  # type: ignore[no-untyped-call]
