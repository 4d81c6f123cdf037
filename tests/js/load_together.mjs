// Two clients load one model at the same time; both must be acknowledged.

import { connect, request, scenario } from "./client.mjs";

const LONG_MS = 60_000;

scenario(async (baseUrl, id) => {
  const clients = [await connect(baseUrl), await connect(baseUrl)];
  const loads = await Promise.all(
    clients.map((client) => request(client, "models:load", { id }, LONG_MS)),
  );
  const unload = await request(clients[0], "models:unload", { id }, LONG_MS);
  return { loads, unload };
});
