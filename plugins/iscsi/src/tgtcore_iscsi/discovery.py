"""SendTargets: which targets an initiator is told of, and in what form (RFC 7143 appendix C)."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from tgtcore_iscsi.addresses import Address, target_address
from tgtcore_iscsi.names import InvalidName, peer_name
from tgtcore_iscsi.text import encode_pairs

ALL: Final = "All"


class TargetRecord(NamedTuple):
    """One target as an initiator may see it: its name, and each portal with the tag of its group."""

    name: str
    portals: tuple[tuple[Address, int], ...]


FindTargets = Callable[[str], Iterable[TargetRecord]]
"""Given a name, the target of that name, or with ``""`` all of them; only those that the initiator may see."""


def send_targets(value: str, find: FindTargets, session_target: str) -> Iterable[TargetRecord] | None:
    """Return what ``SendTargets=value`` asks for, ``None`` when it may not be asked for in this session.

    :param session_target: the target of a normal session, which speaks of no other; empty in a discovery session.
    """
    if value == ALL:
        return None if session_target else find("")
    if not value:
        return find(session_target) if session_target else None
    try:
        name = peer_name(value)
    except InvalidName:
        return None
    return find(name) if session_target in ("", name) else None


def encode_records(records: Iterable[TargetRecord]) -> Iterator[bytes]:
    """Yield the text of one target after another."""
    for name, portals in records:
        addresses = [("TargetAddress", target_address(address, tag)) for address, tag in portals]
        yield encode_pairs([("TargetName", name), *addresses])
