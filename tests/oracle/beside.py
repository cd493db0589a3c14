"""A plugin for a daemon under test: iSCSI a second time, under another name, and little patience with driver processes that die."""

from functools import partial
from typing import Any

from tgtcore_iscsi.transport import IscsiTransport

import tgtcore.daemon.transports
from tgtcore import hookimpl
from tgtcore.isolation.process_driver import ProcessDriver
from tgtcore.isolation.ring_driver import Patience

TGTCORE_API = 1
NAME = "beside"

_HASTY = Patience(first_s=0, longest_s=0)
setattr(tgtcore.daemon.transports, "ProcessDriver", partial(ProcessDriver, patience=_HASTY))  # noqa: B010


class Beside(IscsiTransport):
    """The same."""


@hookimpl
def tgt_register_transports(registry: Any) -> None:
    """Offer it."""
    registry.transport(NAME, Beside)
