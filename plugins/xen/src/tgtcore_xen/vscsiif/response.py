"""Responses, as a back end writes them (vscsiif.h: struct vscsiif_response)."""

import struct
from functools import lru_cache
from typing import NamedTuple

from tgtcore_xen.vscsiif.errors import Malformed
from tgtcore_xen.vscsiif.layout import SENSE_BYTES

_FIELDS = struct.Struct("<HxB96siI144x")
_pack = _FIELDS.pack


def build_response(rqid: int, result: int, residual: int = 0, sense: bytes = b"") -> bytes:
    """The bytes of a response, without an object for it; the parameters are those of :class:`Response`.

    :param sense: what is longer than 96 bytes is cut.
    """
    length = len(sense)
    return _pack(rqid, length if length < SENSE_BYTES else SENSE_BYTES, sense, result, residual)


@lru_cache(maxsize=64)
def good_response(rqid: int) -> bytes:
    """The response to a command that has ended as it should; a front end uses the same few numbers again and again."""
    return build_response(rqid, 0)


class Response(NamedTuple):
    """How a request has ended.

    :param rqid: of the request.
    :param result: see :mod:`tgtcore_xen.vscsiif.results`.
    :param residual: how many bytes of the data buffer were not used.
    :param sense: sense data; empty: none.
    """

    rqid: int
    result: int
    residual: int = 0
    sense: bytes = b""

    @staticmethod
    def parse(slot: bytes) -> "Response":
        """Read a slot.

        :raises Malformed: the sense data would be longer than its field.
        """
        rqid, length, sense, result, residual = _FIELDS.unpack_from(slot)
        if length > SENSE_BYTES:
            raise Malformed("the length of the sense data", length, f"{SENSE_BYTES} bytes at most")
        return Response(rqid, result, residual, sense[:length])

    def build(self) -> bytes:
        """Its bytes."""
        return build_response(*self)
