"""Finds drivers by name among the entry points; a broken plugin breaks only itself."""

from importlib.metadata import entry_points
from typing import Any

from instrument_agent.core.errors import ConfigError
from instrument_agent.i18n import _
from instrument_agent.tables.mistakes import nearest

GROUP = "instrument_agent.drivers"
OURS = "instrument_agent."


def driver_names() -> list[str]:
    """Return the names of all installed drivers, sorted."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def driver_class(name: str) -> type[Any]:
    """Return the driver class registered as ``name``; only its own module is imported.

    A name of ours stays ours, whoever registers it too.

    Raises:
        ConfigError: there is no such driver, or it cannot be imported.
    """
    for point in sorted(entry_points(group=GROUP), key=lambda item: not item.value.startswith(OURS)):
        if point.name == name:
            try:
                loaded: type[Any] = point.load()
            except (Exception, SystemExit) as error:  # a plugin is foreign code: whatever it raises is its own failure
                package = point.dist.name if point.dist is not None else point.value
                raise ConfigError(
                    _("the driver {name} cannot be loaded: {error}").format(name=name, error=error),
                    _("reinstall the package that brings this driver: {package}").format(package=package),
                ) from error
            return loaded
    names = driver_names()
    hints = (nearest(name, names), _("one of {names}").format(names=", ".join(names)))
    raise ConfigError(_("there is no driver {name}").format(name=name), " ".join(filter(None, hints)))
