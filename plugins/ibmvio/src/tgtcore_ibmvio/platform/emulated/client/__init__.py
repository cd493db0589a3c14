"""Client partitions: the other end of an emulated adapter, for initiators, tests and measurements.

:class:`ClientPartition` waits for the machine; :class:`AsyncClientPartition` is for programs with an event loop, also the server's.
"""

from tgtcore_ibmvio.platform.emulated.client.aio import AsyncClientPartition
from tgtcore_ibmvio.platform.emulated.client.blocking import ClientPartition
from tgtcore_ibmvio.platform.emulated.client.partition import Partition
from tgtcore_ibmvio.platform.emulated.window import Access
from tgtcore_ibmvio.platform.emulated.wire import Call, Hello, Refused

__all__ = ["Access", "AsyncClientPartition", "Call", "ClientPartition", "Hello", "Partition", "Refused"]
