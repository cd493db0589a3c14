"""The end of the daemon: in order, or at once."""

import gc
import os
import signal
import threading
from pathlib import Path

import pytest
from daemon.conftest import CONFIG
from support.fakes import FakeStore, fake_plugins
from support.process import Tgtd

from tgtcore.cli.run import run
from tgtcore.config import parse
from tgtcore.daemon.load import check_source

SERVE = ("serve", "a.img", "--size", "1M", "--portal", "127.0.0.1:0", "--json")


def test_the_second_signal_ends_at_once(tmp_path: Path) -> None:
    """Both are sent while the process stands still, so that they arrive before the first one has drained anything."""
    with Tgtd(*SERVE, cwd=tmp_path) as tgtd:
        for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
            tgtd.process.send_signal(number)
        assert tgtd.process.wait(20) in (130, 143)
        assert not Path(tgtd.ready["socket"]).parent.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_drains(tmp_path: Path, number: int) -> None:
    with Tgtd(*SERVE, cwd=tmp_path) as tgtd:
        assert tgtd.stop(number) == 0
        assert not Path(tgtd.ready["socket"]).parent.exists()
        assert tgtd.log == ""


def test_a_hangup_without_a_file_is_harmless(tmp_path: Path) -> None:
    with Tgtd(*SERVE, cwd=tmp_path) as tgtd:
        tgtd.process.send_signal(signal.SIGHUP)
        assert tgtd.admin("lu", "list")[0]["name"] == "disk0"
        assert tgtd.stop() == 0
        assert "there is no configuration file to read again" in tgtd.log


def test_a_signal_during_a_start_that_hangs_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()

    def hang(store: FakeStore, options: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        gate.wait(10)

    monkeypatch.setattr("tgtcore.cli.run.set_up_logging", lambda *_: None)
    monkeypatch.setattr("tgtcore.daemon.daemon._JOIN_S", 0.1)
    monkeypatch.setattr(FakeStore, "__init__", hang)
    ready: list[bool] = []

    async def note(*_: object) -> None:
        ready.append(True)

    text = CONFIG.replace("STATE", f"{tmp_path}/state").replace("[daemon]", f'[daemon]\nsocket = "{tmp_path}/socket"')
    plugins = fake_plugins()
    config = check_source(parse(text.encode(), tmp_path), plugins)
    try:
        assert run(lambda: (plugins, config), note) == 0
    finally:
        gate.set()
    assert ready == []
    assert gc.isenabled()
    assert os.listdir(tmp_path) == []
