"""Plugins: finding the installed ones, loading the enabled ones, and asking them."""

from tgtcore.plugins.discovery import Record, installed
from tgtcore.plugins.manager import Plugins

__all__ = ["Plugins", "Record", "installed"]
