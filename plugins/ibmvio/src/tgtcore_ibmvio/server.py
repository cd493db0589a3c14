"""One adapter at work: its queue, its datagrams, and the SRP channel of the client at its other end."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tgtcore_srp.channel import Channel
from tgtcore_srp.iu.opcodes import RejectReason
from tgtcore_srp.memory import Memory
from tgtcore_srp.port import Rejected, SrpPort
from tgtcore_srp.quirks import Quirks

from tgtcore import Draining, Host, InitiatorPort, Nexus, NexusInUse, Target
from tgtcore_ibmvio.addressing import LunFields, VirtualDevices
from tgtcore_ibmvio.clients import CLIENTS
from tgtcore_ibmvio.crq import Event, Format, Queue, State, command_element
from tgtcore_ibmvio.fabric import VioFabric
from tgtcore_ibmvio.identity import client_transport_id, own_options, target_port
from tgtcore_ibmvio.mad import BadDatagram, MadService
from tgtcore_ibmvio.options import AdapterOptions, IbmvioOptions
from tgtcore_ibmvio.platform import Adapter

if TYPE_CHECKING:
    from tgtcore_srp.session import Session

_log = logging.getLogger(__name__)

SENSE_BYTES_MAX = 96
"""Clients copy sense data without a look at its length."""


@dataclass(frozen=True)
class Surroundings:
    """What all adapters of the transport share.

    :param options: asks for the options in force.
    :param bounce: memory that is used within a call only.
    """

    host: Host
    memory: Memory
    options: Callable[[], IbmvioOptions]
    bounce: memoryview


class DatagramTurn:
    """Whether a client still waits for the answer to a management datagram: it may have one at a time."""

    taken = False

    def sent(self) -> None:
        """The answer is on its way."""
        self.taken = False


class AdapterServer:
    """Serves one adapter: the owner of its queue, and who admits its client.

    :param options: the adapter as the configuration has it.
    """

    def __init__(self, adapter: Adapter, options: AdapterOptions, surroundings: Surroundings) -> None:
        self.adapter = adapter
        self.options = options
        self.port = SrpPort(self)
        self.queue = Queue(adapter, self, surroundings.host.loop.call_later, str(self))
        self.mads: MadService | None = None
        """While a client is connected."""
        self.receive: Callable[[int, int], None] = self._turn_away
        """Takes an information unit: that of the present connection's fabric."""
        self.connections = 0
        """How many there have been."""
        self.pausing = False
        """Whether logins are going to be taken again though none are now: its client is to wait and not to give up."""
        self._surroundings = surroundings
        self._host = surroundings.host
        self._channel: Channel | None = None
        self._turn = DatagramTurn()
        self._short = False
        self._early = False
        """Whether a login came before all commands of the one before had ended; until it is looked again."""
        self._told: list[Callable[[], None]] = []

    def __str__(self) -> str:
        return f"adapter {self.options.address}"

    # ---- what the transport asks ----------------------------------------------------------------------------------------

    @property
    def session(self) -> "Session | None":
        """The session of its client."""
        return None if self._channel is None else self._channel.session

    @property
    def connected(self) -> bool:
        """Whether a client is there."""
        return self._channel is not None

    @property
    def busy(self) -> bool:
        """Whether a request of its client has no answer yet."""
        return self._turn.taken or (self._channel is not None and self._channel.slots.used > 0)

    @property
    def idle(self) -> bool:
        """Whether it has nothing, and wants nothing, of its adapter."""
        return self.queue.state is State.CLOSED

    def find_target(self) -> Target | None:
        """The target that it leads to, if that takes logins."""
        target = self._leads_to()
        return None if target is None or target.leases.draining else target

    def _leads_to(self) -> Target | None:
        own = (target for target in self._host.targets() if any(map(self.options.has, own_options(target).adapters)))
        return next(own, None)

    def keep(self) -> None:
        """Have a queue as long as it leads somewhere, and a session may begin or is there; called time and again."""
        self._early = False
        if self.session is None:
            self._adjust()

    def _adjust(self) -> None:
        """A client that finds no queue gives up, and so does one whose login is rejected: let it wait where that has an end."""
        target = self._leads_to()
        if target is None or not (self.port.listening or self.pausing):
            self.queue.close()
        elif not target.leases.draining and self.port.listening and not self._early:
            self.queue.open()
        elif target.drained or not target.leases.draining:
            self.queue.shut()
        else:
            self.queue.close()

    def drop(self, why: str, then: Callable[[], None]) -> None:
        """End the session; the client may come again."""
        self.port.drop(self.port.sessions(), why, then)

    def ping(self) -> None:
        """Find out whether its client is still there, if that is one that knows pings."""
        target = self.find_target()
        if target is not None and own_options(target).kind.answers_pings:
            self.queue.ping()

    def leave(self, then: Callable[[], None]) -> None:
        """End the session and take no other; ``then`` when the last command has ended.

        The queue stays until the platform ends: a client that outlives this server need not hear that there is none.
        """
        self.port.listening, self.pausing = False, True
        self._told.append(then)
        if self.queue.wanted:
            self.queue.shut()
        if self.queue.rests:
            self.rests()

    # ---- what the queue tells -------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A client is there: have what it needs, or shut the door until there is memory for that."""
        self.connections += 1
        try:
            self._begin()
        except MemoryError:
            if not self._short:
                _log.warning("%s: there is no memory for a client now; it has to wait", self)
            self._short = True
            self._host.loop.call_soon(self._turn_out)
        else:
            self._short = False

    def _begin(self) -> None:
        options, target = self._surroundings.options(), self.find_target()
        own = None if target is None else own_options(target)
        kind = CLIENTS["linux"] if own is None else own.kind
        mads = MadService(
            self.adapter,
            options.partition,
            options.partition_number,
            kind.os_type,
            options.transfer_max,
            lambda: self.session is not None,
        )
        fabric = VioFabric(self.adapter, self.queue, self._surroundings.bounce)
        quirks = Quirks(
            lun=LunFields(VirtualDevices({} if own is None else own.devices)).__getitem__,
            underrun_as_over=kind.underrun_as_over,
            sense_bytes_max=SENSE_BYTES_MAX,
            notifies=False,
        )
        fabric.channel = Channel(
            str(self),
            self.port,
            fabric,
            self._surroundings.memory,
            quirks,
            options.credits,
            options.transfer_max,
        )
        self._channel, self.mads, self._turn = fabric.channel, mads, DatagramTurn()
        self.receive = fabric.receive

    def end(self, then: Callable[[], None]) -> None:
        """The client is lost."""
        channel, self._channel, self._turn = self._channel, None, DatagramTurn()
        self.receive = self._turn_away
        self.mads = None
        if channel is None:
            then()
            return
        channel.lost()
        channel.when_gone(partial(self._ended, then))

    def _ended(self, then: Callable[[], None]) -> None:
        """The last command has ended; a client that could not log in again should not try, for it might give up then."""
        self._adjust()
        then()

    def rests(self) -> None:
        """No client can come."""
        told, self._told = self._told, []
        for then in told:
            then()

    def answer_mad(self, address: int, length: int) -> None:
        """Answer a management datagram."""
        if self.mads is None:
            return  # the queue is about to close
        try:
            if self._turn.taken:
                raise BadDatagram("another datagram before the answer to the last")
            answer_length, tag = self.mads.answer(address, length)
        except BadDatagram as error:
            self.queue.fail(Event.VIOLATION, str(error))
            return
        self._turn.taken = True
        self.queue.send(command_element(Format.MAD, answer_length, tag), self._turn)

    def _turn_away(self, address: int, length: int) -> None:
        """Nobody is here to take an information unit: the queue is about to close."""

    # ---- logins ---------------------------------------------------------------------------------------------------------

    def open(self, initiator_port_id: bytes, target_port_id: bytes) -> Nexus:
        """Open the nexus of a login.

        The port identifiers are what a client likes, mostly zero; who it is, the platform knows.

        :raises Rejected: the client is told why.
        :raises TgtError: the nexus can't be opened.
        """
        partner, target = self.adapter.partner, self.find_target()
        if target is None:
            self._host.loop.call_soon(self._turn_out)
            raise Rejected(RejectReason.UNABLE_TO_ASSOCIATE, f"{self} leads to no target that takes logins")
        if partner is None:
            raise Rejected(RejectReason.UNABLE_TO_ESTABLISH_CHANNEL, f"{self} has no partner any more")
        unit_address = self.adapter.unit_address
        port = InitiatorPort(partner.name, client_transport_id(partner.number, unit_address))
        if not self._host.admits(target, port, self.options.address):
            raise Rejected(RejectReason.UNABLE_TO_ASSOCIATE, f"{target} does not admit {partner.name}")
        try:
            return self._host.open_nexus(target, port, target_port(target, self.options))
        except Draining as error:
            self._early = isinstance(error, NexusInUse)
            self._host.loop.call_soon(self._turn_out)
            raise

    def _turn_out(self) -> None:
        """A client without a session would do nothing more: let it begin again, and wait until it may have one, or has no hope."""
        if self.queue.state is State.CONNECTED:
            self.queue.shut()
