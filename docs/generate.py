"""Fills the generated tables of the reference pages, and writes the C header of the ring, from the code.

``python docs/generate.py``; with ``--check`` it only compares.

A page holds ``<!-- table: NAME -->`` and ``<!-- end -->``; what stands between them is replaced.
"""

import ast
import dataclasses
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
import tgtcore_iscsi.limits
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from ring_tables import c_header, page_tables
from tgtcore_disk import Disk
from tgtcore_iscsi.keys import KEYS, Sender
from tgtcore_iscsi.parameters import Offer

import tgtcore.cli.tgtd
import tgtcore.limits
from tgtcore import DeviceType, ReservationClass, signals
from tgtcore.config.models import (
    AccountOptions,
    AllowKeys,
    DaemonOptions,
    FilterKeys,
    LogicalUnitKeys,
    PrivateLunsKeys,
    SnapshotKeys,
    TargetKeys,
    TransportKeys,
)
from tgtcore.management.plans import PlanKeys, StepKeys
from tgtcore.management.verbs import VERBS
from tgtcore.plugins import Plugins
from tgtcore.scsi.cdb import command_name

REFERENCE = Path(__file__).parent / "reference"
C_HEADER = Path(__file__).parents[1] / "contrib" / "ring-driver" / "tgtring.h"
_BLOCK = re.compile(r"<!-- table: (?P<name>[^>]+?) -->\n(?P<body>.*?)<!-- end -->", re.DOTALL)


def table(head: list[str], rows: Iterator[list[str]] | list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def docstrings(source: str) -> dict[str, str]:
    """The string after each assignment in a body: name → text."""
    body = ast.parse(textwrap.dedent(source)).body
    if len(body) == 1 and isinstance(body[0], ast.ClassDef):
        body = body[0].body
    found: dict[str, str] = {}
    for statement, after in pairwise(body):
        target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        if isinstance(target, ast.Name) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[target.id] = " ".join(inspect.cleandoc(str(after.value.value)).split())
    return found


def keys(model: type[BaseModel]) -> str:
    """The configuration keys of a model."""
    texts: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if issubclass(cls, BaseModel) and cls.__module__ != "pydantic.main":
            texts.update(docstrings(inspect.getsource(cls)))
    rows = [
        [f"`{name}`", kind(field.annotation), default(field), field.description or texts.get(name, "")]
        for name, field in model.model_fields.items()
    ]
    return table(["key", "type", "default", "meaning"], rows) if rows else "It has no keys.\n"


def kind(annotation: Any) -> str:
    """A type in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{value!r}`".replace("'", '"') for value in arguments)
    if origin is tuple or origin is list:
        return f"list of {kind(arguments[0])}"
    if origin is dict:
        return "table"
    if origin is Union or str(origin) == "<class 'types.UnionType'>":
        return " or ".join(kind(argument) for argument in arguments if argument is not type(None))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    words = {
        "str": "text",
        "int": "number",
        "float": "number",
        "bool": "`true` or `false`",
        "Path": "path",
        "Any": "LUN map",
    }
    return words.get(getattr(annotation, "__name__", str(annotation)), getattr(annotation, "__name__", str(annotation)))


def default(field: FieldInfo) -> str:
    """A default value as TOML writes it."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value in ((), {}, ""):
        return "-"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, BaseModel) or (isinstance(value, tuple) and isinstance(value[0], BaseModel)):
        return "see below"
    return "`" + repr(list(value) if isinstance(value, tuple) else value).replace("'", '"') + "`"


def limits(module: ModuleType) -> str:
    """The maxima of a module."""
    texts = docstrings(inspect.getsource(module))
    rows = [[f"`{name}`", f"{value}", texts.get(name, "")] for name, value in vars(module).items() if name.isupper()]
    return table(["limit", "value", "reason"], rows)


def verbs() -> str:
    """Every verb with its arguments."""
    parts = []
    for name, verb in sorted(VERBS.items()):
        parts.append(f"### `{name}`\n\n{verb.help}\n")
        fields = {
            key: field for key, field in verb.arguments.model_fields.items() if key not in ("cwd", "text", "folder")
        }
        rows = [
            [f"`{key}`", kind(field.annotation), default(field), field.description or ""]
            for key, field in fields.items()
        ]
        if rows:
            parts.append(table(["argument", "type", "default", "meaning"], rows))
    return "\n".join(parts)


_KEPT_FROM_OTHERS = {
    ReservationClass.ALWAYS: "-",
    ReservationClass.READINESS: "ready",
    ReservationClass.READ: "read",
    ReservationClass.WRITE: "write",
}


