"""What tgtd says when it is ready: one line for programs, or how to attach for people."""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

import click

from tgtcore.cli.output import size_text
from tgtcore.daemon import Daemon


def urls(daemon: Daemon) -> list[str]:
    """The address of every LUN that everybody sees, on every portal."""
    return [
        url
        for target in daemon.inventory.targets.values()
        for lun in target.luns.luns()
        for url in daemon.inventory.transports[target.transport].urls(target, lun)
    ]


def say_json(daemon: Daemon, socket: Path) -> None:
    """The readiness line for programs."""
    line = {
        "ready": True,
        "pid": os.getpid(),
        "urls": urls(daemon),
        "socket": str(socket),
        "version": version("tgtcore"),
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def say_text(daemon: Daemon, socket: Path) -> None:
    """What people need to attach."""
    for target in daemon.inventory.targets.values():
        transport = daemon.inventory.transports[target.transport]
        for lun, lu in target.luns.luns().items():
            store = lu.store
            size = f", {size_text(store.size_bytes)}" if store else ""
            for url in transport.urls(target, lun):
                click.echo(f"{lu.name}{size}: {url}")
    seen = urls(daemon)
    if seen and seen[0].startswith("iscsi://"):
        click.echo(_attach(seen[0]))
    click.echo(f"manage with: tgtadm --socket {socket} show")
    click.echo("ready; Ctrl-C ends it")


def _attach(url: str) -> str:
    portal, target, _ = url.removeprefix("iscsi://").split("/", 2)
    return f"""to attach:
  iscsiadm -m discovery -t sendtargets -p {portal}
  iscsiadm -m node -T {target} -p {portal} --login
  qemu-system-x86_64 -drive file={url},format=raw,if=virtio
  iscsi-inq {url}"""
