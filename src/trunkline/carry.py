"""Data sources that bring their package along, for Spark Connect servers on which it is not installed.

    spark.dataSource.register(carried(RestDataSource))

A class that the server cannot import has to travel by value; but what it makes, a writer for example, is pickled once
more on the server, by reference to modules that are only there, in one process. So the class carries the sources of the
package in memory, every process that unpickles one of its objects first learns to import from them, and nothing touches
a disk. What the package itself depends on (aiohttp, pyarrow, orjson) must be installed on the server.

The functions below that begin with `_on_server` run there, where this module does not exist: they use nothing but
their arguments and what they import themselves.
"""

from __future__ import annotations

import builtins
import hashlib
import json
import types
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql.datasource import DataSource

# Not needed on a server; leaving them out halves what travels with every query.
_LEFT_OUT = ("demo", "testing", "cli", "carry.py")


def carried(source: type[DataSource]) -> type[DataSource]:
    """A data source like `source` that works where Trunkline is not installed.

    Args:
        source: A data source class of this package.
    """
    from pyspark.sql.datasource import DataSource

    packed = _packed_sources()
    members: dict[str, Any] = {
        "__doc__": source.__doc__,
        "__module__": "__main__",
        "_home": (source.__module__, source.__qualname__),
        "_package": (packed, hashlib.sha256(packed).hexdigest()),
        "_learn": staticmethod(_by_value(_on_server_learn)),
        "_restored": staticmethod(_by_value(_on_server_restored)),
        "_made": _by_value(_on_server_made),
        "_short_name": source.name(),
        "name": classmethod(_by_value(_on_server_name)),
        "schema": _by_value(_on_server_schema),
        "reader": _by_value(_on_server_reader),
        "streamReader": _by_value(_on_server_stream_reader),
        "writer": _by_value(_on_server_writer),
        "streamWriter": _by_value(_on_server_stream_writer),
    }
    return type(source.__name__, (DataSource,), members)


def carried_function(module: str, name: str, *arguments: Any) -> Callable[[Any], Any]:
    """A function of one argument that calls `module.name(*arguments, argument)` where Trunkline is not installed.

    Args:
        module: Of this package.
        name: Of a function in it that gives an iterator.
        arguments: What it is called with first; they travel pickled, and are restored where the package is known.
    """
    from pyspark import cloudpickle

    packed = _packed_sources()
    called = _by_value(_on_server_called)
    package = (packed, hashlib.sha256(packed).hexdigest())
    state = cloudpickle.dumps(arguments)  # type: ignore[no-untyped-call]
    called.__defaults__ = (_by_value(_on_server_learn), package, module, name, state)
    return called


def carried_table_function(handler: type) -> type:
    """A table function like `handler` that works where Trunkline is not installed.

    Args:
        handler: A class of this package with `analyze`, `eval`, `terminate` and `cleanup`; its `eval` needs only the
            first argument.
    """
    packed = _packed_sources()
    members: dict[str, Any] = {
        "__doc__": handler.__doc__,
        "__module__": "__main__",
        "__init__": _by_value(_on_server_begun),
        "_learn": staticmethod(_by_value(_on_server_learn)),
        "analyze": staticmethod(_by_value(_on_server_analyzed)),
        "eval": _by_value(_on_server_eval),
        "terminate": _by_value(_on_server_terminate),
        "cleanup": _by_value(_on_server_cleanup),
    }
    package = (packed, hashlib.sha256(packed).hexdigest())
    home = (_by_value(_on_server_learn), package, handler.__module__, handler.__qualname__)
    members["analyze"].__func__.__kwdefaults__ = {"home": home}
    return type(handler.__name__, (), members | {"_package": package, "_home": home[2:]})


def _packed_sources() -> bytes:
    """Every module of the package: its name, whether it is a package itself, and its text."""
    root = Path(__file__).parent
    sources = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if parts[0] not in _LEFT_OUT:
            package = parts[-1] == "__init__.py"
            name = ".".join(("trunkline", *(parts[:-1] if package else (*parts[:-1], path.stem))))
            sources[name] = (package, path.read_text(encoding="utf-8"))
    return zlib.compress(json.dumps(sources).encode(), 9)


