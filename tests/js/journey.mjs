// One model's whole life as a user's script sees it: list, load, info, chat (streamed by the proxy),
// unload. A second client watches and must hear everything, too, each event once.

import { connect, request, scenario, waitFor } from "./client.mjs";

const LONG_MS = 60_000;

async function chat(proxyUrl, model) {
  const response = await fetch(`${proxyUrl}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model,
      stream: true,
      max_tokens: 20,
      messages: [{ role: "user", content: "hello" }],
    }),
  });
  const text = await response.text();
  const events = text.split("\n\n").filter((event) => event !== "");
  return { status: response.status, type: response.headers.get("content-type"), events };
}

scenario(async (baseUrl, proxyUrl, form, transport) => {
  const actor = await connect(baseUrl, form, { transports: [transport] });
  const watcher = await connect(baseUrl, "namespace");
  await waitFor(actor, "client:connected", (payload) => payload.clientId === watcher.socket.id);

  const list = await request(actor, "models:list", {});
  const { id } = list.data.models[0];
  const load = await request(actor, "models:load", { id }, LONG_MS);
  const loadedAgain = await request(actor, "models:load", { id }, LONG_MS);
  const info = await request(actor, "models:info", { id });
  const details = await request(actor, "models:details", { ids: [id, "no-such-model"] });
  const listLoaded = await request(actor, "models:list", {});
  const chatted = await chat(proxyUrl, id);
  const unload = await request(actor, "models:unload", { id }, LONG_MS);
  await waitFor(watcher, "models:unloaded");
  const unloadedDetails = await request(actor, "models:details", {});
  const status = await request(actor, "system:status", {});

  const heard = watcher.received.filter((r) => r.event.startsWith("models:"));
  const actorId = actor.socket.id;
  actor.socket.disconnect();
  await waitFor(watcher, "client:disconnected", (payload) => payload.clientId === actorId);
  return { list, load, loadedAgain, info, details, unloadedDetails, listLoaded, chatted, unload, status, heard };
});
