"""
What is wrong with a value, in OpenAI's own words.

A :class:`Flaw` is raised where the value is and learns its path from the containers that it passes on the way out, so
that a request without flaws pays nothing for paths. The sentences are those that OpenAI's API answers, to the letter;
clients and people search for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from antiphon.hub.errors import InvalidRequest

__all__ = [
    "Flaw",
    "invalid_type",
    "invalid_value",
    "listed",
    "missing",
    "nearest",
    "out_of_range",
    "spoken_type",
    "too_long",
    "unknown",
]

# A client's own words come back in the message; an error body stays readable whatever they are.
_MAX_ECHO = 128
_HUGE = 10**40

_SPOKEN = {
    bool: "a boolean",
    int: "an integer",
    float: "a decimal number",
    str: "a string",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


class Flaw(Exception):
    """
    A value that breaks its schema.

    Args:
        code: OpenAI's code.
        say: The message for the value's path.
    """

    def __init__(self, code: str, say: Callable[[str], str]) -> None:
        super().__init__(code)
        self.code = code
        self._say = say
        self._steps: list[str] = []

    def under(self, step: str) -> Flaw:
        """The same flaw, seen from one container further out; *step* is ``.name`` or ``[0]``."""
        self._steps.append(step)
        return self

    def error(self) -> InvalidRequest:
        """The error for the caller."""
        path = "".join(reversed(self._steps)).removeprefix(".")
        return InvalidRequest(self._say(path), param=path or None, code=self.code)


def invalid_type(expected: str, value: object) -> Flaw:
    """``Invalid type for 'x': expected an integer, but got a string instead.``"""
    got = spoken_type(value)
    return Flaw("invalid_type", lambda path: f"Invalid type for '{path}': expected {expected}, but got {got} instead.")


def invalid_value(value: object, supported: Iterable[str], hint: str | None = None) -> Flaw:
    """``Invalid value: 'bogus'. Supported values are: 'auto' and 'disabled'.``"""
    shown = brief(value) if isinstance(value, str) else ""
    meant = f" Did you mean '{hint}'?" if hint else ""
    choices = listed(list(supported), "and")
    return Flaw("invalid_value", lambda _: f"Invalid value: '{shown}'. Supported values are: {choices}.{meant}")


def missing(name: str) -> Flaw:
    """``Missing required parameter: 'tools[0].name'.``"""
    return Flaw("missing_required_parameter", lambda path: f"Missing required parameter: '{path}'.").under(f".{name}")


def unknown(name: str, hint: str | None) -> Flaw:
    """``Unknown parameter: 'stop'. Did you mean 'store'?``"""
    shown = brief(name)

    def say(path: str) -> str:
        meant = f" Did you mean '{path.removesuffix(shown)}{hint}'?" if hint else ""
        return f"Unknown parameter: '{path}'.{meant}"

    return Flaw("unknown_parameter", say).under(f".{shown}")


def out_of_range(value: float, bound: float, *, kind: str, below: bool) -> Flaw:
    """``Invalid 'x': integer below minimum value. Expected a value >= 16, but got 8 instead.``; *kind* is the noun."""
    side, sign, tag = ("below minimum", ">=", "below_min") if below else ("above maximum", "<=", "above_max")
    got = _number(value)
    return Flaw(
        f"{kind}_{tag}_value",
        lambda path: f"Invalid '{path}': {kind} {side} value. Expected a value {sign} {bound}, but got {got} instead.",
    )


def too_long(kind: str, maximum: int, length: int) -> Flaw:
    """``Invalid 'x': string too long. …``; *kind* is ``string`` or ``array``."""
    article = "an" if kind == "array" else "a"
    return Flaw(
        f"{kind}_above_max_length",
        lambda path: (
            f"Invalid '{path}': {kind} too long. Expected {article} {kind} with maximum length {maximum}, "
            f"but got {article} {kind} with length {length} instead."
        ),
    )


def spoken_type(value: object) -> str:
    """A JSON value's type as OpenAI says it: ``a string``, ``an object``, ``null``."""
    return _SPOKEN.get(type(value), "an unsupported value")


def listed(values: Sequence[str], conjunction: str) -> str:
    """``'a'``, ``'a' and 'b'``, ``'a', 'b', and 'c'``."""
    quoted = [f"'{value}'" for value in values]
    if len(quoted) <= 2:
        return f" {conjunction} ".join(quoted)
    return f"{', '.join(quoted[:-1])}, {conjunction} {quoted[-1]}"


def brief(text: str) -> str:
    """*text*, cut where it would make the message unreadable."""
    return text if len(text) <= _MAX_ECHO else f"{text[: _MAX_ECHO - 3]}..."


def nearest(name: str, known: Iterable[str], present: Iterable[str]) -> str | None:
    """
    The known name that *name* was probably meant to be: at most two edits away, and not sent already.

    The nearest wins, then the first in the alphabet, as at OpenAI. Names that differ in length by more than two are not
    looked at, so the cost does not depend on what a client sends.
    """
    taken = set(present)
    near = [(_edits(name, word), word) for word in known if word not in taken and abs(len(name) - len(word)) <= 2]
    distance, word = min(near, default=(3, ""))
    return word if distance <= 2 else None


def _edits(left: str, right: str) -> int:
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]


def _number(value: float) -> str:
    # Python refuses to print integers of thousands of digits.
    if -_HUGE < value < _HUGE:
        return str(value)
    return "a much smaller number" if value < 0 else "a much larger number"
