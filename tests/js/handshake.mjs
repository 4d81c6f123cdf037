// Connects in every form by every transport at once, asks each connection for `models:list`, and
// reports the acknowledgement and how often each connection saw its own `client:connected`.

import { connect, FORMS, request, scenario, waitFor } from "./client.mjs";

const TRANSPORTS = {
  websocket: ["websocket"],
  polling: ["polling"],
  upgrade: ["polling", "websocket"],
};

async function shakeHands(baseUrl, form, transport) {
  const client = await connect(baseUrl, form, { transports: TRANSPORTS[transport] });
  const isOwn = (payload) => payload.clientId === client.socket.id;
  await waitFor(client, "client:connected", isOwn);
  // Answers come in order, so a second copy of the event would have come before the acknowledgement.
  const acknowledgement = await request(client, "models:list", {});
  const greetings = client.received.filter((r) => r.event === "client:connected" && isOwn(r.payload));
  return { form, transport, acknowledgement, greetings: greetings.length };
}

scenario((baseUrl) =>
  Promise.all(
    FORMS.flatMap((form) =>
      Object.keys(TRANSPORTS).map((transport) => shakeHands(baseUrl, form, transport)),
    ),
  ),
);
