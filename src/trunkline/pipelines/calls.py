"""Functions and classes of the user's: steps that `call`, hooks, notifications.

    def anonymised(users: DataFrame, context: Context) -> DataFrame: ...

    class Anonymise:
        def __init__(self, config: AnonymiseConfig) -> None: ...
        def run(self, users: DataFrame, context: Context) -> DataFrame: ...

`AnonymiseConfig` may be a model of pydantic's or a dataclass: the step's `config` is checked against it before Spark
starts.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, is_dataclass
from typing import TYPE_CHECKING, Any

from trunkline.errors import OptionError, TrunklineError
from trunkline.loading import named
from trunkline.pipelines.own_code import no_package
from trunkline.pipelines.secrets import PipelineSecrets, revealed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from trunkline.pipelines.metrics import Metrics

# What a class is asked to do, the first that it has.
_METHODS = ("run", "transform", "__call__")


class PendingApprovalError(TrunklineError):
    """Raised by a step of yours that says wait: the run ends with the exit code 3, and nothing after the step runs."""


@dataclass(frozen=True)
class Context:
    """What a function or class of the user's is given.

    Attributes:
        config: The `config` beside `call`: a dict, or what the class says it wants.
        logger: Of structlog; cuts secrets out: `context.logger.info("anonymised", fields=3)`.
        metrics: `context.metrics.count("rows_dropped", 3)`, `context.metrics.gauge("lag_seconds", 1.5)`.
        step: The name of the step, None in a hook of the whole pipeline.
        origin: The first of the runs that go on with each other: a sink that remembers under this name what it took
            takes nothing twice, however often the run is gone on with.
    """

    spark: SparkSession = field(repr=False)
    config: Any = field(repr=False)
    logger: Any = field(repr=False)
    metrics: Metrics = field(repr=False)
    run_id: str
    pipeline: str
    step: str | None = None
    origin: str = ""


@dataclass(frozen=True)
class Loaded:
    """A function or a class of the user's, with its configuration as it wants it.

    Attributes:
        made: The function, or an object of the class.
        config: Checked.
        is_class: Whether it is an object of a class.
    """

    made: Any
    config: Any = field(repr=False)
    is_class: bool

    def run(self, *given: Any, context: Context) -> Any:
        """Call it with the rows of its inputs, and with `context` if it takes that."""
        function = self.made
        if self.is_class:
            function = getattr(self.made, _method(type(self.made), _METHODS) or "run")
        return function(*given, context=context) if takes(function, "context") else function(*given)


def load_with_secrets(
    spelled: str,
    config: Mapping[str, Any],
    where: str,
    secrets: PipelineSecrets,
    methods: tuple[str, ...] = _METHODS,
) -> Loaded:
    """As `load_call`, of a `config` whose secrets are looked up here, and which no error quotes.

    Args:
        spelled: `package.module:name`.
        config: As it stands in the file.
        where: In the file, for errors.
        secrets: Of the run.
        methods: Of which a class must have one.

    Raises:
        OptionError: It cannot be imported, a reference points to nothing, or the configuration is not taken.
    """
    resolved = secrets.resolved(config, f"{where}.config")
    try:
        return load_call(spelled, resolved, where, methods)
    except OptionError as error:
        # What a class says of a configuration it does not like may quote it.
        raise OptionError(secrets.clean(str(error)), [secrets.clean(one) for one in error.problems]) from None


def load_call(spelled: str, config: Mapping[str, Any], where: str, methods: tuple[str, ...] = _METHODS) -> Loaded:
    """Import it, check its `config`, and make an object of a class.

    Args:
        spelled: `package.module:name`.
        config: With secrets looked up.
        where: In the file, for errors.
        methods: Of which a class must have one.

    Raises:
        OptionError: It cannot be imported, or does not take its configuration.
    """
    found = _imported(spelled, where)
    plain = revealed(config)
    if not isinstance(found, type):
        return Loaded(found, _typed(_hint(found, "config"), plain, where), is_class=False)
    if _method(found, methods) is None:
        raise OptionError(f"{where}: {spelled} has none of the methods {', '.join(methods)}")
    maker: Any = found
    typed = _typed(_hint(maker.__init__, "config") or _hint(found, "config"), plain, where)
    asks = takes(found, "config")
    try:
        made = maker(typed) if asks else maker()
    except Exception as error:  # noqa: BLE001 - without its chain, which quotes what the error quotes
        raise OptionError(f"{where}: {spelled} cannot be made: {type(error).__name__}: {error}") from None
    if not asks:
        made.config = typed
    return Loaded(made, typed, is_class=True)


def called(function: Callable[..., Any], facts: Mapping[str, Any]) -> Any:
    """Call a hook with those of the facts that it names; one with `**anything` gets all.

    Raises:
        TypeError: It wants something that is no fact.
    """
    parameters = inspect.signature(function).parameters.values()
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters):
        return function(**facts)
    return function(**{one.name: facts[one.name] for one in parameters if one.name in facts})


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a function has a parameter of this name."""
    try:
        return name in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def _method(made: type, names: tuple[str, ...]) -> str | None:
    """The first of these methods that a class has of its own: calling the class itself is none."""
    return next((name for name in names if any(name in vars(one) for one in made.__mro__)), None)


def _imported(spelled: str, where: str) -> Any:
    try:
        found = named(spelled)
    except ModuleNotFoundError as error:
        top = spelled.partition(":")[0].partition(".")[0]
        told = no_package(spelled, top) if error.name == top else f"{spelled} cannot be imported: {error}"
        raise OptionError(f"{where}: {told}") from None
    except (ImportError, AttributeError) as error:
        raise OptionError(f"{where}: {spelled} cannot be imported: {error}") from None
    if not callable(found):
        raise OptionError(f"{where}: {spelled} is neither a function nor a class")
    return found


def _hint(function: Any, name: str) -> Any:
    try:
        return typing.get_type_hints(function).get(name)
    except (NameError, TypeError):
        # Names imported for type checkers only.
        return None


def _typed(wanted: Any, config: dict[str, Any], where: str) -> Any:
    if not inspect.isclass(wanted) or wanted in {dict, Any, object}:
        return config
    from pydantic import BaseModel, TypeAdapter, ValidationError

    if not issubclass(wanted, BaseModel) and not is_dataclass(wanted):
        return config
    if is_dataclass(wanted):
        unknown = sorted(set(config) - set(wanted.__dataclass_fields__))
        if unknown:
            raise OptionError(f"{where}.config.{unknown[0]} is unknown to {wanted.__name__}")
    try:
        return TypeAdapter(wanted).validate_python(config)
    except ValidationError as error:
        # Without the values: one may be a secret.
        told = [f"{where}.config.{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise OptionError(told[0] if len(told) == 1 else f"{where}.config is wrong", told) from None
