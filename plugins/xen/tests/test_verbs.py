"""``tgtadm xen attach``, ``detach`` and ``show``, with a driver that answers as a test says."""

import asyncio

import pytest
from pydantic import ValidationError
from tgtcore_xen import tgt_register_admin, verbs
from tgtcore_xen.options import XenOptions
from tgtcore_xen.verbs import NewHba, OldHba, ShownHba, attach, detach, show

from tgtcore import ConfigError, DrainTimeout, NotThere, TgtError
from tgtcore.registry import AdminCommands

pytestmark = pytest.mark.asyncio
UUID = "4c4c4544-0043-3510-8051-b4c04f4d354a"
NAMED = {"guest": "web1", "uuid": UUID, "domid": 5}
CONNECTED = {**NAMED, "state": "connected", "back_end": "connected", "target": "web1"}
WAITS = {"guest": "", "uuid": "", "domid": None, "state": "waiting for the guest", "back_end": "", "target": "web1"}
FOUND = {**WAITS, "state": "waiting for its nodes"}
CLOSED_FOUND = {**NAMED, "state": "waiting for its nodes", "back_end": "closed", "target": "web1"}
NOWHERE = {**NAMED, "state": "held", "back_end": "", "target": "web1"}
REFUSED = {**NAMED, "state": "refused", "back_end": "closed", "target": "web1"}


@pytest.mark.parametrize("figures", [FOUND, CLOSED_FOUND])
async def test_attach_where_somebody_else_has_to_make_the_nodes(figures):
    driver = Driver(figures)
    with pytest.raises(
        NotThere, match="virtual HBA web1/0 waits for its nodes, which somebody in domain 0 has to make"
    ):
        await attach(NewHba(hba="web1/0"), driver, driver.edit)
    assert "web1/0" in driver.hbas, "it is attached"


class Driver:
    """Has what was attached, in the state that the test says."""

    def __init__(self, figures, **hbas):
        self.options = XenOptions(close_s=0)
        self.figures = figures
        self.document = {"transports": {"xen": {"portals": [{"address": name} for name in hbas]}}}
        self.hbas = dict(hbas)
        self.done = []
        self.stays = set()

    async def statistics(self):
        return {"hbas": self.hbas}

    async def ask_to_log_out(self, ids, within_s):
        self.done.append(("ask", *ids))

    async def drop_session(self, session_id):
        self.done.append(("drop", session_id))
        self.hbas.pop(session_id, None) if session_id not in self.stays else None

    async def edit(self, change):
        change(self.document)
        there = [portal["address"] for portal in self.document["transports"]["xen"]["portals"]]
        self.done.append(("portals", *there))
        self.hbas = {name: self.hbas.get(name, self.figures) for name in {*there, *(self.stays & self.hbas.keys())}}
        return []


async def test_show():
    driver = Driver(CONNECTED, **{"web1/0": CONNECTED, "web2/0": WAITS})
    assert await show(ShownHba(), driver) == driver.hbas
    assert await show(ShownHba(hba="web2/0"), driver) == {"web2/0": WAITS}
    with pytest.raises(NotThere, match=r"no virtual HBA web3/0 \(expected one of: web1/0, web2/0\)"):
        await show(ShownHba(hba="web3/0"), driver)
    with pytest.raises(ValidationError, match="expected GUEST/DEV"):
        ShownHba(hba="web3")


async def test_attach():
    driver = Driver(CONNECTED)
    assert await attach(NewHba(hba="web1/0", target="disks", group=2), driver, driver.edit) == {
        "hba": "web1/0",
        "domid": 5,
        "state": "connected",
    }
    assert driver.document["transports"]["xen"]["portals"] == [{"address": "web1/0", "target": "disks", "group": 2}]
    await attach(NewHba(hba="web1/0"), driver, driver.edit)
    before = list(driver.done)
    for wrong, message in (
        ({"target": "other"}, "with target disks in the place of other; detach it first"),
        ({"group": 3}, "with group 2 in the place of 3; detach it first"),
    ):
        with pytest.raises(ConfigError, match=f"virtual HBA web1/0 is attached already, {message}"):
            await attach(NewHba(hba="web1/0", **wrong), driver, driver.edit)
    assert driver.done == before


@pytest.mark.parametrize("hba", ["web1/0", f"{UUID}/0", "5/0"])
async def test_attach_by_another_name_of_the_guest(hba):
    for there in {"web1/0", f"{UUID}/0", "5/0"} - {hba}:
        driver = Driver(CONNECTED, **{"gone/0": WAITS, there: CONNECTED})
        with pytest.raises(ConfigError, match=f"virtual HBA {hba} is attached already, as {there}; use that name"):
            await attach(NewHba(hba=hba), driver, driver.edit)
        assert driver.done == []
        await attach(NewHba(hba=f"{hba[:-1]}1"), driver, driver.edit)


