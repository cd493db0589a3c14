"""Showing results: tables for people, JSON for programs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

_LINE_CHARACTERS = 100
"""A list that makes a longer line is shown with an entry in each line."""


def show(result: Any, columns: Sequence[str] = (), *, as_json: bool) -> None:
    """Print a result.

    :param columns: of a list of objects, what to show and in which order; by default everything.
    """
    if as_json:
        click.echo(json.dumps(result, indent=2, default=str))
        return
    if isinstance(result, str):
        click.echo(result, nl=bool(result))
        return
    result = _plain(result)
    if _is_rows(result):
        _show_table(result, columns)
    elif isinstance(result, Mapping):
        _show_sections(result)
    else:
        click.echo(_cell("", result))


def plain(text: str) -> str:
    """A text that moves no cursor, whoever it comes from: initiators choose their names, and drivers say what they like."""
    return text if text.isprintable() else "".join(one if one.isprintable() else "?" for one in text)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, Mapping):
        return {plain(str(key)): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(row, Mapping) for row in value)


def _show_sections(result: Mapping[str, Any]) -> None:
    """Nested data as indented lines, lists of rows beneath them as tables."""
    tables = {name: rows for name, rows in result.items() if rows and _is_rows(rows)}
    lines = _lines({name: value for name, value in result.items() if name not in tables})
    if lines:
        click.echo("\n".join(lines))
    for name, rows in tables.items():
        click.echo(f"\n{name.replace('_', ' ')}:")
        _show_table(rows)


def _show_table(rows: list[Mapping[str, Any]], columns: Sequence[str] = ()) -> None:
    if not rows:
        click.echo("nothing")
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    names = list(columns) or list(rows[0])
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in names:
        numeric = all(isinstance(row.get(name), int) for row in rows)
        table.add_column(name.replace("_", " "), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(name, row.get(name))) for name in names))
    console = Console()
    if not console.is_terminal:
        console.width = 250  # whoever reads a pipe wants whole lines
    console.print(table)


def _cell(name: str, value: Any) -> str:
    if value is None or value in ("", [], {}):
        return "-"
    if (name == "bytes" or name.endswith("_bytes")) and isinstance(value, int):
        return size_text(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_cell(str(key), inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(f"[{_cell('', inner)}]" if isinstance(inner, list) else _cell("", inner) for inner in value)
    return str(value)


def _lines(value: Any, indent: str = "") -> list[str]:
    """Nested data as indented lines."""
    if not isinstance(value, Mapping):
        return [f"{indent}{_cell('', value)}"]
    lines = []
    for key, inner in value.items():
        line = f"{indent}{key}: {_cell(str(key), inner)}"
        if isinstance(inner, list) and (len(line) > _LINE_CHARACTERS or any(isinstance(one, Mapping) for one in inner)):
            entries = inner
        else:
            entries = [inner] if isinstance(inner, Mapping) and inner else []
        lines.append(f"{indent}{key}:" if entries else line)
        for entry in entries:
            lines += _lines(entry, indent + "  ")
    return lines


def size_text(size_bytes: int) -> str:
    """A size with the largest unit that fits: 1.50 GiB."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:g} {unit}" if unit == "B" else f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} TiB"
