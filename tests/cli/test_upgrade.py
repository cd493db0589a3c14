"""A daemon that starts its own successor, as an upgrade inside a service does."""

import json
import os
import select
import signal
from pathlib import Path

import pytest
from cli.test_service_manager import CONFIG
from support.manager import Manager
from support.process import Tgtd


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "c.toml"
    path.write_text(CONFIG)
    return path


def test_the_successor_goes_on_in_the_same_service(config: Path) -> None:
    with Manager(config.parent / "notify") as manager:
        environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "200000"}
        with Tgtd("--config", config, "--json", cwd=config.parent, env=environ) as tgtd:
            assert tgtd.process.stdout is not None
            tgtd.process.send_signal(signal.SIGUSR2)
            (named,) = manager.wait("MAINPID=")
            pidfd = os.pidfd_open(int(named.partition("=")[2]))
            try:
                manager.wait("READY=1")
                assert tgtd.process.wait(20) == 0
                successor = json.loads(tgtd.process.stdout.readline())
                assert named == f"MAINPID={successor['pid']}"
                manager.wait("WATCHDOG=1")
                assert successor["urls"] == tgtd.ready["urls"]
                assert tgtd.admin("stat")["daemon"]["pid"] == successor["pid"]
            finally:
                signal.pidfd_send_signal(pidfd, signal.SIGTERM)
                assert select.select([pidfd], [], [], 20)[0], "the successor does not stop"
                os.close(pidfd)
        assert not (config.parent / "s").exists()


def test_a_successor_that_fails_is_reported(config: Path) -> None:
    with Tgtd("--config", config, "--json", cwd=config.parent) as tgtd:
        config.write_text(f"{CONFIG}typo = 1\n")
        tgtd.process.send_signal(signal.SIGUSR2)
        tgtd.wait_log("has ended with status 2; this daemon serves on")
        assert "typo" in tgtd.log
        assert tgtd.admin("lu", "list")[0]["name"] == "a"
        assert tgtd.stop() == 0


def test_a_daemon_without_a_file_has_no_successor(tmp_path: Path) -> None:
    with Tgtd("serve", "a.img", "--size", "1M", "--portal", "127.0.0.1:0", "--json", cwd=tmp_path) as tgtd:
        tgtd.process.send_signal(signal.SIGUSR2)
        assert tgtd.admin("lu", "list")[0]["name"] == "disk0"
        assert tgtd.stop() == 0
        assert "has no successor" in tgtd.log
