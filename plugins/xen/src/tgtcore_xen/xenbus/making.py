"""The nodes of a new virtual HBA."""

from collections.abc import Iterator
from typing import NamedTuple

from tgtcore_xen.xenbus import paths
from tgtcore_xen.xenbus.paths import HbaPaths
from tgtcore_xen.xenbus.states import State


class Directory(NamedTuple):
    """A directory with its permissions, which all that is made in it has too."""

    path: str
    permissions: tuple[str, ...]


def directories(place: HbaPaths) -> tuple[Directory, Directory]:
    """Those of both ends: each end writes its own, and reads the other's."""
    ours = Directory(place.back, (f"n{place.back_domid}", f"r{place.domid}"))
    return ours, Directory(place.front, (f"n{place.domid}", f"r{place.back_domid}"))


def new_nodes(place: HbaPaths, sg_grant: int) -> Iterator[tuple[str, str]]:
    """Path and value of each node.  The state of the front end is the last: with it the guest begins, when it is told of it."""
    for name, value in (
        (paths.FRONTEND, place.front),
        (paths.FRONTEND_ID, place.domid),
        (paths.ONLINE, 1),
        (paths.FEATURE_HOST, 0),
        (paths.SG_GRANT, sg_grant),
        (paths.STATE, int(State.INIT_WAIT)),
    ):
        yield f"{place.back}/{name}", str(value)
    for name, value in (
        (paths.BACKEND, place.back),
        (paths.BACKEND_ID, place.back_domid),
        (paths.STATE, int(State.INITIALISING)),
    ):
        yield f"{place.front}/{name}", str(value)
