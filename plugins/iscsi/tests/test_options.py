from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError
from tgtcore_iscsi.options import IscsiOptions, IscsiTargetOptions
from tgtcore_iscsi.pdu.codes import LoginStatus

if TYPE_CHECKING:
    from conftest import Client


def test_a_target_has_the_transports_digests_unless_it_has_its_own() -> None:
    transport = IscsiOptions(header_digest=("None",), data_digest=("CRC32C", "None"))
    offer = transport.offer(IscsiTargetOptions(header_digest=("CRC32C",)))
    assert (offer.header_digest, offer.data_digest) == (("CRC32C",), ("CRC32C", "None"))
    assert transport.offer().header_digest == ("None",)


@pytest.mark.parametrize("key", ["header_digest", "data_digest"])
@pytest.mark.parametrize("model", [IscsiOptions, IscsiTargetOptions])
@pytest.mark.parametrize("value", [(), ("CRC32",)])
def test_digests_are_a_choice(model: type[IscsiOptions], key: str, value: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate({key: value})


def test_a_first_burst_fits_into_a_burst() -> None:
    with pytest.raises(ValidationError, match="expected at most MaxBurstLength"):
        IscsiOptions(first_burst_length=65536, max_burst_length=4096)


def test_a_target_proves_itself_only_to_whom_has_done_so() -> None:
    with pytest.raises(ValidationError, match="mutual needs auth"):
        IscsiTargetOptions(mutual="account")


class TestTargetThatDemandsDigests:
    @pytest.fixture
    def target_options(self) -> IscsiTargetOptions:
        return IscsiTargetOptions(header_digest=("CRC32C",), data_digest=("CRC32C",))

    @pytest.mark.asyncio
    async def test_a_login_without_them_fails(self, client: "Client") -> None:
        assert await client.login(HeaderDigest="None", DataDigest="None") is LoginStatus.INITIATOR_ERROR

    @pytest.mark.asyncio
    async def test_a_login_with_them_succeeds(self, client: "Client") -> None:
        assert await client.login(HeaderDigest="None,CRC32C", DataDigest="CRC32C") is LoginStatus.SUCCESS
        assert client.login_keys["HeaderDigest"] == "CRC32C"
