"""Define, validate and read configurations: frozen models with a canonical JSON text."""

import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Self, TypeVar, Union, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic.fields import FieldInfo

from pipeline.errors import InputError
from pipeline.files.user_input import brief

C = TypeVar("C", bound="Config")
MAX_NAMED, FEW_NAMED = 40, 8
"""Largest number of known names of which a message lists all, and the number that it lists of more."""

MAX_SEED, MAX_COUNT, MAX_SIZE, MAX_FEW, MAX_NUMBER = 10**9, 10**9, 2**16, 1000, 1e9
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
"""Type of a field that is a seed: the sum of two, doubled and raised by 1, is below 2³², NumPy's and scikit-learn's
limit."""
Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
"""Type of a field that counts what is passed over, or at most taken: no memory is allocated for it."""
Size = Annotated[int, Field(ge=1, le=MAX_SIZE)]
"""Type of a field for which memory is allocated: units of a layer, pixels of a side, steps of a sequence."""
Few = Annotated[int, Field(ge=1, le=MAX_FEW)]
"""Type of a field that says how many times something large is made: layers, scales, copies, trials."""
Positive = Annotated[float, Field(gt=0, le=MAX_NUMBER)]
NonNegative = Annotated[float, Field(ge=0, le=MAX_NUMBER)]


class ByContent:
    """Mark of a field that names a file: the file's content is significant, not its path."""


File = Annotated[str, ByContent]
"""Type of a field that names a file, significant by its content."""


