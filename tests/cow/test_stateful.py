"""Random work on images of every kind, judged after every step; see :mod:`cow.machine`.

Our own check judges in every run of the tests, qemu-img where it is there.  ``--hypothesis-profile`` sets the number of sequences.
"""

from pathlib import Path

import pytest
from cow.judges import OwnJudge, QemuJudge
from cow.machine import ImageMachine
from hypothesis import settings

_SEQUENCES_MIN = 200
_STEPS = 30


class JudgedByUs(ImageMachine):
    judge = OwnJudge()


class JudgedByQemu(ImageMachine):
    pass


@pytest.mark.alike
@pytest.mark.timeout(0)
class TestJudgedByUs(JudgedByUs.TestCase):  # type: ignore[valid-type,misc]
    settings = settings(max_examples=max(settings().max_examples, _SEQUENCES_MIN), stateful_step_count=_STEPS)


@pytest.fixture(scope="class", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    JudgedByQemu.judge = QemuJudge(folder)
    return folder


@pytest.mark.oracle
@pytest.mark.timeout(0)
class TestJudgedByQemu(JudgedByQemu.TestCase):  # type: ignore[valid-type,misc]
    settings = settings(stateful_step_count=_STEPS)
