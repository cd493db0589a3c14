"""Extras that point at ``plugins/*`` inside a checkout and at released versions everywhere else.

``pip install '.[all]'`` in a checkout must bring the first-party plugins from their folders; a release build
(``TGTCORE_RELEASE=1``) must not, because package indexes refuse direct references.
"""

import os
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

PLUGINS = {
    "iscsi": "plugins/iscsi",
    "disk": "plugins/disk",
    "file": "plugins/backing/file",
    "cow": "plugins/backing/cow",
    "filters": "plugins/filters",
    "srp": "plugins/srp",
    "ibmvio": "plugins/ibmvio",
    "xen": "plugins/xen",
}


class FirstPartyPlugins(MetadataHookInterface):
    """Fills ``optional-dependencies``: one extra for each plugin, and ``all``."""

    def update(self, metadata: dict) -> None:
        release = bool(os.environ.get("TGTCORE_RELEASE"))
        extras = {}
        for name, place in PLUGINS.items():
            folder = Path(self.root, place)
            local = not release and (folder / "pyproject.toml").is_file()
            where = f" @ {folder.as_uri()}" if local else f"=={metadata['version']}"
            extras[name] = [f"tgtcore-{name}{where}"]
        extras["all"] = [requirement for requirements in extras.values() for requirement in requirements]
        metadata["optional-dependencies"] = extras
