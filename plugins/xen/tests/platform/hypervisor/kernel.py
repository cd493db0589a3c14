"""The kernel's devices and the store's server as the platform sees them, over an emulated machine; the bytes are spelt out here."""

import asyncio
import ctypes
import errno
import os
import struct

from tgtcore_xen.platform.contract import PAGE_BYTES
from tgtcore_xen.platform.emulated import EmulatedXen
from tgtcore_xen.platform.emulated.xenstore.permissions import Permissions
from tgtcore_xen.platform.emulated.xenstore.server import Changing
from tgtcore_xen.platform.emulated.xenstore.watches import Client

MAP, UNMAP, COPY = 0x184700, 0x104701, 0x104708
NOTIFY_AT_UNMAP = 0x104707
BIND, UNBIND, NOTIFY = 0x084501, 0x044503, 0x044504


_write = ctypes.CDLL(None, use_errno=True).pwrite
_write.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64)


def read_memory(address: int, length: int) -> bytes:
    """What the kernel finds at an address of ours.

    :raises OSError: EFAULT: there is none.
    """
    fd = os.memfd_create("found")
    try:
        if _write(fd, address, length, 0) != length:
            raise OSError(ctypes.get_errno() or errno.EFAULT, "no memory there")
        return os.pread(fd, length, 0)
    finally:
        os.close(fd)


class FakeDevice:
    """What all of them have."""

    def __init__(self) -> None:
        self.descriptor, self._far = os.pipe2(os.O_NONBLOCK)
        self.calls: list[tuple[int, bytes]] = []
        """Requests and arguments as they came."""
        self.written: list[bytes] = []

    def call(self, request: int, argument: bytearray) -> int:
        self.calls.append((request, bytes(argument)))
        assert request >> 16 == len(argument), "the size in the number of the request is that of the structure"
        return self.answer(request, argument)

    def answer(self, request: int, argument: bytearray) -> int:
        raise NotImplementedError

    def read(self, length: int) -> bytes:
        return os.read(self.descriptor, length)

    def arrive(self, data: bytes) -> None:
        os.write(self._far, data)

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            os.close(self._far)
            self.descriptor = -1


class FakeGntdev(FakeDevice):
    """``/dev/xen/gntdev`` of a domain."""

    def __init__(self, machine: EmulatedXen, domid: int) -> None:
        super().__init__()
        self._machine = machine
        self._domid = domid
        self._indexes: dict[int, tuple[int, int]] = {}
        self._woken: dict[int, int] = {}
        """Ports, by index."""
        self._next = 0

    def _entry(self, domid: int, reference: int, *, write: bool):
        table = self._machine.tables.get(domid)
        entry = table.entries.get(reference) if table else None
        return entry if entry and entry.to == self._domid and not (write and entry.read_only) else None

    def answer(self, request: int, argument: bytearray) -> int:
        if request == MAP:
            count, zero, _, domid, reference = struct.unpack("<IIQII", argument)
            assert (count, zero) == (1, 0)
            self._next += PAGE_BYTES
            self._indexes[self._next] = (domid, reference)
            struct.pack_into("<Q", argument, 8, self._next)
        elif request == UNMAP:
            index, count, zero = struct.unpack("<QII", argument)
            assert (count, zero) == (1, 0)
            entry = self._entry(*self._indexes.pop(index), write=True)
            if entry:
                entry.mapped -= 1
            if index in self._woken:
                (end,) = (end for end in self._machine.ports.of(self._domid) if end.port == self._woken[index])
                end.notify()
        elif request == NOTIFY_AT_UNMAP:
            index, action, port = struct.unpack("<QII", argument)
            assert index in self._indexes
            assert action == 2
            self._woken[index] = port
        else:
            assert request == COPY
            count, zero, address = struct.unpack("<IIQ", argument)
            assert not zero
            for at in range(address, address + 24 * count, 24):
                status = self._copy(ctypes.string_at(at, 24))
                ctypes.memmove(at + 20, struct.pack("<h", status), 2)
        return 0

    def map(self, index: int, length: int):
        assert length == PAGE_BYTES
        domid, reference = self._indexes[index]
        entry = self._entry(domid, reference, write=True)
        if entry is None:
            raise OSError(errno.EINVAL, "no such grant")
        entry.mapped += 1
        return self._machine.tables[domid].memory.map(entry.page)

    def _copy(self, segment: bytes) -> int:
        length, flags = struct.unpack_from("<HH", segment, 16)
        assert flags in (1, 2)
        remote, local = (0, 8) if flags == 1 else (8, 0)
        reference, offset, domid = struct.unpack_from("<IHH", segment, remote)
        (address,) = struct.unpack_from("<Q", segment, local)
        if offset + length > PAGE_BYTES:
            raise OSError(errno.EINVAL, "across the end of a page")
        entry = self._entry(domid, reference, write=flags == 2)
        if entry is None:
            return -3  # GNTST_bad_gntref
        page = self._machine.tables[domid].memory.page(entry.page)[offset : offset + length]
        if flags == 2:
            page[:] = read_memory(address, length)
        else:
            ctypes.memmove(address, bytes(page), length)
        return 0


