"""Every maximum that an iSCSI peer is held to, each with its reason."""

from typing import Final

BHS_BYTES: Final = 48
"""RFC 7143 11.2.1: the basic header segment."""

DIGEST_BYTES: Final = 4
"""RFC 7143 13.1: CRC32C is the only digest."""

AHS_BYTES_MAX: Final = 255 * 4
"""RFC 7143 11.2.1.5: TotalAHSLength is one byte and counts four-byte words."""

CDB_BYTES_MAX: Final = 260
"""SPC-5 4.2: the longest variable length CDB."""

NAME_BYTES_MAX: Final = 223
"""RFC 7143 4.2.7.1: the longest iSCSI name, as UTF-8."""

LOGIN_DATA_SEGMENT_BYTES_MAX: Final = 8192
"""RFC 7143 13.12: the default MaxRecvDataSegmentLength, in force both ways until the full feature phase."""

LOGIN_REQUESTS_MAX: Final = 64
"""Login requests of one connection; a careful initiator with mutual CHAP needs six."""

TEXT_REQUESTS_MAX: Final = 65536
"""Text requests of one negotiation: enough to fetch 32 MiB of target names in pieces of 512 bytes."""

TEXT_BYTES_MAX: Final = 64 * 1024
"""Key=value text of one request, over all PDUs that the C bit joins (8 KiB must be accepted, RFC 7143 6.1)."""

KEYS_MAX: Final = 256
"""Keys of one negotiation; all keys of the standard together are under 50."""

UNKNOWN_KEYS_MAX: Final = 32
"""Keys answered NotUnderstood in one negotiation: the answer is longer than the question, so it is rationed."""

KEY_NAME_BYTES_MAX: Final = 63
"""RFC 7143 6.1: standard-label."""

SIMPLE_VALUE_BYTES_MAX: Final = 255
"""RFC 7143 6.1: a simple value unless its key says otherwise; also each value of a list."""

LONG_VALUE_BYTES_MAX: Final = 8192
"""Lists as a whole, large binary values (CHAP_C, CHAP_R) and SendTargets."""

LIST_VALUES_MAX: Final = 64
"""Values of one list; the longest list of the standard has a handful."""

CHAP_CHALLENGE_BYTES_MIN: Final = 16
"""A shorter challenge may repeat within reach of a patient listener."""

CHAP_CHALLENGE_BYTES_MAX: Final = 1024
"""RFC 7143 12.1.3: the longest CHAP_C, decoded."""

AHEAD_PDUS_MAX: Final = 16
"""Requests kept while one with a smaller CmdSN is missing; on one TCP connection none ever is, so few are plenty."""

ENDED_TRANSFERS_MAX: Final = 2048
"""Commands remembered after their end because data-out for them may still be on its way: twice what one nexus may have."""

OUTBOUND_BYTES_HIGH: Final = 4 * 1024 * 1024
"""With more than this waiting to be sent, nothing more is read from the peer."""

CONNECTION_BYTES_HIGH: Final = 64 * 1024 * 1024
"""Data-in that the unfinished commands of a connection may still need, and data-out that they may hold; with more data-in nothing
more is read from the peer, with more data-out R2Ts have to wait."""

ALL_CONNECTIONS_BYTES_HIGH: Final = 512 * 1024 * 1024
"""What all connections may hold together; with more, each has only a small share."""

CONNECTION_BYTES_LOW: Final = 1024 * 1024
"""The small share: enough to go on, a command or two at a time."""

IMMEDIATE_COMMANDS_MAX: Final = 16
"""Unfinished commands for immediate delivery, which no command window limits; more are rejected (RFC 7143 4.2.2.1)."""

TASK_MANAGEMENT_MAX: Final = 16
"""Task management functions of a connection that wait for the end of tasks; more are rejected."""

FUNCTIONS_LOGGED_MAX: Final = 100
"""So many of a connection's task management functions are logged: who sends one after the other fills no log."""
