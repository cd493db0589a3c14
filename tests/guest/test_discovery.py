"""What discovery tells the kernel's own initiator: the targets that would admit it, where they are, and nothing else."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from guest.lab.guest import Guest
from guest.lab.initiator import Initiator
from oracle.served import TARGET, Served

_BASE = "iqn.2025-01.example.tgtcore"
_USER, _SECRET = "looker", "a-secret-for-looking"
_USER_IN, _SECRET_IN = "target", "another-secret-of-30"
_CHAP = {"auth": "CHAP", "user": _USER, "secret": _SECRET}

_SEVERAL = f"""
[transports.iscsi]
portals = [
    {{ address = "127.0.0.2:0" }},
    {{ address = "127.0.0.3:0", group = 2 }},
    {{ address = "127.0.0.4:0", group = 3, advertise = "192.0.2.1:3333" }},
]

[logical_units.scratch]
device_type = "disk"
store = {{ type = "memory", size = "1M" }}

[targets."{_BASE}:everywhere"]
transport = "iscsi"
luns = {{ 0 = "scratch" }}
allow = {{ initiators = ["iqn.*.guest:*"] }}

[targets."{_BASE}:first"]
transport = "iscsi"
portal_groups = [1]
allow = {{ initiators = ["*"] }}

[targets."{_BASE}:others"]
transport = "iscsi"
allow = {{ initiators = ["iqn.*:somebody-else"] }}

[targets."{_BASE}:nobodys"]
transport = "iscsi"
"""

_GUARDED = f"""
[accounts]
looker = {{ user = "{_USER}", secret_file = "looker" }}
target = {{ user = "{_USER_IN}", secret_file = "target" }}

[transports.iscsi]
portals = [{{ address = "127.0.0.5:0" }}]
discovery_auth = ["looker"]
discovery_mutual = "target"

[targets."{TARGET}"]
transport = "iscsi"
allow = {{ initiators = ["*"] }}
"""


@pytest.fixture(scope="module")
def guarded(work: Path) -> Iterator[tuple[str, int]]:
    """The portal of a daemon that shows nothing without CHAP."""
    for name, secret in (("looker", _SECRET), ("target", _SECRET_IN)):
        (work / name).write_text(secret)
        (work / name).chmod(0o600)
    with Served.configured(work, _GUARDED) as served:
        yield portals(served)[0]


def portals(served: Served) -> list[tuple[str, int]]:
    """Address and port of each portal."""
    listed = [row["address"].rsplit(":", 1) for row in served.admin("portal", "list")]
    return sorted((host, int(port)) for host, port in listed)


def test_the_target_and_a_usable_portal(initiator: Initiator, daemon: Served) -> None:
    host, port = daemon.portal
    assert initiator.discover(daemon.portal) == [(f"{host}:{port},1", TARGET)]


def test_every_portal_of_the_targets_that_would_admit_us(initiator: Initiator, work: Path) -> None:
    with Served.configured(work, _SEVERAL) as served:
        first, second, third = portals(served)
        for asked in (first, second, third):
            assert sorted(initiator.discover(asked)) == [
                (f"127.0.0.2:{first[1]},1", f"{_BASE}:everywhere"),
                (f"127.0.0.2:{first[1]},1", f"{_BASE}:first"),
                (f"127.0.0.3:{second[1]},2", f"{_BASE}:everywhere"),
                ("192.0.2.1:3333,3", f"{_BASE}:everywhere"),
            ]


def test_what_was_discovered_can_be_logged_in_to(guest: Guest, initiator: Initiator, daemon: Served) -> None:
    initiator.discover(daemon.portal)
    address = ":".join(map(str, daemon.portal))  # the guest remembers portals of other daemons too
    guest.run(f"iscsiadm -m node -T {TARGET} -p {address} --login", timeout_s=90)
    (session,) = initiator.sessions()
    assert initiator.disk(session, 0).startswith("/dev/sd")
    initiator.logout(session)


def test_a_discovery_session_is_no_normal_one(initiator: Initiator, daemon: Served) -> None:
    initiator.discover(daemon.portal)
    assert daemon.admin("session", "list") == []
    assert initiator.sessions() == set()


def test_chap_opens_discovery(initiator: Initiator, guarded: tuple[str, int]) -> None:
    host, port = guarded
    assert initiator.discover(guarded, **_CHAP) == [(f"{host}:{port},1", TARGET)]


def test_mutual_chap_opens_discovery(initiator: Initiator, guarded: tuple[str, int]) -> None:
    host, port = guarded
    both = {**_CHAP, "user_in": _USER_IN, "secret_in": _SECRET_IN}
    assert initiator.discover(guarded, **both) == [(f"{host}:{port},1", TARGET)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {**_CHAP, "secret": "not-the-right-secret"},
        {**_CHAP, "user_in": _USER_IN, "secret_in": "not-what-it-should-be"},
    ],
    ids=["no CHAP", "wrong secret", "target does not prove itself"],
)
def test_discovery_without_the_right_chap_shows_nothing(
    initiator: Initiator, guarded: tuple[str, int], options: dict[str, str]
) -> None:
    with pytest.raises(AssertionError, match=r"[Ll]ogin.* fail|authorization"):
        initiator.discover(guarded, **options)
