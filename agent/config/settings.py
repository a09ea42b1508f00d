"""The configuration: one TOML file, parsed once into frozen values (config.example.toml explains every key).

Units stand in the names. Secrets are named by the path of their file and never stand in the config itself. A file
is taken whole or not at all: ``load_config`` tells every mistake at once.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from os import environ
from pathlib import Path
from types import MappingProxyType
from typing import Any

from instrument_agent.config.activity import ActivityConfig
from instrument_agent.config.checks import check_activity, check_channel, check_client, check_unique, check_witnesses
from instrument_agent.config.fields import (
    check_credit_code,
    check_identifier,
    check_idle_levels,
    check_runtime_dir,
    check_timezone,
    check_url,
)
from instrument_agent.config.fingerprint import fingerprint
from instrument_agent.config.sharing import Reader, bus_name, check_sharing
from instrument_agent.core.errors import ConfigError
from instrument_agent.drivers.protocol import Driver
from instrument_agent.drivers.registry import driver_class, driver_names
from instrument_agent.i18n import _
from instrument_agent.tables.binding import bind, note_unknown
from instrument_agent.tables.file import read_config_file
from instrument_agent.tables.mistakes import InvalidConfig, KeyPath, Mistake, Notebook, Unfit, nearest

_IDENTITY = ("asset_code", "platform_code", "name_zh", "name_en", "model", "org_name", "org_uscc", "location")


def _service_directory(variable: str, otherwise: str) -> Path:
    # systemd names the directories it made for the service; several are joined by colons, ours is the first.
    return Path(environ.get(variable, "").split(":")[0] or otherwise)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxConfig:
    """The box itself."""

    id: str = field(metadata={"check": check_identifier})
    state_dir: Path = field(default_factory=lambda: _service_directory("STATE_DIRECTORY", "/var/lib/instrument-agent"))
    runtime_dir: Path = field(
        default_factory=lambda: _service_directory("RUNTIME_DIRECTORY", "/run/instrument-agent"),
        metadata={"check": check_runtime_dir},
    )
    timezone: str = field(default="Asia/Shanghai", metadata={"check": check_timezone})
    idle_levels_days: list[int] = field(default_factory=lambda: [30, 90, 180], metadata={"check": check_idle_levels})
    checkpoint_s: float = field(default=120.0, metadata={"low": 1, "high": 3600})
    log_level: str = field(default="info", metadata={"choices": ("debug", "info", "warning", "error")})


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationConfig:
    """A platform that gets the records; ``credential_file`` holds a bearer token, unless the box is enrolled there.

    ``client_cert_file`` (PEM) is shown to a platform that asks who speaks; without ``client_key_file`` it holds the
    key too.
    """

    name: str = field(metadata={"check": check_identifier})
    url: str = field(metadata={"check": check_url})
    credential_file: Path | None = None
    ca_file: Path | None = None
    client_cert_file: Path | None = None
    client_key_file: Path | None = None
    heartbeat_s: float = field(default=60.0, metadata={"low": 15, "high": 3600})
    batch_records: int = field(default=500, metadata={"low": 1, "high": 5000})
    first_contact_spread_s: float = field(default=300.0, metadata={"low": 0, "high": 3600})
    offline_ok: bool = False


@dataclass(frozen=True, slots=True)
class DriverConfig:
    """A driver class and all its options, which it has already accepted; nothing is opened."""

    name: str
    options: Mapping[str, Any]
    driver: type[Any]

    @property
    def bus(self) -> str | None:
        """The bus it shares with others: a serial port, or ``host:tcp_port``; None is a bus of its own."""
        return bus_name(self.options)

    def build(self, monotonic: Callable[[], float] = time.monotonic) -> Driver:
        """Return a new driver, closed; one that has a ``monotonic`` clock (in seconds) is given this one."""
        built: Driver = self.driver(**self.options)
        if any(item.name == "monotonic" for item in fields(self.driver)):
            built.monotonic = monotonic  # type: ignore[attr-defined]  # not every driver measures time
        return built


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentConfig:
    """One instrument, how it is read and how it is judged."""

    id: str = field(metadata={"check": check_identifier})
    asset_code: str = ""
    platform_code: str = ""
    name_zh: str = ""
    name_en: str = ""
    model: str = ""
    org_name: str = ""
    org_uscc: str = field(default="", metadata={"check": check_credit_code})
    location: str = ""
    poll_s: float = field(default=1.0, metadata={"low": 0.05, "high": 3600})
    timeout_s: float = field(default=1.0, metadata={"low": 0.05, "high": 30})
    driver: DriverConfig
    activity: ActivityConfig

    def identity(self) -> dict[str, str]:
        """Return what the owner and the platform call it; empty where nobody said."""
        return {key: getattr(self, key) for key in _IDENTITY}


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file; by ``hash`` (config/fingerprint.py) records name the config they were made under."""

    path: Path
    hash: str
    box: BoxConfig
    destinations: tuple[DestinationConfig, ...]
    instruments: tuple[InstrumentConfig, ...]


