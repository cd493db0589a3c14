"""The hooks: everything that a plugin may be asked, and nothing else.

All hooks run on the control path, synchronously, with arguments by name; an implementation may leave out arguments that it does not
need.  An exception stops what is being done and names the plugin.  Mark implementations with ``@hookimpl``.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from pathlib import Path

    from tgtcore.device import CommandTable
    from tgtcore.logical_unit import LogicalUnit
    from tgtcore.nexus import InitiatorPort
    from tgtcore.registry import AdminCommands, OptionsRegistry, Registry
    from tgtcore.target import Target

Problem = tuple[tuple[str | int, ...], str]
"""What :func:`tgt_check_config` finds."""

PROJECT = "tgtcore"
API_VERSION = 1
"""A plugin module may state ``TGTCORE_API = 1``; another number is refused with a clear message."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def tgt_register_options(options: "OptionsRegistry") -> None:
    """Declare configuration keys of the plugin's own, in the table ``[plugin.<name>]``.

    Called once each time that the plugin is loaded, before the configuration is checked.
    """


@hookspec
def tgt_register_transports(registry: "Registry") -> None:
    """Offer transports: ``registry.transport("iscsi", IscsiTransport)``.

    Called once each time that the plugin is loaded, before anything is built from it.
    """


@hookspec
def tgt_register_device_types(registry: "Registry") -> None:
    """Offer device types: ``registry.device_type("disk", Disk)``.  Called once, as for transports."""


@hookspec
def tgt_register_stores(registry: "Registry") -> None:
    """Offer stores under the names that users write: ``registry.store("file", FileStore)``.  Called once, as for transports."""


@hookspec
def tgt_register_formats(registry: "Registry") -> None:
    """Offer image formats: ``registry.format("qcow2", Qcow2)``.  Called once, as for transports."""


@hookspec
def tgt_register_filters(registry: "Registry") -> None:
    """Offer filters, on commands or on storage calls: ``registry.filter("delay", Delay)``.  Called once, as for transports."""


@hookspec(firstresult=True)
def tgt_load_config(path: "Path") -> Mapping[str, Any] | None:
    """Read a configuration file that is not TOML and give its content in the shape of ours; None: not my kind of file.

    Stops at the first answer.  The core's TOML reader comes last.
    """


@hookspec
def tgt_check_config(config: Any) -> "Iterable[Problem]":
    """Say what is wrong with a configuration that no key by itself shows: place and sentence of each problem.

    A place is the keys from the top, such as ``("targets", "iqn.2025-01.example:a", "auth")``; users see its line.  Called at every
    start, change and ``tgtd --check``; in a running daemon on a thread beside the loop, which goes on.
    """
    raise NotImplementedError


@hookspec
def tgt_amend_commands(transport: str, lu: "LogicalUnit", commands: "CommandTable") -> None:
    """Replace entries of a logical unit's opcode table, as one transport exposes it.

    ``commands.replace(BoundCommand(command, handler, wants))`` does that; ``handler(device, task)`` and ``wants(device, task)`` are
    called like methods of the device type's object, and a reload may put another object in its place.  Called once for each
    transport and logical unit, when the first nexus needs the table, and again when other plugins are enabled.
    """


@hookspec
def tgt_vpd_pages(transport: str, lu: "LogicalUnit") -> Mapping[int, bytes] | None:
    """Further VPD pages of a logical unit: page code → the page's bytes after the 4-byte header.

    Called when a page is asked for.  Two plugins with the same page code are an error.
    """


@hookspec
def tgt_authorize_login(target: "Target", initiator_port: "InitiatorPort", portal: str) -> bool | None:
    """Whether an initiator may log in: True, False or None for no opinion.

    Every implementation is asked; one False refuses, and without any True the login is refused.  After the access list of a
    target has changed they are asked again about each session that is in already, with ``portal=""``; refused, it is ended.

    :param portal: the portal that the initiator has come to, as ``host:port``; empty for a session that is in already.
    """


@hookspec
def tgt_register_admin(commands: "AdminCommands") -> None:
    """Offer verbs for ``tgtadm``: ``commands.add("xen attach", handler, help="...")``.  Called once."""


@hookspec
def tgt_status(detail: bool) -> Mapping[str, Any]:
    """Figures of the whole plugin for ``tgtadm show``: section → data that JSON can carry."""
    raise NotImplementedError
