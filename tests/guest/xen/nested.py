"""What guests of the Xen machine are made of: the packages and the kernel of domain 0, the front end, and nothing of ours."""

from collections.abc import Mapping
from pathlib import Path

from guest.lab.kind import Images, Kind


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


KERNEL_ARGUMENTS = (
    # The agent has the console; the kernel says there only how it dies.
    "console=hvc0 loglevel=1 panic=-1 mitigations=off random.trust_cpu=1 sysctl.kernel.hung_task_timeout_secs=20"
    " apparmor=0 audit=0 cryptomgr.notests"  # seconds of an emulated processor
)

_MODULES = "scsi_mod sd_mod sg xen-scsifront"
_STARTING = "port=hvc0; stty raw -echo </dev/hvc0\n"


def _no_machine(_: Images, __: Path) -> list[str]:
    raise AssertionError("the hypervisor runs it")


def kind(packages: tuple[str, ...], unwanted: str, links: Mapping[str, str]) -> Kind:
    """That of guests of a machine that has these packages and commands."""
    return Kind(
        name="domu",
        architecture=None,
        program="",
        qemu_package="",
        command=_no_machine,
        restorable=False,
        work_parent=None,
        kernel_package="linux-image-amd64",
        packages=packages,
        unwanted=unwanted,
        files=_words("""
        usr/bin/busybox
        usr/bin/dash
        usr/bin/kmod
        usr/bin/sg_*
        usr/bin/base64
        usr/bin/dd
        usr/bin/sha256sum
        usr/bin/stat
        usr/bin/timeout
        usr/sbin/blockdev
        usr/sbin/mke2fs
        usr/sbin/mkfs.ext4
        usr/sbin/e2fsck
        usr/sbin/fsck.ext4
        etc/mke2fs.conf
        """),
        folders=_words("proc sys dev run tmp mnt root var/lib var/log"),
        modules=_words(f"{_MODULES} ext4 crc32c_generic crct10dif_generic"),
        modules_at_boot=_words(_MODULES),
        links=links,
        starting=_STARTING,
    )
