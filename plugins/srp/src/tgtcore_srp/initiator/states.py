"""The life of a channel from its initiator's side."""

from enum import Enum


class State(Enum):
    """Where a channel is in its life."""

    NEW = "new"
    LOGGING_IN = "logging in"
    LOGGED_IN = "logged in"
    LOGGED_OUT = "logged out"
    """By the initiator: what was under way may still arrive and means nothing."""
    ENDED = "ended"
    """By the target, by its rejection of the login, or with the fabric: nothing may arrive."""
