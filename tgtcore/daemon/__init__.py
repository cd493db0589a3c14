"""The daemon: start, run, change, drain, stop; the order of things."""

from tgtcore.daemon.compare import Action, Step
from tgtcore.daemon.daemon import Daemon, Edit
from tgtcore.daemon.inheritance import Inheritance, InheritedSocket
from tgtcore.daemon.load import load_file, load_source
from tgtcore.daemon.things import Kind, Thing, lun_thing, session_thing

__all__ = [
    "Action",
    "Daemon",
    "Edit",
    "Inheritance",
    "InheritedSocket",
    "Kind",
    "Step",
    "Thing",
    "load_file",
    "load_source",
    "lun_thing",
    "session_thing",
]
