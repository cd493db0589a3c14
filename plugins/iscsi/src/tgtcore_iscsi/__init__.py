"""iSCSI over TCP (RFC 7143), a transport plugin of tgtcore."""

from typing import TYPE_CHECKING, Any

from tgtcore import hookimpl

if TYPE_CHECKING:
    from tgtcore.registry import Registry
    from tgtcore_iscsi.check import Problem


@hookimpl
def tgt_register_transports(registry: "Registry") -> None:
    """Offer the transport ``iscsi``."""
    from tgtcore_iscsi.transport import IscsiTransport

    registry.transport("iscsi", IscsiTransport)


@hookimpl
def tgt_check_config(config: Any) -> "list[Problem]":
    """Accounts and portal groups that are named must be there; targets and portals must differ."""
    from tgtcore_iscsi.check import problems

    return problems(config)
