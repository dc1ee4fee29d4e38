"""What Gemini is sent for each of the kit's requests: the JSON body, or the name of the parameter that is refused."""

from __future__ import annotations

from antiphon.hub.items import JsonObject
from tests.providers.kit.requests import TOLD_ID

__all__ = ["BODIES", "call_part", "model", "response_part", "user"]

SKIP = "skip_thought_signature_validator"
_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_IMAGE = {"inlineData": {"mimeType": "image/png", "data": _PNG}}


def user(*parts: JsonObject | str) -> JsonObject:
    return {"role": "user", "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}


def model(*parts: JsonObject | str) -> JsonObject:
    return {**user(*parts), "role": "model"}


def call_part(call_id: str, name: str, args: JsonObject, signature: str | None = None) -> JsonObject:
    part: JsonObject = {"functionCall": {"id": call_id, "name": name, "args": args}}
    return part if signature is None else {**part, "thoughtSignature": signature}


def response_part(call_id: str, name: str, response: JsonObject, **more: object) -> JsonObject:
    return {"functionResponse": {"id": call_id, "name": name, "response": response, **more}}


def _declaration(name: str) -> JsonObject:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"name": name, "description": f"{name}s", "parametersJsonSchema": parameters}


def _tools(*declarations: JsonObject) -> JsonObject:
    return {"tools": [{"functionDeclarations": list(declarations)}]}


def _mode(mode: str, *names: str) -> JsonObject:
    calling: JsonObject = {"mode": mode, "allowedFunctionNames": list(names)} if names else {"mode": mode}
    return {"toolConfig": {"functionCallingConfig": calling}}


def _config(**fields: object) -> JsonObject:
    return {"contents": [user("Hi")], "generationConfig": fields}


_HI = {"contents": [user("Hi")]}
_LOOK, _FIND = _declaration("look"), _declaration("find")
_PARIS, _ROME = {"city": "Paris"}, {"city": "Rome"}
_BRIEF = {**_HI, "systemInstruction": {"parts": [{"text": "Be brief."}]}}
_SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}

