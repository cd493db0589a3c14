"""What a platform promises of the queues of both sides."""

from tgtcore_ibmvio.platform.hcall import Hcall
from tgtcore_ibmvio.platform.testing.rig import Client, Promises, Recorder, Rig, numbered
from tgtcore_ibmvio.platform.transport_event import TransportEvent

_DEREGISTERED = TransportEvent.PARTNER_DEREGISTERED.element


class QueuePromises(Promises):
    """Tests of queues and the elements in them."""

    def test_a_queue_without_a_partner(self, rig: Rig) -> None:
        """It is registered once, and freed as often as one likes."""
        assert rig.adapter.unit_address == self.unit_address
        assert rig.adapter.partner is None
        assert rig.adapter.register(rig.heard) is Hcall.CLOSED
        assert rig.adapter.register(rig.heard) is Hcall.RESOURCE
        assert rig.adapter.send(numbered(1)) is Hcall.CLOSED
        assert rig.adapter.free() is Hcall.SUCCESS
        assert rig.adapter.free() is Hcall.SUCCESS
        assert rig.adapter.register(rig.heard) is Hcall.CLOSED
        assert rig.heard.elements == []

    def test_a_partner_without_a_queue(self, rig: Rig) -> None:
        """Who is there is known, and nothing can be sent to it; when it goes nobody hears of that."""
        client = rig.run(self.attach(self.unit_address))
        partner = rig.adapter.partner
        assert partner is not None
        assert 1 <= partner.number <= 0xFFFF
        assert partner.name
        assert rig.adapter.register(rig.heard) is Hcall.CLOSED
        assert rig.adapter.send(numbered(1)) is Hcall.CLOSED
        client.fail()
        rig.until(lambda: rig.adapter.partner is None, "the end of the partner")
        assert rig.heard.elements == []

    def test_a_client_without_a_queue_can_not_send(self, rig: Rig) -> None:
        """Nobody would hear of its end: the server must not begin anything with it."""
        rig.adapter.register(rig.heard)
        client = rig.run(self.attach(self.unit_address))
        assert client.send(numbered(1)) is Hcall.CLOSED
        assert rig.run(client.register()) is Hcall.SUCCESS
        assert client.send(numbered(2)) is Hcall.SUCCESS
        assert rig.run(client.free()) is Hcall.SUCCESS
        assert client.send(numbered(3)) is Hcall.CLOSED
        assert rig.until_heard(2) == [numbered(2), _DEREGISTERED]
        client.fail()
        rig.until(lambda: rig.adapter.partner is None, "the end of the partner")
        assert rig.heard.elements == [numbered(2), _DEREGISTERED]

    def test_a_server_that_comes_second_finds_its_partner(self, rig: Rig) -> None:
        """And the client can't send before."""
        client = rig.run(self.attach(self.unit_address))
        assert rig.run(client.register()) is Hcall.CLOSED
        assert client.send(numbered(1)) is Hcall.CLOSED
        assert rig.adapter.register(rig.heard) is Hcall.SUCCESS
        assert client.send(numbered(2)) is Hcall.SUCCESS
        assert rig.until_heard(1) == [numbered(2)]
        client.fail()

    def test_elements_go_both_ways_in_order(self, rig: Rig, client: Client) -> None:
        """Several times round the queues."""
        for round_ in range(20):
            batch = [numbered(round_ * 100 + number) for number in range(100)]
            for element in batch:
                assert client.send(element) is Hcall.SUCCESS
                assert rig.adapter.send(element) is Hcall.SUCCESS
            assert rig.until_heard(100) == batch
            assert [rig.run(client.receive()) for _ in batch] == batch
            rig.heard.elements.clear()

    def test_a_full_queue_of_the_client_takes_nothing(self, rig: Rig, client: Client) -> None:
        """Nothing is lost then, and there is room when the client has taken something."""
        sent = 0
        while (code := rig.adapter.send(numbered(sent))) is Hcall.SUCCESS:
            sent += 1
        assert code is Hcall.DROPPED
        assert rig.adapter.send(numbered(sent)) is Hcall.DROPPED
        assert rig.run(client.receive()) == numbered(0)
        assert rig.run(client.receive()) == numbered(1)
        assert rig.adapter.send(numbered(sent)) is Hcall.SUCCESS
        assert [rig.run(client.receive()) for _ in range(sent - 1)] == [numbered(n) for n in range(2, sent + 1)]

    def test_a_full_queue_of_the_server_takes_nothing(self, rig: Rig, client: Client) -> None:
        """The client is told, and what it has sent is heard."""
        sent = 0
        while (code := client.send(numbered(sent))) is Hcall.SUCCESS:
            sent += 1
        assert code is Hcall.DROPPED
        assert rig.until_heard(sent) == [numbered(n) for n in range(sent)]
        assert client.send(numbered(sent)) is Hcall.SUCCESS
        assert rig.until_heard(sent + 1)[-1] == numbered(sent)

    def test_a_freed_queue_is_gone_with_what_was_in_it(self, rig: Rig, client: Client) -> None:
        """Nobody hears anything more, the client hears of that, and a new queue is empty."""
        assert client.send(numbered(1)) is Hcall.SUCCESS
        assert rig.adapter.free() is Hcall.SUCCESS
        assert rig.run(client.receive()) == _DEREGISTERED
        assert client.send(numbered(2)) is Hcall.CLOSED
        later = Recorder()
        assert rig.adapter.register(later) is Hcall.SUCCESS
        assert client.send(numbered(3)) is Hcall.SUCCESS
        rig.until(lambda: bool(later.elements), "an element")
        assert (rig.heard.elements, later.elements) == ([], [numbered(3)])

    def test_a_listener_may_free_the_queue_while_it_hears(self, rig: Rig, client: Client) -> None:
        """It hears nothing more, though there is more."""

        class Leaver(Recorder):
            def element(self, element: bytes) -> None:
                super().element(element)
                rig.adapter.free()

        rig.adapter.free()
        leaver = Leaver()
        assert rig.run(client.receive()) == _DEREGISTERED
        assert rig.adapter.register(leaver) is Hcall.SUCCESS
        assert [client.send(numbered(n)) for n in range(3)] == [Hcall.SUCCESS] * 3
        assert rig.run(client.receive()) == _DEREGISTERED
        assert leaver.elements == [numbered(0)]

    def test_a_client_that_floods_does_not_stop_the_loop(self, rig: Rig, client: Client) -> None:
        """What else the loop has to do gets its turn, and every element is heard."""

        class Flooder(Recorder):
            def element(self, element: bytes) -> None:
                super().element(element)
                if len(self.elements) < 2000:
                    client.send(element)

        rig.adapter.free()
        flooder = Flooder()
        assert rig.adapter.register(flooder) is Hcall.SUCCESS
        turns = []

        def turn() -> None:
            turns.append(len(flooder.elements))
            if len(flooder.elements) < 2000:
                rig.loop.call_soon(turn)

        assert client.send(numbered(1)) is Hcall.SUCCESS
        turn()
        rig.until(lambda: len(flooder.elements) == 2000, "2000 elements")
        assert len(turns) > 10, "the loop had to wait for the flood"
