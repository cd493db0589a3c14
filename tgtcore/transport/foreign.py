"""Transports whose driver is no Python code."""

from tgtcore.transport.contract import Transport


class ForeignTransport(Transport):
    """A transport whose driver is a program of its own, in any language, that attaches over the ring.

    Its plugin declares only what the daemon must know of it: ``Options``, ``TargetOptions``, ``protocol`` and
    ``check_target_name``.  It is never made, so the other methods stay abstract, and a configuration must give it
    ``isolation = "attached"``.  ``docs/reference/ring.md`` says how the program talks with the daemon.
    """