@pytest.mark.parametrize(
    ("figures", "error", "message"),
    [
        (WAITS, NotThere, "there is no guest web1; virtual HBA web1/0 waits for it"),
        (NOWHERE, TgtError, "waits for target web1, which takes nobody"),
        ({**NOWHERE, "state": "leads nowhere"}, TgtError, "waits for target web1, which is not there"),
        ({**NOWHERE, "state": "refused", "refused": "guest web1 has it"}, TgtError, "is refused: guest web1 has it"),
        (
            {**NOWHERE, "state": "waiting for old commands"},
            TgtError,
            "waits until commands that its guest has sent before",
        ),
        ({**NOWHERE, "state": "waiting for the front end"}, TgtError, "has no nodes yet: the xenstore is slow"),
    ],
)
async def test_attach_says_what_it_waits_for(figures, error, message):
    driver = Driver(figures)
    with pytest.raises(error, match=message):
        await attach(NewHba(hba="web1/0"), driver, driver.edit)
    assert list(driver.hbas) == ["web1/0"], "it stays attached"


async def test_attach_gives_who_was_refused_another_chance():
    driver = Driver(CONNECTED, **{"web1/0": REFUSED})
    assert (await attach(NewHba(hba="web1/0"), driver, driver.edit))["state"] == "connected"
    assert driver.done == [("portals",), ("portals", "web1/0")]


async def test_attach_says_that_the_guest_has_not_let_go_of_what_was_refused(monkeypatch):
    """It waits for as long as the guest may take; and the HBA is there all the same, to begin anew."""
    waited = []

    async def gone(driver, address, within_s):
        waited.append(within_s)
        return False

    monkeypatch.setattr(verbs, "_gone", gone)
    driver = Driver(REFUSED, **{"web1/0": REFUSED})
    driver.options = XenOptions(close_s=7)
    driver.stays = {"web1/0"}
    with pytest.raises(DrainTimeout, match="virtual HBA web1/0 is attached, but its guest has not let go of it so far"):
        await attach(NewHba(hba="web1/0"), driver, driver.edit)
    assert driver.done == [("portals",), ("portals", "web1/0")]
    assert waited == [17]


async def test_who_gets_another_chance_leads_where_it_did():
    driver = Driver(CONNECTED, **{"web1/0": REFUSED})
    portals = [{"address": "web1/0", "target": "disks", "group": 2}]
    driver.document["transports"]["xen"]["portals"] = list(portals)
    with pytest.raises(ConfigError, match="with target disks in the place of other"):
        await attach(NewHba(hba="web1/0", target="other"), driver, driver.edit)
    assert driver.document["transports"]["xen"]["portals"] == portals
    await attach(NewHba(hba="web1/0"), driver, driver.edit)
    assert driver.document["transports"]["xen"]["portals"] == portals


async def test_attach_while_the_driver_is_not_at_work():
    driver = Driver(CONNECTED)

    async def nothing():
        return {"process": {"state": "starting"}}

    driver.statistics = nothing
    with pytest.raises(TgtError, match="the process of its transport is not at work"):
        await attach(NewHba(hba="web1/0"), driver, driver.edit)


async def test_detach():
    driver = Driver(CONNECTED, **{"web1/0": CONNECTED, "web2/0": CONNECTED})
    assert await detach(OldHba(hba="web1/0"), driver, driver.edit) == {"hba": "web1/0", "state": "detached"}
    assert driver.done == [("portals", "web2/0"), ("ask", "web1/0")]
    with pytest.raises(NotThere, match="no virtual HBA web1/0"):
        await detach(OldHba(hba="web1/0"), driver, driver.edit)


async def test_detach_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr(verbs, "_SPARE_S", 0.05)
    for state, error, message in (
        ("waiting for old commands", DrainTimeout, "is detached, but its last command has not ended"),
        ("closed", TgtError, "is detached, but its nodes are still there: the xenstore is slow"),
    ):
        driver = Driver(CONNECTED, **{"web1/0": {**CONNECTED, "state": state}})
        driver.stays = {"web1/0"}
        with pytest.raises(error, match=message):
            await detach(OldHba(hba="web1/0", deadline=0), driver, driver.edit)
        assert driver.done[-1] == ("drop", "web1/0")


async def test_detach_does_not_wait_for_ever_for_the_end_of_the_session(monkeypatch):
    monkeypatch.setattr(verbs, "_SPARE_S", 0.05)
    driver = Driver(CONNECTED, **{"web1/0": {**CONNECTED, "state": "waiting for old commands"}})
    driver.stays = {"web1/0"}

    async def drop_session(session_id):
        await asyncio.sleep(600)

    driver.drop_session = drop_session
    with pytest.raises(DrainTimeout, match="its last command has not ended"):
        await asyncio.wait_for(detach(OldHba(hba="web1/0", deadline=0), driver, driver.edit), 10)


async def test_the_verbs_are_about_the_transport():
    commands = AdminCommands()
    tgt_register_admin(commands=commands)
    found = commands.found()
    assert {name: (one.transport, one.edits) for name, one in found.items()} == {
        "xen show": ("xen", False),
        "xen attach": ("xen", True),
        "xen detach": ("xen", True),
    }
