"""Every maximum of the core in one place, each with its reason.  A driver keeps its own in a file of the same name."""

CDB_BYTES_MAX = 260
"""SPC-5 4.2: the longest variable length CDB (7Fh: 8 + 252)."""

LUNS_PER_TARGET_MAX = 16384
"""SAM-5 4.7.7.3: the flat space addressing method has 14 bits."""

TASKS_PER_NEXUS_MAX = 1024
"""A nexus with more unfinished tasks gets TASK SET FULL; transports advertise less than this."""

ITL_NEXUSES_MAX = 1024 * 1024
"""LUNs that sessions have addressed, of all sessions together: each takes about half a kilobyte; BUSY for further ones."""

ATTENTIONS_PER_NEXUS_MAX = 16
"""SAM-5 5.14: pending unit attentions of one I_T_L nexus; the oldest of equal rank is dropped beyond."""

REGISTRANTS_MAX = 256
"""Persistent reservation registrants of one logical unit; INSUFFICIENT REGISTRATION RESOURCES beyond."""

PARAMETER_LIST_BYTES_MAX = 64 * 1024
"""Longest parameter list accepted for any command that has no smaller limit of its own."""

TRANSFER_BYTES_MAX = 16 * 1024 * 1024
"""Longest data-out of one command; a device type that asks for more fails that command."""

NAME_BYTES_MAX = 223
"""RFC 7143 4.2.7.1: the longest target or initiator name; the limit serves every transport."""

TRANSPORT_ID_BYTES_MAX = 256
"""SPC-5 7.6.4.6: an iSCSI name, its separator and the ISID come to 245 bytes in the longest TransportID that there is."""

WORKER_THREADS_MAX = 64
"""Threads for blocking store calls; each costs a stack and rarely pays beyond the device's queue."""

SOCKETS_PER_DRIVER_MAX = 256
"""Listening sockets that a driver process passes on to the daemon, which keeps them for its successor."""

RING_PAYLOAD_BYTES_MAX = 4096
"""Payload of one request over a ring, in the data area: the four longest words of a login fit."""

NEXUSES_PER_DRIVER_MAX = 16384
"""Nexuses of one driver in a process of its own; more than any initiator network that one process can serve."""

SESSIONS_OF_DRIVER_BYTES_MAX = NEXUSES_PER_DRIVER_MAX * 1024
"""What a driver process tells of all its sessions when it is asked: with long names and details, one takes 1 KiB."""

PORTALS_PER_DRIVER_MAX = 256
"""Portals that a driver process tells of: as many as it may have listening sockets."""

PORTS_PER_TARGET_MAX = 256
"""Target ports that a driver process tells of one target.  The length of the SCSI Ports page (SPC-5 7.7.14) has 16 bits; with the
longest names 260 fit."""

SHOWN_TEXT_CHARACTERS_MAX = 300
"""A name or an address that a driver process tells for show; the longest host name, with a port, has 259."""

DRIVER_LOG_BYTES_PER_SECOND_MAX = 16 * 1024
"""What a transport's processes may log in the long run, over all restarts; 1.4 GB in a day, so that somebody notices in time."""

DRIVER_LOG_BURST_BYTES_MAX = 256 * 1024
"""What they may log at once when they have been quiet before: some fifty tracebacks."""

CONFIG_BYTES_MAX = 8 * 1024 * 1024
"""Longest configuration: 16384 logical units with long paths fit."""

CONFIG_KEY_PARTS_MAX = 16
"""Parts of one key or table header in TOML, with dots between them: they cost the cube of their number in time."""

MANAGEMENT_REQUEST_BYTES_MAX = 2 * CONFIG_BYTES_MAX
"""One management request: a whole configuration fits, in JSON, a flood does not."""

MANAGEMENT_CLIENTS_MAX = 64
"""Connections to the management socket at one time."""

PROGRESS_HOLDERS_MAX = 8
"""Holders that one message of progress names, the oldest first; the others are counted."""

PROGRESS_NAME_CHARACTERS_MAX = 300
"""How much of a holder's name a message of progress carries."""

PROGRESS_UNREAD_BYTES_MAX = 64 * 1024
"""A management client that leaves more unread is told of no progress until it has caught up."""

PLAN_STEPS_MAX = 10_000
"""Steps of a plan that filters are played by: one a second for nearly three hours."""

PLAN_SECONDS_MAX = 30 * 86400
"""How long a plan may last; whoever plays it waits for its end."""

FILTERS_PER_LOGICAL_UNIT_MAX = 16
"""Filters in the key ``filters`` of a logical unit: each command and each storage call may go through all of them."""

EXTENTS_PER_CALL_MAX = 1024
"""Extents taken from a store at once; a fragmented image has millions, and the caller asks again where they end."""
