"""Where an RDMA channel is in its life."""

from enum import Enum


class State(Enum):
    """The states of a channel (SRP, clause 4), which it goes through in this order."""

    NEW = "not logged in"
    LOGGING_IN = "logging in"
    LOGGED_IN = "logged in"
    ENDING = "ending"
    GONE = "gone"
