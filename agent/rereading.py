"""The config file read again while the agent runs: taken whole, or the old one stays."""

from instrument_agent.config import Config, load_config
from instrument_agent.core.errors import AgentError, ConfigError
from instrument_agent.i18n import _


def reread(now: Config) -> Config:
    """Return what the config file says by now.

    Raises:
        InvalidConfig: it has mistakes; each is told with its line.
        ConfigError: it changes what only a new process can take up.
    """
    new = load_config(now.path)
    changed = [key for key in ("id", "state_dir", "runtime_dir") if getattr(new.box, key) != getattr(now.box, key)]
    if changed:
        names = ", ".join(f"box.{key}" for key in changed)
        raise ConfigError(
            _("the agent that runs cannot change {names}; it goes on as before").format(names=names),
            _("restart the service: systemctl restart instrument-agent"),
        )
    return new


def refuse_while_hung(buses: list[str]) -> None:
    """Refuse to begin anew in this process while a driver's call hangs: it may still hold its port.

    Raises:
        AgentError: one does.
    """
    if buses:
        raise AgentError(
            _("{name} hangs, and would go on to hold its port").format(name=buses[0]),
            _("restart the service: systemctl restart instrument-agent"),
        )
