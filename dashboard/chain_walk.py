"""How far a verification of the audit trail is that goes on from page to page, carried along in the form, signed. Each
step of it counts once, which the store of the limits remembers for longer than a walk lasts.
"""

import time
import uuid
from dataclasses import asdict, dataclass, replace

from django.core import signing

from accounts.audit_chain import START, Link, Stretch, find_head
from accounts.principal import Principal
from accounts.throttles import AUDIT_VERIFICATION_STEPS
from spatialflow.errors import Conflict

SALT = "dashboard.chain_walk"
LASTS = 600  # seconds between two steps
LASTS_IN_ALL = 3600  # seconds from the beginning
MOST_TOLD = 10


class StepTaken(Conflict):
    default_detail = (
        "This verification has gone on from here already, in another tab or by a reload. Verify the trail anew to see "
        "how it stands."
    )
    default_code = "verification_step_taken"


@dataclass(frozen=True)
class Walk:
    """Up to which row the trail is verified, how often it was found broken, and what is told of the first breaks.

    Rows of other workspaces are other people's: of a break at one of them nothing is told but that there is one.
    """

    workspace_id: str
    id: str
    begun_at: float
    begun_behind: int  # the trail's last row at that moment
    steps: int = 0
    sequence: int = START.sequence
    hash: str = START.hash.hex()
    break_count: int = 0
    told: tuple[str, ...] = ()

    @classmethod
    def begin(cls, principal: Principal) -> "Walk":
        return cls(str(principal.workspace_id), str(uuid.uuid4()), time.time(), find_head().sequence)

    @classmethod
    def carried(cls, text: str, principal: Principal) -> "Walk | None":
        """Return the walk that a form carries; None for none, one that is too old, made up, or another workspace's."""
        try:
            kept = signing.loads(text, salt=SALT, max_age=LASTS)
        except signing.BadSignature:
            return None
        walk = cls(**{**kept, "told": tuple(kept["told"])})
        is_over = walk.begun_at < time.time() - LASTS_IN_ALL
        return walk if walk.workspace_id == str(principal.workspace_id) and not is_over else None

    @property
    def last(self) -> Link:
        return Link(self.sequence, bytes.fromhex(self.hash))

    @property
    def signed(self) -> str:
        return signing.dumps(asdict(self), salt=SALT)

    def take_step(self) -> None:
        """Let the next step be taken, this once. Raises `StepTaken`."""
        if not AUDIT_VERIFICATION_STEPS.has_room(f"{self.id}:{self.steps}"):
            raise StepTaken()

    def after(self, stretch: Stretch) -> "Walk":
        """Return the walk with one more stretch behind it."""
        own = [found.sentence for found in stretch.breaks if str(found.workspace_id) in (self.workspace_id, "None")]
        return replace(
            self,
            steps=self.steps + 1,
            sequence=stretch.last.sequence,
            hash=stretch.last.hash.hex(),
            break_count=self.break_count + len(stretch.breaks),
            told=(*self.told, *own)[:MOST_TOLD],
        )
