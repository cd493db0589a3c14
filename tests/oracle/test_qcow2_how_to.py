"""The how-to guide on qcow2 images: everything that it tells its reader to do is done, in order."""

import shlex
from contextlib import ExitStack
from pathlib import Path

import pytest
from oracle.how_to import OURS, steps, typed
from support.process import Tgtd

pytestmark = pytest.mark.oracle


def test_everything_works_in_the_order_of_the_page(tmp_path: Path) -> None:
    said: dict[str, str] = {}
    with ExitStack() as daemon:
        for file, text in steps("qcow2.md"):
            if file:
                (tmp_path / file).write_text(OURS + text)
                continue
            offline = " convert -O " in text or "rebase" in text
            if text.startswith("tgtd ") or offline:
                daemon.close()
            if text.startswith("tgtd "):
                daemon.enter_context(Tgtd(*shlex.split(text)[1:], "--json", cwd=tmp_path))
            else:
                said[text] = typed(text, tmp_path).stdout
    assert "No errors were found" in said["qemu-img check -U data.qcow2"]
    assert "for-the-copy" in said["qemu-img snapshot -U -l data.qcow2"]
    assert (tmp_path / "copy.raw").stat().st_size == 10 << 30
    assert "image: golden.qcow2" in said["qemu-img info -U --backing-chain alice.qcow2"]
    assert "backing file" not in typed("qemu-img info alice.qcow2", tmp_path).stdout
