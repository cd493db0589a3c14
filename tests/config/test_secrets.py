"""Secrets come from private files and the environment, and are never shown."""

import os
from pathlib import Path

import pytest

from tgtcore.config.models import AccountOptions
from tgtcore.config.secrets import BadSecret, read_secret


def secret_in(path: Path, content: bytes, mode: int = 0o600) -> AccountOptions:
    path.write_bytes(content)
    path.chmod(mode)
    return AccountOptions(secret_file=path)


@pytest.mark.parametrize("content", [b"a secret", b"a secret\n", b"a secret\r\n"])
def test_one_line_break_at_the_end_does_not_count(tmp_path: Path, content: bytes) -> None:
    assert read_secret(secret_in(tmp_path / "s", content)) == b"a secret"


def test_the_environment_may_hold_it() -> None:
    assert read_secret(AccountOptions(secret_env="X"), {"X": "a secret"}) == b"a secret"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(BadSecret, match=rf"others may read it \(mode {mode:04o}\); expected 0600"):
        read_secret(secret_in(tmp_path / "s", b"a secret", mode))


@pytest.mark.parametrize(("content", "message"), [(b"", "empty"), (b"\n", "empty"), (b"hush" * 100, "longer than 255")])
def test_useless_secrets_are_refused_without_showing_them(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(BadSecret, match=message) as caught:
        read_secret(secret_in(tmp_path / "s", content))
    assert "hush" not in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSecret, match=r"no such file"):
        read_secret(AccountOptions(secret_file=tmp_path / "nothing"))
    with pytest.raises(BadSecret, match=r"is a directory"):
        read_secret(AccountOptions(secret_file=tmp_path))
    assert os.path.isdir(tmp_path)
