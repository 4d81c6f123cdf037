/** The present request as a shell command and as a Python script. Pure. */

import type { ChatBody } from "./body";

/** Where either reads the access token: the page's own stays in the page. */
export const TOKEN_VARIABLE = "LLAMA_PROXY_TOKEN";

export function curlOf(origin: string, body: ChatBody, needsToken: boolean): string {
  return [
    `curl --no-buffer ${shellQuoted(`${origin}/v1/chat/completions`)}`,
    // In double quotes, so that the shell puts the token in.
    ...(needsToken ? [`  -H "Authorization: Bearer $${TOKEN_VARIABLE}"`] : []),
    `  -H 'Content-Type: application/json'`,
    `  --data-binary ${shellQuoted(JSON.stringify(body, null, 2))}`,
  ].join(" \\\n");
}

/** What the SDK has names for; llama.cpp's own parameters go by `extra_body`. */
const OF_THE_SDK: ReadonlySet<string> = new Set([
  "model",
  "messages",
  "temperature",
  "top_p",
  "max_tokens",
  "seed",
  "stop",
  "stream",
  "stream_options",
]);

export function pythonOf(origin: string, body: ChatBody, needsToken: boolean): string {
  const named = Object.entries(body).filter(([key]) => OF_THE_SDK.has(key));
  const extra = Object.entries(body).filter(([key]) => !OF_THE_SDK.has(key));
  const given = [
    ...named,
    ...(extra.length === 0 ? [] : [["extra_body", Object.fromEntries(extra)] as const]),
  ];
  const key = needsToken
    ? `os.environ[${pythonQuoted(TOKEN_VARIABLE)}]`
    : `os.environ.get(${pythonQuoted(TOKEN_VARIABLE)}, "none")`;
  return `import os

from openai import OpenAI

client = OpenAI(
    base_url=${pythonQuoted(`${origin}/v1`)},
    api_key=${key},
)

stream = client.chat.completions.create(
${given.map(([name, value]) => `    ${name}=${pythonLiteral(value, 1)},`).join("\n")}
)
for chunk in stream:
    if chunk.choices and chunk.choices[0].delta.content:
        print(chunk.choices[0].delta.content, end="", flush=True)
print()
`;
}

/** In single quotes a POSIX shell takes everything as it is, but the quote itself. */
export function shellQuoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** JSON's escapes are Python's, too. */
export function pythonQuoted(text: string): string {
  return JSON.stringify(text);
}

export function pythonLiteral(value: unknown, depth = 0): string {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number") return String(value);
  if (typeof value === "string") return pythonQuoted(value);
  const pad = "    ".repeat(depth);
  const within = `${pad}    `;
  if (Array.isArray(value)) {
    if (value.length === 0) return "[]";
    return `[\n${value.map((one) => `${within}${pythonLiteral(one, depth + 1)},\n`).join("")}${pad}]`;
  }
  const entries = Object.entries(value);
  const flat = entries.map(([key, one]) => `${pythonQuoted(key)}: ${pythonLiteral(one, depth + 1)}`);
  return `{${flat.join(", ")}}`;
}
