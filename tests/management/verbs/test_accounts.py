"""Verbs on accounts."""

import pytest
from management.conftest import Managed

from tgtcore.errors import ConfigError
from tgtcore.management.protocol import Code, VerbError

pytestmark = pytest.mark.asyncio


async def test_accounts_come_and_go_without_showing_their_secrets(manage: Managed) -> None:
    path = manage.folder / "secret"
    path.write_text("a long secret\n")
    path.chmod(0o600)
    await manage("account add", name="a", user="alice", secret_file="secret", cwd=str(manage.folder))
    account = manage.transport.host.account("a")
    assert account is not None
    assert account.secret == b"a long secret"
    assert await manage("account list") == [{"name": "a", "user": "alice"}]
    assert "a long secret" not in str(await manage("save")) + str(await manage("show"))
    await manage("account remove", name="a")
    assert manage.transport.host.account("a") is None


async def test_a_secret_that_can_not_be_read_is_explained(manage: Managed) -> None:
    with pytest.raises(ConfigError, match=r"accounts.a: secret_file .*/none: no such file"):
        await manage("account add", name="a", secret_file="none", cwd=str(manage.folder))
    with pytest.raises(ConfigError, match="exactly one of secret_file and secret_env"):
        await manage("account add", name="a")
    with pytest.raises(VerbError) as caught:
        await manage("account remove", name="a")
    assert caught.value.code is Code.NOT_FOUND
