"""What a guest may do in the store, and how much of it."""

import errno

import pytest
import pytest_asyncio
from tgtcore_xen.platform.contract import INTRODUCE
from tgtcore_xen.platform.emulated.xenstore.permissions import Permissions, Right
from tgtcore_xen.platform.emulated.xenstore.server import GUEST_TRANSACTIONS_MAX, GUEST_WATCHES_MAX
from tgtcore_xen.platform.emulated.xenstore.tree import GUEST_NODES_MAX

pytestmark = pytest.mark.asyncio


async def number_of(work):
    with pytest.raises(OSError, match="Errno") as info:
        await work
    return info.value.errno


@pytest.fixture
def front(guest):
    return f"{guest.home}/device/vscsi/0"


@pytest.fixture
def back(guest):
    return f"/local/domain/0/backend/vscsi/{guest.domid}/0"


@pytest_asyncio.fixture
async def attached(machine, guest, front, back):
    """As a back end makes the nodes of a virtual HBA."""
    for path, owner, reader in ((back, 0, guest.domid), (front, guest.domid, 0)):
        await machine.store.make(path)
        await machine.store.permit(path, (f"n{owner}", f"r{reader}"))


@pytest.mark.parametrize(
    ("entries", "domid", "rights"),
    [
        (["n1", "r2"], 0, "rw"),
        (["n1", "r2"], 1, "rw"),
        (["n1", "r2"], 2, "r"),
        (["n1", "r2"], 3, ""),
        (["b1"], 3, "rw"),
        (["r1", "n2"], 2, ""),
        (["w1", "b2"], 3, "w"),
    ],
)
async def test_permissions(entries, domid, rights):
    permissions = Permissions.parse(entries)
    assert permissions.build() == entries
    assert permissions.allow(domid, Right.READ) is ("r" in rights)
    assert permissions.allow(domid, Right.WRITE) is ("w" in rights)


@pytest.mark.parametrize("entries", [[], ["x1"], ["n"], ["1"], ["n1", ""], ["n-1"]])
async def test_permissions_that_are_none(entries):
    with pytest.raises(OSError, match="no permissions"):
        Permissions.parse(entries)


@pytest.mark.usefixtures("attached")
async def test_what_is_made_below_a_node_has_its_permissions(machine, guest, front, back):
    await machine.store.write(f"{back}/state", "2")
    assert await guest.store.read(f"{back}/state") == "2"
    assert await number_of(guest.store.write(f"{back}/state", "4")) == errno.EACCES
    assert await number_of(guest.store.write(f"{back}/mine", "4")) == errno.EACCES
    assert await number_of(guest.store.remove(back)) == errno.EACCES
    await machine.store.write(f"{front}/vscsi-devs/dev-0/state", "1")
    await guest.store.write(f"{front}/vscsi-devs/dev-0/state", "4")
    assert await machine.store.read(f"{front}/vscsi-devs/dev-0/state") == "4"
    assert machine.server.tree.permissions(0, f"{front}/vscsi-devs/dev-0/state").build() == [f"n{guest.domid}", "r0"]


@pytest.mark.usefixtures("attached")
async def test_a_guest_sees_and_changes_nothing_of_others(machine, guest, front):
    other = machine.create("web2")
    assert await number_of(other.store.read(f"{front}/state")) == errno.EACCES
    assert await number_of(other.store.list(front)) == errno.EACCES
    assert await number_of(other.store.write(f"{front}/state", "6")) == errno.EACCES
    assert await number_of(other.store.write(f"{guest.home}/new", "6")) == errno.EACCES
    assert await number_of(other.store.remove(front)) == errno.EACCES
    assert await number_of(other.store.permit(front, (f"b{other.domid}",))) == errno.EACCES
    assert await number_of(guest.store.write(f"{guest.home}/device/vscsi/1/state", "1")) == errno.EACCES
    assert await number_of(guest.store.write(f"{guest.home}/name", "other")) == errno.EACCES
    assert await guest.store.read(f"{guest.home}/name") == "web1"


@pytest.mark.usefixtures("attached")
async def test_an_owner_can_shut_others_out_but_not_the_privileged(machine, guest, front):
    await guest.store.write(f"{front}/state", "3")
    assert await number_of(guest.store.permit(f"{front}/state", ("n0",))) == errno.EPERM
    await guest.store.permit(f"{front}/state", (f"n{guest.domid}",))
    assert await machine.store.read(f"{front}/state") == "3"


@pytest.mark.usefixtures("attached")
async def test_what_is_no_text_reads_as_text(machine, guest, front):
    await guest.store.write_bytes(f"{front}/ring-ref", b"\xff12\0")
    assert await machine.store.read(f"{front}/ring-ref") == "\ufffd12\0"


@pytest.mark.usefixtures("attached")
async def test_quotas_of_values_and_nodes(machine, guest, front):
    await guest.store.write(f"{front}/long", "x" * 2048)
    assert await number_of(guest.store.write(f"{front}/long", "x" * 2049)) == errno.ENOSPC
    assert await number_of(machine.store.write(f"{front}/long", "x" * 4096)) == errno.E2BIG
    owned = machine.server.tree.owned[guest.domid]
    for number in range(GUEST_NODES_MAX - owned):
        machine.server.make(guest.domid, f"{front}/n{number}")
    assert await number_of(guest.store.make(f"{front}/one-more")) == errno.ENOSPC
    await guest.store.remove(f"{front}/n0")
    await guest.store.make(f"{front}/one-more")
    await machine.store.write(f"{front}/by-tools", "1")
    await machine.store.remove(front)
    assert machine.server.tree.owned[guest.domid] == 2, "its nodes for data and errors"


async def test_quotas_of_watches_and_transactions(machine, guest):
    for _ in range(GUEST_WATCHES_MAX):
        await guest.store.watch(guest.home, lambda _: None)
    assert await number_of(guest.store.watch(guest.home, lambda _: None)) == errno.E2BIG
    assert await number_of(guest.store.watch(INTRODUCE, lambda _: None)) == errno.EACCES

    async def nest(transaction):
        if machine.server.transactions < GUEST_TRANSACTIONS_MAX + 1:
            await guest.store.transact(nest)

    assert await number_of(guest.store.transact(nest)) == errno.ENOSPC
    assert machine.server.transactions == 0


@pytest.mark.usefixtures("attached")
async def test_a_guest_is_told_only_of_what_it_may_read(machine, guest, front, back, settle):
    told = []
    other = machine.create("web2")
    await guest.store.watch(back, lambda path: told.append(("guest", path)))
    await other.store.watch(back, lambda path: told.append(("other", path)))
    await settle()
    assert told == [("guest", back), ("other", back)]
    told.clear()
    await machine.store.write(f"{back}/state", "2")
    await machine.store.permit(back, ("n0",))
    await machine.store.write(f"{front}/state", "2")
    await machine.store.remove(back)
    await settle()
    assert told == [("guest", f"{back}/state")]


async def test_a_watch_of_a_node_beneath_one_that_is_removed(machine, settle):
    told = []
    await machine.store.write("/tool/a/b/c", "1")
    for path in ("/tool", "/tool/a/b", "/tool/a/b/c/d"):
        await machine.store.watch(path, lambda changed, path=path: told.append((path, changed)))
    await settle()
    told.clear()
    await machine.store.remove("/tool/a")
    await settle()
    assert sorted(told) == [("/tool", "/tool/a"), ("/tool/a/b", "/tool/a/b")]
