// The AI SDK with its OpenAI provider, over two turns.
//
// It keeps the messages itself, but from the second turn on it sends what the server has stored as references
// (`{"type": "item_reference", "id": "msg_…"}`) instead of the text: the gateway looks each of them up.
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, streamText } from "ai";

const sent = [];
const provider = createOpenAI({
  // OPENAI_BASE_URL and OPENAI_API_KEY; `fetch` is wrapped only to show below what goes over the wire
  fetch: (url, request) => {
    sent.push(JSON.parse(request.body));
    return fetch(url, request);
  },
});
const model = provider(process.env.OPENAI_MODEL ?? "smollm2-135m");

const messages = [{ role: "user", content: "Hi, my name is Ada." }];
const first = await generateText({ model, messages });
messages.push(...first.response.messages, { role: "user", content: "Complete the sentence: The user's name is" });

const second = streamText({ model, messages });
let text = "";
for await (const piece of second.textStream) text += piece;
console.log("turn 2 answers:", text);
console.log("turn 2 sent:", sent[1].input.map((item) => item.type ?? item.role).join(", "));

// What a reference stands for counts like any other item: the answer's tokens are part of the second prompt.
const usage = await second.usage;
console.log("its prompt holds both turns:", usage.inputTokens > first.usage.inputTokens + first.usage.outputTokens);