class FakeEvtchn(FakeDevice):
    """``/dev/xen/evtchn`` of a domain: a port that has been read is masked until it is written."""

    def __init__(self, machine: EmulatedXen, domid: int) -> None:
        super().__init__()
        self._machine = machine
        self._domid = domid
        self._ends = {}
        self._masked: dict[int, bool] = {}

    def answer(self, request: int, argument: bytearray) -> int:
        if request == BIND:
            remote = struct.unpack("<II", argument)
            port = 0
            end = self._machine.ports.bind(self._domid, remote, lambda: self._fire(port), self._machine.loop)
            port = end.port
            self._ends[port] = end
            return port
        (port,) = struct.unpack("<I", argument)
        if port not in self._ends:
            raise OSError(errno.ENOTCONN, "no port of ours")
        if request == NOTIFY:
            self._ends[port].notify()
        else:
            assert request == UNBIND
            self._ends.pop(port).close()
        return 0

    def _fire(self, port: int) -> None:
        if port in self._masked:
            self._masked[port] = True
        else:
            self._masked[port] = False
            self.arrive(struct.pack("<I", port))

    def write(self, data: bytes) -> None:
        super().write(data)
        for (port,) in struct.iter_unpack("<I", data):
            if self._masked.pop(port, False):
                self._fire(port)


class StoreSocket(asyncio.Protocol):
    """One client of the store's server: an emulated store behind the wire."""

    def __init__(self, machine: EmulatedXen, domid: int) -> None:
        self._server = machine.server
        self._client = Client(domid, machine.loop)
        self._watching = {}
        self._changing: dict[int, Changing] = {}
        self._received = b""
        self.lost = False

    def connection_made(self, transport) -> None:
        self._transport = transport

    def connection_lost(self, exc) -> None:
        self._server.disconnect(self._client)
        self.lost = True

    def data_received(self, data: bytes) -> None:
        self._received += data
        while len(self._received) >= 16:
            kind, request, transaction, length = struct.unpack_from("<IIII", self._received)
            assert length <= 4096, "the server would hang up"
            if len(self._received) < 16 + length:
                return
            payload, self._received = self._received[16 : 16 + length], self._received[16 + length :]
            try:
                answer = self._answer(kind, transaction, payload)
            except OSError as error:
                kind, answer = 16, errno.errorcode[error.errno].encode() + b"\0"
            self._send(kind, request, transaction, answer)

    def _send(self, kind: int, request: int, transaction: int, payload: bytes) -> None:
        self._transport.write(struct.pack("<IIII", kind, request, transaction, len(payload)) + payload)

    def _answer(self, kind: int, transaction: int, payload: bytes) -> bytes:
        server, domid = self._server, self._client.domid
        if kind == 17:
            return b"T\0" if int(payload[:-1]) in server.introduced else b"F\0"
        if kind == 6:
            assert payload == b"\0"
            number = len(self._changing) + 1
            self._changing[number] = server.begin(self._client)
            return b"%d\0" % number
        changing = self._changing.get(transaction)
        if kind == 7:
            del self._changing[transaction]
            if payload == b"F\0":
                server.abort(changing)
            elif not server.commit(changing):
                raise OSError(errno.EAGAIN, "somebody was faster")
            return b"OK\0"
        first, _, rest = payload.partition(b"\0")
        path = "/local/domain/0/domid" if first == b"domid" else first.decode()
        if kind == 2:
            return server.read(domid, path, changing)
        if kind in (1, 22):
            return self._list(server.directory(domid, path), None if kind == 1 else int(rest[:-1]))
        if kind == 4:
            self._watch(path, rest[:-1])
        elif kind == 5:
            server.watches.remove(self._watching.pop((path, rest[:-1])))
        elif kind == 11:
            server.write(domid, path, rest, changing)
        elif kind == 12:
            server.make(domid, path)
        elif kind == 13:
            server.remove(domid, path, changing)
        else:
            assert kind == 14, kind
            server.permit(domid, path, Permissions.parse(rest[:-1].decode().split("\0")))
        return b"OK\0"

    def _watch(self, path: str, token: bytes) -> None:
        def told(changed: str) -> None:
            self._send(15, 0, 0, changed.encode() + b"\0" + token + b"\0")

        self._watching[path, token] = self._server.watch(self._client, path, told)

    @staticmethod
    def _list(names: list[str], offset: int | None) -> bytes:
        whole = b"".join(name.encode() + b"\0" for name in names)
        if offset is None:
            if len(whole) > 4096:
                raise OSError(errno.E2BIG, "too many")
            return whole
        part = whole[offset : offset + 4000]
        last = offset + len(part) == len(whole)
        return b"7\0" + (part + b"\0" if last else part[: part.rindex(b"\0") + 1])
