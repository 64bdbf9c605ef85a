"""REST APIs and job platforms as native Spark data sources.

    import trunkline

    trunkline.register(spark)
    df.write.format("rest").mode("append").option("url", "https://api.example.com/users").save()

Importing this package loads neither Spark nor an HTTP library; what needs them is loaded when it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from trunkline.coordination.coordinator import coordinator

__version__ = "0.1.0.dev0"
__all__ = ["SOURCES", "__version__", "coordinator", "register"]


def register(spark: SparkSession) -> None:
    """Make every format of Trunkline known to a Spark session.

    Works on classic Spark and on Spark Connect, where the package need not be installed on the server
    (its dependencies must be). Call it once per session; calling it again does no harm.

    Args:
        spark: The session whose `spark.read.format(...)` and `df.write.format(...)` are to know the formats.
    """
    from trunkline.session import register_sources

    register_sources(spark)


def __getattr__(name: str) -> Any:
    if name == "SOURCES":
        from trunkline.session import sources

        return sources()
    if name == "coordinator":
        from trunkline.coordination.coordinator import coordinator

        return coordinator
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
