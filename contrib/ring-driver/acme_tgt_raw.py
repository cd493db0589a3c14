"""A transport whose driver is a program in C, rawd: what the daemon has to know of it."""

import re
from typing import ClassVar

from pydantic import BaseModel, Field

from tgtcore import ForeignTransport, Options, hookimpl

_SRP = 4
"""SPC-5 table 477; its TransportIDs are short."""
_NAME = re.compile(r"[a-z0-9][a-z0-9.:-]{0,62}")


class RawOptions(Options):
    clients: str = Field(pattern=r'^/[^"\\\x00-\x1f]{0,106}$')
    """Path of the socket to which rawd's clients connect."""


class Raw(ForeignTransport):
    Options: ClassVar[type[BaseModel]] = RawOptions
    protocol: ClassVar[int] = _SRP

    @classmethod
    def check_target_name(cls, name: str) -> str | None:
        """rawd writes names into JSON as they are."""
        return None if _NAME.fullmatch(name) else 'expected a name such as "disks.one"'


@hookimpl
def tgt_register_transports(registry):
    registry.transport("acme-raw", Raw)
