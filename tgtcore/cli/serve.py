"""``tgtd serve``: a configuration made of a command line, for disks that are wanted right now."""

import os
import tempfile
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import UUID

from tgtcore.cli.chap_file import keep_secret, read_chap_file
from tgtcore.config.positions import Place
from tgtcore.errors import ConfigError
from tgtcore.logical_unit.identity import derived_unique_id

PORTAL = "127.0.0.1:3260"
TARGET = "iqn.2025-01.example.tgtcore:serve"

_MACHINE_ID = Path("/etc/machine-id")


@dataclass
class Wishes:
    """What the command line says; see ``tgtd serve --help``."""

    images: tuple[Path, ...]
    size: str | None = None
    portals: tuple[str, ...] = ()
    block_size: int | None = None
    read_only: bool = False
    removable: bool = False
    thick: bool = False
    isolation: str = "none"
    target: str = TARGET
    chap_file: Path | None = None
    allow: tuple[str, ...] = ()


def document(wishes: Wishes, folder: Path) -> dict[str, Any]:
    """The configuration that serves what is wished.

    :param folder: private to this daemon: its management socket and its secrets.
    :raises ConfigError: every wish that can't be granted.
    """
    problems = _problems(wishes)
    names = _names(wishes.images)
    made: dict[str, Any] = {
        "plugins": ["iscsi", "disk", "file"],
        "daemon": {
            "socket": str(folder / "tgtd.sock"),
            "drain_s": 5,
            "log_level": "warning",
        },
        "transports": {
            "iscsi": {
                "isolation": wishes.isolation,
                "portals": [{"address": address} for address in wishes.portals or (PORTAL,)],
            }
        },
        "logical_units": {name: _logical_unit(image, wishes) for name, image in zip(names, wishes.images, strict=True)},
        "targets": {wishes.target: _target(names, wishes)},
    }
    if wishes.chap_file is not None:
        try:
            _add_accounts(made, wishes, folder)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(*problems)
    return made


def words(wishes: Wishes) -> dict[Place, str]:
    """What the command line calls the places of its configuration, for messages."""
    called: dict[Place, str] = {("targets", wishes.target): f"--target {wishes.target}"}
    for number, portal in enumerate(wishes.portals):
        called["transports", "iscsi", "portals", number] = f"--portal {portal}"
    for name, image in zip(_names(wishes.images), wishes.images, strict=True):
        called["logical_units", name] = str(image)
        called["logical_units", name, "store", "size"] = f"--size {wishes.size}"
    return called


def private_folder() -> Path:
    """A new folder that only we can read, for the management socket of one daemon."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    usable = runtime if runtime and os.access(runtime, os.W_OK) else None
    return Path(tempfile.mkdtemp(prefix="tgtd-", dir=usable))


def _problems(wishes: Wishes) -> list[str]:
    problems = []
    for image in wishes.images:
        if not image.exists() and wishes.size is None:
            problems.append(f"{image}: there is no such file; to make it, say how large: --size 1G")
    if wishes.chap_file is None and not wishes.allow:
        problems += [
            f"--portal {portal}: others could reach it; say who may: --chap-file FILE or --allow PATTERN"
            for portal in wishes.portals
            if not _is_loopback(portal)
        ]
    return problems


def _is_loopback(portal: str) -> bool:
    host = portal.rpartition(":")[0] if portal.count(":") == 1 or portal.startswith("[") else portal
    try:
        return ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def _names(images: tuple[Path, ...]) -> list[str]:
    """One name for each image: disk0, disk1, ..."""
    return [f"disk{number}" for number in range(len(images))]


def _logical_unit(image: Path, wishes: Wishes) -> dict[str, Any]:
    path = image.absolute()
    store: dict[str, Any] = {"type": "file", "path": str(path)}
    if wishes.size is not None:
        store.update(size=wishes.size, create=True)
    if wishes.thick:
        store["preallocate"] = True
    unit: dict[str, Any] = {
        "device_type": "disk",
        "store": store,
        "unique_id": str(UUID(bytes=derived_unique_id("serve", *_machine(), str(path.resolve())))),
        "read_only": wishes.read_only,
        "removable": wishes.removable,
    }
    if wishes.thick:
        unit["thin"] = False
    if wishes.block_size is not None:
        unit["block_size"] = wishes.block_size
    return unit


def _machine() -> tuple[str, str]:
    """What tells this machine from others: an initiator would take two that serve an image of the same path for one disk."""
    try:
        installation = _MACHINE_ID.read_text().strip()
    except OSError:
        installation = ""
    return installation, os.uname().nodename


def _target(names: list[str], wishes: Wishes) -> dict[str, Any]:
    target: dict[str, Any] = {
        "transport": "iscsi",
        "luns": {str(lun): name for lun, name in enumerate(names)},
        "allow": {"initiators": list(wishes.allow) or ["*"]},
    }
    return target


def _add_accounts(made: dict[str, Any], wishes: Wishes, folder: Path) -> None:
    """Secrets go on to files of our own in a private folder, never into a configuration."""
    assert wishes.chap_file is not None
    accounts: dict[str, Any] = made.setdefault("accounts", {})
    target: dict[str, Any] = made["targets"][wishes.target]
    for number, entry in enumerate(read_chap_file(wishes.chap_file)):
        name = f"chap{number}"
        accounts[name] = {"user": entry.user, "secret_file": str(keep_secret(folder / name, entry.secret))}
        if entry.mutual:
            target["mutual"] = name
        else:
            target.setdefault("auth", []).append(name)
