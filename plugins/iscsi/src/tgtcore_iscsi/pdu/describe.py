"""Readable forms of headers, for traces, logs and failing tests; never called per command."""

from tgtcore_iscsi.pdu.codes import OPCODE_MASK, Opcode
from tgtcore_iscsi.pdu.table import LAYOUTS

_DECIMAL = frozenset(("lengths", "expected_length", "desired_length", "buffer_offset", "residual", "bidi_residual"))


def describe(bhs: bytes | bytearray | memoryview) -> dict[str, object]:
    """Return name and fields of a header by their names; an unknown opcode gives only its number and bytes.

    >>> describe(bytes.fromhex("00800000" + "00" * 44))["pdu"]
    'NOP_OUT'
    """
    opcode = bhs[0] & OPCODE_MASK
    layout = LAYOUTS.get(opcode)
    if layout is None:
        return {"pdu": f"opcode {opcode:#04x}", "bytes": bytes(bhs).hex()}
    described: dict[str, object] = {"pdu": Opcode(opcode).name, "immediate": bhs[0] != opcode}
    described.update(zip(layout.fields._fields, layout.unpack_from(bhs), strict=True))
    return described


def summarize(bhs: bytes | bytearray | memoryview) -> str:
    """Return one line: name of the PDU, then ``field=value`` for every field that is not zero."""
    fields = describe(bhs)
    name = fields.pop("pdu")
    return " ".join([str(name), *(f"{key}={_text(key, value)}" for key, value in fields.items() if value)])


def _text(key: str, value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, bool) or not isinstance(value, int):
        return str(value)
    return str(value) if key in _DECIMAL or key.endswith("_sn") else f"{value:#x}"