def _by_value(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function as if it had been typed into a notebook: cloudpickle sends it whole."""
    globals_ = {"__builtins__": builtins, "__name__": "__main__"}
    copy = types.FunctionType(function.__code__, globals_, function.__name__, function.__defaults__)
    copy.__module__ = "__main__"
    return copy


def _on_server_learn(packed, digest):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - by value, without names
    """Make the carried modules importable in this process, instead of any others of their names."""
    import importlib.abc
    import importlib.util
    import json
    import sys
    import zlib

    if any(getattr(finder, "trunkline_digest", None) == digest for finder in sys.meta_path):
        return
    sys.meta_path[:] = [finder for finder in sys.meta_path if not hasattr(finder, "trunkline_digest")]
    for name in [name for name in sys.modules if name == "trunkline" or name.startswith("trunkline.")]:
        del sys.modules[name]
    sources = json.loads(zlib.decompress(packed))

    class Finder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
        trunkline_digest = digest

        def find_spec(self, name, path, target=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            return importlib.util.spec_from_loader(name, self, is_package=sources[name][0]) if name in sources else None

        def is_package(self, name):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            return sources[name][0]

        def get_source(self, name):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            return sources[name][1]

    sys.meta_path.insert(0, Finder())


def _on_server_called(argument, learn, package, module, name, state):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """What the function gives; its other arguments are defaults, because nothing else of it travels."""
    import importlib
    import pickle

    learn(*package)
    arguments = pickle.loads(state)  # noqa: S301 - made by carried_function
    return getattr(importlib.import_module(module), name)(*arguments, argument)


def _on_server_made(self, kind, *arguments):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN202
    """What the real data source makes, changed so that whoever unpickles it learns to import first."""
    import importlib

    from pyspark import cloudpickle

    learn, restored, package = self._learn, self._restored, self._package
    learn(*package)
    module, name = self._home
    made = getattr(getattr(importlib.import_module(module), name)(self.options), kind)(*arguments)
    real = type(made)

    def reducing(real):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        def reduce(this):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            return restored, (learn, package, cloudpickle.dumps((real, this.__dict__)))  # type: ignore[no-untyped-call]

        return {"__reduce__": reduce}

    def partitions(this, *offsets):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN202
        planned = real.partitions(this, *offsets)
        for part in planned:
            part.__class__ = type(type(part).__name__, (type(part),), reducing(type(part)))  # type: ignore[no-untyped-call]
        return planned

    members = reducing(real) | ({"partitions": partitions} if hasattr(real, "partitions") else {})  # type: ignore[no-untyped-call]
    made.__class__ = type(real.__name__, (real,), members)
    return made


def _on_server_restored(learn, package, pickled):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    import pickle

    learn(*package)
    real, state = pickle.loads(pickled)  # noqa: S301 - made by _on_server_made a moment ago
    made = real.__new__(real)
    made.__dict__.update(state)
    return made


def _on_server_analyzed(rows, options, schema=None, *, home):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """What the real `analyze` gives, as bytes: whoever unpickles it does so before it can learn to import."""
    import importlib
    import pickle
    from dataclasses import make_dataclass

    from pyspark import cloudpickle
    from pyspark.sql.udtf import AnalyzeResult

    learn, package, module, name = home
    learn(*package)
    real = getattr(importlib.import_module(module), name).analyze(rows, options, schema)
    # By value with cloudpickle, the first; and the second is to pickle whatever unpickles to the first.
    told = make_dataclass(
        "Analyzed", [("real", bytes, b"")], bases=(AnalyzeResult,), namespace={"__module__": "__main__"}
    )
    first = told(real.schema, real=pickle.dumps(real))
    first_pickled = cloudpickle.dumps(first)  # type: ignore[no-untyped-call]
    second = type("Analyzed", (told,), {"__reduce__": lambda _: (pickle.loads, (first_pickled,))})
    return second(real.schema)


def _on_server_begun(self, analyzed):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    import importlib
    import pickle

    self._learn(*self._package)
    module, name = self._home
    real = getattr(importlib.import_module(module), name)
    self._real = real(pickle.loads(analyzed.real))  # noqa: S301 - made by _on_server_analyzed


def _on_server_eval(self, rows, options=None, schema=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
    return self._real.eval(rows)


def _on_server_terminate(self):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return self._real.terminate()


def _on_server_cleanup(self):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    self._real.cleanup()


def _on_server_name(cls):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return cls._short_name


def _on_server_schema(self):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    import importlib

    self._learn(*self._package)
    module, name = self._home
    return getattr(importlib.import_module(module), name)(self.options).schema()


def _on_server_reader(self, schema):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return self._made("reader", schema)


def _on_server_stream_reader(self, schema):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return self._made("streamReader", schema)


def _on_server_writer(self, schema, overwrite):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return self._made("writer", schema, overwrite)


def _on_server_stream_writer(self, schema, overwrite):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return self._made("streamWriter", schema, overwrite)
