"""The nodes of a virtual HBA with both ends: ours does what the steps say, the other one what ``xen-scsifront`` of Linux does."""

from tgtcore_xen.xenbus import paths
from tgtcore_xen.xenbus.making import new_nodes
from tgtcore_xen.xenbus.observed import Observed, Ring
from tgtcore_xen.xenbus.paths import HbaPaths
from tgtcore_xen.xenbus.states import State
from tgtcore_xen.xenbus.step import Connect, Disconnect, Erase, Make, Refuse, Remove, Write
from tgtcore_xen.xenbus.steps import next_steps
from tgtcore_xen.xenbus.wanted import Link, Stage, followed

PLACE = HbaPaths(0, 5, 0)
SETTLED_PASSES = 40
"""More than any way from anywhere takes."""


class World:
    def __init__(self, wanted):
        self.nodes = {}
        self.link = None
        self.wanted = wanted
        self.refused = ""
        self.log = []
        self.rings = 100
        self.scsi_devices = set()
        """What the guest has, as the front end has added it."""
        self.resumes = False
        """Whether the guest connects after a suspend: it has its devices then, and does not look for new ones."""

    # ---- our end ----------------------------------------------------------------------------------------------------

    def observe(self):
        def values(directory, names):
            return {name: self.nodes.get(f"{directory}/{name}") for name in names}

        numbers = sorted(
            {int(path.split("dev-")[1].split("/")[0]) for path in self.nodes if f"{PLACE.back}/vscsi-devs" in path}
        )
        devices = {
            number: (
                values(f"{PLACE.back}/{paths.device(number)}", paths.BACK_DEVICE_NODES),
                values(f"{PLACE.front}/{paths.device(number)}", (paths.STATE,)),
            )
            for number in numbers
        }
        return Observed.parse(
            PLACE, values(PLACE.back, paths.BACK_NODES), values(PLACE.front, paths.FRONT_NODES), devices
        )

    def step_once(self):
        """One pass of the back end; what it has done."""
        observed = self.observe()
        self.link = followed(self.link, observed)
        steps = next_steps(observed, self.wanted, self.link)
        for step in steps:
            self.log.append(step)
            self.do(step)
        return steps

    def do(self, step):
        match step:
            case Make():
                self.nodes.clear()
                self.nodes.update(new_nodes(PLACE, 128))
            case Remove():
                assert self.link is None, "nodes were removed under a connection"
                self.nodes.clear()
                self.scsi_devices.clear()
            case Connect(ring, _):
                assert self.link is None, "connected twice"
                self.link = Link(ring)
            case Disconnect():
                assert self.link is not None, "there was no connection"
                self.link = None
            case Write(name, value):
                self.nodes[f"{PLACE.back}/{name}"] = value
                if name == paths.STATE and value == "4" and self.link is not None and self.link.stage is Stage.MADE:
                    self.link = self.link._replace(stage=Stage.ANNOUNCED)
            case Erase(name):
                for path in [path for path in self.nodes if path.startswith(f"{PLACE.back}/{name}/")]:
                    del self.nodes[path]
            case Refuse(why):
                self.refused = why

    # ---- the front end ----------------------------------------------------------------------------------------------

    def state(self, directory):
        value = self.nodes.get(f"{directory}/state")
        return None if value is None else int(value)

    def say(self, state):
        self.nodes[f"{PLACE.front}/state"] = str(int(state))

    def publish(self):
        """Have a ring, and say so."""
        self.rings += 1
        self.nodes[f"{PLACE.front}/ring-ref"] = str(self.rings)
        self.nodes[f"{PLACE.front}/event-channel"] = str(self.rings + 7)
        self.say(State.INITIALISED)

    def ring(self):
        return Ring(self.rings, self.rings + 7)

    def front_once(self):
        """One look at our state; whether anything was done."""
        before = dict(self.nodes)
        front, back = self.state(PLACE.front), self.state(PLACE.back)
        if front in (1, 2):
            self.publish()
        elif front == 5 or (back in (5, 6) and front in (3, 4, 7, 8)):
            self.say(State.CLOSED)
            self.scsi_devices.clear()
        elif back == 4 and front == 3:
            if not self.resumes:
                self.devices(3)
            self.resumes = False
            self.say(State.CONNECTED)
        elif back == 7 and front == 4:
            self.devices(5)
            self.say(State.RECONFIGURING)
        elif back == 8 and front == 7:
            self.devices(3)
            self.say(State.CONNECTED)
        return self.nodes != before

    def devices(self, state):
        """Add those that are offered, or remove those that are to go."""
        for path, value in list(self.nodes.items()):
            if path.startswith(f"{PLACE.back}/vscsi-devs/") and path.endswith("/state") and value == str(state):
                number = int(path.split("dev-")[1].split("/")[0])
                address = self.nodes.get(f"{PLACE.back}/vscsi-devs/dev-{number}/v-dev", "")
                if state == 5 or address not in self.scsi_devices:
                    self.nodes[f"{PLACE.front}/vscsi-devs/dev-{number}/state"] = "4" if state == 3 else "6"
                (self.scsi_devices.add if state == 3 else self.scsi_devices.discard)(address)

    def settle(self):
        """Let both ends go on until nothing changes any more; how often ours had something to do."""
        for passes in range(SETTLED_PASSES):
            steps = self.step_once()
            if not self.front_once() and not steps:
                return passes
        raise AssertionError(f"it does not settle: {self.log[-12:]}")
