"""Where other apps have a say when a person leaves: they register in their AppConfig, because accounts knows none of
them.
"""

import uuid
from collections.abc import Callable

Listener = Callable[[uuid.UUID, uuid.UUID], None]


class Hook:
    """A list of functions called with (user id, workspace id) inside the transaction of what happened."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def register(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def run(self, user_id: uuid.UUID, workspace_id: uuid.UUID) -> None:
        for listener in self._listeners:
            listener(user_id, workspace_id)


# A member was removed or left, or lost rights by a lower role.
membership_ended = Hook()
role_lowered = Hook()
