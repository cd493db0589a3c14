"""The two back ends, each with a virtual HBA of domain 0 and two disks on it: Linux sends ten commands to each at a time."""

import json
from typing import Any, ClassVar

from guest.lab.guest import Guest
from guest.xen.dom0 import Dom0

from benchmarks.xen import media

_DISKS = 2
_FOLDER = "/run/tgt"
_TARGET = "bench"
_CONFIGURATION = """
plugins = ["disk", "file", "xen"]

[daemon]
socket = "{folder}/socket"
state_directory = "{folder}/state"

[transports.xen]
journal = "{folder}/journal"
portals = [{{ address = "{hba}", target = "{target}" }}]

[targets."{target}"]
transport = "xen"
luns = {luns}
allow = {{ initiators = ["Domain-0"] }}
"""
_LOGICAL_UNIT = """
[logical_units.{name}]
device_type = "disk"
store = {{ type = "file", path = "{path}" }}
"""

_PORT, _INITIATOR = "naa.6001405000000001", "naa.6001405000000002"
_CONFIGURED = "/sys/kernel/config/target"
_GROUP = f"{_CONFIGURED}/xen-pvscsi/{_PORT}/tpgt_1"
_BUS = "/sys/bus/xen-backend"


class BackEnd:
    """One virtual HBA with disks that Linux has found."""

    number: ClassVar[int]
    """Of the HBA."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.images = [media.make(guest, f"{type(self).__name__}{lun}") for lun in range(_DISKS)]
        self._start()
        self.disks = [self._disk(lun) for lun in range(_DISKS)]

    def _start(self) -> None:
        """Offer it."""
        raise NotImplementedError

    def _disk(self, lun: int) -> str:
        """The path of a disk, which is waited for."""
        found = f"/sys/bus/xen/devices/vscsi-{self.number}/host*/target*/*:0:0:{lun}/block/*"
        return "/dev/" + self.guest.text(f"within 30 sh -c '[ -e {found} ]' && basename {found}")


class Ours(BackEnd):
    """The daemon."""

    number = 0
    _hba = f"Domain-0/{number}"

    def __init__(self, dom0: Dom0) -> None:
        self._dom0 = dom0
        self.pid = 0
        super().__init__(dom0.guest)

    def _start(self) -> None:
        names = [f"disk{lun}" for lun in range(_DISKS)]
        units = "".join(
            _LOGICAL_UNIT.format(name=name, path=path) for name, path in zip(names, self.images, strict=True)
        )
        text = _CONFIGURATION.format(folder=_FOLDER, hba=self._hba, target=_TARGET, luns=json.dumps(names)) + units
        self.guest.run(f"mkdir -p {_FOLDER} && modprobe xen-scsifront")
        self.guest.put(f"{_FOLDER}/tgtd.toml", text.encode())
        name = self._dom0.start("tgtcore.cli.tgtd", "main", "--config", f"{_FOLDER}/tgtd.toml", "--json")
        ready = self.guest.run(f"within 60 test -s {name}.out; cat {name}.out {name}.err", check=False, timeout_s=70)
        try:
            self.pid = json.loads(ready.text)["pid"]
        except ValueError:
            raise RuntimeError(f"the daemon did not get ready: {ready.text}") from None

    def figures(self) -> dict[str, Any]:
        """What the virtual HBA has counted."""
        shown = self._dom0.admin("--socket", f"{_FOLDER}/socket", "xen", "show")
        return dict(shown[self._hba])


class Kernels(BackEnd):
    """``xen-scsiback`` with ``fileio`` of LIO, through the page cache as the daemon.

    It is offered only its own HBA: otherwise it would take every one that comes, ours too.
    """

    number = 1

    def __init__(self, guest: Guest) -> None:
        guest.run(
            f"""
            echo 0 >{_BUS}/drivers_autoprobe &&
            modprobe -a xen-scsifront target_core_mod target_core_file xen-scsiback &&
            {{ [ -e {_CONFIGURED} ] || mount -t configfs configfs /sys/kernel/config; }} && mkdir -p {_GROUP} &&
            echo {_INITIATOR} >{_GROUP}/nexus
            """
        )
        super().__init__(guest)

    def _start(self) -> None:
        for lun, path in enumerate(self.images):
            unit, port = f"{_CONFIGURED}/core/fileio_{lun}/disk{lun}", f"{_GROUP}/lun/lun_{lun}"
            self.guest.run(
                f"""
                mkdir -p {unit} {port} &&
                echo fd_dev_name={path},fd_dev_size={media.IMAGE_BYTES},fd_buffered_io=1 >{unit}/control &&
                echo 1 >{unit}/enable && ln -s {unit} {port}/disk{lun}
                """
            )
        back, front = f"/local/domain/0/backend/vscsi/0/{self.number}", f"/local/domain/0/device/vscsi/{self.number}"
        nodes = {f"{front}/backend": back, f"{front}/backend-id": "0", f"{front}/state": "1"}
        nodes |= {f"{back}/frontend": front, f"{back}/frontend-id": "0", f"{back}/online": "1"}
        for lun in range(_DISKS):
            device = f"{back}/vscsi-devs/dev-{lun}"
            nodes |= {f"{device}/p-dev": f"{_PORT}:{lun}", f"{device}/v-dev": f"0:0:0:{lun}", f"{device}/state": "1"}
        nodes[f"{back}/state"] = "1"
        device = f"vscsi-0-{self.number}"
        self.guest.run(
            f"""
            xenstore-write {" ".join(f"{path} {value}" for path, value in nodes.items())} &&
            within 10 test -e {_BUS}/devices/{device} && echo {device} >{_BUS}/drivers/vscsi/bind
            """
        )
