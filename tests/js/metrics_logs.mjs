// Metrics and logs as a dashboard uses them. `early` asks before it is connected, as the API page's
// second example does; `other` asks for nothing and must not notice what the rest ask for.

import { io } from "socket.io-client";
import { connect, request, scenario, waitFor } from "./client.mjs";

const NAMESPACE = "/llamaproxws";

function subscribeAtOnce(baseUrl) {
  const socket = io(baseUrl + NAMESPACE, { forceNew: true, reconnection: false });
  const updated = new Promise((resolve) => socket.once("metrics:update", resolve));
  const answered = new Promise((resolve) => socket.emit("metrics:subscribe", {}, resolve));
  return Promise.all([answered, updated]).finally(() => socket.disconnect());
}

const count = (client, event) => client.received.filter((r) => r.event === event).length;

const says = (mark) => (payload) => payload.entry.message.includes(mark);

scenario(async (baseUrl, transport) => {
  const [early, earlyUpdate] = await subscribeAtOnce(baseUrl);
  const other = await connect(baseUrl);
  const witness = await connect(baseUrl);
  const actor = await connect(baseUrl, "namespace", { transports: [transport] });

  // A request that is refused and so logged by the gateway, with `mark` in it. Once the witness has
  // heard of it, the others will not any more, unless they have.
  const causeWarning = async (mark) => {
    await request(actor, "models:info", { id: mark });
    await waitFor(witness, "logs:entry", says(mark));
  };

  const got = await request(actor, "metrics:get", {});
  const tooFast = await request(actor, "metrics:subscribe", { intervalMs: 249 });
  const subscribed = await request(actor, "metrics:subscribe", { intervalMs: 250 });
  await waitFor(actor, "metrics:update", () => count(actor, "metrics:update") >= 8);
  const heardByOther = count(other, "metrics:update");
  const update = actor.received.find((r) => r.event === "metrics:update").payload;
  const unsubscribed = await request(actor, "metrics:unsubscribe", {});
  const history = await request(actor, "metrics:history", { seconds: 60 });
  const tooLong = await request(actor, "metrics:history", { seconds: 3601 });

  await causeWarning("first-mark");
  const entry = await waitFor(actor, "logs:entry", says("first-mark"));
  await waitFor(other, "logs:entry", says("first-mark"));
  const muted = await request(other, "logs:unsubscribe", {});
  const errorsOnly = await request(actor, "logs:subscribe", { level: "error" });
  await causeWarning("second-mark");
  const ofEngines = await request(actor, "logs:subscribe", { sources: ["engine:"] });
  await causeWarning("third-mark");
  const ofGateways = await request(actor, "logs:subscribe", { level: "warn", sources: ["gateway"] });
  await causeWarning("fourth-mark");
  await waitFor(actor, "logs:entry", says("fourth-mark"));
  const since = entry.entry.timestamp;
  const logs = await request(actor, "logs:get", { level: "warn", limit: 2, since });
  const heard = (client) =>
    client.received
      .filter((r) => r.event === "logs:entry")
      .map((r) => r.payload.entry.message.match(/(first|second|third|fourth)-mark/)?.[0])
      .filter((mark) => mark !== undefined);
  return {
    early, earlyUpdate, got, tooFast, subscribed, heardByOther, update, unsubscribed, history,
    tooLong, entry, muted, errorsOnly, ofEngines, ofGateways, logs,
    actorHeard: heard(actor), otherHeard: heard(other),
  };
});
