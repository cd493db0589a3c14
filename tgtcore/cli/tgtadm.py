"""``tgtadm``: manages a running tgtd."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import click

from tgtcore.cli.exits import reported
from tgtcore.cli.output import show
from tgtcore.cli.progress import Progress
from tgtcore.cli.verb_commands import add_verbs
from tgtcore.config import default_socket
from tgtcore.errors import ConfigError
from tgtcore.management.client import Client
from tgtcore.management.verbs import VERBS, Verb

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 120}


@dataclass(frozen=True)
class _Settings:
    socket: Path
    as_json: bool


class _Anywhere(click.Group):
    """Takes ``--json`` after a command as well as before it."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Move ``--json`` to the front; a value that looks like it has to follow ``--``."""
        plain = args[: args.index("--")] if "--" in args else args
        if "--json" in plain[1:]:
            args.remove("--json")
            args.insert(0, "--json")
        return super().parse_args(context, args)

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Leave to the daemon what may be a verb of a plugin: several words, of which the first is no command's."""
        if len(args) > 1 and args[0] not in self.commands:
            return run.name, run, args
        return super().resolve_command(context, args)


@click.group(cls=_Anywhere, context_settings=_CONTEXT)
@click.option("--socket", type=click.Path(path_type=Path), metavar="PATH", help="The management socket of the daemon.")
@click.option("--json", "as_json", is_flag=True, help="JSON for programs.")
@click.version_option(package_name="tgtcore", prog_name="tgtadm")
@click.pass_context
def main(context: click.Context, socket: Path | None, as_json: bool) -> None:
    """Manage a running tgtd.

    The socket is --socket, or $TGTCORE_SOCKET, or the place where a tgtd of the same user has it by default.
    """
    context.obj = _Settings(socket or default_socket(), as_json)


def _settings() -> _Settings:
    found: _Settings = click.get_current_context().obj
    return found


def _call(verb: Verb, arguments: dict[str, Any], **words: str) -> None:
    """Run a verb and show its result."""
    settings = _settings()
    with (
        reported(as_json=settings.as_json, **words),
        Client(settings.socket) as client,
        Progress(as_json=settings.as_json) as progress,
    ):
        result = client.call(verb.name, arguments, progress)
    show(result, verb.columns, as_json=settings.as_json)


def _call_verb(verb: Verb, arguments: dict[str, Any]) -> None:
    words = {"interrupted": "the daemon gives it up"} if verb.interruptible else {}
    _call(verb, arguments, **words)


add_verbs(main, _call_verb)


_FILE = click.argument("file", type=click.Path(path_type=Path), metavar="FILE")


@main.command(short_help="Serve what a configuration says, changing only what differs.")
@_FILE
@click.option("--dry-run", is_flag=True, help="Only show what would change: the steps, and the difference.")
def apply(file: Path, dry_run: bool) -> None:
    """Serve what a configuration FILE says, changing only what differs."""
    given = _given(file)
    _call(VERBS["apply"], {**given, "dry_run": dry_run})
    if dry_run and not _settings().as_json:
        _call(VERBS["diff"], given)


@main.command(short_help="Show how a configuration differs from the one in force.")
@_FILE
def diff(file: Path) -> None:
    """Show how a configuration FILE differs from the one in force, line by line."""
    _call(VERBS["diff"], _given(file))


@cast(click.Group, main.commands["filter"]).command(
    short_help="Play a plan: filters that come, act and go at set times."
)
@_FILE
@click.option("--dry-run", is_flag=True, help="Only check it, and show its steps.")
@click.option("--keep", is_flag=True, help="Let the filters that it has added stay when it ends, as keep = true in it.")
def play(file: Path, dry_run: bool, keep: bool) -> None:
    """Play the plan in FILE: filters that come, change, act and go at set times.

    All of it is checked before anything happens.  When it ends, fails or is interrupted, the filters that it has added are removed.
    """
    arguments = {**_given(file), "dry_run": dry_run, "keep": keep}
    _call(VERBS["filter play"], arguments, interrupted="the daemon ends the plan and removes what it has added")


def _given(file: Path) -> dict[str, Any]:
    """A configuration file as the verbs take it."""
    with reported(as_json=_settings().as_json):
        try:
            text = file.read_text()
        except UnicodeDecodeError:
            raise ConfigError(f"{file}: not UTF-8") from None
        except OSError as error:
            raise ConfigError(f"{file}: {(error.strerror or str(error)).lower()}") from None
    return {"text": text, "name": str(file), "folder": os.path.dirname(os.path.abspath(file))}


@main.command(short_help="Write the configuration in force to a file.")
@_FILE
def save(file: Path) -> None:
    """Write the configuration in force to FILE; - is the standard output."""
    settings = _settings()
    with reported(as_json=settings.as_json):
        with Client(settings.socket) as client:
            text: str = client.call("save")
        if str(file) == "-":
            show({"configuration": text} if settings.as_json else text.rstrip("\n"), as_json=settings.as_json)
            return
        from tgtcore.config import write_atomically

        write_atomically(file, text.encode(), 0o600)
    show({"saved": str(file)}, as_json=settings.as_json)


@main.command(short_help="Run any verb, those of plugins included.")
@click.argument("words", nargs=-1, required=True, metavar="VERB... [KEY=VALUE...]")
def run(words: tuple[str, ...]) -> None:
    """Run any verb, those of plugins included: tgtadm verbs lists them.

    For those of plugins the word run may be left out.
    """
    from tgtcore.management.edits import assign

    settings = _settings()
    name = " ".join(word for word in words if "=" not in word)
    with reported(as_json=settings.as_json):
        arguments = assign(word for word in words if "=" in word)
        with Client(settings.socket) as client:
            result = client.call(name, arguments)
    show(result, as_json=settings.as_json)
