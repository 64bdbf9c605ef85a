"""Writes into the references what the code knows: the tables of options, and files that a page shows whole.

python scripts/generate_docs.py           # bring every page up to date
python scripts/generate_docs.py --check   # only name the pages that are not; exit code 1 if there are any

A page marks the place:

    <!-- options:rest:all -->            the options of a format
    <!-- /options -->
    <!-- pipeline -->                    the keys of a pipeline file
    <!-- /pipeline -->
    <!-- file:examples/doors.py -->      a file of the repository
    <!-- /file -->
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from trunkline.jobs.options import TABLE as JOBS
from trunkline.option_docs import markdown
from trunkline.options import Option
from trunkline.pipelines.schema import markdown as pipeline_markdown
from trunkline.rest.options import TABLE as REST

ROOT = Path(__file__).parents[1]
TABLES: dict[str, Sequence[Option]] = {"rest": REST, "jobs": JOBS}
_OPTIONS = re.compile(r"(<!-- options:(\w+):all -->\n).*?(<!-- /options -->)", re.DOTALL)
_PIPELINE = re.compile(r"(<!-- pipeline -->\n).*?(<!-- /pipeline -->)", re.DOTALL)
_FILE = re.compile(r"(<!-- file:(\S+) -->\n).*?(<!-- /file -->)", re.DOTALL)


def generated(text: str) -> str:
    """A page with everything between its markers made anew."""
    text = _OPTIONS.sub(lambda m: f"{m[1]}\n{markdown(TABLES[m[2]])}\n{m[3]}", text)
    text = _PIPELINE.sub(lambda m: f"{m[1]}\n{pipeline_markdown()}\n{m[2]}", text)
    return _FILE.sub(lambda m: f"{m[1]}\n```py\n{(ROOT / m[2]).read_text(encoding='utf-8')}```\n\n{m[3]}", text)


def outdated() -> list[Path]:
    """The pages that are not what `generated` makes of them."""
    pages = sorted((ROOT / "references").glob("*.md"))
    return [page for page in pages if (text := page.read_text(encoding="utf-8")) != generated(text)]


def main() -> int:
    """Bring the pages up to date, or with `--check` name those that are not."""
    pages = outdated()
    for page in pages:
        if "--check" in sys.argv:
            sys.stderr.write(f"{page.relative_to(ROOT)} is out of date: run python scripts/generate_docs.py\n")
        else:
            page.write_text(generated(page.read_text(encoding="utf-8")), encoding="utf-8")
    return 1 if pages and "--check" in sys.argv else 0


if __name__ == "__main__":
    raise SystemExit(main())
