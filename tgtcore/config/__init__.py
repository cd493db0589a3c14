"""The configuration: read, checked against the core's models and every plugin's, written."""

from tgtcore.config.check import check, plugin_names
from tgtcore.config.defaults import default_socket, default_state_directory
from tgtcore.config.models import (
    EMPTY,
    AccountConfig,
    Config,
    DaemonOptions,
    FilterConfig,
    LogicalUnitConfig,
    LunMapConfig,
    SnapshotKeys,
    StoreConfig,
    TargetConfig,
    TransportConfig,
    TransportKeys,
)
from tgtcore.config.reader import Source, parse, read
from tgtcore.config.writer import make_folder, sync_folder, to_toml, write_atomically

__all__ = [
    "EMPTY",
    "AccountConfig",
    "Config",
    "DaemonOptions",
    "FilterConfig",
    "LogicalUnitConfig",
    "LunMapConfig",
    "SnapshotKeys",
    "Source",
    "StoreConfig",
    "TargetConfig",
    "TransportConfig",
    "TransportKeys",
    "check",
    "default_socket",
    "default_state_directory",
    "make_folder",
    "parse",
    "plugin_names",
    "read",
    "sync_folder",
    "to_toml",
    "write_atomically",
]