def load_config(path: Path) -> Config:
    """Read, check and freeze a config file. No port is opened, and of the files it names only a profile is read.

    Raises:
        InvalidConfig: it cannot be used; ``mistakes`` lists everything that is wrong.
    """
    file = read_config_file(path, if_missing=_("name the config file with --config"))
    book = Notebook(path, file.lines)
    note_unknown(("box", "destination", "instrument"), file.keys, (), book)
    box_table = _table(file.keys, "box", (), book)
    box = {} if box_table is None else bind(BoxConfig, box_table, ("box",), book)
    destinations = [
        (at, bind(DestinationConfig, table, at, book)) for at, table in _tables(file.keys, "destination", book)
    ]
    instruments = [(at, _instrument(table, at, book)) for at, table in _tables(file.keys, "instrument", book)]
    if "instrument" not in file.keys:
        book.note(("instrument",), _("there is no [[instrument]] to watch"))
    check_unique(destinations, "name", book)
    for at, values in destinations:
        check_client(values, at, book)
    check_unique(instruments, "id", book)
    check_witnesses(instruments, book)
    check_sharing([_reader(at, values) for at, values in instruments], book)
    if book.mistakes:
        raise InvalidConfig(book.mistakes)
    return Config(
        path=path.absolute(),
        hash=fingerprint(file.content, (item for _at, values in instruments for item in _files(values))),
        box=BoxConfig(**box),
        destinations=tuple(DestinationConfig(**values) for _at, values in destinations),
        instruments=tuple(_frozen_instrument(values) for _at, values in instruments),
    )


def _table(holder: Mapping[str, Any], key: str, at: KeyPath, book: Notebook) -> Mapping[str, Any] | None:
    table = holder.get(key)
    if isinstance(table, dict):
        return table
    problem = _("this table is missing") if table is None else _("must be a table")
    book.note((*at, key), problem, _("write [{table}]").format(table=".".join([*_names(at), key])))
    return None


def _names(at: KeyPath) -> list[str]:
    return [part for part in at if isinstance(part, str)]


def _tables(holder: Mapping[str, Any], key: str, book: Notebook) -> list[tuple[KeyPath, Mapping[str, Any]]]:
    tables = holder.get(key, [])
    if isinstance(tables, list) and all(isinstance(table, dict) for table in tables):
        return [((key, number), table) for number, table in enumerate(tables)]
    book.note((key,), _("must be a list of tables"), _("write [[{table}]] with two brackets").format(table=key))
    return []


def _instrument(table: Mapping[str, Any], at: KeyPath, book: Notebook) -> dict[str, Any]:
    values = bind(InstrumentConfig, table, at, book, beside=("driver", "activity"))
    driver_table = _table(table, "driver", at, book)
    driver = {} if driver_table is None else _driver(driver_table, (*at, "driver"), book)
    channels = driver.pop("channels", None)
    # Without it, or without thresholds in it, the agent learns.
    activity_table = _table(table, "activity", at, book) if "activity" in table else {}
    activity: dict[str, Any] = {}
    if activity_table is not None:
        here = (*at, "activity")
        activity = bind(ActivityConfig, activity_table, here, book)
        check_activity(activity, values.get("poll_s"), here, book)
        check_channel(activity, channels, here, book)
    return {**values, "driver": driver, "activity": activity}


def _reader(at: KeyPath, values: Mapping[str, Any]) -> Reader:
    driver = values["driver"]
    alone = getattr(driver.get("driver"), "alone", ())
    keys = alone if isinstance(alone, tuple) else ()
    return Reader((*at, "driver"), driver.get("options", {}), keys, values["activity"].get("channel"))


def _driver(table: Mapping[str, Any], at: KeyPath, book: Notebook) -> dict[str, Any]:
    """Return the fields of DriverConfig, as far as they are good, and the ``channels`` of the driver."""
    name = table.get("name")
    if not isinstance(name, str):
        problem = _("this key is required") if name is None else _("must be text in quotes")
        book.note((*at, "name"), problem, _("one of {names}").format(names=", ".join(driver_names())))
        return {}
    try:
        driver = driver_class(name)
    except ConfigError as error:
        book.note((*at, "name"), str(error), error.hint or nearest(name, driver_names()))
        return {}
    noted = len(book.mistakes)
    options = {key: value for key, value in table.items() if key != "name"}
    try:
        options = bind(driver, options, at, book)
        if len(book.mistakes) == noted:
            built = driver(**options)
            channels = {channel.name: channel for channel in built.channels}
            return {"name": name, "options": _settled(options, built), "driver": driver, "channels": channels}
    except InvalidConfig as error:  # of a file the driver reads, such as a profile
        for mistake in error.mistakes:
            _note_in_file(mistake, options, at, book)
    except Unfit as unfit:
        book.note_unfit(at, unfit)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # foreign code: whatever it raises, it does not take these
        book.note(at, str(error) or type(error).__name__, str(getattr(error, "hint", "")))
    return {"options": options}


def _note_in_file(mistake: Mistake, options: Mapping[str, Any], at: KeyPath, book: Notebook) -> None:
    """Note a mistake in a file that a driver reads; what is wrong with the file as a whole, where it is named."""
    naming = [key for key, value in options.items() if value == mistake.path]
    if mistake.line is None and naming:
        book.note((*at, naming[0]), f"{mistake.path}: {mistake.problem}", mistake.hint)
    else:
        book.mistakes.append(mistake)


def _settled(options: Mapping[str, Any], driver: Driver) -> dict[str, Any]:
    """Return the options as the driver has them where nobody gave any: the baud rate of its profile, for instance."""
    return {key: getattr(driver, key, None) if value is None else value for key, value in options.items()}


def _files(values: Mapping[str, Any]) -> list[Path]:
    """Return the files an instrument's driver reads."""
    return [option for option in values["driver"]["options"].values() if isinstance(option, Path)]


def _frozen_instrument(values: Mapping[str, Any]) -> InstrumentConfig:
    driver = values["driver"]
    frozen = DriverConfig(driver["name"], MappingProxyType(driver["options"]), driver["driver"])
    return InstrumentConfig(**{**values, "driver": frozen, "activity": ActivityConfig(**values["activity"])})
