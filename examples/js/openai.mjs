// The `openai` package for JavaScript: a chain of responses, a stream, a conversation.
import OpenAI from "openai";

const model = process.env.OPENAI_MODEL ?? "smollm2-135m";
const client = new OpenAI(); // OPENAI_BASE_URL and OPENAI_API_KEY

const first = await client.responses.create({ model, input: "Hi, my name is Ada." });

// The second turn, streamed: the new question and the id of the turn before it.
const stream = client.responses.stream({
  model,
  input: "Complete the sentence: The user's name is",
  previous_response_id: first.id,
});
let streamed = "";
for await (const event of stream) {
  if (event.type === "response.output_text.delta") streamed += event.delta;
}
const second = await stream.finalResponse();
console.log("turn 2 answers:", second.output_text);
console.log("streamed the same:", streamed === second.output_text);

const seen = await client.responses.inputItems.list(second.id, { order: "asc" });
console.log("turn 2 saw:", seen.data.map((item) => item.role).join(", "));

// The same memory as a list that is kept, read and edited.
const conversation = await client.conversations.create({});
await client.responses.create({ model, input: "Hi, my name is Ada.", conversation: conversation.id });
await client.responses.create({ model, input: "Say hello.", conversation: conversation.id });
const roles = [];
for await (const item of client.conversations.items.list(conversation.id, { order: "asc" })) roles.push(item.role);
console.log("the conversation holds:", roles.join(", "));
