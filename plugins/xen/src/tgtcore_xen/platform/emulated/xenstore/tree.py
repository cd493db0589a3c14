"""The nodes of the store, and what each domain may do with them."""

import errno
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple, Self

from tgtcore_xen.platform.emulated.xenstore.permissions import Permissions, Right

PATH_BYTES_MAX = 3072
PAYLOAD_BYTES_MAX = 4096
"""Of one message of the store: path, a zero and value together."""
GUEST_VALUE_BYTES_MAX = 2048
"""The longest value that a guest may write."""
GUEST_NODES_MAX = 1000
"""So many nodes may be a guest's."""

_PATH = re.compile(r"/|(?:/[A-Za-z0-9_@:-]+)+")


class Node(NamedTuple):
    """One node; it is never changed, but replaced by another one."""

    value: bytes
    permissions: Permissions
    children: frozenset[str]


class Change(NamedTuple):
    """What watches are told.

    :param exact: only those of this very node are.
    :param permissions: who may read it.
    """

    path: str
    exact: bool
    permissions: Permissions


class Tree:
    """Nodes by path.  Each method of a domain raises OSError with the store's own answer."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {"/": Node(b"", Permissions(0, Right.NONE), frozenset())}
        self.owned: Counter[int] = Counter()
        """How many nodes each guest has."""
        self.touched: set[str] = set()
        """What was read or changed."""

    def copy(self) -> Self:
        """One like it, in which nothing was touched."""
        made = type(self)()
        made.nodes = dict(self.nodes)
        made.owned = Counter(self.owned)
        return made

    # ---- what a domain may do ---------------------------------------------------------------------------------------------

    def read(self, domid: int, path: str) -> bytes:
        """READ."""
        return self._get(domid, path, Right.READ).value

    def directory(self, domid: int, path: str) -> list[str]:
        """DIRECTORY."""
        return sorted(self._get(domid, path, Right.READ).children)

    def permissions(self, domid: int, path: str) -> Permissions:
        """GET_PERMS."""
        return self._get(domid, path, Right.READ).permissions

    def write(self, domid: int, path: str, value: bytes) -> list[Change]:
        """WRITE."""
        if domid and len(value) > GUEST_VALUE_BYTES_MAX:
            raise OSError(errno.ENOSPC, f"a value of {len(value)} bytes", path)
        if len(path.encode()) + 1 + len(value) > PAYLOAD_BYTES_MAX:
            raise OSError(errno.E2BIG, f"a value of {len(value)} bytes", path)
        if path in self.nodes:
            node = self._get(domid, path, Right.WRITE)
            self.nodes[path] = node._replace(value=value)
            return [Change(path, False, node.permissions)]
        return self._create(domid, path, value)

    def make(self, domid: int, path: str) -> list[Change]:
        """MKDIR."""
        if path in self.nodes:
            self._get(domid, path, Right.WRITE)
            return []
        return self._create(domid, path, b"")

    def remove(self, domid: int, path: str) -> list[Change]:
        """RM."""
        if path == "/":
            raise OSError(errno.EINVAL, "the root can't be removed", path)
        self._get(domid, path, Right.WRITE)
        above = _above(path)
        self.touched.add(above)
        parent = self.nodes[above]
        self.nodes[above] = parent._replace(children=parent.children - {path.rpartition("/")[2]})
        gone = [path, *self._below(path)]
        changes = [Change(one, one != path, self.nodes[one].permissions) for one in gone]
        for one in gone:
            self.touched.add(one)
            self._disown(self.nodes.pop(one))
        return changes

    def permit(self, domid: int, path: str, permissions: Permissions) -> list[Change]:
        """SET_PERMS."""
        node = self._get(domid, path, Right.WRITE)
        if domid and node.permissions.owner != domid:
            raise OSError(errno.EACCES, "only its owner may", path)
        if domid and permissions.owner != domid:
            raise OSError(errno.EPERM, "a guest gives nothing away", path)
        self._disown(node)
        self.nodes[path] = node._replace(permissions=permissions)
        self._own(permissions.owner)
        return [Change(path, False, permissions)]

    # ---- how --------------------------------------------------------------------------------------------------------------

    def _get(self, domid: int, path: str, right: Right) -> Node:
        check_path(path)
        self.touched.add(path)
        node = self.nodes.get(path)
        if node is None:
            raise self._missing(domid, path, right)
        if not node.permissions.allow(domid, right):
            raise OSError(errno.EACCES, "no right to it", path)
        return node

    def _missing(self, domid: int, path: str, right: Right) -> OSError:
        """A guest does not learn what is missing where it has no right to look."""
        known = self.nodes[self._nearest(path)].permissions.allow(domid, right)
        return OSError(errno.ENOENT if known else errno.EACCES, "no such node", path)

    def _nearest(self, path: str) -> str:
        while path not in self.nodes:
            path = _above(path)
        return path

    def _below(self, path: str) -> Iterator[str]:
        for name in sorted(self.nodes[path].children):
            yield f"{path}/{name}"
            yield from self._below(f"{path}/{name}")

    def _create(self, domid: int, path: str, value: bytes) -> list[Change]:
        check_path(path)
        nearest = self._nearest(path)
        inherited = self._get(domid, nearest, Right.WRITE).permissions
        if domid:
            inherited = inherited._replace(owner=domid)
        names = path[len(nearest) :].lstrip("/").split("/")
        owner = inherited.owner
        if owner and domid and self.owned[owner] + len(names) > GUEST_NODES_MAX:
            raise OSError(errno.ENOSPC, f"more than {GUEST_NODES_MAX} nodes", path)
        at = nearest
        for name in names:
            parent = self.nodes[at]
            self.nodes[at] = parent._replace(children=parent.children | {name})
            at = f"{at.rstrip('/')}/{name}"
            self.touched.add(at)
            self.nodes[at] = Node(b"", inherited, frozenset())
            self._own(owner)
        self.nodes[path] = self.nodes[path]._replace(value=value)
        return [Change(path, False, inherited)]

    def _own(self, owner: int) -> None:
        if owner:
            self.owned[owner] += 1

    def _disown(self, node: Node) -> None:
        if node.permissions.owner:
            self.owned[node.permissions.owner] -= 1


def check_path(path: str) -> None:
    """Whether a node can have this path.

    :raises OSError: EINVAL: it can't.
    """
    if len(path.encode()) > PATH_BYTES_MAX or _PATH.fullmatch(path) is None:
        raise OSError(errno.EINVAL, "no path", path)


def _above(path: str) -> str:
    return path.rpartition("/")[0] or "/"
