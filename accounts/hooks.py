"""Where other apps have a say when a person leaves, and tell what a workspace holds: they register in their AppConfig,
because accounts knows none of them.
"""

import uuid
from collections.abc import Callable

Listener = Callable[..., None]


class Hook:
    """A list of functions called with ids inside the transaction of what happened."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def register(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def run(self, *ids: uuid.UUID) -> None:
        for listener in self._listeners:
            listener(*ids)


# A member was removed or left, or lost rights by a lower role: the ids of user and workspace.
membership_ended = Hook()
role_lowered = Hook()

# A person's sign-ins were ended, so that what was to become one may not either: the id of the user. And everybody's in
# a workspace: its id.
sign_ins_ended = Hook()
workspace_sign_ins_ended = Hook()

# An account was given to whoever its address is, and nothing that came before counts: the id of the user.
account_reclaimed = Hook()

# An account is about to be deleted: the id of its user.
account_ended = Hook()

# What a workspace holds in other apps: how many of each, by its id.
workspace_counts: dict[str, Callable[[uuid.UUID], int]] = {}
