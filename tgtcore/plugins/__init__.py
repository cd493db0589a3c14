"""Plugins: finding the installed ones, loading the enabled ones, asking them, and letting them go."""

from tgtcore.plugins.discovery import Loaded, Record, installed, load, load_anew, look_again, modules_of
from tgtcore.plugins.manager import Plugins
from tgtcore.plugins.modules import Modules

__all__ = ["Loaded", "Modules", "Plugins", "Record", "installed", "load", "load_anew", "look_again", "modules_of"]
