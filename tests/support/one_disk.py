"""The configuration of a daemon with one disk, for everybody, and waiting for what it does."""

TARGET = "iqn.2025-01.example:disk"
WAIT_S = 20


def one_disk(store: str, *plugins: str, drain_s: float = 5, unit: str = "", transport: str = "") -> str:
    """The text; the socket is ``tgtd.sock`` in the folder of the file, and the disk is called ``data``.

    :param store: the store, as an inline table.
    :param plugins: besides the transport and the device type.
    :param unit: more keys of the logical unit.
    :param transport: more keys of the transport.
    """
    names = ", ".join(f'"{name}"' for name in ("iscsi", "disk", *plugins))
    return f"""
plugins = [{names}]
[daemon]
socket = "tgtd.sock"
state_directory = "state"
drain_s = {drain_s}
[transports.iscsi]
portals = [{{ address = "127.0.0.1:0" }}]
{transport}
[logical_units.data]
device_type = "disk"
store = {store}
{unit}
[targets."{TARGET}"]
transport = "iscsi"
luns = ["data"]
allow = {{ initiators = ["*"] }}
"""
