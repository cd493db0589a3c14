"""The mapped ring: commands, answers and data between the core and a driver that lives in another process.

One memory file holds a header page, two rings of slots, buffers for events and a data area; two pipes are the doorbells; a UNIX
socket brings them together and tells when the other side has died.  ``docs/reference/ring.md`` describes every field.
"""

from tgtcore.ring.area import Area
from tgtcore.ring.attach import ATTACH_S, Attached, accept_driver, attach
from tgtcore.ring.core_end import CoreEnd
from tgtcore.ring.driver_end import DriverEnd
from tgtcore.ring.geometry import Geometry
from tgtcore.ring.messages import (
    AckStatus,
    Event,
    OpenStatus,
    Request,
    Response,
    RingFunction,
)
from tgtcore.ring.passing import close_listening, receive_socket, send_socket

__all__ = [
    "ATTACH_S",
    "AckStatus",
    "Area",
    "Attached",
    "CoreEnd",
    "DriverEnd",
    "Event",
    "Geometry",
    "OpenStatus",
    "Request",
    "Response",
    "RingFunction",
    "accept_driver",
    "attach",
    "close_listening",
    "receive_socket",
    "send_socket",
]
