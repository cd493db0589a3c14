from tgtcore.scsi.target_port_groups import AccessState, TargetPortGroup, target_port_groups_data


def test_the_plain_header_has_the_length_only() -> None:
    data = target_port_groups_data([TargetPortGroup(1, [1, 2])], extended=False)
    assert data.hex() == "00000010" + "0001000100000002" + "00000001" + "00000002"


def test_the_extended_header_counts_itself() -> None:
    data = target_port_groups_data([TargetPortGroup(1, [1])], extended=True, transition_s=9)
    assert data.hex() == "00000010" + "10090000" + "0001000100000001" + "00000001"


def test_state_and_preference_share_a_byte() -> None:
    group = TargetPortGroup(0x102, [], AccessState.STANDBY, preferred=True, supported=0x05)
    assert group.encode().hex() == "8205010200000000"


def test_no_group() -> None:
    assert target_port_groups_data([], extended=False) == bytes(4)
