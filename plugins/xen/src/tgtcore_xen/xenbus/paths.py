"""Where the nodes of a virtual HBA are, and their names: in this one place."""

from typing import NamedTuple

FRONTEND, FRONTEND_ID = "frontend", "frontend-id"
ONLINE = "online"
STATE = "state"
SG_GRANT = "feature-sg-grant"
TARGET = "target"
"""Ours: the target that the ring is served with."""
GUEST_NAME, GUEST_UUID = "domain", "uuid"
"""Who the guest is, where somebody else makes the nodes: the former is what libxl calls it for other kinds of devices."""
FEATURE_HOST = "feature-host"
DEVICES = "vscsi-devs"
BACKEND, BACKEND_ID = "backend", "backend-id"
RING_REF, EVENT_CHANNEL = "ring-ref", "event-channel"
PROTOCOL = "protocol"

BACK_NODES = (FRONTEND, FRONTEND_ID, ONLINE, STATE, SG_GRANT, TARGET)
"""Those of the back end that are looked at."""

FRONT_NODES = (BACKEND, BACKEND_ID, STATE, RING_REF, EVENT_CHANNEL, PROTOCOL)
"""Those of the front end that are looked at."""

P_DEV, P_DEVNAME, V_DEV = "p-dev", "p-devname", "v-dev"

BACK_DEVICE_NODES = (V_DEV, P_DEVNAME, STATE)
"""Those of a logical unit that are looked at in the directory of the back end."""

DOMAINS = "/local/domain"
VMS = "/vm"
"""Tools write there when they make a domain, and when they have destroyed it."""


class HbaPaths(NamedTuple):
    """The directories of a virtual HBA.

    :param back_domid: of the domain that serves it.
    :param domid: of the guest.
    :param dev: its number in the guest.
    """

    back_domid: int
    domid: int
    dev: int

    @property
    def back(self) -> str:
        """The directory that the back end writes."""
        return f"{DOMAINS}/{self.back_domid}/backend/vscsi/{self.domid}/{self.dev}"

    @property
    def front(self) -> str:
        """The directory that the guest writes."""
        return f"{DOMAINS}/{self.domid}/device/vscsi/{self.dev}"

    @property
    def shutdown(self) -> str:
        """Where tools ask the guest to suspend, and it says that it has heard."""
        return f"{DOMAINS}/{self.domid}/control/shutdown"

    @property
    def error(self) -> str:
        """Where the back end says what was wrong."""
        return f"{DOMAINS}/{self.back_domid}/error/backend/vscsi/{self.domid}/{self.dev}/error"


def device(number: int) -> str:
    """The directory of a logical unit, below that of either end."""
    return f"{DEVICES}/dev-{number}"


def device_number(name: str) -> int | None:
    """The number in the name of a logical unit's directory; None: it is none of ours."""
    prefix, _, number = name.partition("-")
    return int(number) if prefix == "dev" and number.isascii() and number.isdecimal() and len(number) <= 5 else None
