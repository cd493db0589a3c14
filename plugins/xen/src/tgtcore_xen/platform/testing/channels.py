"""What a platform promises of event channels."""

import pytest

from tgtcore_xen.platform.testing.rig import NOBODY, Rig


class ChannelPromises:
    """Tests of event channels."""

    def test_notifications_go_both_ways(self, rig: Rig) -> None:
        """Neither comes from within a call, and what comes together is told together, or what came first and then all the rest."""
        ours: list[bool] = []
        theirs: list[bool] = []
        far = rig.guest.listen(lambda: theirs.append(inside))
        inside = False
        near = rig.platform.channels.bind(rig.guest.domid, far.port, lambda: ours.append(inside))
        rig.settle()
        for times in range(1, 6):
            ours.clear()
            theirs.clear()
            inside = True
            for _ in range(times):
                far.notify()
                near.notify()
            inside = False
            rig.until(lambda: bool(ours) and bool(theirs), "both notifications")
            rig.settle()
            assert not any(ours + theirs)
            assert max(len(ours), len(theirs)) <= min(times, 2)
        near.close()
        near.close()
        far.close()

    def test_a_channel_that_is_closed_tells_nothing(self, rig: Rig) -> None:
        """Also of what has come before; notifying on it harms nobody."""
        told: list[int] = []
        far = rig.guest.listen(lambda: told.append(0))
        near = rig.platform.channels.bind(rig.guest.domid, far.port, lambda: told.append(1))
        rig.settle()
        told.clear()
        far.notify()
        near.close()
        far.notify()
        rig.settle()
        assert 1 not in told
        far.close()

    def test_what_can_not_be_bound(self, rig: Rig) -> None:
        """No such channel, no such guest, and one that is bound."""
        channels, domid = rig.platform.channels, rig.guest.domid
        far = rig.guest.listen(lambda: None)
        near = channels.bind(domid, far.port, lambda: None)
        for number, port in ((domid, far.port), (domid, 0xFFFF_FFF0), (NOBODY, far.port)):
            with pytest.raises(OSError, match="Errno"):
                channels.bind(number, port, lambda: None)
        near.close()
        far.close()

    def test_a_channel_can_be_bound_again(self, rig: Rig) -> None:
        """As by a back end that is started again: the guest keeps its end."""
        told: list[int] = []
        theirs: list[int] = []
        far = rig.guest.listen(lambda: theirs.append(1))
        rig.platform.channels.bind(rig.guest.domid, far.port, lambda: told.append(1)).close()
        near = rig.platform.channels.bind(rig.guest.domid, far.port, lambda: told.append(2))
        rig.settle()
        told.clear()
        theirs.clear()
        far.notify()
        near.notify()
        rig.until(lambda: told == [2] and theirs == [1], "both notifications")
        near.close()
        far.close()

    def test_a_guest_that_has_closed_its_channel(self, rig: Rig) -> None:
        """Notifying it does nothing."""
        far = rig.guest.listen(lambda: None)
        near = rig.platform.channels.bind(rig.guest.domid, far.port, lambda: None)
        far.close()
        near.notify()
        near.close()
        near.close()
