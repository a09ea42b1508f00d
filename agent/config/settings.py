"""The configuration: one TOML file, parsed once into frozen values (config.example.toml explains every key).

Units stand in the names. Secrets are named by the path of their file and never stand in the config itself. A file
is taken whole or not at all: ``load_config`` tells every mistake at once.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from os import environ
from pathlib import Path
from types import MappingProxyType
from typing import Any

from instrument_agent.config.checks import bus_name, check_activity, check_buses, check_channel, check_unique
from instrument_agent.config.fields import (
    check_credit_code,
    check_identifier,
    check_idle_levels,
    check_runtime_dir,
    check_states,
    check_timezone,
    check_url,
)
from instrument_agent.core.activity import STATE_OFF_BELOW, STATE_RUN_ABOVE, Rules
from instrument_agent.core.errors import ConfigError
from instrument_agent.core.readings import NS_PER_S, Activity
from instrument_agent.drivers.protocol import Driver
from instrument_agent.drivers.registry import driver_class, driver_names
from instrument_agent.i18n import _
from instrument_agent.tables.binding import bind, note_unknown
from instrument_agent.tables.file import read_bytes, read_config_file
from instrument_agent.tables.mistakes import InvalidConfig, KeyPath, Notebook, Unfit, nearest

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
    """A platform that gets the records; ``credential_file`` holds a bearer token."""

    name: str = field(metadata={"check": check_identifier})
    url: str = field(metadata={"check": check_url})
    credential_file: Path | None = None
    ca_file: Path | None = None
    heartbeat_s: float = field(default=60.0, metadata={"low": 15, "high": 3600})
    batch_records: int = field(default=500, metadata={"low": 1, "high": 5000})
    first_contact_spread_s: float = field(default=300.0, metadata={"low": 0, "high": 3600})


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityConfig:
    """How an instrument is judged: by thresholds in the unit of ``channel``, or by what its raw ``states`` mean.

    Without ``run_below`` a run ends under the same value above which it begins.
    """

    channel: str = "power_w"
    off_below: float | None = None
    run_above: float | None = None
    run_below: float | None = None
    states: dict[str, str] | None = field(default=None, metadata={"check": check_states})
    min_on_s: float = field(default=60.0, metadata={"low": 0, "high": 86_400})
    min_off_s: float = field(default=120.0, metadata={"low": 0, "high": 86_400})
    off_settle_s: float = field(default=10.0, metadata={"low": 0, "high": 86_400})
    single_readings: bool = False
    gap_s: float = field(default=60.0, metadata={"low": 1, "high": 86_400})
    bridge_s: float = field(default=300.0, metadata={"low": 1, "high": 86_400})

    def rules(self) -> Rules:
        """Return the same for the core, in nanoseconds."""
        low, high = (STATE_OFF_BELOW, STATE_RUN_ABOVE) if self.states else (self.off_below, self.run_above)
        if low is None or high is None:
            raise ValueError("check_activity lets no table pass that has neither states nor thresholds")
        return Rules(
            channel=self.channel,
            off_below=low,
            run_above=high,
            run_below=high if self.run_below is None else self.run_below,
            min_on_ns=round(self.min_on_s * NS_PER_S),
            min_off_ns=round(self.min_off_s * NS_PER_S),
            off_settle_ns=round(self.off_settle_s * NS_PER_S),
            gap_ns=round(self.gap_s * NS_PER_S),
            bridge_ns=round(self.bridge_s * NS_PER_S),
            single_readings=self.single_readings,
            states={code: Activity(name) for code, name in self.states.items()} if self.states else None,
        )


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
    """The whole file; ``hash`` is the SHA-256 of its bytes, by which records name the config they were made under."""

    path: Path
    hash: str
    box: BoxConfig
    destinations: tuple[DestinationConfig, ...]
    instruments: tuple[InstrumentConfig, ...]


def config_hash(path: Path) -> str:
    """Return the SHA-256 of a config file's bytes, in hex.

    Raises:
        InvalidConfig: it cannot be read, or is larger than 1 MiB.
    """
    return hashlib.sha256(read_bytes(path)).hexdigest()


def load_config(path: Path) -> Config:
    """Read, check and freeze a config file. No port is opened, and of the files it names only a profile is read.

    Raises:
        InvalidConfig: it cannot be used; ``mistakes`` lists everything that is wrong.
    """
    file = read_config_file(path)
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
    check_unique(instruments, "id", book)
    check_buses([((*at, "driver"), values["driver"].get("options", {})) for at, values in instruments], book)
    if book.mistakes:
        raise InvalidConfig(book.mistakes)
    return Config(
        path=path.absolute(),
        hash=file.sha256,
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
    activity_table = _table(table, "activity", at, book)
    activity: dict[str, Any] = {}
    if activity_table is not None:
        here = (*at, "activity")
        activity = bind(ActivityConfig, activity_table, here, book)
        check_activity(activity, values.get("poll_s"), here, book)
        check_channel(activity, channels, here, book)
    return {**values, "driver": driver, "activity": activity}


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
        book.mistakes.extend(error.mistakes)
    except Unfit as unfit:
        book.note((*at, *unfit.at), unfit.problem, unfit.hint)
    except Exception as error:  # noqa: BLE001  # foreign code: whatever it raises, it does not take these options
        book.note(at, str(error) or type(error).__name__, str(getattr(error, "hint", "")))
    return {"options": options}


def _settled(options: Mapping[str, Any], driver: Driver) -> dict[str, Any]:
    """Return the options as the driver has them where nobody gave any: the baud rate of its profile, for instance."""
    return {key: getattr(driver, key, None) if value is None else value for key, value in options.items()}


def _frozen_instrument(values: Mapping[str, Any]) -> InstrumentConfig:
    driver = values["driver"]
    frozen = DriverConfig(driver["name"], MappingProxyType(driver["options"]), driver["driver"])
    return InstrumentConfig(**{**values, "driver": frozen, "activity": ActivityConfig(**values["activity"])})
