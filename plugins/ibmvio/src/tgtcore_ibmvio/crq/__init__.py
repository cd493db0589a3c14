"""The command/response queue between two partitions: its elements, its states and how they are kept in step with the platform."""

from tgtcore_ibmvio.crq.elements import Format, command_element, srp_element
from tgtcore_ibmvio.crq.outbox import Holder
from tgtcore_ibmvio.crq.queue import Owner, Queue
from tgtcore_ibmvio.crq.states import Event, State

__all__ = ["Event", "Format", "Holder", "Owner", "Queue", "State", "command_element", "srp_element"]
