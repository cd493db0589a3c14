"""Device types: what a logical unit is, as a class whose body is its opcode table."""

from tgtcore.device.command import BoundCommand, Command, CommandTable, command
from tgtcore.device.contract import DeviceType

__all__ = ["BoundCommand", "Command", "CommandTable", "DeviceType", "command"]
