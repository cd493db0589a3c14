"""Every maximum of the library in one place, each with its reason."""

DATA_BYTES_MAX = 16 * 1024 * 1024
"""What the buffers of one command have room for at most, where a transport does not want less: the core asks for no more data-out,
and no command makes more data-in."""

COMPLAINTS_LOGGED_MAX = 10
"""What one channel's initiator does wrong and how often is counted, but no initiator fills the log."""

FUNCTIONS_LOGGED_MAX = 100
"""So many of one channel's task management functions are logged: who sends one after the other fills no log either."""
