"""How far a verification of the audit trail is that goes on from page to page, carried along in the form, signed."""

from dataclasses import asdict, dataclass, replace

from django.core import signing

from accounts.audit_chain import START, Link, Stretch
from accounts.principal import Principal

SALT = "dashboard.chain_walk"
LASTS = 600  # seconds between two steps
MOST_TOLD = 10


@dataclass(frozen=True)
class Walk:
    """Up to which row the trail is verified, how often it was found broken, and what is told of the first breaks.

    Rows of other workspaces are other people's: of a break at one of them nothing is told but that there is one.
    """

    workspace_id: str
    sequence: int = START.sequence
    hash: str = START.hash.hex()
    break_count: int = 0
    told: tuple[str, ...] = ()

    @classmethod
    def begin(cls, principal: Principal) -> "Walk":
        return cls(str(principal.workspace_id))

    @classmethod
    def carried(cls, text: str, principal: Principal) -> "Walk | None":
        """Return the walk that a form carries; None for none, one that is too old, made up, or another workspace's."""
        try:
            kept = signing.loads(text, salt=SALT, max_age=LASTS)
        except signing.BadSignature:
            return None
        walk = cls(**{**kept, "told": tuple(kept["told"])})
        return walk if walk.workspace_id == str(principal.workspace_id) else None

    @property
    def last(self) -> Link:
        return Link(self.sequence, bytes.fromhex(self.hash))

    @property
    def signed(self) -> str:
        return signing.dumps(asdict(self), salt=SALT)

    def after(self, stretch: Stretch) -> "Walk":
        """Return the walk with one more stretch behind it."""
        own = [found.sentence for found in stretch.breaks if str(found.workspace_id) in (self.workspace_id, "None")]
        return replace(
            self,
            sequence=stretch.last.sequence,
            hash=stretch.last.hash.hex(),
            break_count=self.break_count + len(stretch.breaks),
            told=(*self.told, *own)[:MOST_TOLD],
        )
