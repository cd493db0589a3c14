"""Just enough of ELF to know which shared libraries a program needs."""

import struct
from pathlib import Path

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB = 0, 1, 5
_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
_DYNAMIC = struct.Struct("<QQ")


def needed(path: Path) -> tuple[list[str], str | None]:
    """The names of the needed libraries and the path of the loader; nothing for what is no 64-bit ELF file."""
    content = path.read_bytes()
    if content[:5] != b"\x7fELF\x02":
        return [], None
    (table,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    loads: list[tuple[int, int, int]] = []
    dynamic = b""
    loader = None
    for index in range(count):
        kind, _, offset, address, _, length, _, _ = _PROGRAM_HEADER.unpack_from(content, table + index * size)
        if kind == _PT_LOAD:
            loads.append((address, offset, length))
        elif kind == _PT_DYNAMIC:
            dynamic = content[offset : offset + length]
        elif kind == _PT_INTERP:
            loader = content[offset : offset + length].rstrip(b"\0").decode()
    return _names(content, dynamic, loads), loader


def _names(content: bytes, dynamic: bytes, loads: list[tuple[int, int, int]]) -> list[str]:
    entries = list(_DYNAMIC.iter_unpack(dynamic[: len(dynamic) // 16 * 16]))
    strings = next((value for tag, value in entries if tag == _DT_STRTAB), None)
    if strings is None:
        return []
    base = next(strings - at + offset for at, offset, length in loads if at <= strings < at + length)
    names = []
    for tag, value in entries:
        if tag == _DT_NULL:
            break
        if tag == _DT_NEEDED:
            start = base + value
            names.append(content[start : content.index(b"\0", start)].decode())
    return names
