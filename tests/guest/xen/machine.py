"""A Xen machine: Debian's hypervisor under QEMU, and Debian's kernel as domain 0, where our daemon and the front end run."""

import importlib.util
import sys
from pathlib import Path

from guest.lab import small
from guest.lab.cpio import CpioWriter
from guest.lab.kind import Images, Kind
from guest.lab.program import LabError
from guest.lab.small import words
from guest.xen import nested, program
from guest.xen.program import compiled, files_of, others

NURSERY = Path(__file__).parent / "nursery.py"
_COMMANDS = {name: Path(__file__).parent / f"{name}.sh" for name in ("awake", "tgtadm")}

_MEMORY_MIB = 1280
_DOM0_MIB = 768
_XEN_ARGUMENTS = (
    f"dom0_mem={_DOM0_MIB}M,max:{_DOM0_MIB}M com1=115200,8n1 console=com1 loglvl=error noreboot"
    " spec-ctrl=no xpti=no pv-l1tf=no"  # there is no processor to be protected from
    # Two, on one processor: with one Linux finishes commands where its front end holds the lock of the host, which it takes
    # again while the host recovers (scsi_dec_host_busy in scsifront_ring_drain), and hangs.
    " dom0_max_vcpus=2"
    " sched_ratelimit_us=0"  # a processor that waits for another, as at each patch of a kernel's code, waits no millisecond
)
_KERNEL_ARGUMENTS = (
    "console=hvc0 panic=-1 quiet mitigations=off random.trust_cpu=1 sysctl.kernel.hung_task_timeout_secs=20"
)
_LIBRARY = "usr/lib/python3.11"


def command(images: Images, work: Path) -> list[str]:
    """QEMU's arguments; the program under test is a disk in the work folder, and so is what guests are saved to."""
    for name, size in (("program", PROGRAM_BYTES), ("saved", SAVED_BYTES)):
        (work / name).touch()
        with (work / name).open("r+b") as disk:
            disk.truncate(size)
    return [
        "-nodefaults", "-no-user-config", "-nographic", "-no-reboot",
        # This model has no SMAP: QEMU 7.2 takes the stack of a kernel in ring 3, as Xen's are, for a supervisor's.
        "-M", "pc", "-accel", "tcg,thread=single", "-cpu", "Nehalem", "-m", str(_MEMORY_MIB), "-smp", "1",
        "-kernel", str(images.hypervisor), "-append", _XEN_ARGUMENTS,
        "-initrd", f"{images.kernel} {_KERNEL_ARGUMENTS},{images.initramfs}",
        "-serial", f"file:{work}/console.log",
        "-qmp", f"unix:{work}/qmp,server=on,wait=off",
        "-drive", f"file={work}/program,format=raw,if=none,id=program",
        "-device", "virtio-blk-pci,drive=program",
        # Guests are made of these.
        "-drive", f"file={images.kernel},format=raw,if=none,id=kernel,readonly=on",
        "-device", "virtio-blk-pci,drive=kernel",
        "-drive", f"file={images.nested},format=raw,if=none,id=initramfs,readonly=on",
        "-device", "virtio-blk-pci,drive=initramfs",
        "-drive", f"file={work}/saved,format=raw,if=none,id=saved,cache=unsafe",
        "-device", "virtio-blk-pci,drive=saved",
        "-device", "virtio-serial-pci,id=serial",
        "-chardev", f"socket,id=agent,path={work}/agent",
        "-device", "virtserialport,bus=serial.0,nr=1,chardev=agent,name=agent",
        "-chardev", f"socket,id={CHANNEL},path={work}/{CHANNEL},server=on,wait=off",
        "-device", f"virtserialport,bus=serial.0,nr=2,chardev={CHANNEL},name={CHANNEL}",
    ]  # fmt: skip


PROGRAM_BYTES = 64 << 20
SAVED_BYTES = 256 << 20
SAVED = "/mnt/saved"
"""Where domain 0 has room for the memory of a guest, once a guest was saved."""
SAVED_DISK = "/dev/vdd"
CHANNEL = "domu"
"""A port of domain 0, and a socket in the work folder, behind which a guest may be put."""

