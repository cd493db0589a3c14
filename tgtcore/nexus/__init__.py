"""I_T nexuses: who talks to whom, what each logical unit remembers of it, and task management."""

from tgtcore.nexus.census import Census
from tgtcore.nexus.itl import ITLNexus
from tgtcore.nexus.management import Tmf, TmfRequest, TmfResponse, manage
from tgtcore.nexus.nexus import Nexus
from tgtcore.nexus.ports import InitiatorPort, TargetPort

__all__ = ["Census", "ITLNexus", "InitiatorPort", "Nexus", "TargetPort", "Tmf", "TmfRequest", "TmfResponse", "manage"]
