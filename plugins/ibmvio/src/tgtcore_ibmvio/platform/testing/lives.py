"""What a platform promises when a client partition goes, comes back, migrates or is suspended."""

from tgtcore_ibmvio.platform.hcall import Hcall
from tgtcore_ibmvio.platform.testing.rig import Client, Promises, Recorder, Rig, numbered
from tgtcore_ibmvio.platform.transport_event import TransportEvent

_FAILED = TransportEvent.PARTNER_FAILED.element
_DEREGISTERED = TransportEvent.PARTNER_DEREGISTERED.element
_MIGRATED = TransportEvent.MIGRATED.element
_SUSPEND = TransportEvent.PREPARE_FOR_SUSPEND.element
_RESUME = TransportEvent.RESUME.element


class LifePromises(Promises):
    """Tests of what becomes of a client partition."""

    def test_a_client_that_frees_its_queue(self, rig: Rig, client: Client) -> None:
        """The server hears of it after what was sent before, and again after the next time."""
        for time in range(2):
            rig.heard.elements.clear()
            sent = [numbered(time * 100 + n) for n in range(100)]
            assert [client.send(element) for element in sent] == [Hcall.SUCCESS] * 100
            assert rig.run(client.free()) is Hcall.SUCCESS
            assert rig.until_heard(101) == [*sent, _DEREGISTERED]
            assert rig.adapter.send(numbered(1)) is Hcall.CLOSED
            assert rig.adapter.partner is not None
            assert rig.run(client.register()) is Hcall.SUCCESS
            assert rig.adapter.send(numbered(2)) is Hcall.SUCCESS
            assert rig.run(client.receive()) == numbered(2)

    def test_a_client_that_fails(self, rig: Rig, client: Client) -> None:
        """The server hears of it after what was sent before; another one can come."""
        sent = [numbered(n) for n in range(100)]
        assert [client.send(element) for element in sent] == [Hcall.SUCCESS] * 100
        client.fail()
        assert rig.until_heard(101) == [*sent, _FAILED]
        assert rig.adapter.partner is None
        assert rig.adapter.send(numbered(1)) is Hcall.CLOSED
        assert rig.adapter.write(client.memory, b"late") is not Hcall.SUCCESS
        other = rig.run(self.attach(self.unit_address))
        assert rig.run(other.register()) is Hcall.SUCCESS
        assert other.send(numbered(5)) is Hcall.SUCCESS
        assert rig.until_heard(102)[-1] == numbered(5)
        other.fail()

    def test_a_client_that_migrates(self, rig: Rig, client: Client) -> None:
        """Both sides hear of it, and elements go both ways when the queue is enabled again."""
        assert client.send(numbered(1)) is Hcall.SUCCESS
        assert rig.run(client.migrate()) is Hcall.SUCCESS
        assert rig.until_heard(2) == [numbered(1), _MIGRATED]
        assert rig.run(client.receive()) == _MIGRATED
        rig.until(lambda: rig.adapter.enable() is Hcall.SUCCESS, "the server's queue")
        assert rig.run(client.enable()) is Hcall.SUCCESS
        assert client.send(numbered(2)) is Hcall.SUCCESS
        assert rig.adapter.send(numbered(3)) is Hcall.SUCCESS
        assert rig.until_heard(3)[-1] == numbered(2)
        assert rig.run(client.receive()) == numbered(3)

    def test_a_client_that_is_suspended(self, rig: Rig, client: Client) -> None:
        """The server is asked whether it is ready for that, each time anew, and nobody is lost."""
        assert rig.adapter.ready_for_suspend() is Hcall.PARAMETER
        for round_ in range(2):
            assert client.send(numbered(round_)) is Hcall.SUCCESS
            rig.run(client.prepare_for_suspend())
            assert rig.until_heard(3 * round_ + 2)[-2:] == [numbered(round_), _SUSPEND]
            assert not rig.run(client.is_suspendable())
            assert rig.adapter.ready_for_suspend() is Hcall.SUCCESS
            assert rig.run(client.is_suspendable())
            rig.run(client.resume())
            assert rig.until_heard(3 * round_ + 3)[-1] == _RESUME
            assert rig.adapter.ready_for_suspend() is Hcall.PARAMETER

    def test_a_server_that_comes_when_a_client_is_going_to_be_suspended(self, rig: Rig, client: Client) -> None:
        """It was not told, and so it is not ready."""
        rig.run(client.prepare_for_suspend())
        assert rig.until_heard(1) == [_SUSPEND]
        rig.adapter.free()
        rig.adapter.register(Recorder())
        assert rig.adapter.ready_for_suspend() is Hcall.PARAMETER
        assert not rig.run(client.is_suspendable())
