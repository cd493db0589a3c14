"""Every maximum of the library in one place, each with its reason."""

DATA_IN_BYTES_MAX = 16 * 1024 * 1024
"""What one command's data-in takes of the memory at most, however large its buffer is: no command makes more."""

DATA_OUT_BYTES_MAX = 16 * 1024 * 1024
"""The same for data-out: the core asks for no more."""

CHANNELS_PER_SESSION_MAX = 64
"""More RDMA channels of one session than any initiator has processors to use them with."""
