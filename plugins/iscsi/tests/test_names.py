"""iSCSI names, patterns over them, and the SCSI port names made of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tgtcore_iscsi import names

LONGEST = "iqn.2004-01.com.example:" + "x" * 199


@pytest.mark.parametrize(
    "name",
    [
        "iqn.2004-01.com.example",
        "iqn.2004-01.com.example:storage.disk1",
        "iqn.2004-01.com.example:a:b:c",
        "eui.0123456789abcdef",
        "naa.52004567ba64678d",
        "naa.62004567ba64678d0123456789abcdef",
        "iqn.2004-01.com.example:größe",
        LONGEST,
    ],
)
def test_names_we_may_configure(name: str) -> None:
    assert names.own_name(name) == names.peer_name(name) == names.canonical_name(name)
    assert names.own_name(name.upper()) == names.own_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "iqn.",
        "disk1",
        "iqm.2004-01.com.example",
        "eui.0123456789abcde",
        "eui.0123456789abcdeg",
        "naa.0123456789abcdef0",
        "iqn.2004-01.com.example:two words",
        "iqn.2004-01.com.example:tab\t",
        "iqn.2004-01.com.example:nul\0",
        "iqn.2004-01.com.example:line\n",
        "iqn.2004-01.com.example:a,i,0x1",
        "iqn.2004-01.com.example:\u200e",
        "iqn.2004-01.com.example:\ud800",
        LONGEST + "x",
        "iqn.2004-01.com.example:" + "ü" * 100,
    ],
)
def test_what_is_no_name_for_anybody(name: str) -> None:
    for read in (names.own_name, names.peer_name):
        with pytest.raises(names.InvalidName) as caught:
            read(name)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "name",
    [
        "iqn.2004-1.com.example",
        "iqn.2004-13.com.example",
        "iqn.04-01.com",
        "iqn.2004-01.",
        "iqn.2004-01.:disk",
        "iqn.2004-01.com.example:",
        "iqn.2004-01.com.example:my_disk",
        "iqn.2004-01.com.example:%n%n%s",
    ],
)
def test_peers_may_be_sloppier_than_we_are(name: str) -> None:
    assert names.peer_name(name) == name
    with pytest.raises(names.InvalidName):
        names.own_name(name)


def test_the_longest_name_has_223_bytes() -> None:
    assert len(LONGEST) == 223
    with pytest.raises(names.InvalidName, match="has 224 bytes, at most 223"):
        names.peer_name(LONGEST + "x")


def test_the_name_of_a_target_port() -> None:
    assert names.target_port_name("iqn.2004-01.a", 1) == "iqn.2004-01.a,t,0x0001"


@pytest.mark.fuzz
@given(name=st.text(max_size=300))
def test_random_names_are_refused_or_come_out_canonical(name: str) -> None:
    try:
        read = names.peer_name("iqn." + name)
    except names.InvalidName:
        return
    assert read.isprintable()
    assert names.peer_name(read) == read
