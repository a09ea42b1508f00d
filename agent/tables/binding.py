"""Binds a TOML table to the fields of a dataclass and notes every mistake instead of stopping at the first.

A field's annotation says which kind of value it takes: ``str``, ``int``, ``float``, ``bool`` or ``Path``, or one
of these ``| None``; a dataclass takes a table, a list of a dataclass a list of tables. A value for any other
annotation is handed over as it stands. A field's metadata may narrow it: ``choices`` (a tuple), ``low`` and ``high``
(both inclusive), ``check`` (a function that raises Unfit). So does a dataclass that raises Unfit when it is made.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from instrument_agent.i18n import _
from instrument_agent.tables.mistakes import KeyPath, Notebook, Unfit, is_control, nearest, shortened


def bind(
    cls: type[Any], table: Mapping[str, object], at: KeyPath, book: Notebook, beside: Collection[str] = ()
) -> dict[str, Any]:
    """Return the values that are good, with the defaults of the keys that are not there.

    Whatever is wrong is noted in ``book``: a missing, unknown or unfit key. Keys in ``beside`` belong in the same
    table but are bound by the caller.

    Raises:
        Unfit: ``cls`` does not say what it takes, as a driver of somebody else may not.
    """
    kinds = kinds_of(cls)
    options = _options(cls)
    valid = [field.name for field in options if field.name not in beside]
    note_unknown([*valid, *beside], table, at, book)
    values: dict[str, Any] = {}
    for field in options:
        if field.name in beside:
            continue
        here = (*at, field.name)
        if field.name in table:
            try:
                values[field.name] = _fitted(field, _kind(kinds[field.name]), table[field.name], here, book)
            except Unfit as unfit:
                book.note_unfit(here, unfit)
        elif field.default is not MISSING:
            values[field.name] = field.default
        elif field.default_factory is not MISSING:
            values[field.name] = field.default_factory()
        else:
            book.note(here, _("this key is required"))
    return values


def note_unknown(valid: Sequence[str], table: Mapping[str, object], at: KeyPath, book: Notebook) -> None:
    """Note every key of a table that is not one of ``valid``."""
    for key in table:
        if key not in valid:
            hint = nearest(key, valid) or _("valid keys: {keys}").format(keys=", ".join(valid))
            book.note((*at, key), _("there is no such key"), hint)


def takes_options(cls: object) -> bool:
    """Tell whether a table can be bound to this."""
    try:
        kinds_of(cls)
    except Unfit:
        return False
    return True


def kinds_of(cls: object) -> dict[str, Any]:
    """Return the annotations of a dataclass, by field.

    Raises:
        Unfit: it is none, or an annotation names what is not there.
    """
    if not isinstance(cls, type) or not is_dataclass(cls):
        raise Unfit(_("the driver is no dataclass"), _("put @dataclass before the class"))
    try:
        return get_type_hints(cls)
    except Exception as error:  # an annotation is code of somebody else, and may be any
        raise Unfit(
            _("the type of an option is not known: {error}").format(error=error),
            _("import it where the program runs too, not only for the type checker"),
        ) from error


def _options(cls: type[Any]) -> list[Field[Any]]:
    return [field for field in fields(cls) if field.init and not field.name.startswith("_")]


def _fitted(field: Field[Any], kind: Any, value: object, at: KeyPath, book: Notebook) -> object:
    inner = get_args(kind)[0] if get_origin(kind) is list else kind
    if is_dataclass(inner):
        return _tables(inner, value, at, book) if inner is not kind else _table(inner, value, at, book)
    fitted = _converted(kind, value, book.path.absolute().parent)
    choices = field.metadata.get("choices")
    if choices is not None and fitted not in choices:
        allowed = ", ".join(shortened(choice) for choice in choices)
        raise Unfit(
            _("must be one of {choices}, not {value}").format(choices=allowed, value=shortened(value)),
            nearest(str(fitted), [str(choice) for choice in choices]),
        )
    if isinstance(fitted, int | float):
        _check_range(fitted, field.metadata.get("low"), field.metadata.get("high"))
    check = field.metadata.get("check")
    if check is not None:
        check(fitted)
    return fitted


def _tables(cls: Any, value: object, at: KeyPath, book: Notebook) -> list[Any]:
    if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
        name = ".".join(part for part in at if isinstance(part, str))
        raise Unfit(_("must be a list of tables"), _("write [[{table}]] with two brackets").format(table=name))
    made: list[Any] = []
    for number, table in enumerate(value):
        here = (*at, number)
        try:
            made.append(_table(cls, table, here, book))
        except Unfit as unfit:
            book.note_unfit(here, unfit)
    return made


def _table(cls: Any, value: object, at: KeyPath, book: Notebook) -> Any:
    """Return what a table says; nothing where it has mistakes, as the whole file is not used then."""
    if not isinstance(value, dict):
        raise Unfit(_("must be a table"))
    noted = len(book.mistakes)
    values = bind(cls, value, at, book)
    return cls(**values) if len(book.mistakes) == noted else None


def _kind(annotation: Any) -> Any:
    """Return what stands beside None, as None cannot be written in TOML."""
    if get_origin(annotation) not in (Union, UnionType):
        return annotation
    members = [member for member in get_args(annotation) if member is not type(None)]
    return members[0] if len(members) == 1 else Any


def _converted(kind: Any, value: object, folder: Path) -> object:
    if kind is str:
        return _text(value)
    if kind is Path:
        # A path from the config file's folder means the same for the daemon and for `check`, wherever they start.
        return folder / _text(value, empty=False)
    if kind is float:
        return _number(value)
    if kind is int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise Unfit(_("must be a whole number, not {value}").format(value=_shown(value)), _unquote_hint(value))
        return value
    if kind is bool and not isinstance(value, bool):
        raise Unfit(_("must be true or false, not {value}").format(value=_shown(value)))
    return value


def _text(value: object, *, empty: bool = True) -> str:
    if not isinstance(value, str):
        raise Unfit(_("must be text in quotes, not {value}").format(value=_shown(value)))
    if any(is_control(character) for character in value):
        raise Unfit(_("must not contain line breaks or other control characters"))
    if not value and not empty:
        raise Unfit(_("must not be empty"), _("leave the key out instead"))
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unfit(_("must be a number, not {value}").format(value=_shown(value)), _unquote_hint(value))
    try:
        number = float(value)
    except OverflowError:  # TOML itself does not limit whole numbers
        number = math.inf
    if not math.isfinite(number):
        raise Unfit(_("must be a finite number"))
    return number


def _unquote_hint(value: object) -> str:
    if not isinstance(value, str):
        return ""
    try:
        float(value)
    except ValueError:
        return ""
    return _("write it without quotes")


def _shown(value: object) -> str:
    """Name what stands there without repeating a text: somebody may have typed a password."""
    if isinstance(value, str):
        return _("text")
    if isinstance(value, Mapping):
        return _("a table")
    if isinstance(value, list):
        return _("a list")
    return shortened(value) if isinstance(value, bool | int | float) else _("a date or time")


def _check_range(number: float, low: float | None, high: float | None) -> None:
    if (low is None or number >= low) and (high is None or number <= high):
        return
    if low is None:
        sentence = _("must be at most {high}, not {value}")
    elif high is None:
        sentence = _("must be at least {low}, not {value}")
    else:
        sentence = _("must be between {low} and {high}, not {value}")
    raise Unfit(sentence.format(low=low, high=high, value=shortened(number)))
