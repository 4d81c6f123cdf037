// Proves the API page by one of the three ways to connect:
//
//   node run.mjs <base url> <namespace | path | both> <home of the server>
//
// Prints `{"block or error code": null | "what is wrong with it"}`.

import { scenario } from "../client.mjs";
import { Session } from "./session.mjs";
import { runAll } from "./suite.mjs";
import "./sections/connection.mjs";
import "./sections/models.mjs";
import "./sections/presets.mjs";
import "./sections/config.mjs";
import "./sections/metrics.mjs";
import "./sections/logs.mjs";
import "./sections/events.mjs";
import "./sections/examples.mjs";
import "./sections/errors.mjs";

scenario(async (baseUrl, way, home) => {
  const session = await Session.open(way, baseUrl, home);
  const results = await runAll(session);
  await session.close();
  return results;
});
