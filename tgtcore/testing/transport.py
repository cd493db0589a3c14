"""The conformance kit of transports: every promise of :mod:`tgtcore.transport` as a test.

Subclass it in a test module and say how an initiator of this transport logs in::

    class TestMyTransport(TransportConformance):
        target = "a.name.of.the.transport"

        def make_transport(self, host: Host) -> Transport:
            return MyTransport(host, MyOptions(portals=["127.0.0.1:0"]))

        def log_in(self, transport: Transport) -> Session:
            return MyInitiator(transport.portals()[0].address, self.target)

A transport must not notice whether it runs in the daemon or in a process of its own, so run everything both ways::

    class TestMyTransportBehindARing(TestMyTransport):
        behind_a_ring = True
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

try:
    import pytest
except ModuleNotFoundError as missing:
    raise ImportError(
        f"the conformance kit needs {missing.name}; install what it uses with: pip install pytest hypothesis"
    ) from missing

from pydantic import BaseModel

from tgtcore.errors import PluginError
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey, parse_sense
from tgtcore.scsi.status import Status
from tgtcore.testing.host import READY, REFUSED, TestHost, content, read, write
from tgtcore.testing.ring import DriverOnThisLoop
from tgtcore.testing.transport_rig import Rig, Session
from tgtcore.transport import Host, LocalDriver, SessionInfo, Transport

_LENGTHS = (0, 1, 512, 4095, 65536, 300_001)


class TransportConformance:
    """Tests that every transport passes; a subclass says how to make one, and how to log in."""

    target: ClassVar[str]
    """A target's name in this transport."""

    target_options: ClassVar[BaseModel | None] = None
    """The transport's options of that target."""

    behind_a_ring: ClassVar[bool] = False
    """Whether the transport is tested as ``isolation = "process"`` runs it: the core is at the other end of a ring."""

    def make_transport(self, host: Host) -> Transport:
        """A transport that has not been started."""
        raise NotImplementedError

    def log_in(self, transport: Transport) -> Session:
        """Log in to the target; may block.

        :raises Exception: the login was refused.
        """
        raise NotImplementedError

    @pytest.fixture
    def rig(self) -> Iterator[Rig]:
        """A started transport; at the end nothing may be in use."""
        with self.started() as rig:
            yield rig
            rig.end()

    @contextmanager
    def started(self) -> Iterator[Rig]:
        """A started transport on a loop of its own."""
        loop = asyncio.new_event_loop()
        host = TestHost(loop, "tested", self.target, self.target_options)
        rig = Rig(loop, host, self._driver(host))
        host.target.ports = lambda: rig.driver.target_ports(host.target)
        try:
            rig.run(rig.driver.start())
            yield rig
        finally:
            if isinstance(rig.driver, DriverOnThisLoop):
                rig.run(rig.driver.abandon())
            for nexus in host.target.nexuses:
                nexus.close(lambda: None)
            rig.run(asyncio.sleep(0))
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    def _driver(self, host: TestHost) -> LocalDriver | DriverOnThisLoop:
        if self.behind_a_ring:
            return DriverOnThisLoop(host, self.make_transport)
        return LocalDriver(self.make_transport(host))

    # ---- sessions -----------------------------------------------------------------------------------------------------

    def test_a_session_from_login_to_logout(self, rig: Rig) -> None:
        """It is shown while it lasts, and its nexus ends with it."""
        session = rig.call(self.log_in, rig.transport)
        assert rig.execute(session, READY).status == Status.GOOD
        (shown,) = rig.run(rig.driver.sessions())
        assert isinstance(shown, SessionInfo)
        assert shown.target == self.target
        (nexus,) = rig.host.target.nexuses
        assert shown.initiator == nexus.initiator_port.name
        assert shown.nexus is nexus, "the session is shown without its nexus"
        portals = [portal.address for portal in rig.transport.portals()]
        assert shown.portal in (portals or [""]), "the session is shown without the portal that it came through"
        assert nexus.target_port.name in [port.name for port in rig.host.target.ports()]
        rig.call(session.log_out)
        rig.until(lambda: not rig.host.target.nexuses, "the end of the nexus")
        rig.until(lambda: not rig.transport.sessions(), "the end of the session")

    def test_who_is_not_admitted_gets_no_nexus(self, rig: Rig) -> None:
        """Deny by default is the core's; obeying is the transport's."""
        rig.host.admitted = False
        self._check_refused(rig)

    def test_a_target_that_goes_away_takes_nobody(self, rig: Rig) -> None:
        """Draining is an answer like any other."""
        rig.host.target.leases.shut()
        self._check_refused(rig)

    def test_a_nexus_that_can_not_be_opened_is_a_refusal(self, rig: Rig) -> None:
        """A plugin that fails costs the login, and nothing else."""
        rig.host.failure = PluginError("as the test wants")
        self._check_refused(rig)
        rig.host.failure = None
        session = rig.call(self.log_in, rig.transport)
        assert rig.execute(session, READY).status == Status.GOOD
        session.vanish()

    def _check_refused(self, rig: Rig) -> None:
        running = rig.begin(self._log_in_and_use, rig.transport)
        assert isinstance(rig.ended(running), Exception), "the login was not refused"
        assert rig.host.target.nexuses == []
        assert rig.transport.sessions() == []

    def _log_in_and_use(self, transport: Transport) -> None:
        session = self.log_in(transport)
        try:
            session.execute(READY, b"", 0, 0)
        finally:
            session.vanish()

    # ---- commands -----------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("length", _LENGTHS)
    def test_data_in(self, rig: Rig, length: int) -> None:
        """Every byte, whatever the length."""
        session = rig.call(self.log_in, rig.transport)
        answer = rig.execute(session, read(length), room=length)
        assert answer.status == Status.GOOD
        assert answer.data[:length] == content(length)
        session.vanish()

    @pytest.mark.parametrize("length", _LENGTHS)
    def test_data_out(self, rig: Rig, length: int) -> None:
        """Every byte, whatever the length."""
        session = rig.call(self.log_in, rig.transport)
        assert rig.execute(session, write(length), content(length)).status == Status.GOOD
        assert rig.host.device(0).written == content(length)
        session.vanish()

    @pytest.mark.parametrize(("length", "room"), [(4096, 512), (512, 4096), (4096, 0)])
    def test_more_or_less_room_than_data(self, rig: Rig, length: int, room: int) -> None:
        """The initiator gets what fits, and the session goes on."""
        session = rig.call(self.log_in, rig.transport)
        answer = rig.execute(session, read(length), room=room)
        assert answer.status == Status.GOOD
        assert answer.data[: min(length, room)] == content(min(length, room))
        assert rig.execute(session, READY).status == Status.GOOD
        session.vanish()

    def test_sense_data(self, rig: Rig) -> None:
        """It travels with its status."""
        session = rig.call(self.log_in, rig.transport)
        answer = rig.execute(session, REFUSED)
        assert answer.status == Status.CHECK_CONDITION
        sense = parse_sense(answer.sense)
        assert (sense.key, sense.code) == (SenseKey.ILLEGAL_REQUEST, asc.INVALID_FIELD_IN_CDB)
        session.vanish()

    def test_each_lun_is_its_own(self, rig: Rig) -> None:
        """And one that is not there is answered by the core."""
        session = rig.call(self.log_in, rig.transport)
        assert rig.execute(session, write(4), b"zero", lun=0).status == Status.GOOD
        assert rig.execute(session, write(3), b"one", lun=1).status == Status.GOOD
        assert (rig.host.device(0).written, rig.host.device(1).written) == (b"zero", b"one")
        answer = rig.execute(session, READY, lun=7)
        assert parse_sense(answer.sense).code == asc.LOGICAL_UNIT_NOT_SUPPORTED
        session.vanish()

    # ---- what is handed on ---------------------------------------------------------------------------------------------

    def test_a_successor_uses_the_sockets_that_listen_already(self, rig: Rig) -> None:
        """A transport that names any goes on at the same addresses; whoever has come meanwhile is served."""
        kept = [(address, sock.dup()) for address, sock in rig.run(rig.driver.listening_sockets())]
        before = [portal.address for portal in rig.transport.portals()]
        rig.run(rig.driver.stop_listening())
        rig.run(rig.driver.close())
        rig.call(self._connect, kept)
        rig.host.inheritance = dict(kept)
        rig.driver = self._driver(rig.host)
        rig.run(rig.driver.start())
        unwanted = dict(rig.host.inheritance)
        for sock in unwanted.values():
            sock.close()
        assert not unwanted, "a socket was not asked for by the address that it was named with"
        assert before == [portal.address for portal in rig.transport.portals()] or not kept
        session = rig.call(self.log_in, rig.transport)
        assert rig.execute(session, READY).status == Status.GOOD
        session.vanish()

    @staticmethod
    def _connect(listening: list[tuple[str, socket.socket]]) -> None:
        """Come while nobody serves: nobody is refused."""
        for _, sock in listening:
            with socket.socket(sock.family, sock.type) as client:
                client.connect(sock.getsockname())

    # ---- what is removed meanwhile ------------------------------------------------------------------------------------

    def test_an_initiator_that_vanishes_takes_its_commands_along(self, rig: Rig) -> None:
        """The nexus ends when its last command has."""
        session = rig.call(self.log_in, rig.transport)
        running = rig.hold(session)
        session.vanish()
        assert isinstance(rig.ended(running), Exception)
        rig.until(lambda: rig.host.target.nexuses[0].leases.draining, "the loss of the nexus")
        rig.host.device(0).release()
        rig.until(lambda: not rig.host.target.nexuses, "the end of the nexus")
        rig.host.check_quiet()

    def test_it_is_told_of_other_luns(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of each change, with the target as the transport knows it."""
        told: list[str] = []
        monkeypatch.setattr(rig.transport, "luns_changed", lambda target: told.append(target.name))

        async def take_away() -> None:
            rig.host.target.unmap(1, lambda: None)

        async def bring_back() -> None:
            rig.host.target.map(1, rig.host.lus[1])

        rig.run(take_away())
        rig.until(lambda: told == [self.target], "news of a LUN that has gone")
        rig.run(bring_back())
        rig.until(lambda: told == [self.target, self.target], "news of a LUN that has come")

    def test_a_command_whose_logical_unit_is_taken_away_gets_no_answer(self, rig: Rig) -> None:
        """Nobody is told of aborted commands when TAS is zero; the session goes on, and so do others."""
        session = rig.call(self.log_in, rig.transport)
        rig.host.lus[1].task_aborted_status = False
        running = rig.hold(session, lun=1)
        gone: list[bool] = []
        rig.host.target.unmap(1, lambda: gone.append(True))
        rig.host.device(1).release()
        assert gone == [True]
        (nexus,) = rig.host.target.nexuses
        assert (nexus.closed, list(nexus.luns())) == (False, [0])
        rig.run(asyncio.sleep(0.05))
        assert not running.done(), "an aborted command was answered"
        session.vanish()
        assert isinstance(rig.ended(running), Exception)

    @pytest.mark.parametrize("length", [512, 100_000])
    def test_a_write_that_is_aborted_after_its_data_has_come_is_over(self, rig: Rig, length: int) -> None:
        """Without an answer when TAS is zero; it is in nobody's way any more."""
        session = rig.call(self.log_in, rig.transport)
        rig.host.lus[1].task_aborted_status = False
        device = rig.host.device(1)
        device.hangs = True
        running = rig.begin(session.execute, write(length), content(length), 0, 1)
        rig.until(lambda: device.held, "the write with its data")
        rig.host.target.unmap(1, lambda: None)
        device.release()
        rig.until(lambda: [one.tasks for one in rig.transport.sessions()] == [0], "the end of the write")
        assert not running.done(), "an aborted command was answered"
        session.vanish()
        assert isinstance(rig.ended(running), Exception)

    def test_a_command_may_be_aborted_with_a_status(self, rig: Rig) -> None:
        """With TAS, whoever waits for it is told."""
        session = rig.call(self.log_in, rig.transport)
        running = rig.hold(session, lun=1)
        rig.host.target.unmap(1, lambda: None)
        rig.host.device(1).release()
        assert rig.ended(running) is None
        assert running.result().status == Status.TASK_ABORTED
        assert rig.execute(session, READY).status == Status.CHECK_CONDITION, "the change of LUNs was not told"
        session.vanish()

    def test_one_session_can_be_dropped(self, rig: Rig) -> None:
        """By the id that it is shown with; it is gone when its last command has ended."""
        session = rig.call(self.log_in, rig.transport)
        running = rig.hold(session)
        (shown,) = rig.transport.sessions()
        assert rig.run(rig.driver.drop_session("no such session")) is False
        dropping = rig.loop.create_task(rig.driver.drop_session(shown.id))
        rig.run(asyncio.sleep(0.01))
        rig.host.device(0).release()
        assert rig.run(dropping) is True
        assert isinstance(rig.ended(running), Exception)
        session.vanish()
        assert rig.transport.sessions() == []
        rig.host.check_quiet()

    def test_who_is_asked_to_log_out_is_served_until_then(self, rig: Rig) -> None:
        """Asking returns at once and ends nothing; so does asking somebody who has gone."""
        session = rig.call(self.log_in, rig.transport)
        (shown,) = rig.transport.sessions()
        rig.run(rig.driver.ask_to_log_out([shown.id, "no such session"], 1))
        answer = rig.execute(session, read(512), room=512)
        assert (answer.status, answer.data[:512]) == (Status.GOOD, content(512))
        rig.call(session.log_out)
        rig.until(lambda: not rig.host.target.nexuses, "the end of the nexus")

    def test_what_was_told_before_a_drop_is_heard(self, rig: Rig) -> None:
        """The core aborts what waits with a status, and then drops the session: that status still gets out."""
        session = rig.call(self.log_in, rig.transport)
        running = rig.hold(session)
        (shown,) = rig.transport.sessions()
        (held,) = rig.host.device(0).held
        held.finish(Status.TASK_ABORTED, b"")
        assert rig.run(rig.driver.drop_session(shown.id)) is True
        assert rig.ended(running) is None
        assert running.result().status == Status.TASK_ABORTED
        session.vanish()

    def test_a_target_can_be_dropped(self, rig: Rig) -> None:
        """Every session with it."""
        session = rig.call(self.log_in, rig.transport)
        rig.host.target.leases.shut()
        rig.run(rig.driver.drop_target(rig.host.target))
        rig.until(lambda: not rig.host.target.nexuses, "the end of the nexus")
        session.vanish()
        rig.host.check_quiet()

    def test_no_new_sessions_after_listening_has_stopped(self, rig: Rig) -> None:
        """Those that are there go on."""
        session = rig.call(self.log_in, rig.transport)
        portals = rig.transport.portals()
        rig.run(rig.driver.stop_listening())
        assert rig.transport.portals() == []
        assert rig.execute(session, READY).status == Status.GOOD
        assert portals == [] or rig.transport.sessions() != []
        session.vanish()

    def test_listening_can_begin_again(self, rig: Rig) -> None:
        """A drain is over; those that were there have gone on."""
        session = rig.call(self.log_in, rig.transport)
        portals = rig.transport.portals()
        rig.run(rig.driver.stop_listening())
        rig.run(rig.driver.start())
        assert len(rig.transport.portals()) == len(portals)
        assert rig.execute(session, READY).status == Status.GOOD
        session.vanish()
        rig.until(lambda: not rig.host.target.nexuses, "the end of the nexus")
        again = rig.call(self.log_in, rig.transport)
        assert rig.execute(again, READY).status == Status.GOOD
        again.vanish()

    def test_closing_ends_everything(self, rig: Rig) -> None:
        """Also what still runs."""
        session = rig.call(self.log_in, rig.transport)
        running = rig.hold(session)
        rig.run(rig.driver.stop_listening())
        closing = rig.loop.create_task(rig.driver.close())
        rig.run(asyncio.sleep(0.01))
        rig.host.device(0).release()
        rig.run(closing)
        assert isinstance(rig.ended(running), Exception)
        session.vanish()
        assert rig.transport.sessions() == []
        rig.host.check_quiet()
