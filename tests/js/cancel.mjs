// Two clients load one slow model; a third call joins; then one of them unloads it.

import { connect, request, scenario, waitFor } from "./client.mjs";

const LONG_MS = 60_000;

scenario(async (baseUrl, id) => {
  const [first, second] = [await connect(baseUrl), await connect(baseUrl)];
  const isLoading = (row) => row.id === id && row.status === "loading";
  const loads = [
    request(first, "models:load", { id }, LONG_MS),
    request(second, "models:load", { id }, LONG_MS),
  ];
  await waitFor(first, "models:status", isLoading);
  loads.push(request(first, "models:load", { id }, LONG_MS));
  const started = performance.now();
  const unload = await request(second, "models:unload", { id }, LONG_MS);
  const cancelled = await Promise.all(loads);
  return { unload, cancelled, elapsedMs: performance.now() - started };
});
