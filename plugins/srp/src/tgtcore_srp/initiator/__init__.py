"""The initiator's side of SRP without any I/O: for tests, fuzzers, tools, and clients of fabrics that are programs themselves.

:class:`~tgtcore_srp.initiator.channel.InitiatorChannel` writes and reads information units; memory that is named in commands, and
whatever moves data in and out of it, are its caller's.
"""
