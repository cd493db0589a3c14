import pytest

from tgtcore.target import AccessList


def test_without_rules_nobody_is_admitted() -> None:
    assert not AccessList().admits("iqn.2026-11.org.example:a", "127.0.0.1")


@pytest.mark.parametrize(
    ("initiators", "addresses", "name", "address", "admitted"),
    [
        (["iqn.2026-11.*"], [], "iqn.2026-11.org.example:a", "10.1.2.3", True),
        (["iqn.2026-11.*"], [], "IQN.2026-11.org.example:A", "10.1.2.3", True),
        (["iqn.2026-11.*"], [], "iqn.2025-01.org.example:a", "10.1.2.3", False),
        ([], ["10.0.0.0/8"], "iqn.x", "10.255.0.1", True),
        ([], ["10.0.0.0/8"], "iqn.x", "11.0.0.1", False),
        ([], ["10.0.0.1/32"], "iqn.x", "10.0.0.1", True),
        ([], ["10.0.0.1"], "iqn.x", "10.0.0.2", False),
        ([], ["10.9.9.9/8"], "iqn.x", "10.0.0.1", True),
        ([], ["fd00::/8"], "iqn.x", "fd00::1", True),
        ([], ["fe80::/10"], "iqn.x", "fe80::1%eth0", True),
        ([], ["::1/128"], "iqn.x", "127.0.0.1", False),
        ([], ["127.0.0.0/8"], "iqn.x", "::ffff:127.0.0.1", True),
        ([], ["127.0.0.0/8"], "iqn.x", "not an address", False),
        (["iqn.a"], ["10.0.0.0/8"], "iqn.a", "10.0.0.1", True),
        (["iqn.a"], ["10.0.0.0/8"], "iqn.b", "10.0.0.1", False),
        (["iqn.a"], ["10.0.0.0/8"], "iqn.a", "11.0.0.1", False),
    ],
)
def test_all_kinds_of_rules_must_hold(
    initiators: list[str], addresses: list[str], name: str, address: str, admitted: bool
) -> None:
    assert AccessList.parse(initiators, addresses).admits(name, address) is admitted


def test_a_bad_address_is_named() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.256"):
        AccessList.parse([], ["10.0.0.256"])
