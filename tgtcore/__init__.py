"""A SCSI target framework: the front door, everything that a plugin may import besides ``tgtcore.scsi`` and ``tgtcore.testing``."""

from tgtcore.device import (
    BoundCommand,
    Command,
    CommandTable,
    DeviceType,
    LogPage,
    SharedCommands,
    VpdPage,
    command,
    invalid_cdb_field,
    invalid_parameter,
    out_of_range,
    parameter_list_length_error,
    write_protected,
)
from tgtcore.errors import (
    CheckCondition,
    ConfigError,
    Draining,
    DrainTimeout,
    PluginError,
    ReadOnly,
    ReservationConflict,
    StoreError,
    TgtError,
    Unsupported,
)
from tgtcore.hookspecs import API_VERSION, hookimpl
from tgtcore.leases import Leases
from tgtcore.logical_unit import Identity, LogicalUnit
from tgtcore.nexus import InitiatorPort, ITLNexus, Nexus, TargetPort, Tmf, TmfRequest, TmfResponse, manage
from tgtcore.options import NoOptions, Options
from tgtcore.reservations import ReservationClass
from tgtcore.sizes import Size
from tgtcore.store import (
    Buffer,
    Concurrency,
    Extent,
    Features,
    Filter,
    Format,
    OpenStore,
    Region,
    Store,
)
from tgtcore.target import Target
from tgtcore.task import PENDING, Attribute, Task
from tgtcore.task import State as TaskState
from tgtcore.transport import Account, Host, PortalInfo, SessionInfo, Transport

__all__ = [
    "API_VERSION",
    "PENDING",
    "Account",
    "Attribute",
    "BoundCommand",
    "Buffer",
    "CheckCondition",
    "Command",
    "CommandTable",
    "Concurrency",
    "ConfigError",
    "DeviceType",
    "DrainTimeout",
    "Draining",
    "Extent",
    "Features",
    "Filter",
    "Format",
    "Host",
    "ITLNexus",
    "Identity",
    "InitiatorPort",
    "Leases",
    "LogPage",
    "LogicalUnit",
    "Nexus",
    "NoOptions",
    "OpenStore",
    "Options",
    "PluginError",
    "PortalInfo",
    "ReadOnly",
    "Region",
    "ReservationClass",
    "ReservationConflict",
    "SessionInfo",
    "SharedCommands",
    "Size",
    "Store",
    "StoreError",
    "Target",
    "TargetPort",
    "Task",
    "TaskState",
    "TgtError",
    "Tmf",
    "TmfRequest",
    "TmfResponse",
    "Transport",
    "Unsupported",
    "VpdPage",
    "command",
    "hookimpl",
    "invalid_cdb_field",
    "invalid_parameter",
    "manage",
    "out_of_range",
    "parameter_list_length_error",
    "write_protected",
]
