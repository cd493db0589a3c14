"""Unique ids of logical units: made once, remembered in the state directory, the same after every restart."""

import json
import uuid
from pathlib import Path

from tgtcore.config import make_folder, write_atomically
from tgtcore.errors import ConfigError

FILE = "identities.json"
_VERSION = 1


class Identities:
    """Name of a logical unit → 16 bytes.

    :param directory: the daemon's state directory; made when there is an id to remember.
    :raises ConfigError: the file is there and can't be used.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._kept = self._read()
        self._known = dict(self._kept)

    def get(self, name: str) -> bytes:
        """The id of a logical unit, made now if it has none yet; :meth:`keep` makes sure that it stays."""
        if name not in self._known:
            self._known[name] = uuid.uuid4().hex
        return bytes.fromhex(self._known[name])

    def keep(self) -> None:
        """Remember the ids that were made: what was asked for has succeeded.

        :raises ConfigError: they can't be remembered.
        """
        if self._known == self._kept:
            return
        try:
            self._write()
        except OSError as error:
            names = ", ".join(sorted(set(self._known) - set(self._kept)))
            raise ConfigError(
                f"{self._path}: {(error.strerror or str(error)).lower()}; give each logical unit ({names}) a unique_id, "
                "or the daemon a state_directory that it may write to"
            ) from None
        self._kept = dict(self._known)

    def forget(self) -> None:
        """Forget the ids that were made since the last :meth:`keep`: what was asked for has failed."""
        self._known = dict(self._kept)

    def _read(self) -> dict[str, str]:
        try:
            content = json.loads(self._path.read_bytes())
            if content["version"] != _VERSION:
                raise ValueError(f"version {content['version']} is not {_VERSION}")
            return {str(name): bytes.fromhex(value).hex() for name, value in content["logical_units"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"{self._path}: the identities of logical units can't be read: {error}") from None

    def _write(self) -> None:
        make_folder(self._path.parent)
        content = {"version": _VERSION, "logical_units": dict(sorted(self._known.items()))}
        write_atomically(self._path, json.dumps(content, indent=1).encode(), 0o600)
