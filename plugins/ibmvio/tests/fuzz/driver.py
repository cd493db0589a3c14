"""A busy client partition, as the hostile ones mostly are."""

from contextlib import suppress

from tgtcore_ibmvio.crq.elements import FIELDS, INIT, INIT_COMPLETE, PING, PING_RESPONSE
from tgtcore_ibmvio.platform.emulated.client import Call
from tgtcore_ibmvio.platform.hcall import Hcall

from .neighbour import LOGIN, PAGE, PAGES, START, attach
from .units import IUS, RECORDED, SLOTS, Units

_PATIENCE = 30
"""After so many turns without anything it has lost its answers."""
_RUDENESS = (0.02, 0.02, 0.2, 1, 3)


class Driver:
    """Greets, logs in, and sends as much as it may, which is right but for a thing here and there.

    :param address: of its adapter.
    """

    usual = ()
    """What it does as long as it has credits, each as often as it is there."""
    without_credits = ()
    """What it does when it has none."""
    rude = ()
    """What it does now and then, though it ends its session."""
    calls = ()
    """The same, to be awaited."""

    def __init__(self, siege, address, dice):
        self.siege = siege
        self.address = address
        self.dice = dice
        self.events = 0
        """Elements that it has sent, and what else it has done."""
        self.rudeness = dice.choice(_RUDENESS)
        """How much it does of what ends its session; one that does little of it gets further."""
        self.room = 0
        """How many requests it may send, as far as it knows."""
        self.partition = None
        self._tag = 0
        self._slot = 0
        self._places = {}
        self._idle = 0
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
        dice, rudeness, before = self.dice, self.rudeness, self.events
        for _ in range(dice.randrange(1, 30)):
            if dice.random() < 0.02 * rudeness:
                dice.choice(self.rude)(self)
                self.events += 1
            elif self.room > 2:
                dice.choice(self.usual)(self)
            else:
                dice.choice(self.without_credits)(self)
                break
        if dice.random() < 0.1 * rudeness:
            await dice.choice(self.calls)(self)
            self.events += 1
        self._idle = self._idle + 1 if self.events == before else 0
        self.siege.look(self.address)
        self._deaf = max(0, self._deaf - 1)
        if not self._deaf:
            self._hear()
        await self.siege.breathe()
        server = self.siege.server(self.address)
        if self.partition is None or server.adapter.partner is None:
            self.die()
            await self._attach()
        elif self._idle > _PATIENCE or (server.session is None and dice.random() < 0.2):
            for call in (Call.RESUME, Call.H_ENABLE_CRQ):
                await self._call(call)
            await self._call(Call.H_REG_CRQ, START, PAGE)
            self.begin_anew()
            self._idle = 0
            self.events += 1

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
            account = channel.credits
            if channel.slots.used == 0 and account.left + account.withheld == account.limit:
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
        self._deaf = self.dice.choice((1, 2, 10))

    def ping(self):
        self._element(self.dice.choice((PING, PING_RESPONSE, INIT_COMPLETE)))

    def pile_up(self):
        """As many of the largest writes as it may send, of which the device ends none for a while."""
        self.hang()
        while self.room > 2:
            self.room -= 1
            tag = self._next_tag()
            self._send(self.units.largest(tag), tag=tag)

    def hang(self):
        """The device is slow with writes for a while."""
        self.siege.host.device(self.dice.randrange(2)).hangs = True

    # ---- what it asks of the machine ----------------------------------------------------------------------------------

    async def _call(self, call, first=0, second=0):
        with suppress(ConnectionError, ValueError):
            if self.partition is not None:
                await self.partition.call(call, first, second)
