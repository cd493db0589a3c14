"""Where a Linux kernel calls the hypervisor: the symbol of its wrapper in the ELF file, and the instructions there."""

import errno
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct, error

WRAPPER = "plpar_hcall_norets"
"""The kernel's function through which all calls of virtual I/O go, those without further results."""

_IDENTITY = b"\x7fELF\x02\x01"
_EM_PPC64 = 21
_SHT_SYMTAB = 2
_SECTION_TABLE = Struct("<40xQ10xHH")  # e_shoff, e_shentsize, e_shnum
_SECTION = Struct("<IIQQQQIIQQ")
_SYMBOL = Struct("<IBBHQQ")
_INSTRUCTION = Struct("<I")

_MEDIUM_PRIORITY = 0x7C421378
"""``or 2,2,2``: changes nothing but the thread's priority."""
_CALL = 0x44000022
"""``sc 1``."""
_RETURN = 0x4E800020
"""``blr``."""
_INSTRUCTIONS_MAX = 32


@dataclass(frozen=True)
class Wrapper:
    """Addresses in the function that calls the hypervisor, with the call's number and arguments in registers 3 and up.

    :param entry: its first instruction for callers in the kernel itself; it does nothing and may be left out.
    :param call: the instruction that calls.
    :param code: from the entry to the call.
    """

    entry: int
    call: int
    code: bytes


def find_wrapper(path: Path) -> Wrapper:
    """The wrapper in a kernel's ELF file (``vmlinux``, not stripped); takes some tenths of a second.

    :raises OSError: there is no such file, or it isn't such a kernel; the message says which.
    """
    with path.open("rb") as file:
        try:
            with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as image:
                return _find(image)
        except (ValueError, error) as problem:
            raise OSError(errno.ENOEXEC, f"no kernel that can be used: {problem}", str(path)) from None


def _find(image: mmap.mmap) -> Wrapper:
    if image[:6] != _IDENTITY or int.from_bytes(image[18:20], "little") != _EM_PPC64:
        raise ValueError("not an ELF file for 64-bit little-endian POWER")
    offset, size, count = _SECTION_TABLE.unpack_from(image)
    sections = [_SECTION.unpack_from(image, offset + size * number) for number in range(count)]
    value, other = _symbol(image, sections)
    # The ABI's local entry, behind what sets up the table of contents for callers from outside.
    entry = value + ((1 << (other >> 5) >> 2) << 2)
    start = next((entry - at + begin for _, _, _, at, begin, length, *_ in sections if at <= entry < at + length), None)
    if start is None:
        raise ValueError(f"{WRAPPER} is in no section")
    return _wrapper(image, entry, start)


def _symbol(image: mmap.mmap, sections: list[tuple[int, ...]]) -> tuple[int, int]:
    """Value and st_other of the wrapper's symbol."""
    for _, kind, _, _, begin, length, link, *_ in sections:
        if kind != _SHT_SYMTAB:
            continue
        _, _, _, _, strings, strings_length, *_ = sections[link]
        names = set(_names(image[strings : strings + strings_length]))
        for name, _, other, _, value, _ in _SYMBOL.iter_unpack(image[begin : begin + length]):
            if name in names:
                return value, other
    raise ValueError(f"no symbol {WRAPPER}")


def _names(strings: bytes) -> Iterator[int]:
    """Where the wrapper's name is; a linker lets it be the end of a longer one."""
    wanted = WRAPPER.encode() + b"\0"
    at = strings.find(wanted)
    while at >= 0:
        yield at
        at = strings.find(wanted, at + 1)


def _wrapper(image: mmap.mmap, entry: int, start: int) -> Wrapper:
    words = [_INSTRUCTION.unpack_from(image, start + 4 * number)[0] for number in range(_INSTRUCTIONS_MAX)]
    body = words[: words.index(_RETURN)] if _RETURN in words else words
    if body[0] != _MEDIUM_PRIORITY or _CALL not in body:
        raise ValueError(f"{WRAPPER} has other instructions than are known")
    behind = 4 * body.index(_CALL)
    return Wrapper(entry, entry + behind, image[start : start + behind + 4])
