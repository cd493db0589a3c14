"""What the manual page shows is run, and says what it says there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel
from tgtcore_cow.options import OverlayOptions, Qcow2Options

_PAGE = (Path(__file__).parent.parent / "README.md").read_text()
_EXAMPLES = re.findall(r"^```python\n(.*?)^```", _PAGE, re.MULTILINE | re.DOTALL)
_SAID = [
    "['before']\nb'first content'\n",
    "b'for everyone'\nb'for Alice   '\n",
    "0%\n50%\n100%\nb'of today'\n",
    "b'new'\nb'new' ''\n",
    "True 0 0\nTrue True 0\n",
    "this is no qcow2 image: it begins with b'no i', expected b'QFI\\xfb'\nmissing.qcow2 can't be opened: no such file\n",
]


@pytest.mark.parametrize(("example", "said"), list(zip(_EXAMPLES, _SAID, strict=True)))
def test_an_example_runs(example: str, said: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout, done.stderr) == (said, "")


@pytest.mark.parametrize("options", [Qcow2Options, OverlayOptions])
def test_every_key_is_explained(options: type[BaseModel]) -> None:
    for key in options.model_fields:
        assert f"| `{key}` | " in _PAGE
