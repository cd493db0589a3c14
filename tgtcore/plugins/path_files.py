"""Path configuration files (``*.pth``): how editable installs make their code known to Python, at its start only.

A daemon that is to load what was installed after its start reads those that have come since, as :mod:`site` would have.
"""

import os
import site
import sys
from pathlib import Path

_Seen = dict[Path, tuple[int, int]]


class PathFiles:
    """Remembers which files there are from the time when it is made."""

    def __init__(self) -> None:
        self._seen = _present()

    def read_new(self) -> None:
        """Put what new or changed files name on ``sys.path``, and run their import lines."""
        present = _present()
        for path, stamp in present.items():
            if self._seen.get(path) != stamp:
                site.addpackage(str(path.parent), path.name, {os.path.abspath(one) for one in sys.path})
        self._seen = present


def _present() -> _Seen:
    folders = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    found = [path for folder in folders for path in sorted(Path(folder).glob("*.pth"))]
    return {path: ((status := path.stat()).st_mtime_ns, status.st_size) for path in found}
