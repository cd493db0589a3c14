"""CHAP one way and both ways with each algorithm that the kernel's initiator has, seen on the wire."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from guest.lab.initiator import Initiator
from oracle.relay import Relay
from oracle.served import TARGET, Served

USER, SECRET = "reader", "a-secret-of-twenty-b"
USER_IN, SECRET_IN = "target", "another-secret-of-30"
ONE_WAY = {"auth": "CHAP", "user": USER, "secret": SECRET}
BOTH_WAYS = {**ONE_WAY, "user_in": USER_IN, "secret_in": SECRET_IN}
ALGORITHMS = {"SHA3-256": 8, "SHA256": 7, "SHA1": 6, "MD5": 5}
"""The names that open-iscsi gives them, and their numbers on the wire; the best first."""

_REFUSED = r"conn error \(10(20|22)\)"  # the target closes the connection of a login that it refuses


class Wire:
    """The CHAP keys that went over one relay, by the side that sent them."""

    def __init__(self) -> None:
        self._said = {True: b"", False: b""}

    def observe(self, _: int, from_initiator: bool, data: bytes) -> None:
        """What the relay calls."""
        self._said[from_initiator] += data

    def initiator_said(self, key: str) -> list[str]:
        """The values of a key in the initiator's login requests."""
        return _values(self._said[True], key)

    def target_said(self, key: str) -> list[str]:
        """The values of a key in the target's login responses."""
        return _values(self._said[False], key)


def _values(stream: bytes, key: str) -> list[str]:
    return [value.decode() for value in re.findall(rb"\b%b=([^\0]*)\0" % key.encode(), stream)]


def _served(work: Path, host: str, accounts: str) -> Served:
    file = work / f"accounts-{host}"
    file.write_text(accounts)
    file.chmod(0o600)
    return Served.disk(work, work / f"{host}.img", options=("--size", "64M", "--chap-file", file), host=host)


@pytest.fixture(scope="module")
def one_way(work: Path) -> Iterator[Served]:
    """One target that wants CHAP."""
    with _served(work, "127.0.0.3", f"{USER} {SECRET}\n") as served:
        yield served


@pytest.fixture(scope="module")
def mutual(work: Path) -> Iterator[Served]:
    """One target that proves itself as well."""
    with _served(work, "127.0.0.4", f"{USER} {SECRET}\n{USER_IN} {SECRET_IN} mutual\n") as served:
        yield served


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_target_knows_the_initiator(initiator: Initiator, one_way: Served, algorithm: str) -> None:
    wire = Wire()
    with (
        Relay("127.0.0.5", one_way.portal, wire.observe) as relay,
        initiator.session(relay.address, TARGET, **ONE_WAY, chap_algorithms=algorithm) as session,
    ):
        assert initiator.disk(session, 0).startswith("/dev/sd")
    assert wire.target_said("CHAP_A") == [str(ALGORITHMS[algorithm])]
    assert wire.initiator_said("CHAP_N") == [USER]
    assert wire.target_said("CHAP_N") == []


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_both_know_each_other(initiator: Initiator, mutual: Served, algorithm: str) -> None:
    wire = Wire()
    with (
        Relay("127.0.0.5", mutual.portal, wire.observe) as relay,
        initiator.session(relay.address, TARGET, **BOTH_WAYS, chap_algorithms=algorithm) as session,
    ):
        assert initiator.disk(session, 0).startswith("/dev/sd")
    assert wire.target_said("CHAP_A") == [str(ALGORITHMS[algorithm])]
    assert wire.initiator_said("CHAP_N") == [USER]
    assert wire.target_said("CHAP_N") == [USER_IN]


def test_every_algorithm_that_is_offered_is_tested_and_the_best_is_taken(initiator: Initiator, mutual: Served) -> None:
    wire = Wire()
    every = ",".join(ALGORITHMS)
    with (
        Relay("127.0.0.5", mutual.portal, wire.observe) as relay,
        initiator.session(relay.address, TARGET, **BOTH_WAYS, chap_algorithms=every),
    ):
        pass
    numbers = [str(number) for number in ALGORITHMS.values()]
    assert wire.initiator_said("CHAP_A") == [",".join(numbers)]
    assert wire.target_said("CHAP_A") == numbers[:1]


def test_a_one_way_initiator_is_admitted_by_a_target_that_could_prove_itself(
    initiator: Initiator, mutual: Served
) -> None:
    with initiator.session(mutual.portal, TARGET, **ONE_WAY) as session:
        assert initiator.disk(session, 0).startswith("/dev/sd")


@pytest.mark.provokes(_REFUSED)
@pytest.mark.parametrize(
    "options",
    [{}, {**ONE_WAY, "secret": "a-wrong-secret-of-20"}, {**ONE_WAY, "user": "nobody"}],
    ids=["no CHAP", "wrong secret", "unknown user"],
)
def test_who_does_not_prove_himself_is_refused(initiator: Initiator, one_way: Served, options: dict[str, str]) -> None:
    assert "authorization" in initiator.refused(one_way.portal, TARGET, **options)
    assert one_way.admin("session", "list") == []


@pytest.mark.provokes(_REFUSED)
def test_an_initiator_refuses_a_target_that_does_not_prove_itself(initiator: Initiator, mutual: Served) -> None:
    said = initiator.refused(mutual.portal, TARGET, **{**BOTH_WAYS, "secret_in": "not-what-it-should-be"})
    assert "authorization" in said or "failure" in said
    assert initiator.sessions() == set()
