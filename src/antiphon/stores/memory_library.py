"""One tenant's library in memory: lists, forks and rewinds, prompts, and erasing with whatever stands on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from antiphon.hub.errors import ConversationNotFound, PromptNotFound, ResponseNotFound
from antiphon.hub.ids import LogId
from antiphon.sessions.library import Filter, ListPage, NewPrompt, StoredPrompt
from antiphon.sessions.records import Conversation, Head, NewConversation, Status
from antiphon.sessions.work import Settlement
from antiphon.stores.library import Doomed, check_fork, check_version, item_not_shown
from antiphon.stores.memory_state import ConversationRecord, Response, erase_unreached, forget
from antiphon.stores.memory_tenant_work import TenantWork
from antiphon.stores.memory_work import PendingRow
from antiphon.stores.paging import listed
from antiphon.stores.turns import id_in_use

__all__ = ["TenantLibrary"]

T = TypeVar("T")
Key = tuple[int, str]
"""What a list is ordered by."""


class _Listed(msgspec.Struct, frozen=True, kw_only=True):
    """What a list knows of a response, stored or pending."""

    response_id: str
    insertion_index: int
    created_at: int
    status: Status
    model: str
    alias: str
    conversation_id: str | None
    terms: tuple[bytes, ...]

    @property
    def place(self) -> Key:
        return self.insertion_index, self.response_id

    def fits(self, wanted: Filter) -> bool:
        return (
            _fits(self.created_at, self.terms, wanted)
            and wanted.model in (None, self.model, self.alias)
            and wanted.status in (None, self.status)
            and wanted.conversation_id in (None, self.conversation_id)
        )


class TenantLibrary(TenantWork):
    """See :class:`~antiphon.sessions.library.LibraryStore`."""

    # Lists.

    async def list_responses(self, wanted: Filter) -> ListPage[str]:
        live = (response for response in self._state.responses.values() if not self._has_expired(response))
        listed_ones = [*map(_listed_response, live), *_listed_pending(self._state.work.pending.values())]
        cursor = next((each.place for each in listed_ones if each.response_id == wanted.after), None)
        if wanted.after is not None and cursor is None:
            raise ResponseNotFound(wanted.after)
        page = _page([each for each in listed_ones if each.fits(wanted)], wanted, lambda each: each.place, cursor)
        return ListPage(data=tuple(each.response_id for each in page.data), has_more=page.has_more)

    async def list_conversations(self, wanted: Filter) -> ListPage[Conversation]:
        cursor = None if wanted.after is None else self._state.conversations.get(wanted.after)
        if wanted.after is not None and cursor is None:
            raise ConversationNotFound(wanted.after)
        fitting = [each for each in self._state.conversations.values() if _fits(each.created_at, each.terms, wanted)]
        page = _page(fitting, wanted, _key_of_conversation, None if cursor is None else _key_of_conversation(cursor))
        return ListPage(data=tuple(map(self._shown, page.data)), has_more=page.has_more)

    # Forks.

    async def fork_conversation(
        self,
        conversation_id: str,
        fork: NewConversation,
        *,
        at: str | None = None,
        settlement: Settlement | None = None,
    ) -> Conversation:
        self._check_settlement(settlement)
        source = self._conversation(conversation_id)
        base = self._end_of(source)
        check_fork(fork, self._state.logs[source.log].family)
        if fork.id in self._state.conversations:
            raise id_in_use("conversation", fork.id)
        self._check_seal(fork.family, fork.seal)
        if at is not None:
            base = Head(log=base.log, position=self._first_place(source, at), epoch=base.epoch)
        self._admit()
        log = self._open_log(fork.family, base=base, is_conversation=True)
        self._state.conversations[fork.id] = ConversationRecord(
            id=fork.id, log=log, created_at=fork.created_at, payload=fork.payload, terms=fork.terms
        )
        self._settle(settlement)
        return self._shown(self._state.conversations[fork.id])

    async def rewind_conversation(self, conversation_id: str, item_id: str) -> int:
        conversation = self._unlocked(conversation_id)
        place = self._first_place(conversation, item_id)
        after = [item for item in self._view(self._end_of(conversation))[place + 1 :] if not item.removed]
        self._hide(conversation.log, [item.position for item in after])
        erase_unreached(self._state)
        return len(listed(after))

    def _first_place(self, conversation: ConversationRecord, item_id: str) -> int:
        places = [item.position for item in self._present(conversation) if item.id == item_id]
        if not places:
            raise item_not_shown(item_id)
        return places[0]

    # Prompts.

    async def add_prompt(self, prompt: NewPrompt, *, settlement: Settlement | None = None) -> StoredPrompt:
        self._check_settlement(settlement)
        check_version(prompt, len(self._state.prompts.get(prompt.id, ())) + 1)
        self._admit()
        versions = self._state.prompts.setdefault(prompt.id, [])
        versions.append(prompt)
        self._settle(settlement)
        return _shown_prompt(versions, len(versions))

    async def read_prompt(self, prompt_id: str, version: int | None = None) -> StoredPrompt | None:
        versions = self._state.prompts.get(prompt_id, [])
        wanted = len(versions) if version is None else version
        return _shown_prompt(versions, wanted) if 1 <= wanted <= len(versions) else None

    async def list_prompts(self, *, limit: int, after: str | None) -> Sequence[StoredPrompt]:
        ordered = sorted(self._state.prompts, key=self._age_of_prompt, reverse=True)
        if after is not None and after not in self._state.prompts:
            raise PromptNotFound(after)
        start = 0 if after is None else ordered.index(after) + 1
        found = (self._state.prompts[prompt_id] for prompt_id in ordered[start : start + limit])
        return tuple(_shown_prompt(versions, len(versions)) for versions in found)

    async def delete_prompt(self, prompt_id: str) -> bool:
        return self._state.prompts.pop(prompt_id, None) is not None

    def _age_of_prompt(self, prompt_id: str) -> Key:
        return self._state.prompts[prompt_id][0].created_at, prompt_id

    # Erasing with whatever stands on it.

    def _doomed_with_response(self, response: Response) -> Doomed:
        """A response, what shows an item of its own, and what of its conversation goes with it."""
        owner = self._owner_of(response.log)
        doomed = self._standing_on([response])
        if owner is None or owner.id != response.turn.conversation_id:
            return doomed
        doomed.conversations.discard(owner.id)
        present = {item.position for item in self._view(self._end_of(owner)) if not item.removed}
        later = [
            each
            for each in self._state.responses.values()
            if each.log == response.log
            and each.turn.conversation_id == owner.id
            and each.first > response.head.position
        ]
        own = {place for each in [response, *later] if not self._has_expired(each) for _, place in _own_places(each)}
        if own & present:
            doomed.hidden[owner.id] = own & present
        return doomed

    def _doomed_with_conversation(self, conversation: ConversationRecord) -> Doomed:
        """A conversation, its responses, and what was continued or forked from it, directly or not."""
        logs = {log for log in self._state.logs if conversation.log in self._ancestry_of(log)}
        its = [
            response
            for response in self._state.responses.values()
            if response.log in logs or response.turn.conversation_id == conversation.id
        ]
        doomed = self._standing_on([response for response in its if response.log not in logs])
        doomed.responses |= {response.turn.response_id for response in its}
        doomed.conversations |= {each.id for each in self._state.conversations.values() if each.log in logs}
        return doomed

    def _standing_on(self, responses: Sequence[Response]) -> Doomed:
        """*responses*, and everything that shows an item of their own."""
        own = {place for response in responses for place in _own_places(response)}
        state = self._state
        showing = (each for each in state.responses.values() if self._shows(each.head, own))
        return Doomed(
            responses={response.turn.response_id for response in (*responses, *showing)},
            conversations={each.id for each in state.conversations.values() if self._shows(self._end_of(each), own)},
        )

    def _shows(self, head: Head, places: set[tuple[int, int]]) -> bool:
        return any((item.log, item.position) in places for item in self._view(head) if not item.removed)

    def _ancestry_of(self, log: LogId) -> list[LogId]:
        """A log and those that it stands on."""
        ancestry: list[LogId] = []
        below: LogId | None = log
        while below is not None and below in self._state.logs:
            ancestry.append(below)
            base = self._state.logs[below].base
            below = None if base is None else base.log
        return ancestry

    def _erase(self, doomed: Doomed) -> None:
        """
        Carry out what was found.

        Raises:
            ConversationLocked: A turn holds a conversation that would change. Nothing was changed.
        """
        for conversation_id in doomed.changed_conversations:
            self._unlocked(conversation_id)
        for conversation_id, positions in doomed.hidden.items():
            self._hide(self._state.conversations[conversation_id].log, sorted(positions))
        for response_id in doomed.responses:
            forget(self._state, response_id)
        for conversation_id in doomed.conversations:
            self._forget_conversation(conversation_id)
        erase_unreached(self._state)

    def _forget_conversation(self, conversation_id: str) -> None:
        """Make a conversation unknown; what only it reached is erased next."""
        del self._state.conversations[conversation_id]
        self._state.work.drop_answers_about(conversation_id)


def _own_places(response: Response) -> list[tuple[int, int]]:
    return [(response.log, response.first + index) for index in range(response.count)]


def _page(fitting: Iterable[T], wanted: Filter, key: Callable[[T], Key], cursor: Key | None) -> ListPage[T]:
    """The page of *fitting* that comes after *cursor* in the order that is wanted."""
    descending = wanted.order == "desc"
    ordered = sorted(fitting, key=key, reverse=descending)
    if cursor is not None:
        ordered = [each for each in ordered if (key(each) < cursor if descending else key(each) > cursor)]
    return ListPage(data=tuple(ordered[: wanted.limit]), has_more=len(ordered) > wanted.limit)


def _key_of_conversation(conversation: ConversationRecord) -> Key:
    return conversation.created_at, conversation.id


def _listed_response(response: Response) -> _Listed:
    turn = response.turn
    return _Listed(
        response_id=turn.response_id,
        insertion_index=response.insertion_index,
        created_at=response.created_at,
        status=turn.status,
        model=turn.model,
        alias=turn.alias,
        conversation_id=turn.conversation_id,
        terms=turn.terms,
    )


def _listed_pending(rows: Iterable[PendingRow]) -> list[_Listed]:
    return [
        _Listed(
            response_id=row.new.response_id,
            insertion_index=row.insertion_index,
            created_at=row.new.created_at,
            status=row.status,
            model=row.new.model,
            alias=row.new.alias,
            conversation_id=row.new.conversation_id,
            terms=row.new.terms,
        )
        for row in rows
        if row.insertion_index is not None
    ]


def _fits(created_at: int, terms: Sequence[bytes], wanted: Filter) -> bool:
    return (
        (wanted.created_from is None or created_at >= wanted.created_from)
        and (wanted.created_before is None or created_at < wanted.created_before)
        and set(wanted.terms) <= set(terms)
    )


def _shown_prompt(versions: Sequence[NewPrompt], version: int) -> StoredPrompt:
    new = versions[version - 1]
    return StoredPrompt(
        id=new.id, version=version, latest=len(versions), created_at=new.created_at, payload=new.payload
    )
