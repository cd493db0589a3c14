"""PERSISTENT RESERVE OUT as the actions see it, and what comes of it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tgtcore.errors import CheckCondition
from tgtcore.reservations.saved import saved
from tgtcore.reservations.state import NexusIdentity, State
from tgtcore.scsi import asc
from tgtcore.scsi.parameters import ILLEGAL_REQUEST, ParameterError
from tgtcore.scsi.persistent import LU_SCOPE, OutAction, ReservationType, ReserveOutParameters

Code = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One PERSISTENT RESERVE OUT command.

    :param nexus: where it came from.
    :param action: its service action.
    :param scope: SCOPE of its CDB, unchecked.
    :param type: TYPE of its CDB, unchecked.
    :param parameters: its parameter list.
    :param target_ports: names of the target's ports, by relative identifier.
    :param initiator_ports: TransportIDs of the initiator ports that are logged in.
    :param can_persist: whether there is a place to keep registrations over power loss.
    """

    nexus: NexusIdentity
    action: OutAction
    scope: int
    type: int
    parameters: ReserveOutParameters
    target_ports: Mapping[int, str]
    initiator_ports: Collection[bytes] = ()
    can_persist: bool = False

    def reservation_type(self) -> ReservationType:
        """The type that the CDB asks for.

        :raises CheckCondition: scope or type are unknown.
        """
        if self.scope != LU_SCOPE:
            raise CheckCondition(ILLEGAL_REQUEST, asc.INVALID_FIELD_IN_CDB, field=(2, 7))
        try:
            return ReservationType(self.type)
        except ValueError:
            raise CheckCondition(ILLEGAL_REQUEST, asc.INVALID_FIELD_IN_CDB, field=(2, 3)) from None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an action comes to.  Nothing has changed yet: save what is to be saved, then let it be adopted.

    :param before: the state that it started from.
    :param state: the state that it leads to.
    :param attentions: unit attention conditions to establish, each for one nexus.
    :param aborted: nexuses whose tasks are to be aborted, except this command, and whose prevention of medium removal ends.
    """

    before: State
    state: State
    attentions: tuple[tuple[NexusIdentity, Code], ...] = ()
    aborted: frozenset[NexusIdentity] = frozenset()

    @property
    def to_save(self) -> dict[str, object] | None:
        """What must be durable before the command ends with GOOD; empty: nothing is kept any more; None: no change."""
        kept = saved(self.state)
        return None if kept == saved(self.before) else kept


def invalid_parameter(message: str, byte: int, bit: int | None = None) -> CheckCondition:
    """INVALID FIELD IN PARAMETER LIST, pointing at a field."""
    return ParameterError(message, byte=byte, bit=bit).check_condition()
