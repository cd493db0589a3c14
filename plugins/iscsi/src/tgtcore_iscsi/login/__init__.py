"""The login phase of one connection, sans-I/O (RFC 7143 6.3, 11.12, 11.13, 12): begin with :class:`.machine.Login`."""
