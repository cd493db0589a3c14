"""Virtual SCSI of IBM pSeries (LoPAR 17.2): the server, a transport plugin of tgtcore."""

from typing import TYPE_CHECKING, Any

from tgtcore import CommandTable, hookimpl

if TYPE_CHECKING:
    from tgtcore.registry import AdminCommands, Registry
    from tgtcore_ibmvio.check import Problem

_NAME = "ibmvio"


@hookimpl
def tgt_register_transports(registry: "Registry") -> None:
    """Offer the transport ``ibmvio``."""
    from tgtcore_ibmvio.transport import IbmvioTransport

    registry.transport(_NAME, IbmvioTransport)


@hookimpl
def tgt_check_config(config: Any) -> "list[Problem]":
    """Adapters that are named must be there, and lead to one target."""
    from tgtcore_ibmvio.check import problems

    return problems(config)


@hookimpl
def tgt_amend_commands(transport: str, commands: CommandTable) -> None:
    """INQUIRY by the names that clients of virtual SCSI know."""
    if transport == _NAME:
        from tgtcore_ibmvio.naming import amend

        amend(commands)


@hookimpl
def tgt_register_admin(commands: "AdminCommands") -> None:
    """Offer ``ibmvio show``."""
    from tgtcore_ibmvio.verbs import ShownAdapter, show

    commands.add(
        "ibmvio show",
        show,
        help="Show the virtual SCSI adapters and their partners.",
        arguments=ShownAdapter,
        transport=_NAME,
    )
