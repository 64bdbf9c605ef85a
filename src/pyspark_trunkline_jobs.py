"""Makes `format("trunkline.jobs")` work without registering anything: Spark imports modules of this name by itself.

It never raises: one module of this kind that fails to import hides every data source that Spark finds by itself.
"""

from __future__ import annotations

import contextlib

with contextlib.suppress(Exception):
    from trunkline.jobs.source import JobsDataSource

    class DefaultSource(JobsDataSource):
        """The format `jobs` under a name of its own, which no other package will want."""

        @classmethod
        def name(cls) -> str:
            """The name after `format`."""
            return "trunkline.jobs"