_STARTING = """
mount -t xenfs xenfs /proc/xen
mkdir -p /etc/xen /run/xenstored /run/xen /var/lib/xenstored /var/lib/xen /var/log/xen
xenstored --pid-file /run/xenstored.pid
until [ -S /run/xenstored/socket ]; do usleep 20000; done
xen-init-dom0 >/dev/null
xenconsoled
touch /etc/xen/xl.conf
mkfifo /run/nursery
PYTHONPATH=/opt python3 /usr/lib/nursery.py >/var/log/nursery 2>&1 3>&- 4>&- &
until [ -e /run/nursery.ready ]; do usleep 20000; done
"""
"""What a domain 0 needs to be one, its store and its own entries there; and a Python that is awake already."""


_LOADED = words(
    "pydantic click rich.console rich.table rich.json pluggy stevedore blinker tomlkit pytest importlib.metadata"
)
"""What Python has at hand when the guest is saved."""


def _add_python(archive: CpioWriter, tree: Path) -> None:
    """Python's library and other people's, compiled."""
    if importlib.util.MAGIC_NUMBER != b"\xa7\r\r\n":
        raise LabError(
            f"the Xen guest's Python is 3.11, and its libraries come from one; this is {sys.version.split()[0]}"
        )
    for path in sorted((tree / _LIBRARY).rglob("*.py")):
        for name, content in compiled(str(path.relative_to(tree)), path):
            archive.file(name, content)
    for distribution in others():
        for name, content in files_of(distribution):
            archive.file(f"usr/lib/python3/dist-packages/{name}", content)
    archive.file("usr/lib/nursery.py", NURSERY.read_bytes())
    for name, path in _COMMANDS.items():
        archive.file(f"usr/bin/{name}", path.read_bytes(), 0o755)
    archive.file("etc/nursery-modules", " ".join(_LOADED).encode())


_PACKAGES = small.PACKAGES + words("python3.11 strace xen-hypervisor-4.17-amd64 xen-utils-4.17 xenstore-utils")
_UNWANTED = (
    rf"({small.UNWANTED}|sysvinit-utils|media-types|udev|ucf|sensible-utils|python3|"
    r"python3-minimal|libpython3-stdlib|base-files|mawk|xen-utils-common)"
)

XEN = Kind(
    name="xen",
    architecture=None,
    program="qemu-system-x86_64",
    qemu_package="qemu-system-x86",
    command=command,
    restorable=True,
    work_parent=None,
    kernel_package="linux-image-amd64",
    packages=_PACKAGES,
    unwanted=_UNWANTED,
    files=small.FILES
    + words(f"""
    usr/bin/strace
    usr/bin/python3.11
    {_LIBRARY}/lib-dynload/*
    usr/lib/*/libgcc_s.so.1
    usr/lib/*/librt.so.1
    usr/lib/*/libpthread.so.0
    usr/lib/*/libdl.so.2
    usr/lib/*/libutil.so.1
    usr/lib/xen-4.17/bin/libxl-save-helper
    usr/lib/xen-4.17/bin/lsevtchn
    usr/lib/xen-4.17/bin/xenconsoled
    usr/lib/xen-4.17/bin/xenstored
    usr/lib/xen-4.17/bin/xen-init-dom0
    usr/lib/xen-4.17/bin/xl
    usr/bin/xenstore*
    """),
    folders=(*small.FOLDERS, "opt"),
    modules=words("""
    virtio_pci virtio_console virtio_blk
    xenfs xen-privcmd xen-evtchn xen-gntdev xen-gntalloc
    scsi_mod sd_mod sg xen-scsifront xen-scsiback target_core_mod target_core_file
    ext4 loop crc32c_generic crct10dif_generic
    """),
    modules_at_boot=words(
        "virtio_pci virtio_console xenfs xen-privcmd xen-evtchn xen-gntdev xen-gntalloc scsi_mod sd_mod sg ext4"
    ),
    links={
        **small.LINKS,
        "usr/bin/python3": "python3.11",
        **{
            f"usr/bin/{name}": f"/usr/lib/xen-4.17/bin/{name}"
            for name in ("xenstored", "xenconsoled", "xen-init-dom0", "lsevtchn", "xl")
        },
    },
    hypervisor="boot/xen-4.*-amd64.gz",
    nested=nested.kind(_PACKAGES, _UNWANTED),
    starting=_STARTING,
    added=_add_python,
    recipe=(
        *(path.read_text() for path in (Path(__file__), Path(program.__file__), NURSERY, *_COMMANDS.values())),
        *(f"{one.name} {one.version}" for one in others()),
    ),
)
