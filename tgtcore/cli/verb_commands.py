"""The commands of tgtadm, made of the table of verbs: words become groups, arguments and options come from the models."""

import os
from collections.abc import Callable
from types import UnionType
from typing import Any, Union, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from tgtcore.management.verbs import VERBS, Verb

Call = Callable[[Verb, dict[str, Any]], None]
"""Runs a verb with the arguments of its command line and shows the result."""

_FILLED_IN = "cwd"
_OWN_COMMANDS = frozenset({"apply", "diff", "filter play", "save"})
"""Verbs whose command lines handle files, and are written by hand."""

_GROUP_HELP = {
    "access": "Who may log in.",
    "account": "User names and where their secrets are.",
    "filter": "Filters: faults, limits and logs of logical units.",
    "lu": "Logical units: the devices.",
    "lun": "LUNs: which logical unit is found where.",
    "plugin": "Plugins.",
    "portal": "Where transports listen.",
    "session": "Initiators that are logged in.",
    "snapshot": "Snapshots: what logical units held at earlier times.",
    "target": "Targets: what initiators log in to.",
    "transport": "Transports: how initiators reach targets.",
}
_VERB_FIRST_HELP = {
    "drain": "Take nobody new, and wait until nobody uses it.",
    "holders": "List who uses something.",
    "remove": "Take something out of the configuration and end its use.",
    "reopen": "Take users again after a drain.",
}
"""Words that may stand before the thing as well: ``drain target NAME`` is ``target drain NAME``."""


def add_verbs(main: click.Group, call: Call) -> None:
    """Add a command for each verb."""
    for verb in VERBS.values():
        if verb.name in _OWN_COMMANDS:
            continue
        *outer, last = verb.name.split()
        group = main
        for word in outer:
            found = group.commands.get(word)
            if not isinstance(found, click.Group):
                found = click.Group(word, help=_GROUP_HELP[word])
                group.add_command(found)
            group = found
        group.add_command(_command(verb, last, call))
    for last, text in _VERB_FIRST_HELP.items():
        main.add_command(_verb_first(main, last, text))


def _verb_first(main: click.Group, last: str, text: str) -> click.Group:
    """A group of the commands that end with a word, for those who say that word first."""
    group = click.Group(last, help=text)
    for thing, commands in main.commands.items():
        if isinstance(commands, click.Group) and last in commands.commands:
            group.add_command(commands.commands[last], thing)
    return group


def _command(verb: Verb, name: str, call: Call) -> click.Command:
    def run(**values: Any) -> None:
        given = {key: _plain(value) for key, value in values.items() if value not in (None, ())}
        if _FILLED_IN in verb.arguments.model_fields:
            given[_FILLED_IN] = os.getcwd()
        call(verb, given)

    fields = verb.arguments.model_fields.items()
    parameters = [_parameter(key, field) for key, field in fields if key != _FILLED_IN]
    text = verb.help + "".join(
        f"\n\n{key.upper()}: {field.description}." for key, field in fields if _is_positional(field)
    )
    return click.Command(name, callback=run, params=parameters, help=text, short_help=verb.help)


def _parameter(key: str, field: FieldInfo) -> click.Parameter:
    kind, many = _kind(field.annotation)
    if _is_positional(field):
        return click.Argument([key], required=field.is_required(), nargs=-1 if many else 1, type=kind)
    option = "--" + key.replace("_", "-")
    if kind is click.BOOL:
        return click.Option([option], is_flag=True, help=field.description)
    default = None if field.default in (None, ()) else field.default
    shown = default is not None
    return click.Option([option], multiple=many, type=kind, help=field.description, default=default, show_default=shown)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _is_positional(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("positional"))


def _kind(annotation: Any) -> tuple[click.ParamType[Any], bool]:
    """Click's type of a field, and whether it takes several values.  The daemon checks; this only helps to write."""
    if get_origin(annotation) is tuple:
        return click.STRING, True
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(one for one in get_args(annotation) if one is not type(None))
    return (click.BOOL, False) if annotation is bool else (click.STRING, False)
