"""Xen's virtual SCSI (vscsiif): a back end for guests, a transport plugin of tgtcore."""

from typing import TYPE_CHECKING, Any

from tgtcore import hookimpl

if TYPE_CHECKING:
    from tgtcore.registry import AdminCommands, Registry
    from tgtcore_xen.check import Problem

_NAME = "xen"


@hookimpl
def tgt_register_transports(registry: "Registry") -> None:
    """Offer the transport ``xen``."""
    from tgtcore_xen.transport import XenTransport

    registry.transport(_NAME, XenTransport)


@hookimpl
def tgt_check_config(config: Any) -> "list[Problem]":
    """A virtual HBA is there once, and leads to a target of this transport."""
    from tgtcore_xen.check import problems

    return problems(config)


@hookimpl
def tgt_register_admin(commands: "AdminCommands") -> None:
    """Offer ``xen attach``, ``xen detach`` and ``xen show``."""
    from tgtcore_xen import verbs

    commands.add(
        "xen show",
        verbs.show,
        help="Show the virtual HBAs, with the states of both ends.",
        arguments=verbs.ShownHba,
        transport=_NAME,
    )
    commands.add(
        "xen attach",
        verbs.attach,
        help="Offer a virtual HBA to a guest.",
        arguments=verbs.NewHba,
        transport=_NAME,
        edits=True,
    )
    commands.add(
        "xen detach",
        verbs.detach,
        help="Take a virtual HBA from its guest.",
        arguments=verbs.OldHba,
        transport=_NAME,
        edits=True,
    )
