"""Which files a config file names, and the same file naming them elsewhere."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from instrument_agent.tables.change import with_keys
from instrument_agent.tables.mistakes import KeyPath

_SECRET = ("credential_file", "client_key_file")
_OF_DRIVERS = ("trace",)


@dataclass(frozen=True, slots=True)
class NamedFile:
    """One key whose value is the path of a file, seen from the config file; ``secret``: nobody else is to read it."""

    table: KeyPath
    key: str
    name: str
    secret: bool


def named_files(keys: Mapping[str, Any]) -> list[NamedFile]:
    """Return the files that a config file names by a relative path; what has mistakes otherwise is passed over."""
    return [item for item in _all_named(keys) if not PurePosixPath(item.name).is_absolute()]


def secret_names(keys: Mapping[str, Any]) -> set[str]:
    """Return the names of those files that hold secrets."""
    return {item.name for item in named_files(keys) if item.secret}


def moved(text: str, keys: Mapping[str, Any], places: Mapping[str, str]) -> str:
    """Return the config file with each of these files named by its new place; nothing else in it changes."""
    for item in named_files(keys):
        if item.name in places:
            text = with_keys(text, item.table, {item.key: places[item.name]})
    return text


def _all_named(keys: Mapping[str, Any]) -> Iterator[NamedFile]:
    for number, table in enumerate(_tables(keys.get("destination"))):
        # A client's certificate file holds its key too, where no file is named for that.
        certificate = ("client_cert_file",) if "client_key_file" not in table else ()
        for key, name in table.items():
            if key.endswith("_file") and _is_name(name):
                yield NamedFile(("destination", number), key, name, key in (*_SECRET, *certificate))
    for number, table in enumerate(_tables(keys.get("instrument"))):
        driver = table.get("driver")
        for key, name in driver.items() if isinstance(driver, dict) else ():
            if (key.endswith("_file") or key in _OF_DRIVERS) and _is_name(name):
                yield NamedFile(("instrument", number, "driver"), key, name, secret=False)


def _tables(value: object) -> list[dict[str, Any]]:
    return [table if isinstance(table, dict) else {} for table in value] if isinstance(value, list) else []


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value) and value.isprintable()