class Config(BaseModel):
    """Frozen set of named parameters: whatever may change a number in a store, and nothing else.

    A subclass declares the fields. An unknown field, a wrong type, NaN or infinity is an error that says what would be
    right.

    Raises
    ------
    ValidationError
        Where a field is unknown, missing or wrong; ``parse`` raises InputError instead.

    Examples
    --------
    >>> class Windows(Config):
    ...     length_frames: int = 16
    ...     stride_frames: int = 8
    >>> Windows(stride_frames=16).canonical()
    '{"length_frames":16,"stride_frames":16}'
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    version: ClassVar[int] = 1
    """Version of the algorithm, raised when the numbers that this configuration leads to change."""
    added: ClassVar[frozenset[str]] = frozenset()
    """Names of fields that came later and change no number at their defaults, with which fingerprints omit them."""

    @model_validator(mode="before")
    @classmethod
    def _defaults_taken_over(cls, table: Any) -> Any:
        """Merge each inner table into the field's default, so that what it leaves out stays as that default says."""
        if not isinstance(table, Mapping):
            return table
        defaults = {name: cls.model_fields[name].default for name in table if name in cls.model_fields}
        merges = {
            name: default.merged(table[name])
            for name, default in defaults.items()
            if isinstance(default, Config) and isinstance(table[name], Mapping)
        }
        return {**table, **merges}

    @model_validator(mode="before")
    @classmethod
    def _known_fields_only(cls, table: Any) -> Any:
        if isinstance(table, Mapping):
            for field in table:
                if field not in cls.model_fields:
                    raise ValueError(unknown(f"field of {cls.__name__}", str(field), cls.model_fields))
        return table

    def merged(self, table: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields that were set in this configuration, but for those that a table states; tables merge.

        Examples
        --------
        >>> class Windows(Config):
        ...     length_frames: int = 16
        ...     stride_frames: int = 8
        >>> Windows(stride_frames=4).merged({"length_frames": 32})
        {'stride_frames': 4, 'length_frames': 32}
        """
        own = {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}
        inner = {
            name: own[name].merged(value)
            for name, value in table.items()
            if isinstance(own.get(name), Config) and isinstance(value, Mapping)
        }
        return {**own, **table, **inner}

    def canonical(self) -> str:
        """Return the canonical JSON text of this configuration: sorted keys, no spaces, every default spelt out."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    def significant(self, digest: Callable[[str], str]) -> dict[str, Any]:
        """Return what enters a fingerprint: versions and all fields, but for ``added`` ones at their defaults.

        Parameters
        ----------
        digest
            Returns the digest of a file's content by the file's name, in whose place it enters.

        Returns
        -------
        dict
            JSON values by field, and ``version``.
        """
        fields = self._mapped(lambda config: config.significant(digest), digest)
        omitted = {name for name in self.added if getattr(self, name) == type(self).model_fields[name].default}
        return {"version": self.version, **{name: value for name, value in fields.items() if name not in omitted}}

    def files(self) -> tuple[str, ...]:
        """Return every file that this configuration names, nested ones too, each once."""
        found: list[str] = []
        self.significant(lambda file: found.append(file) or file)  # type: ignore[func-returns-value]
        return tuple(dict.fromkeys(found))

    def located(self, locate: Callable[[str], str]) -> Self:
        """Return the same configuration with every file it names replaced by ``locate(file)``."""
        return self.model_copy(update=self._mapped(lambda config: config.located(locate), locate))

    def _mapped(self, map_config: "Callable[[Config], Any]", map_file: Callable[[str], str]) -> dict[str, Any]:
        """Return all fields, with nested configurations and names of files mapped, tuples item by item."""

        def mapped(value: Any, names_file: bool) -> Any:
            if isinstance(value, Config):
                return map_config(value)
            if isinstance(value, tuple):
                return tuple(mapped(item, names_file) for item in value)
            return map_file(value) if names_file and value is not None else value

        files = _files_among(type(self))
        return {name: mapped(getattr(self, name), name in files) for name in type(self).model_fields}


class WithoutAdded(Config):
    """Configuration that is written without what came later and is at its default, as those of before were."""

    @model_serializer(mode="wrap")
    def _without_added(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        table: dict[str, Any] = dump(self)
        defaults = {name: type(self).model_fields[name].default for name in self.added}
        return {name: value for name, value in table.items() if name not in defaults or value != defaults[name]}


def parse(kind: Any, table: Any) -> Any:
    """Validate a plain table as a configuration.

    Parameters
    ----------
    kind
        A configuration class, or what ``one_of`` returns.
    table
        Mapping of field names to plain values, as TOML or JSON has them.

    Returns
    -------
    Config
        An instance of ``kind``.

    Raises
    ------
    InputError
        With one sentence for each wrong field.
    """
    try:
        return adapter(kind).validate_python(table)
    except ValidationError as error:
        raise InputError("; ".join(_sentences(error))) from None


@cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    """Return what validates and serialises ``kind``, made once: for a union of all extractors it takes a while."""
    return TypeAdapter(kind)


def one_of(registry: Mapping[str, type[C]], what: str) -> Any:
    """Return the type of a field that holds one of several configurations, told apart by ``name``.

    Parameters
    ----------
    registry
        Configuration classes by their name.
    what
        What messages call them, such as "model".

    Notes
    -----
    The choice is made before pydantic's own of the union, whose errors would put the name into the place of a mistake.
    """

    def choose(value: Any) -> Any:
        if isinstance(value, tuple(registry.values())):
            return value
        if not isinstance(value, Mapping) or "name" not in value:
            raise ValueError(f"a table with a name is needed, such as {{ name = {next(iter(registry))!r} }}")
        if not isinstance(value["name"], str):
            raise ValueError(
                f"name = {brief(value['name'])} is no text; a name is needed, such as {next(iter(registry))!r}"
            )
        if value["name"] not in registry:
            raise ValueError(unknown(what, value["name"], registry))
        return registry[value["name"]].model_validate(value)

    return Annotated[Union[tuple(registry.values())], Discriminator("name"), BeforeValidator(choose)]  # noqa: UP007


def unknown(what: str, given: str, known: Iterable[str]) -> str:
    """Return a sentence for an unknown name, with the nearest known one, and all others or, of many, the next few.

    Parameters
    ----------
    what
        What the name stands for, such as "model".
    given
        The unknown name.
    known
        All known names.

    Examples
    --------
    >>> unknown("model", "dnn", ["drnn", "lstm"])
    "unknown model 'dnn': did you mean 'drnn'? (drnn, lstm)"
    """
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "there are"
    if len(names) > MAX_NAMED:
        nearest = difflib.get_close_matches(given, names, n=FEW_NAMED, cutoff=0)
        names = [*nearest, f"… and {len(names) - len(nearest)} more"]
    return f"unknown {what} {brief(given)}: {hint} ({', '.join(names)})"


@cache  # which is asked for every fingerprint
def _files_among(kind: type[Config]) -> frozenset[str]:
    """Return the fields of a configuration that name files."""
    return frozenset(name for name, field in kind.model_fields.items() if _names_file(field))


def _names_file(field: FieldInfo) -> bool:
    def mentions(annotation: Any) -> bool:
        return annotation is ByContent or any(mentions(part) for part in get_args(annotation))

    return ByContent in field.metadata or mentions(field.annotation)


def _sentences(error: ValidationError) -> Iterable[str]:
    details = error.errors(include_url=False)
    places = {detail["loc"] for detail in details}
    for detail in details:
        if any(place[: len(detail["loc"])] == detail["loc"] != place for place in places):
            continue  # a consequence of what is wrong inside
        place = ".".join(str(part) for part in detail["loc"])
        message = detail["msg"].removeprefix("Value error, ")
        given = "" if detail["type"] in ("value_error", "missing") else f", not {brief(detail['input'])}"
        yield f"{place}: {message}{given}" if place else f"{message}{given}"
