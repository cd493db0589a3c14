"""Who a driver process becomes; what the system does about it is played here, for it would be for good."""

import errno
import importlib
import os
import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tgtcore.errors import ConfigError
from tgtcore.isolation.privileges import become, import_all

_CALLS = ("initgroups", "setresgid", "setresuid")
OTHER = next(user for user in pwd.getpwall() if user.pw_uid not in (0, os.getuid()))


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What was asked of the system, which did it."""
    done: list[tuple[object, ...]] = []

    def noted(call: str) -> Callable[..., None]:
        return lambda *ids: done.append((call, *ids))

    for call in _CALLS:
        monkeypatch.setattr(os, call, noted(call))
    monkeypatch.setattr("tgtcore.isolation.privileges._prctl", lambda option, value: done.append(("prctl", value)))
    return done


def test_groups_go_first_and_rights_do_not_come_back(done: list[tuple[object, ...]]) -> None:
    become(OTHER.pw_name)
    assert done[:3] == [
        ("initgroups", OTHER.pw_name, OTHER.pw_gid),
        ("setresgid", *[OTHER.pw_gid] * 3),
        ("setresuid", *[OTHER.pw_uid] * 3),
    ]
    assert [call for call, *_ in done[3:]] == ["prctl", "prctl"]


_GROUPS_AS = """
import os, sys
from tgtcore.isolation.privileges import become
os.setgroups([0, 4242])  # those of a daemon
become(sys.argv[1])
print(*os.getgroups())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_the_system_lets_it_have_the_groups_of_that_user_and_none_of_the_daemons() -> None:
    asked = subprocess.run(
        [sys.executable, "-c", _GROUPS_AS, OTHER.pw_name], capture_output=True, text=True, timeout=60, check=True
    )
    assert set(map(int, asked.stdout.split())) == set(os.getgrouplist(OTHER.pw_name, OTHER.pw_gid))


def test_who_is_that_user_already_only_gives_up_more_rights(done: list[tuple[object, ...]]) -> None:
    become(pwd.getpwuid(os.getuid()).pw_name)
    assert done == [("prctl", 1)]


@pytest.mark.parametrize(
    ("call", "number"), [("initgroups", errno.EPERM), ("setresgid", errno.EINVAL), ("setresuid", errno.EINVAL)]
)
def test_who_may_not_become_another_user_is_told_where_to_name_one(
    done: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    """A user namespace denies setgroups, or has only one user."""

    def refuse(*ids: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(
        ConfigError,
        match=f'can\'t become user "{OTHER.pw_name}" here: {os.strerror(number)}; .* key "user" of the transp',
    ):
        become(OTHER.pw_name)
    assert ("prctl", 1) not in done


def test_who_is_unknown_here_is_told_where_to_name_another_one() -> None:
    with pytest.raises(ConfigError, match=r'no user "no-such-user" on this machine; .* key "user" of the transport'):
        become("no-such-user")


def test_what_needs_something_that_is_not_installed_keeps_no_driver_from_its_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "driver_with_a_kit"
    package.mkdir()
    for name in ("testing", "inner"):
        (package / name).mkdir()
    needs = "import what_nobody_has\n"
    files = {
        "__init__": "",
        "special": needs,
        "work": "",
        "testing/__init__": "",
        "inner/__init__": "",
        "inner/work": "",
    }
    for name, text in files.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module(package.name)
    import_all(package.name)
    assert f"{package.name}.work" in sys.modules
    assert f"{package.name}.inner.work" in sys.modules
    assert f"{package.name}.special" not in sys.modules
    assert f"{package.name}.testing" not in sys.modules, "a kit for tests"
