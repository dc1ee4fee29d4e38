"""What the stores have in common where things are found, forked and erased together. Pure."""

from __future__ import annotations

import msgspec

from antiphon.hub.errors import ItemNotFound, StoreConflict
from antiphon.hub.ids import Family
from antiphon.sessions.library import NewPrompt
from antiphon.sessions.records import NewConversation

__all__ = ["Doomed", "check_fork", "check_version", "item_not_shown"]


class Doomed(msgspec.Struct):
    """
    What goes when something is deleted together with whatever stands on it.

    Attributes:
        responses: These become unknown, whether or not they have expired.
        conversations: So do these.
        hidden: The positions that are removed from the views of conversations that stay.
    """

    responses: set[str] = msgspec.field(default_factory=set)
    conversations: set[str] = msgspec.field(default_factory=set)
    hidden: dict[str, set[int]] = msgspec.field(default_factory=dict)

    def add(self, other: Doomed) -> None:
        """Let what *other* names go too."""
        self.responses |= other.responses
        self.conversations |= other.conversations
        for conversation_id, positions in other.hidden.items():
            self.hidden.setdefault(conversation_id, set()).update(positions)

    @property
    def changed_conversations(self) -> set[str]:
        """The conversations that no turn may hold while this is carried out."""
        return self.conversations | self.hidden.keys()


def check_fork(fork: NewConversation, family: Family) -> None:
    """
    Refuse a fork that does not fit the conversation that it is made from.

    Raises:
        StoreConflict: It is of another *family* than that conversation, or has entries of its own.
    """
    if fork.family != family:
        raise StoreConflict(f"The fork is of family '{fork.family}', its conversation of family '{family}'.")
    if fork.entries:
        raise StoreConflict("A fork begins with the items of its conversation; it has no entries of its own.")


def item_not_shown(item_id: str) -> ItemNotFound:
    """The error of an item that a conversation does not show."""
    return ItemNotFound(f"Item with id '{item_id}' not found in conversation.")


def check_version(prompt: NewPrompt, version: int) -> None:
    """
    See whether a prompt's next *version* is the one that it has to become.

    Raises:
        StoreConflict: It is not.
    """
    if prompt.version not in (None, version):
        raise StoreConflict(f"The prompt '{prompt.id}' would have version {version}, and not {prompt.version}.")
