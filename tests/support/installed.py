"""Plugins that pip has installed into a fresh environment of their own, beside what this one has."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

_OUTER = Path(sysconfig.get_path("purelib"))


def installed(source: Path, folder: Path) -> dict[str, str]:
    """Install a project folder with pip, and return the environment variables with which Python finds it.

    The new virtual environment sees this one, so that requirements are met and nothing is fetched.
    """
    project = shutil.copytree(source, folder / "project")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    inner = folder / "venv" / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (inner / "outer.pth").write_text(f"import site; site.addsitedir({str(_OUTER)!r})\n")
    words = ["--quiet", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", *words, project],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(inner), os.environ.get("PYTHONPATH")]))}
