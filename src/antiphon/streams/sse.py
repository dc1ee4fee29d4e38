"""
Server-sent events: bytes in, whole events out (WHATWG HTML, section 9.2.6 "Interpreting an event stream").

Blocks may be cut anywhere, also inside a character or between CR and LF. Data stays bytes: whoever knows the dialect
decodes it. ``id`` and ``retry`` are for clients that reconnect and are ignored here. What follows the last blank line
is not an event, as the specification has it; :meth:`SseParser.pending` shows it to dialects that mark their own end.
"""

from __future__ import annotations

from antiphon.hub.errors import UpstreamBroken

__all__ = ["DEFAULT_MAX_EVENT_BYTES", "ServerSentEvent", "SseParser"]

# The event's name (``message`` where the stream names none) and its data. A plain tuple: one is made per token.
ServerSentEvent = tuple[str, bytes]

# An event of a model's stream is some hundred bytes; a picture in base64 is the largest that is legitimate.
DEFAULT_MAX_EVENT_BYTES = 32 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"


class SseParser:
    """
    Parses one stream.

    Args:
        max_event_bytes: The most that may be held back for one event, counted over its data lines.
    """

    def __init__(self, *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._at_start = True
        self._skip_lf = False
        # The line that has not ended yet, in the pieces it came in: joined once, so a long line costs O(n).
        self._line: list[bytes] = []
        self._line_bytes = 0
        # The event that has not ended yet.
        self._name = ""
        self._data: list[bytes] = []
        self._data_bytes = 0

    def feed(self, block: bytes) -> list[ServerSentEvent]:
        """
        Take bytes as they came.

        Returns:
            The events that ended in this block, in order.

        Raises:
            UpstreamBroken: An event is longer than ``max_event_bytes``. The parser is of no use after that.
        """
        if not (self._line or self._data or self._name or self._at_start or self._skip_lf):
            # What most reads of most streams are: whole events, and nothing else; most often one without a name.
            if block.count(b"\n") == 2 and block.startswith(b"data: ") and block.endswith(b"\n\n"):
                if b"\r" not in block and len(block) <= self._max_event_bytes:
                    return [("message", block[6:-2])]
            elif len(block) <= self._max_event_bytes:
                events = _whole_events(block if b"\r" not in block else block.replace(b"\r\n", b"\n"))
                if events is not None:
                    return events
        if self._at_start:
            block = self._strip_bom(block)
        if not block:
            return []
        if self._skip_lf or b"\r" in block or self._data or self._name:
            return self._feed_lines(block)
        if b"\n" not in block:
            self._hold(block)
            return []
        if self._line_bytes + len(block) > self._max_event_bytes:
            return self._feed_lines(block)
        return self._feed_frames(block)

    def pending(self) -> list[ServerSentEvent]:
        """The event that the stream's end cut off before its blank line, if it has data. Changes nothing."""
        rest = SseParser(max_event_bytes=self._max_event_bytes)
        lines = [*(b"data:" + line for line in self._data), b"".join(self._line)]
        return rest.feed(b"\n".join(lines) + b"\n\n")

    def _feed_frames(self, block: bytes) -> list[ServerSentEvent]:
        """The fast path: no CR in sight, no event begun, and nothing in reach that could be over the limit."""
        if self._line:
            block = b"".join((*self._line, block))
            self._line.clear()
            self._line_bytes = 0
        end = block.rfind(b"\n\n")
        rest = block[end + 2 :] if end >= 0 else block
        whole = block[: end + 2] if rest else block
        events = (_whole_events(whole) or self._feed_lines(whole)) if end >= 0 else []
        if rest:
            events += self._feed_lines(rest)
        return events

    def _feed_lines(self, block: bytes) -> list[ServerSentEvent]:
        """The exact path: every line end there is, events begun in earlier blocks, and the limit."""
        if self._skip_lf and block[0] == 0x0A:
            block = block[1:]
        self._skip_lf = block.endswith(b"\r")
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = block.split(b"\n")
        rest = lines.pop()
        if lines and self._line:
            lines[0] = b"".join((*self._line, lines[0]))
            self._line.clear()
            self._line_bytes = 0
        events: list[ServerSentEvent] = []
        for line in lines:
            if line:
                self._take_line(line)
            else:
                self._dispatch(events)
        if rest:
            self._hold(rest)
        return events

    def _take_line(self, line: bytes) -> None:
        self._check_size(len(line))
        field, _, value = line.partition(b":")
        if field == b"data":
            value = value.removeprefix(b" ")
            self._data.append(value)
            self._data_bytes += len(value)
        elif field == b"event":
            self._name = value.removeprefix(b" ").decode(errors="replace")

    def _dispatch(self, events: list[ServerSentEvent]) -> None:
        if self._data:
            events.append((self._name or "message", b"\n".join(self._data)))
            self._data.clear()
            self._data_bytes = 0
        self._name = ""

    def _hold(self, rest: bytes) -> None:
        self._line.append(rest)
        self._line_bytes += len(rest)
        self._check_size(self._line_bytes)

    def _check_size(self, line_bytes: int) -> None:
        if self._data_bytes + line_bytes > self._max_event_bytes:
            raise UpstreamBroken(
                f"The upstream sent an event of more than max_event_bytes ({self._max_event_bytes} bytes)."
            )

    def _strip_bom(self, block: bytes) -> bytes:
        """The block without a byte order mark, or nothing as long as it could still be the beginning of one."""
        block = b"".join((*self._line, block))
        self._line.clear()
        self._line_bytes = 0
        if len(block) < len(_BOM) and _BOM.startswith(block):
            self._line = [block] if block else []
            self._line_bytes = len(block)
            return b""
        self._at_start = False
        return block.removeprefix(_BOM)


def _whole_events(block: bytes) -> list[ServerSentEvent] | None:
    """
    The events of a block that is nothing but whole events of one form; None for any other block.

    The form is one data line, as nearly every stream has it, or one line of a name before it, as those of Anthropic and
    of the Responses API. That a block is of this form follows from the number of its lines.
    """
    if not block.endswith(b"\n\n"):
        return None
    if block.startswith(b"data: "):
        frames = block[6:-2].split(b"\n\ndata: ")
        if block.count(b"\n") == 2 * len(frames) and b"\r" not in block:
            return [("message", frame) for frame in frames]
    elif block.startswith(b"event: "):
        frames = block[7:-2].split(b"\n\nevent: ")
        if block.count(b"\n") == 3 * len(frames) and b"\r" not in block:
            return _named_events(frames)
    return None


def _named_events(frames: list[bytes]) -> list[ServerSentEvent] | None:
    events: list[ServerSentEvent] = []
    for frame in frames:
        name, between, data = frame.partition(b"\ndata: ")
        if not between:
            return None
        events.append((str(name, "utf-8", "replace") or "message", data))
    return events
