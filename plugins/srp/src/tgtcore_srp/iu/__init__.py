"""The information units of SRP (T10 SRP r16a, clause 6; immediate data: SRP-2), read and written without any I/O.

Each kind is a named tuple with ``parse``, which raises :class:`~tgtcore_srp.iu.errors.Malformed` and nothing else whatever the peer
has sent, and ``build``, which raises ``struct.error`` for a value that has no place in its field.  Reserved fields are ignored, and
so are bytes behind the end of a unit: a fabric may move more than was filled.
"""
