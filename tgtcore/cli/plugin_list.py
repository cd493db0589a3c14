"""``tgtd plugins``: what is installed, and what it offers."""

from typing import Any

from tgtcore.cli.output import show
from tgtcore.errors import PluginError
from tgtcore.plugins import Plugins, installed

_COLUMNS = ("name", "distribution", "version", "offers", "hooks", "error")


def show_installed(*, as_json: bool) -> None:
    """Print one row for each installed plugin; a broken one shows its error."""
    rows = [
        _row(name, str(record.distribution), record.version)
        for name, records in installed().items()
        for record in records
    ]
    show(rows, _COLUMNS, as_json=as_json)


def _row(name: str, distribution: str, version: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": name,
        "distribution": distribution,
        "version": version,
        "offers": {},
        "hooks": [],
        "error": "",
    }
    try:
        (record,) = Plugins.load([name]).records
    except PluginError as error:
        row["error"] = str(error)
    else:
        row["offers"], row["hooks"] = record.offers, record.hooks
    return row
