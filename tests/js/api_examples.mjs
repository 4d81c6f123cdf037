// Runs requests in order, each with the payload that docs/api.md shows, and prints their answers:
//
//   node api_examples.mjs <base url> <proxy url> '[["models:list", {request}, {shown reply}], …]'
//
// From the first `tokens:` request on it shows a token of its own, since by then it needs one.
// While the `requests:` are asked, an inference request is under way, whose body never ends.

import http from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { close, connect, request, scenario } from "./client.mjs";

const LONG_MS = 60_000;

// Begins an inference request, and resolves to its id once a proxy has it.
async function beginInference(client, proxyUrl) {
  const sent = http.request(`${proxyUrl}/v1/completions`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "Content-Length": 1000 },
  });
  sent.on("error", () => {}); // the proxy does not wait for the rest
  sent.write("{");
  const deadline = Date.now() + LONG_MS;
  while (Date.now() < deadline) {
    const listed = await request(client, "requests:list", {});
    if (listed.data.requests.length > 0) return listed.data.requests[0].id;
    await delay(50);
  }
  throw new Error("no request is under way");
}

scenario(async (baseUrl, proxyUrl, requests) => {
  const answers = {};
  let client = await connect(baseUrl);
  let own = null;
  const renamed = new Map(); // an id that the page shows → the real one
  for (const [name, payload, shown] of JSON.parse(requests)) {
    if (own === null && name.startsWith("tokens:")) {
      const made = await request(client, "tokens:create", { name: "examples", role: "admin" });
      if (!made.success) throw new Error(made.error.message);
      own = made.data;
      await close(client);
      client = await connect(baseUrl, "namespace", { auth: { token: own.token } });
    }
    if (name === "requests:list") {
      renamed.set(shown.requests[0].id, await beginInference(client, proxyUrl));
    }
    const fields = Object.entries(payload);
    const values = fields.map(([key, value]) => [key, renamed.get(value) ?? value]);
    const answer = await request(client, name, Object.fromEntries(values), LONG_MS);
    answers[name] = answer;
    if (name === "tokens:create" && answer.success) renamed.set(shown.id, answer.data.id);
  }
  if (own !== null) await request(client, "tokens:revoke", { id: own.id });
  return answers;
});
