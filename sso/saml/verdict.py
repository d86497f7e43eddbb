"""What comes of looking at an identity provider's answer: each check by its name, and what it says of a person."""

from dataclasses import dataclass, field
from datetime import datetime

FOR_THE_FORMER = "encrypted for our former certificate, which will go: enter the present one at the provider"


@dataclass(frozen=True)
class Check:
    """One check. `expected` and `received` are for the workspace's owners: short, and never a secret."""

    name: str
    passed: bool
    expected: str = ""
    received: str = ""


@dataclass(frozen=True)
class Assertion:
    """What a verified assertion says of a person; read only from the element whose signature holds."""

    id: str
    name_id: str
    name_id_format: str  # "unspecified" where it says none (SAML core 2.2.2)
    name_qualifier: str  # empty where it is the provider's own, which is meant where it says none (core 8.3.7)
    session_index: str
    attributes: dict[str, list[str]]
    in_response_to: str  # empty where the provider began
    logged_in_at: datetime  # at the provider (AuthnInstant)
    expires_at: datetime  # when it is of no use to anybody any more: NotOnOrAfter and the skew
    session_ends_at: datetime | None = None  # SessionNotOnOrAfter


@dataclass(frozen=True)
class Verdict:
    """Every check that was made, in order; `assertion` is there only where all of them passed."""

    checks: list[Check] = field(default_factory=list)
    assertion: Assertion | None = None

    @property
    def is_signed(self) -> bool:
        """Return whether the provider has signed it. Anybody can send what is not, at any time."""
        return any(check.name == "signature" and check.passed for check in self.checks)

    @property
    def is_for_former_key(self) -> bool:
        """Return whether the provider has signed what is encrypted for the key that is to be let go."""
        return self.is_signed and any(check.received == FOR_THE_FORMER for check in self.checks)

    @property
    def failed_check(self) -> str:
        """Return the name of the first check that failed, or nothing."""
        return next((check.name for check in self.checks if not check.passed), "")
