"""Attaching to a guest: is it the one that the options describe?"""

import asyncio
import errno
import re
from pathlib import Path

from tgtcore_ibmvio.platform.qemu_pseries.debugger import Debugger
from tgtcore_ibmvio.platform.qemu_pseries.kernel_image import Wrapper, find_wrapper
from tgtcore_ibmvio.platform.qemu_pseries.machine import Machine
from tgtcore_ibmvio.platform.qemu_pseries.memory import GuestMemory
from tgtcore_ibmvio.platform.qemu_pseries.options import QemuPseriesOptions
from tgtcore_ibmvio.platform.qemu_pseries.registers import Registers
from tgtcore_ibmvio.platform.qemu_pseries.remembered import Remembered

_UNIT = re.compile(r"dev: spapr-vscsi,.*?\breg = (\d+)", re.S)
_SIZE = re.compile(r"base memory: (\d+)")
_REAL = (1 << 60) - 1
"""Of an address in the kernel's linear mapping, the real one."""


async def attach(options: QemuPseriesOptions, memory: GuestMemory, loop: asyncio.AbstractEventLoop) -> Machine:
    """Stop a guest, check it, and let it run under our eyes.

    :raises OSError: it can't be reached, or it isn't as the options say.
    """
    wrapper = await asyncio.to_thread(find_wrapper, options.kernel)
    life = _life(options.gdb)
    debugger = await Debugger.connect(options.gdb)
    try:
        await _check_memory(debugger, options, memory)
        await _check_kernel(debugger, options, wrapper, memory)
        units = [int(unit) for unit in _UNIT.findall(await debugger.monitor("info qtree"))]
        known = {unit: Remembered(options.ram.with_name(f"{options.ram.name}.{unit:x}"), life) for unit in units}
        machine = Machine(debugger, wrapper, known, memory.view, loop)
        await machine.start()
    except BaseException:
        # The guest must not stand still for good.
        await debugger.abandon()
        raise
    return machine


def _life(path: Path) -> int:
    """What tells one run of QEMU from another: it makes its socket anew."""
    try:
        made = path.stat()
    except OSError as error:
        raise OSError(error.errno, f"QEMU's debugger can't be reached: {error.strerror}", str(path)) from error
    return (made.st_ctime_ns ^ made.st_ino << 32) & (1 << 64) - 1


async def _check_memory(debugger: Debugger, options: QemuPseriesOptions, memory: GuestMemory) -> None:
    printed = await debugger.monitor("info memory_size_summary")
    found = _SIZE.search(printed)
    if found is None or int(found[1]) != len(memory.view):
        has = f"{found[1]} bytes" if found else f"no size that QEMU tells ({printed.strip()})"
        raise OSError(errno.EINVAL, f"{len(memory.view)} bytes; the guest's memory has {has}", str(options.ram))


async def _check_kernel(debugger: Debugger, options: QemuPseriesOptions, wrapper: Wrapper, memory: GuestMemory) -> None:
    registers = Registers((await debugger.ask(b"g"))[0])
    if not registers.in_linux:
        return  # it has not come so far
    code = wrapper.code
    (there,) = await debugger.ask(b"m%x,%x" % (wrapper.entry, len(code)))
    if not _same(bytes.fromhex(there.decode("ascii")), code):
        raise OSError(
            errno.EINVAL, "the guest runs another kernel, or not where its symbols are (nokaslr)", str(options.kernel)
        )
    real = wrapper.entry & _REAL
    if not _same(bytes(memory.view[real : real + len(code)]), code):
        raise OSError(errno.EINVAL, "not the guest's memory, or not shared with it (share=on)", str(options.ram))


def _same(there: bytes, code: bytes) -> bool:
    """First and last instruction: between them the kernel itself may change some."""
    return (there[:4], there[-4:]) == (code[:4], code[-4:])
