"""``tgtd``: the daemon."""

import contextlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tgtcore.cli.exits import reported

if TYPE_CHECKING:
    from tgtcore.cli.run import Ready

_FILE = click.Path(path_type=Path, readable=False)
_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 120}


@click.group(invoke_without_command=True, context_settings=_CONTEXT)
@click.option("--config", type=_FILE, metavar="FILE", help="Serve what a configuration file says.")
@click.option("--check", type=_FILE, metavar="FILE", help="Check a configuration file, show every problem and exit.")
@click.option("--reader", multiple=True, metavar="PLUGIN", help="A plugin that can read the file, if it is not TOML.")
@click.option(
    "--json", "as_json", is_flag=True, help="Say what programs need: one line of JSON when everything is ready."
)
@click.option(
    "--take-over",
    is_flag=True,
    help="With --config: take the place of the daemon that serves there now, without a refused connection.",
)
@click.version_option(package_name="tgtcore", prog_name="tgtd")
@click.pass_context
def main(
    context: click.Context,
    config: Path | None,
    check: Path | None,
    reader: tuple[str, ...],
    as_json: bool,
    take_over: bool,
) -> None:
    """Serve virtual SCSI devices to initiators."""
    if take_over and config is None:
        raise click.UsageError("--take-over wants --config")
    if context.invoked_subcommand is not None:
        if config is not None or check is not None:
            raise click.UsageError("--config and --check stand alone")
        context.obj = as_json
    elif check is not None:
        _check(check, reader, as_json)
    elif config is not None:
        _serve_file(config, reader, as_json, take_over=take_over)
    else:
        raise click.UsageError("say what to serve: --config FILE, or serve IMAGE")


def _check(path: Path, readers: tuple[str, ...], as_json: bool) -> None:
    from tgtcore.daemon import load_file

    with reported(as_json=as_json):
        _, config = load_file(path, readers)
    found = {"targets": len(config.targets), "logical_units": len(config.logical_units)}
    if as_json:
        click.echo(json.dumps({"ok": True, **found}))
    else:
        counts = ", ".join(f"{n} {what.replace('_', ' ')[: None if n != 1 else -1]}" for what, n in found.items())
        click.echo(f"{path}: no problems ({counts})")


def _serve_file(path: Path, readers: tuple[str, ...], as_json: bool, *, take_over: bool) -> None:
    from tgtcore.cli.run import run
    from tgtcore.daemon import load_file

    with reported(as_json=as_json):
        status = run(lambda: load_file(path, readers), _ready(as_json), reload_from=path, take_over=take_over)
    sys.exit(status)


@main.command(short_help="Serve image files right now, without a configuration.")
@click.argument("images", nargs=-1, required=True, type=_FILE, metavar="IMAGE...")
@click.option("--size", metavar="SIZE", help="Make images that are not there, this large: 512M, 1G, 1.5T.")
@click.option(
    "--portal", "portals", multiple=True, metavar="ADDRESS:PORT", help="Where to listen; port 0 takes a free one."
)
@click.option("--block-size", type=click.Choice(["512", "4096"]), help="Logical block size in bytes.")
@click.option("--read-only", is_flag=True, help="Refuse every write.")
@click.option("--removable", is_flag=True, help="A medium that initiators may eject.")
@click.option("--thick", is_flag=True, help="Reserve all space at once, and offer no UNMAP.")
@click.option(
    "--isolation",
    type=click.Choice(["none", "process"]),
    default="none",
    help="Speak iSCSI in the daemon, or in a process of its own.",
)
@click.option("--target", metavar="IQN", help="The target's name.")
@click.option(
    "--chap-file",
    type=_FILE,
    metavar="FILE",
    help='Initiators must log in as one of "USER SECRET" in this file (0600).',
)
@click.option(
    "--allow", multiple=True, metavar="PATTERN", help="Only initiators with such a name, such as iqn.*:host1."
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON when everything is ready.")
@click.pass_obj
def serve(
    outer_json: bool | None,
    /,
    images: tuple[Path, ...],
    block_size: str | None,
    target: str | None,
    as_json: bool,
    **wishes: object,
) -> None:
    """Serve image files right now, without a configuration: each IMAGE becomes a LUN, counted from 0.

    Listens on 127.0.0.1:3260 and admits everybody there; a portal on another address wants --chap-file or --allow.
    """
    from tgtcore.cli.run import run
    from tgtcore.cli.serve import TARGET, Wishes, document, words
    from tgtcore.config import Source
    from tgtcore.daemon import load_source

    as_json = as_json or bool(outer_json)
    with reported(as_json=as_json), _private_folder() as folder:
        wanted = Wishes(
            images=images,
            block_size=int(block_size) if block_size else None,
            target=target or TARGET,
            **wishes,  # type: ignore[arg-type]
        )
        source = Source(document(wanted, folder), Path.cwd(), words=words(wanted))
        status = run(lambda: load_source(source), _ready(as_json), stopping=_stopping(as_json), private=folder)
    sys.exit(status)


@main.command("plugins")
@click.option("--json", "as_json", is_flag=True, help="JSON for programs.")
@click.pass_obj
def list_plugins(outer_json: bool | None, /, as_json: bool) -> None:
    """List the installed plugins and what they offer."""
    from tgtcore.cli.plugin_list import show_installed

    with reported(as_json=as_json):
        show_installed(as_json=as_json or bool(outer_json))


def _ready(as_json: bool) -> "Ready":
    from tgtcore.cli.readiness import say_json, say_text

    return say_json if as_json else say_text


def _stopping(as_json: bool) -> "Callable[[], None]":
    from tgtcore.cli.readiness import say_stopping

    return (lambda: None) if as_json else say_stopping


@contextlib.contextmanager
def _private_folder() -> Iterator[Path]:
    from tgtcore.cli.serve import private_folder

    folder = private_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
