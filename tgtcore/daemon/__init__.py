"""The daemon: start, run, change, drain, stop; the order of things."""

from tgtcore.daemon.compare import Action, Kind, Step
from tgtcore.daemon.daemon import Daemon, Edit
from tgtcore.daemon.inheritance import Inheritance, InheritedSocket
from tgtcore.daemon.load import load_file, load_source

__all__ = [
    "Action",
    "Daemon",
    "Edit",
    "Inheritance",
    "InheritedSocket",
    "Kind",
    "Step",
    "load_file",
    "load_source",
]
