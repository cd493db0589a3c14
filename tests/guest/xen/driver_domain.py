"""A driver domain: a guest of the Xen machine with the program under test in it, which serves domain 0."""

from itertools import count
from typing import cast

from guest.lab.guest import Guest
from guest.xen.dom0 import LOADED, Dom0
from guest.xen.domu import HOOKS, DomU
from guest.xen.inside import administrator
from guest.xen.inside.administrator import ANSWERED, ASKED
from guest.xen.nested import KERNEL_ARGUMENTS

NAME = "storage"
TOOL = "/usr/bin/driver-domain"
_INITRAMFS = "/run/driver-domain.cpio"
_MEMORY_MIB = 400
_CONFIGURATION = f"""
name = "{NAME}"
type = "pv"
kernel = "/dev/vdb"
ramdisk = "{_INITRAMFS}"
extra = "{KERNEL_ARGUMENTS}"
memory = {_MEMORY_MIB}
vcpus = 1
driver_domain = 1
"""
_MAKE_INITRAMFS = f"""
cd / && cat /dev/vdc >{_INITRAMFS} &&
find usr/bin/python3* usr/bin/awake usr/lib/python3* usr/lib/nursery.py usr/lib/*-linux-gnu usr/lib/modules \
    etc/nursery-modules opt | cpio -o -H newc 2>/dev/null >>{_INITRAMFS}
"""
"""What every guest has, and of domain 0 its Python, its modules and the program."""
_STARTING = """
modprobe -a xen-evtchn xen-gntdev && mkfifo /run/nursery &&
(PYTHONPATH=/opt python3 /usr/lib/nursery.py >/var/log/nursery 2>&1 &) && within 100 test -e /run/nursery.ready
"""


class DriverDomain(DomU):
    """A context manager: it runs, and has the devices of a back end."""

    def __init__(self, dom0: Dom0) -> None:
        super().__init__(dom0, NAME)

    def start(self) -> None:
        """Make it, as its administrator would."""
        dom0 = self._dom0
        dom0.put(TOOL, (HOOKS / "driver-domain").read_bytes())
        dom0.put(self.configuration, _CONFIGURATION.encode())
        dom0.run(f"chmod +x {TOOL}; {_MAKE_INITRAMFS}", timeout_s=100)
        dom0.run(f"xl create {self.configuration}; status=$?; rm {_INITRAMFS}; exit $status", timeout_s=100)
        self.connect()
        self.run(_STARTING, timeout_s=110)

    @property
    def nodes(self) -> list[str]:
        """All that it has in the store of virtual SCSI, and of errors."""
        return self._dom0.text(
            f"xenstore-ls -f /local/domain/$(xl domid {NAME}) | grep -E 'vscsi|error/'; :"
        ).splitlines()


class Inside(Dom0):
    """Processes of Python in a driver domain."""

    def __init__(self, domain: DriverDomain) -> None:
        self.guest = cast(Guest, domain)  # what is used of it, any shell has
        self._names = (f"/run/lab/python{number}" for number in count())
        self.python("nursery", "load", *LOADED, timeout_s=120)
        problems = domain.text("cat /var/log/nursery")
        assert not problems, problems
        domain.run(f"mkfifo {ASKED} {ANSWERED}")
        self.start(administrator.__name__, "main")
