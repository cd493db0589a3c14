"""The kit that the core offers to authors of filters, on these filters."""

from pathlib import Path
from typing import Any

import pytest
from tgtcore_filters.commands import FILTERS

from tgtcore import CommandFilter
from tgtcore.testing.command_filter import COMMANDS, INQUIRY, READY, UNKNOWN, CommandFilterConformance


class TestDelay(CommandFilterConformance):
    leaves_alone = (READY, INQUIRY)

    def make_filter(self) -> CommandFilter:
        return made("delay", commands=["reads", "writes", "flushes"], seconds=0.01, distribution="exponential")


class TestError(CommandFilterConformance):
    leaves_alone = (READY, INQUIRY)

    def make_filter(self) -> CommandFilter:
        return made("error", commands=["reads", "writes"], every=2, errno="EIO")


class TestBlackHole(CommandFilterConformance):
    leaves_alone = (READY, INQUIRY, UNKNOWN)

    def make_filter(self) -> CommandFilter:
        return made("black-hole", commands=["reads", "writes", "flushes"])


class TestRate(CommandFilterConformance):
    leaves_alone = (READY, INQUIRY)

    def make_filter(self) -> CommandFilter:
        return made("rate", commands=["reads", "writes"], iops=500, bytes_per_second="1M")


class TestSlowRate(CommandFilterConformance):
    """Everything but the first command waits for longer than the test takes."""

    def make_filter(self) -> CommandFilter:
        return made("rate", iops=0.001)


class TestLog(CommandFilterConformance):
    leaves_alone = COMMANDS

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make_filter(self) -> CommandFilter:
        return made("log", path=self.folder / "log")


class TestStats(CommandFilterConformance):
    leaves_alone = COMMANDS

    def make_filter(self) -> CommandFilter:
        return made("stats")


def made(name: str, **options: Any) -> CommandFilter:
    return FILTERS[name](FILTERS[name].Options(**options))
