"""What each body, query and field means, for the published document. A test sees to it that no field is left out."""

from __future__ import annotations

from antiphon.hub.items import JsonObject

__all__ = ["DESCRIPTIONS", "EXAMPLES"]

_METADATA = "Up to 16 pairs of your own; names up to 64 characters, values up to 512."

_LISTED = {
    "limit": "The most objects in the answer.",
    "order": "'desc' lists the newest first.",
    "after": "List what comes behind this id: the 'last_id' of the page before.",
    "metadata": "Only what has these pairs, all of them: 'metadata[name]=value', once for each.",
    "created_after": "Only what was created later; seconds since the epoch.",
    "created_before": "Only what was created earlier; seconds since the epoch.",
}

# By schema, then by member; the empty name is the schema itself.
DESCRIPTIONS: dict[str, dict[str, str]] = {
    "CreateResponse": {
        "": "A turn. Null means the same as absent. 'model' is needed, and something for it to answer.",
        "model": "The model's name, as the list of models gives it, or an alias of the configuration.",
        "input": "A text, which is one message of the user's, or a list of items.",
        "instructions": "A developer message for this turn alone: the next turn does not inherit it.",
        "previous_response_id": "Continue after this response: its history stands before the input. Any stored "
        "response can be continued, also more than once. Excludes 'conversation'.",
        "conversation": "Continue this conversation: its items stand before the input, and the turn's own are added "
        "to it. One turn at a time.",
        "store": "Whether the turn is kept, so that it can be retrieved and continued. With false nothing of it is "
        "written anywhere.",
        "background": "Answer at once with a response whose status is 'queued', and go on without a reader.",
        "stream": "Answer with server-sent events as they come, instead of one JSON body.",
        "stream_options": "How the stream is written.",
        "include": "What to give out that is left out otherwise.",
        "tools": "What the model may call.",
        "tool_choice": "Whether the model calls a tool, and which.",
        "parallel_tool_calls": "Whether the model may call several tools at once.",
        "max_tool_calls": "The most calls of tools that the upstream itself runs, over the whole turn.",
        "max_output_tokens": "The most tokens that the model may write, reasoning included. A turn that meets this "
        "limit ends as 'incomplete'.",
        "temperature": "How freely tokens are sampled: 0 takes the likeliest.",
        "top_p": "Sample from the likeliest tokens that make up this share of the probability.",
        "top_logprobs": "How many of the likeliest tokens to report at each position; ask for them with 'include'.",
        "presence_penalty": "Makes tokens that occurred already less likely.",
        "frequency_penalty": "Makes tokens less likely the more often they occurred.",
        "text": "The form of the model's text: free, JSON, or JSON of a schema.",
        "reasoning": "How much the model thinks before it answers, and what is shown of it.",
        "truncation": "What to do with a context that is too long for the model: 'disabled' is an error, 'auto' leaves "
        "out the oldest items.",
        "metadata": _METADATA,
        "service_tier": "The upstream's tier of service; passed on.",
        "user": "Older name of 'safety_identifier' and 'prompt_cache_key'; passed on.",
        "safety_identifier": "A stable name of your end user, without personal data; passed on.",
        "prompt_cache_key": "Groups requests that begin alike, for the upstream's prompt cache; passed on.",
        "prompt_cache_retention": "How long the upstream should keep its prompt cache; passed on.",
        "prompt": "A stored prompt, with values for its variables. It can supply the model.",
        "context_management": "Compact the context by itself when it grows over a threshold.",
        "client_metadata": "What Codex says about itself; taken, and not used.",
    },
    "TextOptions": {
        "": "The form of the model's text.",
        "format": "Free text, any JSON object, or JSON that follows a schema.",
        "verbosity": "How much the model says.",
    },
    "ReasoningOptions": {
        "": "How the model reasons.",
        "effort": "How much of it.",
        "summary": "Which summary of it to give out.",
        "generate_summary": "Older name of 'summary'.",
        "context": "Which earlier reasoning the model sees again.",
        "mode": "The upstream's mode; passed on.",
    },
    "PromptReference": {
        "": "A stored prompt.",
        "id": "Which one.",
        "version": "Which version; the newest without it.",
        "variables": "Values for its placeholders.",
    },
    "StreamOptions": {
        "": "How a stream is written.",
        "include_obfuscation": "Pad every delta, so that the size of an event on the wire says little about its text.",
    },
    "ToolChoice": {"": "A mode, or the tool that has to be called."},
    "Tool": {"": "Something that the model may call: a function of yours, or a tool that the upstream runs."},
    "FunctionTool": {
        "": "A function of yours. The model answers with a 'function_call'; you answer that with a "
        "'function_call_output' of the same 'call_id'.",
        "name": "What the model calls it.",
        "description": "When and how to use it, for the model.",
        "parameters": "A JSON Schema of its arguments.",
        "strict": "Whether the arguments have to follow the schema exactly.",
    },
    "CustomTool": {"": "A tool of yours that takes free text, or text of a grammar."},
    "NamespaceTool": {"": "Functions and custom tools under a common name."},
    "McpTool": {"": "Tools of an MCP server that the upstream talks to."},
    "InputItem": {"": "One entry of context. Without 'type' it is a message, or a reference if it has only an 'id'."},
    "UserMessageInput": {"": "What the user says.", "content": "A text, or a list of parts."},
    "AssistantMessageInput": {"": "What the model said in an earlier turn.", "content": "A text, or a list of parts."},
    "SystemMessageInput": {"": "Instructions, by their older name.", "content": "A text, or a list of parts."},
    "DeveloperMessageInput": {"": "Instructions of the application.", "content": "A text, or a list of parts."},
    "FunctionCallInput": {"": "A call that the model made in an earlier turn."},
    "FunctionCallOutputInput": {
        "": "Your answer to a 'function_call'.",
        "call_id": "The 'call_id' of the call.",
        "output": "A text, or a list of parts.",
    },
    "ItemReferenceInput": {"": "An item that is stored already, by its id.", "id": "Which one."},
    "ReasoningInput": {"": "Reasoning of an earlier turn, as it was answered."},
    "CompactionInput": {"": "A compacted context, as it was answered. Only its maker can read it."},
    "Include": {"": "What to give out that is left out otherwise."},
    "Metadata": {"": _METADATA},
    "CreateConversation": {
        "": "A conversation. An empty body makes an empty one.",
        "items": "Items to begin with, 20 at most.",
        "metadata": _METADATA,
    },
    "UpdateConversation": {"": "New metadata for a conversation.", "metadata": "Replaces what is there; null clears."},
    "CreateConversationItems": {"": "Items to add to a conversation.", "items": "1 to 20 items, in their order."},
    "PageQuery": {
        "limit": "The most items in the answer.",
        "order": "'desc' lists the newest first.",
        "after": "List what comes behind this id: the 'last_id' of the page before.",
        "include": "What to give out that is left out otherwise; may be repeated. 'include[]' is the same.",
    },
    "RetrieveQuery": {
        "include": "What to give out that is left out otherwise; may be repeated. 'include[]' is the same.",
        "stream": "Answer with the events of the turn's stream instead of one JSON body.",
        "starting_after": "Leave out the events up to this sequence number.",
        "include_obfuscation": "Pad every delta of the stream.",
    },
    "IncludeQuery": {
        "include": "What to give out that is left out otherwise; may be repeated. 'include[]' is the same.",
    },
    "DeletionQuery": {
        "cascade": "Erase what stands on it too, at once.",
        "receipt": "Answer with a receipt that says what was erased.",
        "dry_run": "Erase nothing, and answer with the receipt that there would be.",
    },
    "ErasureQuery": {"dry_run": "Erase nothing, and answer with the receipt that there would be."},
    "AuditQuery": {
        "after": "List what comes behind this entry: the 'index' of the last one of the page before.",
        "limit": "The most entries in the answer.",
        "object_id": "Only what was done to this.",
        "actor": "Only what this one did: a key's id, for instance.",
    },
    "Receipt": {
        "": "What a deletion erased, or would have erased.",
        "responses": "The ids of responses that are unknown now.",
        "conversations": "The ids of conversations that are unknown now.",
        "prompts": "The ids of prompts that are unknown now.",
        "items": "How many items' content went; items on which something else stands stay.",
        "other": "How many rows went that followed from these, by kind.",
        "keys_destroyed": "How many families' keys went with their last content, so that no copy can be opened.",
        "payload_bytes": "How long all that went was, as it was stored.",
    },
    "DeletedResponse": {
        "": "The response is unknown now.",
        "deleted": "False if nothing was erased ('dry_run').",
        "receipt": "Only if it was asked for.",
    },
    "DeletedConversation": {
        "": "The conversation is unknown now.",
        "deleted": "False if nothing was erased ('dry_run').",
        "receipt": "Only if it was asked for.",
    },
    "DeletedEndUser": {
        "": "What was made on behalf of an end user is gone. Of one who is unknown, the receipt is empty.",
        "deleted": "False if nothing was erased ('dry_run').",
    },
    "EndUserLines": {
        "": "JSON Lines: a line that says what it is, then conversations, each with its items, and responses, each "
        "with its own input and output."
    },
    "AuditEntry": {
        "": "Somebody did something.",
        "index": "From 1, without gaps.",
        "at_ms": "Milliseconds since the epoch, UTC.",
        "actor": "A key's id; 'jwt:' and a hash; 'local' without keys; 'cli'; or 'system'.",
        "action": "Such as 'response.create'.",
        "object_id": "What it was done to; empty where there is no such thing.",
        "outcome": "'ok', or the code of the error.",
        "request_id": "As 'x-request-id' said it; empty outside of a request.",
        "link": "Ties the entry to all entries before it; in hexadecimal digits.",
    },
    "AuditTrail": {"": "A page of the audit trail, oldest first."},
    "ResponseListQuery": {
        **_LISTED,
        "model": "Only responses of this model.",
        "status": "Only responses in this state.",
        "conversation": "Only responses that were made in this conversation.",
        "include": "What to give out that is left out otherwise; may be repeated. 'include[]' is the same.",
    },
    "ConversationListQuery": _LISTED,
    "DeliveryListQuery": {"limit": _LISTED["limit"], "after": _LISTED["after"]},
    "PromptListQuery": {"limit": _LISTED["limit"], "after": _LISTED["after"]},
    "PromptVersionQuery": {"version": "Which version; the newest without it."},
    "ForkConversation": {
        "": "Where a new conversation leaves this one.",
        "at": "The id of the last item that the fork has; all of them without it.",
        "metadata": _METADATA,
    },
    "RewindConversation": {
        "": "How far back a conversation goes.",
        "to": "The id of the item or response that is to be the last.",
    },
    "CreatePrompt": {
        "": "A version of a prompt. '{{name}}' in the instructions and in text parts is a variable; a turn that uses "
        "the prompt gives it a value. What a turn says itself wins over the prompt.",
        "name": "A name for people.",
        "model": "The model, if the turn names none.",
        "instructions": "A developer message, with variables.",
        "input": "Items that stand before the turn's own, with variables.",
        "tools": "What the model may call, if the turn does not say.",
        "tool_choice": "Whether the model calls a tool, if the turn does not say.",
        "text": "The form of the model's text, if the turn does not say.",
        "reasoning": "How the model reasons, if the turn does not say.",
        "temperature": "If the turn does not say.",
        "top_p": "If the turn does not say.",
        "max_output_tokens": "If the turn does not say.",
        "metadata": _METADATA,
        "variables": "What the variables are for, and what they are without a value.",
    },
    "Response": {
        "": "A turn as it is stored: what was asked for, and what came of it.",
        "status": "'queued' and 'in_progress' will still change; the others are final.",
        "completed_at": "Set for the status 'completed' alone. Seconds since the epoch, UTC.",
        "error": "Why the turn failed.",
        "incomplete_details": "Why the turn was cut short.",
        "model": "The name that the upstream reported.",
        "output": "The items that the model made, in their order.",
        "usage": "Tokens, as the upstream counted them, and what they have cost, where that is known; null until the "
        "turn has ended.",
        "conversation": "Only if the turn took place in one.",
    },
    "Usage": {
        "": "Tokens, as the upstream counted them.",
        "input_tokens": "The whole prompt, history included.",
        "output_tokens": "Everything that was generated, reasoning included.",
    },
    "Item": {"": "One entry of context. Of types that are not described here, 'type' is certain."},
    "Message": {"": "What somebody said.", "role": "'user', 'assistant', 'system', 'developer'."},
    "FunctionCall": {"": "The model calls a function of yours.", "call_id": "Repeat it in your output."},
    "FunctionCallOutput": {"": "The answer to a function call."},
    "CustomToolCall": {"": "The model calls a custom tool of yours."},
    "CustomToolCallOutput": {"": "The answer to a custom tool's call."},
    "Reasoning": {"": "What the model thought, as far as the upstream shows it."},
    "Compaction": {"": "A compacted context. Only its maker can read it."},
    "ContentPart": {"": "One part of an item's content."},
    "ItemList": {"": "A page of items."},
    "ResponseList": {"": "A page of responses."},
    "ConversationList": {"": "A page of conversations."},
    "PromptList": {"": "A page of prompts."},
    "Prompt": {"": "A version of a stored prompt."},
    "RewoundConversation": {"": "The conversation, and how many items were taken out of it ('removed')."},
    "ConversationLines": {"": "JSON Lines: a line about the conversation, then one item per line, oldest first."},
    "WebhookDelivery": {
        "": "An event of a background response, and how its delivery goes.",
        "type": "Which end is told.",
        "attempts": "Tries that have ended.",
        "last_outcome": "How the last try went: a status, or a word such as 'upstream_timeout'.",
        "next_attempt_at": "When it is tried again; null when it is not.",
        "delivered_at": "When the receiver took it.",
    },
    "WebhookDeliveryList": {"": "A page of deliveries."},
    "CompactContext": {
        "": "A context that is to be replaced by a summary.",
        "model": "Who writes the summary.",
        "input": "The context, or what comes after the previous response.",
        "previous_response_id": "The turn whose context it is.",
        "instructions": "What the model was told besides; it is not part of the context.",
    },
    "CountInput": {
        "": "A turn whose input is to be counted. All of it as of a turn.",
        "personality": "Has no effect on the count.",
    },
    "CompactedResponse": {"": "What stands in for a context from now on: give its output as the next turn's input."},
    "InputTokens": {"": "How long a prompt is."},
    "Conversation": {"": "A kept, editable list of items."},
    "Model": {"": "A model that can be asked for."},
    "ModelList": {"": "Every model that can be asked for."},
    "ResponseStreamEvent": {
        "": "One event of a stream. The first is 'response.created', the last tells how the turn ended; "
        "'sequence_number' counts from 0 without gaps."
    },
    "Error": {"": "Every error looks like this; 'code' is made for programs, 'message' for people."},
}

# Bodies that can be sent as they stand, with a model that there is and ids that are yours.
EXAMPLES: dict[str, list[JsonObject]] = {
    "CreateResponse": [
        {"model": "your-model", "input": "Say hello in five words."},
        {"model": "your-model", "previous_response_id": "resp_…", "input": "And in French?", "stream": True},
    ],
    "CompactContext": [{"model": "your-model", "previous_response_id": "resp_…"}],
    "CountInput": [{"model": "your-model", "input": "How long is this?"}],
    "CreateConversation": [
        {"items": [{"role": "user", "content": "My name is Ada."}], "metadata": {"topic": "greetings"}},
    ],
    "UpdateConversation": [{"metadata": {"topic": "introductions"}}],
    "ForkConversation": [{}],
    "RewindConversation": [{"to": "msg_…"}],
    "CreatePrompt": [
        {
            "name": "Greeting",
            "instructions": "Greet {{person}} in {{language}}.",
            "variables": {"person": {"default": "Ada"}},
        },
    ],
    "CreateConversationItems": [{"items": [{"role": "user", "content": "I live in London."}]}],
}
