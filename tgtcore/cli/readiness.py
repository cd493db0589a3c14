"""What tgtd says when it is ready: one line for programs, or how to attach for people."""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

import click

from tgtcore.cli.output import size_text
from tgtcore.daemon import Daemon


async def urls(daemon: Daemon) -> list[str]:
    """The address of every LUN that everybody sees, on every portal."""
    return [
        url
        for target in daemon.inventory.targets.values()
        for found in (await daemon.inventory.transports[target.transport].urls(target)).values()
        for url in found
    ]


async def summary(daemon: Daemon) -> str:
    """What is served, in one line."""
    inventory = daemon.inventory
    portals = sum([len(await transport.portals()) for transport in inventory.transports.values()])
    return f"serving {len(inventory.units)} logical units, {len(inventory.targets)} targets, {portals} portals"


async def say_json(daemon: Daemon, socket: Path) -> None:
    """The readiness line for programs."""
    line = {
        "ready": True,
        "pid": os.getpid(),
        "urls": await urls(daemon),
        "socket": str(socket),
        "version": version("tgtcore"),
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def say_text(daemon: Daemon, socket: Path) -> None:
    """What people need to attach."""
    for target in daemon.inventory.targets.values():
        addresses = await daemon.inventory.transports[target.transport].urls(target)
        for lun, lu in target.luns.luns().items():
            store = lu.store
            size = f", {size_text(store.size_bytes)}" if store else ""
            for url in addresses[lun]:
                click.echo(f"{lu.name}{size}: {url}")
    seen = await urls(daemon)
    if seen and seen[0].startswith("iscsi://"):
        click.echo(_attach(seen[0], _user(daemon)))
    click.echo(f"manage with: tgtadm --socket {socket} show")
    click.echo("ready; Ctrl-C ends it")


def say_stopping() -> None:
    """What people see after the first Ctrl-C."""
    click.echo("stopping: letting initiators finish; Ctrl-C again ends it at once")


def _user(daemon: Daemon) -> str:
    """The user name of an account that may log in to the first target; empty when it asks for none."""
    target = next(iter(daemon.config.targets.values()))
    accounts = getattr(target.options, "auth", ())
    return daemon.config.accounts[accounts[0]].user if accounts else ""


def _attach(url: str, user: str) -> str:
    portal, target, _ = url.removeprefix("iscsi://").split("/", 2)
    node = f"iscsiadm -m node -T {target} -p {portal}"
    lines = [f"iscsiadm -m discovery -t sendtargets -p {portal}"]
    if user:
        url = url.replace("iscsi://", f"iscsi://{user}%SECRET@", 1)
        auth = {"authmethod": "CHAP", "username": user, "password": "SECRET"}
        lines += [f"{node} -o update -n node.session.auth.{key} -v {value}" for key, value in auth.items()]
    lines += [
        f"{node} --login",
        f"qemu-system-x86_64 -drive file={url},format=raw,if=virtio",
        f"iscsi-inq {url}",
    ]
    return "\n  ".join(["to attach:" if not user else "to attach, with the secret in the place of SECRET:", *lines])
