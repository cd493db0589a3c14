"""A hostile client partition: mostly a busy driver, and now and then anything at all."""

import asyncio
import os
import socket
from contextlib import suppress

from tgtcore_ibmvio.crq.elements import FIELDS, INIT, INIT_COMPLETE, PING, PING_RESPONSE
from tgtcore_ibmvio.platform.emulated.client import Access, Call
from tgtcore_ibmvio.platform.emulated.wire import CALL, SERVER_OPEN
from tgtcore_ibmvio.platform.hcall import Hcall

from .neighbour import HELLO, LOGIN, PAGE, PAGES, START, attach
from .units import DATA, IUS, RECORDED, SLOTS, TABLE, Units

_RUDENESS = (0.02, 0.02, 0.2, 1, 3)
_CALLS_MAX = 40


class Hostile:
    """Says and does what its dice want.

    :param address: of the adapter that it attacks.
    """

    def __init__(self, siege, address, dice):
        self.siege = siege
        self.address = address
        self.dice = dice
        self.events = 0
        """Elements that it has sent, and what else it has done."""
        self.rude = dice.choice(_RUDENESS)
        """How much it does of what ends its session; one that does little of it gets further."""
        self.room = 0
        """How many requests it may send, as far as it knows."""
        self.partition = None
        self._tag = 0
        self._slot = 0
        self._places = {}
        self._deaf = 0
        """For how many turns it takes nothing out of its queue."""

    async def run(self, events):
        """Do so many things, and vanish."""
        self.siege.partitions.add(self)
        await self._attach()
        while self.events < events:
            await self._turn()
        await self._settle()
        self.die()
        self.siege.partitions.discard(self)

    async def _attach(self):
        """Be there, with a queue, as drivers begin."""
        self.partition = await attach(self.siege.path(self.address))
        self.units = Units(self.dice, self.partition.memory)
        self.partition.map(START, 0, PAGES * PAGE)
        await self._call(Call.H_REG_CRQ, START, PAGE)
        self.begin_anew()

    async def _turn(self):
        dice, rude, before = self.dice, self.rude, self.events
        for _ in range(dice.randrange(1, 30)):
            if dice.random() < 0.02 * rude:
                dice.choice(RUDE)(self)
                self.events += 1
            elif self.room > 2:
                dice.choice(USUAL)(self)
            else:
                dice.choice(WITHOUT_CREDITS)(self)
                break
        if dice.random() < 0.1 * rude:
            await dice.choice(CALLS)(self)
            self.events += 1
        self.events += self.events == before
        self.siege.look(self.address)
        self._deaf = max(0, self._deaf - 1)
        if not self._deaf:
            self._hear()
        await self.siege.breathe()
        server = self.siege.server(self.address)
        if self.partition is None or server.adapter.partner is None:
            self.die()
            await self._attach()
        elif server.session is None and dice.random() < 0.2:
            await self._call(Call.H_REG_CRQ, START, PAGE)
            self.begin_anew()

    async def _settle(self):
        """Who still has a session in the end gets its slots and credits back."""
        server = self.siege.server(self.address)
        channel = server._channel
        for turns in range(1000):
            if channel is None or not channel.is_logged_in or self.partition is None:
                return
            if turns > 50 and server.queue.waiting:
                return  # it has spoilt its queue
            self.siege.release()
            self._hear()
            credits = channel.credits
            if channel.slots.used == 0 and credits.left + credits.withheld == credits.limit:
                self.siege.settled += 1
                return
            await self.siege.breathe()
        raise AssertionError("its answers have been sent, and not all slots and credits are back")

    def die(self):
        """Vanish, whatever is under way."""
        if self.partition is not None:
            self.partition.close()
            self.partition = None
            self.units.memory = None  # or else it stays mapped
        self.room = 0

    # ---- its queues ---------------------------------------------------------------------------------------------------

    def _hear(self):
        """Take what was sent, as a driver does."""
        with suppress(ConnectionError):
            for _ in range(8):  # a queue where its own requests are never gets empty
                taken = [] if self.partition is None else self.partition.take()
                for header, format_, _, _, length, tag in map(FIELDS.unpack, taken):
                    if (header, format_) == (0x80, 1):
                        self._answered(tag, length)
                    elif (header, format_) == (0xC0, 1):
                        self._element(INIT_COMPLETE)
                        self._log_in()
                    elif header == 0xFF:
                        self.room = 0

    def _answered(self, tag, length):
        place = self._places.pop(tag, None)
        if place is not None and length >= 8:
            self.room += min(self.partition.memory[place + 7], 64)  # REQUEST LIMIT DELTA of all answers

    def _element(self, element):
        if self.partition is not None and self.partition.send(element) is Hcall.SUCCESS:
            self.events += 1
        else:
            self.room = 0

    def _send(self, iu, format_=1, length=256, tag=None):
        partition = self.partition
        if partition is None:
            return
        self._slot = (self._slot + 1) % SLOTS
        place = IUS + self._slot * 256
        if tag is not None:
            self._places[tag] = place
        partition.memory[place : place + len(iu)] = iu
        if len(iu) < 100:
            partition.memory[place + len(iu) : place + 100] = bytes(100 - len(iu))
        self._element(FIELDS.pack(0x80, format_, 0, 30, length, START + place))

    def _next_tag(self):
        self._tag += 1
        return self._tag

    def begin_anew(self):
        """Greet and log in at once, as no driver does, but as it may."""
        self._element(INIT)
        self._log_in()

    def _log_in(self):
        self.room = 0
        self._places.clear()
        self._send(LOGIN, tag=1)
        self._tag = max(self._tag, 1)

    # ---- what a driver does -------------------------------------------------------------------------------------------

    def command(self):
        tag = self._tag if self.dice.random() < 0.003 else self._next_tag()
        self.room -= 1
        self._send(self.units.command(tag), tag=tag)

    def function(self):
        self.room -= 1
        task_tag = self._tag - self.dice.randrange(4)
        tag = self._next_tag()
        self._send(self.units.function(tag, max(0, task_tag)), tag=tag)

    def recorded(self):
        iu, format_ = self.dice.choice(RECORDED)
        if iu[0] in (1, 2):  # not another login, which ends nothing, and no datagrams one after the other
            self.room -= 1
            self._send(iu, format_, tag=int.from_bytes(iu[8:16], "big"))

    def datagram(self):
        if self.partition is None:
            return
        iu, length = self.units.datagram()
        self._send(iu, self.dice.choice((2, 2, 2, 3, 4, 5)), length)

    def hear(self):
        if not self._deaf:
            self._hear()

    def release(self):
        self.siege.release()

    def rest(self):
        self._deaf = self.dice.choice((1, 3, 20))

    def ping(self):
        self._element(self.dice.choice((PING, PING_RESPONSE, INIT_COMPLETE)))

    def hang(self):
        """The device is slow with writes for a while."""
        self.siege.host.device(self.dice.randrange(2)).hangs = True

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
            table = self.partition._shared.window._table
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
        if partition is not None and dice.random() < self.rude:
            for _ in range(10):
                at = dice.choice((dice.randrange(IUS, DATA), dice.randrange(TABLE, TABLE + 2 * PAGE)))
                if at % 256:  # another opcode would only end the session
                    partition.memory[at] = dice.getrandbits(8)

    # ---- what it asks of the machine ----------------------------------------------------------------------------------

    async def _call(self, call, first=0, second=0):
        with suppress(ConnectionError, ValueError):
            if self.partition is not None:
                await self.partition.call(call, first, second)

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
        for call in self.dice.sample((Call.PREPARE_FOR_SUSPEND, Call.RESUME, Call.MIGRATE, Call.H_ENABLE_CRQ), 3):
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

    async def taken_away(self):
        """A LUN is away until the last command to it has ended."""
        self.siege.take_away(1)


USUAL = (
    *(Hostile.command,) * 60,
    *(Hostile.recorded,) * 6,
    *(Hostile.function,) * 3,
    *(Hostile.ping, Hostile.datagram, Hostile.hear, Hostile.release),
)
WITHOUT_CREDITS = (Hostile.release, Hostile.release, Hostile.hear, Hostile.ping, Hostile.rest, Hostile.hang)
RUDE = (
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
CALLS = (
    Hostile.other_queue,
    Hostile.travel,
    Hostile.suspend,
    Hostile.vanish,
    Hostile.hang_up,
    Hostile.babble,
    Hostile.intrude,
    Hostile.removed,
    Hostile.taken_away,
)