def commands(device_type: type[DeviceType]) -> str:
    """The opcode table of a device type."""
    rows = []
    for (opcode, action), (entry, _) in sorted(
        device_type.commands.items(), key=lambda item: (item[0][0], item[0][1] or 0)
    ):
        cdb = bytes((opcode, action or 0)).ljust(16, b"\0")
        code = f"{opcode:02X}h" if action is None else f"{opcode:02X}h/{action:02X}h"
        kept = _KEPT_FROM_OTHERS[entry.reservation]
        rows.append([code, command_name(cdb), f"{entry.timeout_s} s", entry.feature or "-", kept])
    return table(["code", "command", "timeout", "feature", "reservations keep others from"], rows)


def iscsi_keys() -> str:
    """The text keys of iSCSI."""
    wishes = {field.name: field.default for field in dataclasses.fields(Offer)}
    rows = []
    for key in KEYS.values():
        ours = key.fixed if key.fixed is not None else wishes.get(key.attribute)
        rows.append(
            [
                f"`{key.name}`",
                " and ".join(one.name.lower() for one in Sender if one in key.sender and one is not Sender.BOTH),
                key.use.name.lower().replace("_", " "),
                key.kind.name,
                key.result.__name__.replace("_", " ") if key.result else "-",
                _iscsi_value(key.default),
                _iscsi_value(ours),
            ]
        )
    return table(["key", "sent by", "in", "value", "result", "default", "ours"], rows)


def _iscsi_value(value: Any) -> str:
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "-" if value is None else str(value)


def options_of(command: click.Command) -> str:
    """The options of a command line."""
    rows = []
    for option in command.params:
        if isinstance(option, click.Option):
            word = option.make_metavar(click.Context(command)) if not option.is_flag else ""
            repeated = " It can be repeated." if option.multiple else ""
            rows.append([f"`{option.opts[0]}{' ' + word if word else ''}`", (option.help or "") + repeated])
    return table(["option", "meaning"], rows)


def all_tables() -> dict[str, Callable[[], str]]:
    """Every table by the name that pages use."""
    registry = Plugins.load(["iscsi", "disk", "file", "cow", "filters"]).registry
    tables: dict[str, Callable[[], str]] = {
        "limits tgtcore": lambda: limits(tgtcore.limits),
        "limits iscsi": lambda: limits(tgtcore_iscsi.limits),
        "verbs": verbs,
        "commands disk": lambda: commands(Disk),
        "iscsi keys": iscsi_keys,
        "options serve": lambda: options_of(tgtcore.cli.tgtd.serve),
        "signals": lambda: table(
            ["signal", "news"], [[f"`{n}`", s.__doc__ or ""] for n, s in signals.every_signal().items()]
        ),
    }
    tables |= page_tables(table)
    core = (
        DaemonOptions,
        AccountOptions,
        LogicalUnitKeys,
        SnapshotKeys,
        FilterKeys,
        TransportKeys,
        TargetKeys,
        AllowKeys,
        PrivateLunsKeys,
        PlanKeys,
        StepKeys,
    )
    models: dict[str, type[BaseModel]] = {model.__name__: model for model in core}
    for offers in registry.kinds():
        for name in offers:
            cls: Any = offers.get(name)
            models[f"{offers.kind} {name}"] = cls.Options
            if hasattr(cls, "TargetOptions"):
                models[f"target of {name}"] = cls.TargetOptions
            for field in cls.Options.model_fields.values():
                for inner in get_args(field.annotation):
                    if isinstance(inner, type) and issubclass(inner, BaseModel):
                        models[inner.__name__] = inner
    return tables | {f"keys {name}": (lambda model=model: keys(model)) for name, model in models.items()}


def filled(page: str, tables: dict[str, Callable[[], str]]) -> str:
    """A page with its tables as the code has them now."""

    def fill(found: re.Match[str]) -> str:
        return f"<!-- table: {found['name']} -->\n\n{tables[found['name']]()}\n<!-- end -->"

    return _BLOCK.sub(fill, page)


def main() -> int:
    """Fill every page; with ``--check``, only say which ones differ."""
    stale = []
    tables = all_tables()
    written = {path: filled(path.read_text(), tables) for path in sorted(REFERENCE.glob("*.md"))}
    written[C_HEADER] = c_header()
    for path, new in written.items():
        if not path.exists() or path.read_text() != new:
            stale.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(new)
    sys.stdout.write(f"{'stale' if '--check' in sys.argv else 'written'}: {', '.join(stale) or 'nothing'}\n")
    return int(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
