"""What follows from everything that is wanted of a virtual HBA."""

import pytest
from tgtcore_xen.keeping.refusal import Refusal
from tgtcore_xen.keeping.wishes import LETS_GO_S, REFUSED_S, Wishes
from tgtcore_xen.options import XenTargetOptions
from tgtcore_xen.xenbus.wanted import Presence

from tgtcore import Target

NOW = [0.0]


def wishes(**flags):
    NOW[0] = 0.0
    made = Wishes(lambda: NOW[0])
    for name, value in flags.items():
        setattr(made, name, value)
    return made


def target(state):
    if state == "none":
        return None
    made = Target("disks", 1, "xen", XenTargetOptions())
    if state != "open":
        made.leases.shut()
    made.drained = state == "drained"
    return made


@pytest.mark.parametrize(
    ("flags", "of_target", "connected", "presence", "is_delay"),
    [
        ({}, "open", False, Presence.OFFERED, False),
        ({}, "open", True, Presence.OFFERED, False),
        ({}, "none", False, Presence.HELD, False),
        ({}, "drained", True, Presence.OFFERED, True),
        ({}, "drained", False, Presence.HELD, True),
        ({}, "going", True, Presence.REMOVED, False),
        ({}, "going", False, Presence.REMOVED, False),
        ({"listening": False}, "open", True, Presence.OFFERED, True),
        ({"listening": False}, "open", False, Presence.HELD, True),
        ({"attached": False}, "open", True, Presence.OFFERED, False),
        ({"attached": False}, "open", False, Presence.REMOVED, False),
        ({"attached": False, "listening": False}, "open", True, Presence.OFFERED, False),
        ({"attached": False}, "drained", True, Presence.OFFERED, False),
        ({"attached": False}, "drained", False, Presence.REMOVED, False),
        ({"leaving": True}, "open", True, Presence.REMOVED, False),
        ({"refusal": Refusal("-")}, "open", False, Presence.CLOSED, False),
        ({"refusal": Refusal("-"), "attached": False}, "open", False, Presence.REMOVED, False),
    ],
)
def test_what_the_guest_is_to_see(flags, of_target, connected, presence, is_delay):
    one, there = wishes(**flags), target(of_target)
    assert one.presence(there, connected=connected) is presence
    assert one.is_delay(there) is is_delay


def test_a_target_that_is_gone_is_another_thing_than_one_that_was_never_there():
    one = wishes()
    assert one.presence(None, connected=False) is Presence.HELD
    assert one.presence(target("open"), connected=False) is Presence.OFFERED
    assert one.presence(None, connected=False) is Presence.REMOVED


def test_a_guest_has_so_long_and_no_longer():
    one = wishes()

    def late_and_forced(presence=Presence.REMOVED):
        forced = one.wanted(presence, None, 5).forced
        return one.is_late, forced

    for now, expected in [
        (0, (False, False)),
        (4.9, (False, False)),
        (5, (True, False)),
        (4.9 + LETS_GO_S, (True, False)),
        (5 + LETS_GO_S, (True, True)),
    ]:
        NOW[0] = now
        assert late_and_forced() == expected
    assert late_and_forced(Presence.OFFERED) == (False, False)
    assert late_and_forced() == (False, False), "it begins anew"
    one.leave(0)
    assert late_and_forced() == (True, False)
    NOW[0] += LETS_GO_S
    assert late_and_forced() == (True, True)
    assert (one.left(), one.left()) == (True, False)


def test_who_is_refused_is_tried_again_if_that_may_help():
    one = wishes()
    one.refuse(Refusal("for ever"))
    NOW[0] = 2 * REFUSED_S
    assert one.may_try_again is False
    one.refuse(Refusal("for some time", may_change=True))
    assert one.may_try_again is False
    NOW[0] = 3 * REFUSED_S
    assert one.may_try_again is True
    assert one.wanted(Presence.CLOSED, None, 1).refused is True
    one.forget()
    assert (one.refusal, one.may_try_again, one.renew) == (None, False, True)
