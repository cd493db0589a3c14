"""Command descriptor blocks: how long they are and what they ask for, in words for logs (SPC-5 4.2)."""

from enum import IntEnum

from tgtcore.scsi.opcodes import SERVICE_ACTIONS, OperationCode

_BYTES_BY_GROUP = (6, 10, 10, None, 16, 12, None, None)
"""By the group code, the upper three bits of the operation code; groups 6 and 7 are vendor specific."""

_ADDITIONAL_BYTE = 7
_SHOWN_BYTES_MAX = 32


def cdb_bytes(cdb: bytes) -> int | None:
    """How long a CDB says it is; ``None`` when its format does not tell, or it is cut before it does.

    A transport may pad a CDB: the bytes that are there can be more than these, and for a hostile peer less.
    """
    if not cdb:
        return None
    if cdb[0] == OperationCode.VARIABLE_LENGTH:
        return 8 + cdb[_ADDITIONAL_BYTE] if len(cdb) > _ADDITIONAL_BYTE else None
    return _BYTES_BY_GROUP[cdb[0] >> 5]


def service_action(cdb: bytes) -> int | None:
    """The service action; ``None`` when commands with this operation code have none, or the CDB is cut before it."""
    if not cdb or cdb[0] not in SERVICE_ACTIONS:
        return None
    if cdb[0] == OperationCode.VARIABLE_LENGTH:
        return int.from_bytes(cdb[8:10], "big") if len(cdb) >= 10 else None
    return cdb[1] & 0x1F if len(cdb) > 1 else None


def command_name(cdb: bytes) -> str:
    """The command's name in the standards: ``READ (10)``; without a name its numbers: ``opcode C1h``."""
    if not cdb:
        return "empty CDB"
    action = service_action(cdb)
    name = COMMAND_NAMES.get((cdb[0], None), f"opcode {cdb[0]:02X}h")
    return name if action is None else COMMAND_NAMES.get((cdb[0], action), f"{name} service action {action:02X}h")


def describe_cdb(cdb: bytes) -> str:
    """Name and bytes, for logs: ``TEST UNIT READY [00 00 00 00 00 00]``; of a long CDB the beginning."""
    shown = cdb[: cdb_bytes(cdb)]
    more = " ..." if len(shown) > _SHOWN_BYTES_MAX else ""
    return f"{command_name(cdb)} [{shown[:_SHOWN_BYTES_MAX].hex(' ')}{more}]"


def _words(code: IntEnum) -> str:
    """The name as the standards write it, with the CDB length in parentheses."""
    name, _, last = code.name.rpartition("_")
    return f"{name.replace('_', ' ')} ({last})" if last.isdigit() else code.name.replace("_", " ")


COMMAND_NAMES: dict[tuple[int, int | None], str] = {(code.value, None): _words(code) for code in OperationCode} | {
    (code, action.value): _words(action) for code, actions in SERVICE_ACTIONS.items() for action in actions
}
"""By operation code and service action, None: whatever its service action."""
