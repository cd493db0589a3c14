"""What the store's server does for each domain."""

import errno
from collections.abc import Callable

from tgtcore_xen.platform.contract import INTRODUCE, RELEASE
from tgtcore_xen.platform.emulated.faults import Faults
from tgtcore_xen.platform.emulated.xenstore.permissions import Permissions
from tgtcore_xen.platform.emulated.xenstore.tree import Change, Tree, check_path
from tgtcore_xen.platform.emulated.xenstore.watches import SPECIAL, Client, Watches, Watching

GUEST_WATCHES_MAX = 128
GUEST_TRANSACTIONS_MAX = 10


class Changing:
    """A transaction: work on a copy, which is done on the tree itself when nobody has touched the same nodes."""

    def __init__(self, client: Client, tree: Tree) -> None:
        self.client = client
        self.tree = tree.copy()
        self._before = dict(tree.nodes)
        self._log: list[Callable[[Tree], list[Change]]] = []

    def change(self, what: Callable[[Tree], list[Change]]) -> None:
        """Do it in the copy, and remember it."""
        what(self.tree)
        self._log.append(what)

    def clashes(self, tree: Tree) -> bool:
        """Whether somebody was faster."""
        return any(self._before.get(path) is not tree.nodes.get(path) for path in self.tree.touched)

    def perform(self, tree: Tree) -> list[Change]:
        """Do all of it."""
        return [change for what in self._log for change in what(tree)]


class StoreServer:
    """The store of one machine.  Its methods return at once, and raise OSError with the store's own answer."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.tree = Tree()
        self.watches = Watches()
        self.introduced = {0}
        """Domids of the guests that are there."""
        self._changing: list[Changing] = []

    # ---- nodes ------------------------------------------------------------------------------------------------------------

    def read(self, domid: int, path: str, changing: Changing | None = None) -> bytes:
        """READ."""
        self._ask("read", path)
        return (changing.tree if changing else self.tree).read(domid, path)

    def directory(self, domid: int, path: str) -> list[str]:
        """DIRECTORY."""
        self._ask("list", path)
        return self.tree.directory(domid, path)

    def write(self, domid: int, path: str, value: bytes, changing: Changing | None = None) -> None:
        """WRITE."""
        self._ask("write", path)
        self._change(lambda tree: tree.write(domid, path, value), changing)

    def make(self, domid: int, path: str) -> None:
        """MKDIR."""
        self._ask("make", path)
        self._change(lambda tree: tree.make(domid, path), None)

    def remove(self, domid: int, path: str, changing: Changing | None = None) -> None:
        """RM; ENOENT where there is none."""
        self._ask("remove", path)
        self._change(lambda tree: tree.remove(domid, path), changing)

    def permit(self, domid: int, path: str, permissions: Permissions) -> None:
        """SET_PERMS."""
        self._ask("permit", path)
        self._change(lambda tree: tree.permit(domid, path, permissions), None)

    def _ask(self, operation: str, path: str) -> None:
        number = self.faults.refuses(operation, path)
        if number:
            raise OSError(number, "as was ordered", path)

    def _change(self, what: Callable[[Tree], list[Change]], changing: Changing | None) -> None:
        if changing is not None:
            changing.change(what)
        else:
            self.watches.fire(what(self.tree))

    # ---- transactions -----------------------------------------------------------------------------------------------------

    @property
    def transactions(self) -> int:
        """How many have not ended."""
        return len(self._changing)

    def begin(self, client: Client) -> Changing:
        """TRANSACTION_START."""
        domid = client.domid
        if domid and sum(one.client.domid == domid for one in self._changing) >= GUEST_TRANSACTIONS_MAX:
            raise OSError(errno.ENOSPC, f"more than {GUEST_TRANSACTIONS_MAX} transactions")
        changing = Changing(client, self.tree)
        self._changing.append(changing)
        return changing

    def abort(self, changing: Changing) -> None:
        """TRANSACTION_END with F; idempotent."""
        if changing in self._changing:
            self._changing.remove(changing)

    def commit(self, changing: Changing) -> bool:
        """TRANSACTION_END with T; False: EAGAIN."""
        self.abort(changing)
        if self.faults.conflicts:
            self.faults.conflicts -= 1
            return False
        if changing.clashes(self.tree):
            return False
        self.watches.fire(changing.perform(self.tree))
        return True

    # ---- watches ----------------------------------------------------------------------------------------------------------

    def watch(self, client: Client, path: str, told: Callable[[str], None]) -> Watching:
        """WATCH."""
        domid = client.domid
        if path not in SPECIAL:
            check_path(path)
        elif domid:
            raise OSError(errno.EACCES, "no right to it", path)
        if domid and len(self.watches.of(domid)) >= GUEST_WATCHES_MAX:
            raise OSError(errno.E2BIG, f"more than {GUEST_WATCHES_MAX} watches", path)
        watching = Watching(client, path, told)
        self.watches.add(watching)
        return watching

    # ---- guests -----------------------------------------------------------------------------------------------------------

    def introduce(self, domid: int) -> None:
        """A guest has come."""
        self.introduced.add(domid)
        self.watches.announce(INTRODUCE)

    def release(self, domid: int) -> None:
        """A guest has gone: so have its watches and transactions."""
        self.introduced.discard(domid)
        for client in {watching.client for watching in self.watches.of(domid)}:
            self.disconnect(client)
        self._changing = [one for one in self._changing if one.client.domid != domid]
        self.watches.announce(RELEASE)

    def disconnect(self, client: Client) -> None:
        """End the watches and transactions of a connection."""
        for watching in self.watches.by(client):
            self.watches.remove(watching)
        self._changing = [one for one in self._changing if one.client is not client]
