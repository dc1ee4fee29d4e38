// Codex CLI against the gateway: `codex exec`, then `codex exec resume --last`.
//
// Codex asks with `store: false` and sends the whole history in every request: the gateway keeps nothing of it. The
// gateway needs `quirks: {unsupported_tools: drop}` for its upstream, because Codex offers a web search that runs at
// OpenAI; see examples/antiphon.yaml. The configuration is examples/codex.toml, here in a folder of its own.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";

const OPTIONS = ["--skip-git-repo-check", "--json", ...process.argv.slice(2)]; // such as -c features.shell_tool=true
const codex = createRequire(import.meta.url).resolve("@openai/codex/bin/codex.js");
const home = mkdtempSync(path.join(tmpdir(), "codex-"));
const workspace = path.join(home, "workspace");

function configure() {
  const config = readFileSync(new URL("../codex.toml", import.meta.url), "utf8");
  const here = config
    .replace("http://127.0.0.1:8080/v1", process.env.OPENAI_BASE_URL)
    .replace('"smollm2-135m"', JSON.stringify(process.env.OPENAI_MODEL ?? "smollm2-135m"));
  writeFileSync(path.join(home, "config.toml"), here);
  writeFileSync(path.join(home, "instructions.md"), "Answer in one short sentence.");
  mkdirSync(workspace);
}

function ask(title, command) {
  const output = execFileSync(process.execPath, [codex, "exec", ...OPTIONS, ...command], {
    cwd: workspace,
    env: { ...process.env, CODEX_HOME: home },
    stdio: ["ignore", "pipe", "inherit"],
    encoding: "utf8",
  });
  const events = output.trim().split("\n").map((line) => JSON.parse(line));
  const items = events.filter((event) => event.type === "item.completed").map((event) => event.item);
  const answer = items.findLast((item) => item.type === "agent_message").text;
  const { usage } = events.find((event) => event.type === "turn.completed");
  console.log(`${title} answers:`, answer);
  console.log(`${title} ran commands:`, items.filter((item) => item.type === "command_execution").length);
  console.log(`${title} input tokens of the session:`, usage.input_tokens);
  return events.find((event) => event.type === "thread.started").thread_id;
}

try {
  configure();
  const session = ask("turn 1", ["Hi, my name is Ada."]);
  const resumed = ask("turn 2", ["resume", "--last", "Complete the sentence: The user's name is"]);
  console.log("the same session:", resumed === session);
} finally {
  rmSync(home, { recursive: true });
}
