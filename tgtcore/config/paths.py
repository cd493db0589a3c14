"""Relative paths in a configuration count from the folder of its file, wherever the daemon runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.types import PathType

_FOLDER = PathType("dir")


def absolute(model: type[BaseModel], values: Any, base: Path) -> Any:
    """A table with its paths made absolute: those of the keys that ``model`` declares as paths."""
    if not isinstance(values, dict):
        return values
    made = dict(values)
    for name in _path_keys(model):
        value = made.get(name)
        if isinstance(value, str) and value:
            made[name] = str(base / _expanded(Path(value)))
    return made


def paths_of(options: BaseModel) -> Iterator[Path]:
    """The files that checked options name; many things may be in one folder."""
    fields = type(options).model_fields
    for name, path in named_paths(options):
        if not _is_folder(fields[name].annotation, *fields[name].metadata):
            yield path


def named_paths(options: BaseModel) -> Iterator[tuple[str, Path]]:
    """The same with their keys."""
    for name in _path_keys(type(options)):
        value = getattr(options, name)
        if isinstance(value, Path):
            yield name, value


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # there is no such user
        return path


def _path_keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if _is_path(field.annotation):
            yield name


def _is_path(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, Path):
        return True
    return any(_is_path(argument) for argument in get_args(annotation))


def _is_folder(*declared: Any) -> bool:
    """Whether a key is declared as a :data:`pydantic.DirectoryPath`."""
    return any(one == _FOLDER or _is_folder(*get_args(one)) for one in declared)
