"""The file of accounts."""

from pathlib import Path

import pytest

from tgtcore.cli.chap_file import Entry, keep_secret, read_chap_file
from tgtcore.errors import ConfigError


def chap(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "chap"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_accounts_are_read(tmp_path: Path) -> None:
    entries = read_chap_file(chap(tmp_path, "# who\n\nalice  secret-1\n us secret-2 mutual\n"))
    assert entries == [Entry("alice", "secret-1", False), Entry("us", "secret-2", True)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no account that an initiator could log in with"),
        ("us hush-hush mutual\n", "there is no account that an initiator could log in with"),
        ("a hush-hush\nb\n", ":2: expected USER SECRET, or USER SECRET mutual"),
        ("a hush-hush more\n", ":1: expected USER SECRET, or USER SECRET mutual"),
        ("a x\nb hush-hush mutual\nc y mutual\n", "more than one mutual account"),
    ],
)
def test_mistakes_are_explained_without_secrets(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_chap_file(chap(tmp_path, text))
    assert message in str(caught.value)
    assert "hush-hush" not in str(caught.value)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--chap-file .*/chap: others may read it \(mode 0644\)"):
        read_chap_file(chap(tmp_path, "a b\n", 0o644))
    path = tmp_path / "binary"
    path.write_bytes(b"\xff\xfe")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="expected text in UTF-8"):
        read_chap_file(path)


def test_a_kept_secret_is_private_and_never_replaces_anything(tmp_path: Path) -> None:
    path = keep_secret(tmp_path / "s", "x")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("x", 0o600)
    with pytest.raises(FileExistsError):
        keep_secret(path, "y")