BODIES: dict[str, JsonObject | str] = {
    "one text": _HI,
    "a stream": _HI,
    "instructions": _BRIEF,
    "a system message": _BRIEF,
    "a developer message": _BRIEF,
    "instructions and messages of the system": {
        "systemInstruction": {"parts": [{"text": "Zero."}, {"text": "One."}, {"text": "Two."}]},
        "contents": [user("Hi", "Ho")],
    },
    "a dialogue": {"contents": [user("Hi"), model("Hello."), user("Who?")]},
    "two user messages in a row": {"contents": [user("Hi", "there")]},
    "an assistant speaks first": {"contents": [model("Hello."), user("Hi")]},
    "it ends with the assistant": {"contents": [user("Hi"), model("Once upon")]},
    "many parts": {"contents": [user("a", "b")]},
    "an empty text": _HI,
    "an image as data": {"contents": [user("What?", _IMAGE)]},
    "an image by URL": {
        "contents": [user({"fileData": {"mimeType": "image/png", "fileUri": "https://images.example/cat.png"}})]
    },
    "a file as data": {
        "contents": [user("Read", {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0xLjQKJSVFT0YK"}})]
    },
    "an earlier refusal": {"contents": [user("Hi"), model("No."), user("Why?")]},
    "a tool": {**_HI, **_tools(_LOOK)},
    "a strict tool": {**_HI, **_tools(_LOOK), **_mode("VALIDATED")},
    "a tool without parameters": {**_HI, **_tools({"name": "ping"})},
    "no tool may be called": {**_HI, **_tools(_LOOK), **_mode("NONE")},
    "a tool has to be called": {**_HI, **_tools(_LOOK, _FIND), **_mode("ANY")},
    "one tool has to be called": {**_HI, **_tools(_LOOK, _FIND), **_mode("ANY", "look")},
    "some tools may be called": {**_HI, **_tools(_LOOK)},
    "one call at a time": {**_HI, **_tools(_LOOK)},
    "a call and its output": {
        "contents": [
            user("Weather?"),
            model(call_part("call_1", "look", _PARIS, SKIP)),
            user(response_part("call_1", "look", {"output": "18 C"})),
        ],
        **_tools(_LOOK),
    },
    "text before a call": {
        "contents": [
            user("Weather?"),
            model("Let me see.", call_part("call_1", "look", _PARIS, SKIP)),
            user(response_part("call_1", "look", {"output": "18 C"})),
        ],
        **_tools(_LOOK),
    },
    "parallel calls": {
        "contents": [
            user("Weather?"),
            model(call_part("call_1", "look", _PARIS, SKIP), call_part("call_2", "look", _ROME)),
            user(
                response_part("call_1", "look", {"output": "18 C"}),
                response_part("call_2", "look", {"output": "25 C"}),
            ),
        ],
        **_tools(_LOOK),
    },
    "arguments that are no JSON": {
        "contents": [
            user("Hi"),
            model(call_part("call_1", "look", {"arguments": "{half"}, SKIP)),
            user(response_part("call_1", "look", {"output": "done"})),
        ],
        **_tools(_LOOK),
    },
    "an output with an image": {
        "contents": [
            user("Hi"),
            model(call_part("call_1", "look", {}, SKIP)),
            user(response_part("call_1", "look", {"output": "see"}, parts=[_IMAGE])),
        ],
        **_tools(_LOOK),
    },
    "a custom tool": {
        "contents": [
            user("Hi"),
            model(call_part("call_1", "patch", {"input": "*** begin"}, SKIP)),
            user(response_part("call_1", "patch", {"output": "done"})),
        ],
        **_tools(
            {
                "name": "patch",
                "description": "Patches.",
                "parametersJsonSchema": {
                    "type": "object",
                    "properties": {
                        "input": {"type": "string", "description": "Everything that the tool is given, as free text."}
                    },
                    "required": ["input"],
                },
            }
        ),
    },
    "a tool in a namespace": {
        **_HI,
        **_tools({**_FIND, "name": "crm__find", "description": "C\n\nfinds"}),
    },
    "a hosted tool": "tools[0]",
    "reasoning of another provider": {"contents": [user("Hi"), model("Hello."), user("Who?")]},
    "an unknown item": "input[1]",
    "temperature and top_p": _config(temperature=0.5, topP=0.9),
    "a limit of output": _config(maxOutputTokens=100),
    "penalties": _config(presencePenalty=0.5, frequencyPenalty=0.25),
    "log probabilities": _config(responseLogprobs=True, logprobs=3),
    "effort": _config(thinkingConfig={"thinkingLevel": "HIGH"}),
    "no effort": "reasoning.effort",
    "a summary of reasoning": _config(thinkingConfig={"thinkingLevel": "LOW", "includeThoughts": True}),
    "encrypted reasoning is asked for": _HI,
    "a JSON object": {
        "contents": [user("Say JSON")],
        "generationConfig": {"responseMimeType": "application/json"},
    },
    "a JSON schema": _config(responseMimeType="application/json", responseJsonSchema=_SCHEMA),
    "few words": "text.verbosity",
    "an end user": _HI,
    "a cache key": _HI,
    "a service tier": {**_HI, "serviceTier": "flex"},
    "texts to stop at": _config(stopSequences=["END", "###"]),
    "a tool that failed": {
        "contents": [
            user("Hi"),
            model(call_part("call_1", "look", {}, SKIP)),
            user(response_part("call_1", "look", {"error": "No city."})),
        ],
        **_tools(_LOOK),
    },
    "what another upstream's tools made": {
        "contents": [
            user("Hi"),
            model(call_part(TOLD_ID, "find", {"q": "x"})),
            user(response_part(TOLD_ID, "find", {"output": "Found."})),
            model("Hello."),
            user("Who?"),
        ]
    },
}
