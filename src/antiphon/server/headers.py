"""What the headers of requests and answers mean, by name: the words of the published document."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["ABOUT_TURNS", "ANSWER_HEADERS", "OF_EVERY_ANSWER", "OF_MESSAGES", "OF_RATES", "OF_TURNS", "REQUEST_HEADERS"]

REQUEST_HEADERS: Mapping[str, str] = {
    "idempotency-key": "A key of your own for this request. Sent again with the same key and body, it is not carried "
    "out again: the answer is the one that it had.",
    "x-antiphon-conversation-wait-ms": "How long to wait, in milliseconds, for a conversation that another turn holds, "
    "instead of an error at once; 60000 at most.",
    "x-antiphon-drop": "What may be left out for an upstream that cannot be told of it, instead of an error: "
    "parameters by name, tools, content parts and items by type, with commas between; or 'all'.",
    "x-antiphon-on-disconnect": "What the turn does when its reader goes away: 'cancel' or 'continue'.",
    "anthropic-version": "The version of the Messages API that the client was written for; taken, and not looked at.",
    "anthropic-beta": "Betas that the client wants. A field of one is served, or refused by its name, with or without "
    "this header.",
}

OF_EVERY_ANSWER = ("x-request-id",)
OF_MESSAGES = ("anthropic-version", "anthropic-beta")
ABOUT_TURNS = ("x-antiphon-conversation-wait-ms", "x-antiphon-drop", "x-antiphon-on-disconnect")
OF_TURNS = (
    "x-antiphon-history",
    "x-antiphon-upstream",
    "x-antiphon-attempts",
    "x-antiphon-model",
    "x-antiphon-overhead-ms",
    "x-antiphon-not-applied",
    "x-antiphon-verbatim",
    "x-antiphon-cost",
)

OF_RATES = tuple(
    f"x-ratelimit-{what}-{of}" for of in ("requests", "tokens") for what in ("limit", "remaining", "reset")
)

ANSWER_HEADERS: Mapping[str, str] = {
    "x-request-id": "Names this request; errors and logs carry it too.",
    "request-id": "The same as 'x-request-id', under the name that clients of the Messages API know.",
    "x-antiphon-history": "How many items of history the model was given, from where, and how many were left out; "
    "'truncated' counts those that did not fit, where the request allowed that.",
    "x-antiphon-upstream": "The configured name of the upstream that answered.",
    "x-antiphon-attempts": "How many requests were sent to upstreams; of each that gave no answer or was passed "
    "over, its name and why.",
    "x-antiphon-model": "The model's name as it was asked for.",
    "x-antiphon-overhead-ms": "The time that the gateway itself took before it asked the upstream.",
    "x-antiphon-not-applied": "Fields that were accepted and had no effect; only if there are any.",
    "x-antiphon-verbatim": "'true' where request and answer went through in the words of client and upstream; else "
    "it is not there.",
    "x-antiphon-cost": "What the upstreams asked for it, in USD; only where that is known.",
    "x-antiphon-token-count": "'exact' where the model's own server counted, 'estimate' where nobody could.",
    "idempotent-replayed": "'true' where the answer is the one that this key had before.",
    "x-antiphon-response-id": "The id of the turn that failed and is kept.",
    **{
        f"x-ratelimit-{what}-{of}": f"{text} {of} in a minute; only where there is a limit."
        for of in ("requests", "tokens")
        for what, text in (
            ("limit", "The caller's limit of"),
            ("remaining", "What is left of the caller's"),
            ("reset", "After how long all is left again, if nothing is used until then, of the caller's"),
        )
    },
    "x-should-retry": "'true' where sending the same request again can help, 'false' where it cannot.",
    "retry-after": "After how many seconds.",
    "retry-after-ms": "After how many milliseconds.",
}
