"""A pSeries guest: an unmodified Debian kernel for little-endian POWER with its own client of virtual SCSI."""

import shutil
from pathlib import Path

from guest.lab import small
from guest.lab.kind import Images, Kind
from guest.lab.small import words

UNIT_ADDRESS = 0x71000003
"""Of the guest's virtual SCSI adapter."""

_MEMORY_MIB = 512
_KERNEL_ARGUMENTS = (
    # The kernel stays where its symbols say, and wakes up for each tick, which bounds how long an interrupt of ours may wait.
    "console=hvc0 panic=-1 quiet mitigations=off nokaslr nohz=off random.trust_cpu=1"
    " sysctl.kernel.hung_task_timeout_secs=20"
)
_MACHINE = "pseries,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off,memory-backend=ram"


def _memory_folder() -> Path | None:
    """Where the guest's memory, which is a file, never goes to a disk; None: there is no room for it."""
    folder = Path("/dev/shm")
    return folder if folder.is_dir() and shutil.disk_usage(folder).free > _MEMORY_MIB << 21 else None


def command(images: Images, work: Path) -> list[str]:
    """QEMU's arguments; the guest's memory, the debugger's socket and the console log are in the work folder too."""
    return [
        "-nodefaults", "-no-user-config", "-nographic", "-no-reboot",
        "-M", _MACHINE, "-accel", "tcg,thread=single", "-cpu", "POWER9", "-m", str(_MEMORY_MIB), "-smp", "1",
        "-object", f"memory-backend-file,id=ram,size={_MEMORY_MIB}M,mem-path={work}/ram,share=on",
        "-kernel", str(images.kernel), "-initrd", str(images.initramfs), "-append", _KERNEL_ARGUMENTS,
        "-serial", f"file:{work}/console.log",
        "-qmp", f"unix:{work}/qmp,server=on,wait=off",
        "-chardev", f"socket,id=gdb,path={work}/gdb,server=on,wait=off", "-gdb", "chardev:gdb",
        "-device", f"spapr-vscsi,id=vscsi,reg={UNIT_ADDRESS:#x}",
        "-device", "virtio-serial-pci,id=serial",
        "-chardev", f"socket,id=agent,path={work}/agent",
        "-device", "virtserialport,bus=serial.0,nr=1,chardev=agent,name=agent",
    ]  # fmt: skip


PSERIES = Kind(
    name="pseries",
    architecture="ppc64el",
    program="qemu-system-ppc64",
    qemu_package="qemu-system-ppc",
    command=command,
    restorable=False,  # the emulated processor loses its decrementer, and with it the time
    work_parent=_memory_folder(),
    kernel_package="linux-image-powerpc64le",
    packages=small.PACKAGES,
    unwanted=f"({small.UNWANTED})",
    files=small.FILES,
    folders=small.FOLDERS,
    modules=words("""
    virtio_pci virtio_console
    scsi_mod sd_mod sg ibmvscsi
    ext4 crc32c_generic
    """),
    modules_at_boot=("virtio_pci", "virtio_console"),
    links=small.LINKS,
)
