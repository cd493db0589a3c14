"""What guests of the Xen machine are made of: the packages and the kernel of domain 0, the front end, and nothing of ours."""

from pathlib import Path

from guest.lab import small
from guest.lab.kind import Images, Kind
from guest.lab.small import words

KERNEL_ARGUMENTS = (
    # The agent has the console; the kernel says there only how it dies.
    "console=hvc0 loglevel=1 panic=-1 mitigations=off random.trust_cpu=1 sysctl.kernel.hung_task_timeout_secs=60"
    " apparmor=0 audit=0 cryptomgr.notests"  # seconds of an emulated processor
)

_MODULES = "scsi_mod sd_mod sg xen-scsifront"
_STARTING = "port=hvc0; stty raw -echo </dev/hvc0\n"


def _no_machine(_: Images, __: Path) -> list[str]:
    raise AssertionError("the hypervisor runs it")


def kind(packages: tuple[str, ...], unwanted: str) -> Kind:
    """That of guests of a machine that has these packages."""
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
        files=small.FILES,
        folders=small.FOLDERS,
        modules=words(f"{_MODULES} ext4 crc32c_generic crct10dif_generic"),
        modules_at_boot=words(_MODULES),
        links=small.LINKS,
        starting=_STARTING,
    )
