"""A management console as a plugin of the daemon: what becomes of the guest, which its own hypervisor would bring about.

It is no part of the product: QEMU neither suspends nor migrates a guest in the way of PowerVM, so somebody must say that it has.
"""

from enum import Enum
from typing import TYPE_CHECKING, Any

from tgtcore_ibmvio.platform.transport_event import VALID

from tgtcore import Options, hookimpl
from tgtcore.transport import LocalDriver

if TYPE_CHECKING:
    from tgtcore_ibmvio.platform.qemu_pseries.client import Client

    from tgtcore.transport import Driver


class What(Enum):
    """What is to happen."""

    NOTHING = "nothing"
    MIGRATE = "migrate"
    PREPARE_FOR_SUSPEND = "prepare_for_suspend"
    RESUME = "resume"
    EVENT = "event"


class Move(Options):
    """Arguments of ``console guest``."""

    what: What
    event: int = 0
    """The second byte of a transport event for the guest."""


def _client(driver: "Driver") -> "Client":
    assert isinstance(driver, LocalDriver)
    machine = driver.transport._servers._platform.machine  # type: ignore[attr-defined]
    (client,) = machine.clients.values()
    found: Client = client
    return found


def _event(client: "Client", event: int) -> None:
    assert client.queue is not None
    assert client.put(bytes((VALID, event)) + bytes(14)) == 0


async def guest(wanted: Move, driver: "Driver") -> dict[str, Any]:
    """Let it happen; whether the server is ready for a suspension."""
    client = _client(driver)
    if wanted.what is What.EVENT:
        _event(client, wanted.event)
    elif wanted.what is not What.NOTHING:
        getattr(client, wanted.what.value)()
    return {"suspendable": client.suspendable}


@hookimpl
def tgt_register_admin(commands: Any) -> None:
    """Offer ``console guest``."""
    commands.add("console guest", guest, help="Let something happen to the guest.", arguments=Move, transport="ibmvio")
