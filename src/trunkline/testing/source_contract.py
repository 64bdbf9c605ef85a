"""What holds for every Python data source, whether it reads or writes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pytest

from trunkline.testing.writer_process import Workers

if TYPE_CHECKING:
    from pyspark.sql.datasource import DataSource

# The default of spark.redaction.regex: values of options with such names are hidden in plans and in the event log.
REDACTED = re.compile(r"secret|password|token|access[.]?key", re.IGNORECASE)

_WORKERS = pytest.StashKey[Workers]()


class SourceContract:
    """Override `source` and `options`.

    Attributes:
        source: The data source under test.
        secrets: Names of the options in `options()` whose values nobody may see.
    """

    source: type[DataSource]
    secrets: Sequence[str] = ()

    def options(self) -> dict[str, str]:
        """What a user writes to reach the API."""
        raise NotImplementedError

    @pytest.fixture
    def workers(self, request: pytest.FixtureRequest) -> Workers:
        """The processes in which the data source runs."""
        return shared_workers(request.config)

    def test_name_is_a_class_method(self) -> None:
        """The format's name can be asked of the class."""
        assert inspect.ismethod(self.source.name), "name() must be a @classmethod: Spark asks before it has an instance"
        assert isinstance(self.source.name(), str), "name() must give text: it is what stands in format(...)"

    def test_options_with_secrets_have_names_that_spark_hides(self) -> None:
        """Every option that carries a credential is one whose value Spark hides."""
        for name in self.secrets:
            assert name in self.options(), f"secrets names {name}, which options() does not give"
            assert REDACTED.search(name), (
                f"{name} must have `token`, `password` or `secret` in its name: spark.redaction.regex hides no others, "
                "and Spark writes all options into its plans and its event log"
            )

    def shown(self, seen: Mapping[str, str]) -> None:
        """No credential stands in any of these texts."""
        found = [f"{name} in {place}" for name in self.secrets for place in seen if self.options()[name] in seen[place]]
        why = "messages, errors and logs are kept and read by many"
        assert found == [], f"credentials must not be shown, {why}: {', '.join(found)}"


def shared_workers(config: pytest.Config) -> Workers:
    """Processes for all tests of a run, as Spark keeps its workers for all jobs."""
    if _WORKERS not in config.stash:
        config.stash[_WORKERS] = Workers()
        config.add_cleanup(config.stash[_WORKERS].close)
    return config.stash[_WORKERS]
