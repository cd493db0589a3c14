"""A hostile client partition: mostly a busy driver, and now and then anything at all."""

import asyncio
import os
import socket
from contextlib import suppress

from tgtcore_ibmvio.crq.elements import FIELDS, INIT
from tgtcore_ibmvio.platform.emulated.client import Access, Call
from tgtcore_ibmvio.platform.emulated.wire import CALL, SERVER_OPEN

from .driver import Driver
from .neighbour import HELLO, LOGIN, PAGE, PAGES, START
from .units import DATA, IUS, TABLE

_CALLS_MAX = 40
_JOURNEY = (Call.PREPARE_FOR_SUSPEND, Call.SUSPEND, Call.RESUME, Call.MIGRATE, Call.H_ENABLE_CRQ)


class Hostile(Driver):
    """A driver that does what its dice want."""

    # ---- what none does -----------------------------------------------------------------------------------------------

    def greet(self):
        for _ in range(self.dice.choice((1, 1, 1, 20))):
            self._element(INIT)
            self._send(self.units.login(), tag=1)

    def log_in_again(self):
        self._send(LOGIN if self.dice.random() < 0.5 else self.units.login())

    def other_unit(self):
        self._send(self.units.other(self._tag), self.dice.choice((1, 1, 1, 2, 3)), self.units.element_length())

    def elsewhere(self):
        """A request where there is none, or of another length."""
        self._element(
            FIELDS.pack(0x80, self.dice.choice((1, 1, 2)), 0, 30, self.units.element_length(), self.units.wild())
        )

    def cut(self):
        self._send(self.units.command(self._next_tag()), 1, self.units.element_length())

    def flood(self):
        """More than it may send."""
        for _ in range(self.dice.choice((17, 40, 300))):
            self._send(self.units.command(self._next_tag()))

    def noise(self):
        header = self.dice.choice((0x80, 0x80, 0xC0, self.dice.randrange(0x80, 0xFF)))
        rest = self.dice.randbytes(13)
        self._element(bytes((header, self.dice.choice((0, 1, 2, 3, 6, 7, 0xFF)))) + rest[:1] + rest)

    def forge(self):
        """A transport event, which only the machine makes."""
        if self.partition is not None:
            self.partition._outgoing.put(bytes((0xFF, self.dice.choice((1, 2, 6, 9, 10, 0)))) + bytes(14))

    def pages(self):
        """Other pages, no pages, or pages that are not for everything."""
        if self.partition is None:
            return
        dice = self.dice
        page, count = dice.choice((0, 1, 5, 16, dice.randrange(PAGES))), dice.randrange(1, 8)
        count = min(count, PAGES - page)
        how = dice.random()
        if how < 0.3:
            self.partition.unmap(START + page * PAGE, count * PAGE)
        elif how < 0.6:
            access = dice.choice((Access.READ, Access.WRITE, Access.BOTH))
            self.partition.map(START + page * PAGE, dice.randrange(PAGES - count) * PAGE, count * PAGE, access)
        elif how < 0.7:
            table = self.partition._shared.window.table
            table[page] = dice.choice((dice.getrandbits(64), 3, PAGES * PAGE | 3, (PAGES - 1) * PAGE | 3, 1, 2))
        else:
            self.partition.map(START, 0, PAGES * PAGE)

    def queues(self):
        """Bytes in its own queue, which the server fills, in the server's, or in the words that both look at."""
        if self.partition is None:
            return
        dice, shared = self.dice, self.partition._shared
        how = dice.random()
        if how < 0.5:
            at = dice.randrange(PAGE - 64)
            self.partition.memory[at : at + 64] = dice.choice((dice.randbytes(64), bytes(64)))
        elif how < 0.8:
            at = shared.geometry.queue_offset + dice.randrange(PAGE - 16)
            shared.octets[at : at + 16] = dice.choice((bytes(16), dice.randbytes(16), INIT))
        else:
            shared.words[SERVER_OPEN + 8 * dice.randrange(3)] = dice.choice((0, 1, (1 << 64) - 1))

    def storm(self):
        """Ring until nobody can hear it all."""
        with suppress(OSError):
            for _ in range(self.dice.choice((1, 20))):
                os.write(self.partition._rung, bytes(4096))

    def scribble(self, dice):
        """Change requests and tables; called by another thread at any moment."""
        partition = self.partition
        if partition is not None and dice.random() < self.rudeness:
            for _ in range(10):
                at = dice.choice((dice.randrange(IUS, DATA), dice.randrange(TABLE, TABLE + 2 * PAGE)))
                if at % 256:  # another opcode would only end the session
                    partition.memory[at] = dice.getrandbits(8)

    # ---- what it asks of the machine ----------------------------------------------------------------------------------

    async def other_queue(self):
        """Free the queue, or have one, there or elsewhere."""
        dice = self.dice
        if dice.random() < 0.5:
            await self._call(Call.H_FREE_CRQ)
        if dice.random() < 0.8:
            places = ((START, PAGE), (START, PAGE), (START + PAGE, 3 * PAGE), (START + PAGE, 0), (7, 9))
            await self._call(Call.H_REG_CRQ, *dice.choice(places))
        if dice.random() < 0.8:
            self.begin_anew()

    async def travel(self):
        """Be suspended, resumed, migrated."""
        for call in self.dice.sample(_JOURNEY, 3):
            await self._call(call)
            self.command()
        await self._call(Call.H_ENABLE_CRQ)
        await self._call(Call.RESUME)

    async def suspend(self):
        """Send on while it is about to be suspended, and go on."""
        await self._call(Call.PREPARE_FOR_SUSPEND)
        for _ in range(self.dice.choice((3, 10))):
            self.command()
        if self.dice.random() < 0.2:
            self.flood()
        if self.dice.random() < 0.5:
            await self._call(Call.SUSPEND)
        await self._call(Call.RESUME)

    async def vanish(self):
        if self.dice.random() < 0.5:
            self.die()

    async def hang_up(self):
        """Break off the socket only."""
        if self.partition is not None:
            with suppress(OSError):
                self.partition._link.shutdown(self.dice.choice((socket.SHUT_WR, socket.SHUT_RDWR)))

    async def babble(self):
        """Calls that do not exist, calls of other lengths, and more of them than are answered at once."""
        dice = self.dice
        if self.partition is None:
            return
        with suppress(OSError):
            for _ in range(dice.choice((1, 1, _CALLS_MAX))):
                packet = CALL.pack(dice.getrandbits(16), 0, dice.getrandbits(64), 0)
                self.partition._link.send(packet if dice.random() < 0.9 else dice.randbytes(dice.randrange(1, 40)))

    async def intrude(self):
        """Be a second partition at the same adapter."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK) as link, suppress(OSError):
            link.connect(str(self.siege.path(self.address)))
            packet = HELLO.packet()
            link.send(self.dice.choice((packet, packet[:-1], packet + b"x", self.dice.randbytes(len(packet)))))

    async def removed(self):
        """Its session is ended from the other side, which waits for the device."""
        dropping = asyncio.ensure_future(self.siege.transport.drop_session(self.address))
        while not dropping.done():
            self.siege.release()
            await self.siege.breathe()
        await dropping

    async def unplugged(self):
        """Its adapter is away for a moment."""
        await self.siege.unplug(self.address)

    async def looked_at(self):
        """Somebody wants to know whether it is still there."""
        self.siege.server(self.address).queue.ping()
        self.siege.show()

    async def taken_away(self):
        """A LUN is away until the last command to it has ended."""
        self.siege.take_away(1)


Hostile.usual = (
    *(Hostile.command,) * 60,
    *(Hostile.recorded,) * 6,
    *(Hostile.function,) * 3,
    *(Hostile.ping, Hostile.datagram, Hostile.hear, Hostile.release, Hostile.pile_up),
)
Hostile.without_credits = (Hostile.release, Hostile.release, Hostile.hear, Hostile.ping, Hostile.rest, Hostile.hang)
Hostile.rude = (
    Hostile.greet,
    Hostile.log_in_again,
    Hostile.other_unit,
    Hostile.elsewhere,
    Hostile.cut,
    Hostile.flood,
    Hostile.noise,
    Hostile.forge,
    *(Hostile.pages,) * 4,
    Hostile.queues,
    Hostile.storm,
    Hostile.datagram,
    Hostile.rest,
    Hostile.hang,
)
Hostile.calls = (
    Hostile.other_queue,
    Hostile.travel,
    Hostile.suspend,
    Hostile.vanish,
    Hostile.hang_up,
    Hostile.babble,
    Hostile.intrude,
    Hostile.removed,
    Hostile.unplugged,
    Hostile.looked_at,
    Hostile.taken_away,
)
