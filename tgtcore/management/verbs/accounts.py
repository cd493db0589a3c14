"""Verbs on accounts.  Secrets are never sent: a file or an environment variable of the daemon holds them."""

from pathlib import Path
from typing import Any

from tgtcore.daemon import Daemon
from tgtcore.management.edits import new_entry, remove_entry
from tgtcore.management.verbs.leaving import IfExists, removal
from tgtcore.management.verbs.table import STEPS, argument, missing, steps_shown, verb
from tgtcore.options import Options


class AccountName(Options):
    """Arguments that name an account."""

    name: str = argument("the account")


class OldAccount(AccountName, IfExists):
    """Arguments of ``account remove``."""


class NewAccount(AccountName):
    """Arguments of ``account add``."""

    user: str | None = argument("the user name that peers send; the account's name by default", None)
    secret_file: str | None = argument("the file that holds the secret (mode 0600)", None)
    secret_env: str | None = argument("the environment variable of the daemon that holds the secret", None)
    cwd: str = argument("the folder that relative paths count from", "/")


@verb("account list", "List the accounts, without their secrets.", columns=("name", "user"))
async def list_accounts(daemon: Daemon, _: Options) -> list[dict[str, Any]]:
    """One row for each account."""
    return [{"name": name, "user": account.user} for name, account in daemon.inventory.accounts.items()]


@verb("account add", "Add an account.", NewAccount, STEPS)
async def add_account(daemon: Daemon, new: NewAccount) -> list[dict[str, str]]:
    """Add an account; targets may name it then."""
    wanted = {"user": new.user, "secret_file": new.secret_file, "secret_env": new.secret_env}
    values = {key: value for key, value in wanted.items() if value is not None}
    steps = await daemon.edit(lambda document: new_entry(document, "accounts", new.name, values), Path(new.cwd))
    return steps_shown(steps)


@removal("account remove", "Remove an account that no target uses.", OldAccount)
async def remove_account(daemon: Daemon, old: OldAccount) -> list[dict[str, str]]:
    """Remove an account."""
    if old.name not in daemon.inventory.accounts:
        raise missing("account", old.name, daemon.inventory.accounts)
    return steps_shown(await daemon.edit(lambda document: remove_entry(document, "accounts", old.name)))
