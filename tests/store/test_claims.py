import pytest

from tgtcore.errors import StoreError
from tgtcore.store import Claim, Claims


def test_readers_share() -> None:
    claims = Claims("store gold.img")
    claims.claim(Claim.READ_SHARED, "LUN 1")
    claims.claim(Claim.READ_SHARED, "LUN 2")
    assert set(claims.claimants()) == {"LUN 1", "LUN 2"}


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        (Claim.WRITE_EXCLUSIVE, Claim.READ_SHARED),
        (Claim.WRITE_EXCLUSIVE, Claim.WRITE_EXCLUSIVE),
        (Claim.READ_SHARED, Claim.WRITE_EXCLUSIVE),
    ],
)
def test_a_writer_is_alone(held: Claim, wanted: Claim) -> None:
    claims = Claims("store gold.img")
    claims.claim(held, "LUN 1")
    with pytest.raises(StoreError, match=r"store gold\.img is in use by LUN 1"):
        claims.claim(wanted, "LUN 2")
    claims.release("LUN 1")
    claims.claim(wanted, "LUN 2")
    assert claims.claimants() == {"LUN 2": wanted}


def test_a_claimant_may_change_its_mind() -> None:
    claims = Claims("store gold.img")
    claims.claim(Claim.READ_SHARED, "LUN 1")
    claims.claim(Claim.WRITE_EXCLUSIVE, "LUN 1")
    assert claims.claimants() == {"LUN 1": Claim.WRITE_EXCLUSIVE}
