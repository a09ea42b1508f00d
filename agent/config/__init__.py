"""The box's config file: read, checked as a whole, and turned into frozen values (config.example.toml explains it)."""

from instrument_agent.config.activity import ActivityConfig
from instrument_agent.config.settings import (
    BoxConfig,
    Config,
    DestinationConfig,
    DriverConfig,
    InstrumentConfig,
    load_config,
)
from instrument_agent.tables.mistakes import InvalidConfig, Mistake

__all__ = [
    "ActivityConfig",
    "BoxConfig",
    "Config",
    "DestinationConfig",
    "DriverConfig",
    "InstrumentConfig",
    "InvalidConfig",
    "Mistake",
    "load_config",
]
