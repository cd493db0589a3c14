"""The transport kit is judged too: the smallest sound transport passes, each careless one is caught."""

import socket
from collections.abc import Callable
from functools import cached_property
from typing import Any

import pytest
from support.pipe import PipeSession, PipeTask, PipeTransport

from tgtcore import Host, InitiatorPort, SessionInfo, Transport
from tgtcore.testing.transport import TransportConformance
from tgtcore.testing.transport_rig import Rig, Session


class TestPipe(TransportConformance):
    target = "a.pipe"

    def make_transport(self, host: Host) -> Transport:
        return PipeTransport(host)

    def log_in(self, transport: Transport) -> Session:
        assert isinstance(transport, PipeTransport)
        return transport.log_in(self.target)


class TestPipeBehindARing(TestPipe):
    behind_a_ring = True


class AdmitsEverybody(PipeTransport):
    def _log_in(self, name: str, seat: Any) -> None:
        target = self.host.find_target(name)
        assert target is not None
        nexus = self.host.open_nexus(target, InitiatorPort("host", b"host", "pipe"), self.target_ports(target)[0])
        self.open["1"] = PipeSession(self, 1, nexus)
        seat.set_result(self.open["1"])


class ShowsNobody(PipeTransport):
    def sessions(self) -> list[SessionInfo]:
        return []


class AnswersTheAborted(PipeTransport):
    class Task(PipeTask):
        def done(self) -> None:
            self.responds = True
            super().done()


class CutsData(PipeTransport):
    class Task(PipeTask):
        def done(self) -> None:
            data: Any = self.data_in
            self.data_in = data[:65000] if data else data
            super().done()


class TakesPartOfTheData(PipeTransport):
    class Task(PipeTask):
        def want_data(self) -> None:
            self.offered = self.offered[:65000]
            super().want_data()


class LosesSense(PipeTransport):
    class Task(PipeTask):
        def done(self) -> None:
            self.sense = b""
            super().done()


class MixesUpLuns(PipeTransport):
    class Task(PipeTask):
        def __init__(self, nexus: Any, lun: int, *args: Any) -> None:
            super().__init__(nexus, 0, *args)


class DropsAnything(PipeTransport):
    async def drop_session(self, session_id: str) -> bool:
        await super().drop_session(session_id)
        return True


class DropsNobody(PipeTransport):
    async def close(self) -> None:
        return


class ListensOn(PipeTransport):
    async def stop_listening(self) -> None:
        return


class OpensAnew(PipeTransport):
    def listening_sockets(self) -> list[tuple[str, socket.socket]]:
        return [("pipe", self.kept)]

    @cached_property
    def kept(self) -> socket.socket:
        return socket.create_server(("127.0.0.1", 0))

    async def close(self) -> None:
        await super().close()
        self.kept.close()


Test = Callable[[TransportConformance, Rig], None]
CAUGHT: list[tuple[type[PipeTransport], Test, str]] = [
    (AdmitsEverybody, TransportConformance.test_who_is_not_admitted_gets_no_nexus, "the login was not refused"),
    (ShowsNobody, TransportConformance.test_a_session_from_login_to_logout, "not enough values to unpack"),
    (
        AnswersTheAborted,
        TransportConformance.test_a_command_whose_logical_unit_is_taken_away_gets_no_answer,
        "an aborted command was answered",
    ),
    (CutsData, lambda kit, rig: kit.test_data_in(rig, 300_001), "assert"),
    (TakesPartOfTheData, lambda kit, rig: kit.test_data_out(rig, 300_001), "assert"),
    (LosesSense, TransportConformance.test_sense_data, "sense"),
    (MixesUpLuns, TransportConformance.test_each_lun_is_its_own, "assert"),
    (DropsAnything, TransportConformance.test_one_session_can_be_dropped, "assert True is False"),
    (DropsNobody, TransportConformance.test_a_target_can_be_dropped, "the end of the nexus did not come"),
    (
        OpensAnew,
        TransportConformance.test_a_successor_uses_the_sockets_that_listen_already,
        "a socket was not asked for by the address that it was named with",
    ),
    (ListensOn, TransportConformance.test_no_new_sessions_after_listening_has_stopped, "assert"),
]

FOR_EVER = (DropsAnything, DropsNobody)
"""Those with which something is waited for that does not come."""


@pytest.mark.parametrize(("careless", "test", "message"), CAUGHT, ids=[case[0].__name__ for case in CAUGHT])
def test_a_careless_transport_is_caught(
    careless: type[PipeTransport], test: Test, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if careless in FOR_EVER:
        monkeypatch.setattr("tgtcore.testing.waiting.WITHIN_S", 0.5)
        monkeypatch.setattr("support.pipe.WAIT_S", 1)
    kit = TestPipe()
    kit.make_transport = careless  # type: ignore[method-assign]
    with kit.started() as rig, pytest.raises(Exception, match=message):
        test(kit, rig)
