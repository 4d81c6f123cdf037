// Everything that a client may send wrongly; each must be answered, and the server must live on.

import { connect, request, scenario } from "./client.mjs";

const PAYLOADS = {
  none: [],
  string: ["qwen"],
  list: [["qwen"]],
  number: [7],
  null: [null],
  two: [{ id: "x" }, { id: "y" }],
  wrongType: [{ id: 7 }],
  missingField: [{}],
  unknownField: [{ id: "x", colour: "red" }],
  unknownId: [{ id: "no-such-model" }],
  traversal: [{ id: "../../etc/passwd" }],
  deep: [JSON.parse('{"id":'.repeat(500) + "1" + "}".repeat(500))],
  binary: [{ id: new Uint8Array([1, 2, 3]) }],
};

function emit(client, event, args) {
  return new Promise((resolve) => client.socket.emit(event, ...args, resolve));
}

scenario(async (baseUrl) => {
  const client = await connect(baseUrl);
  const answers = {};
  for (const command of ["models:load", "models:unload", "models:info"]) {
    answers[command] = {};
    for (const [name, args] of Object.entries(PAYLOADS)) {
      answers[command][name] = await emit(client, command, args);
    }
  }
  const listUnknownField = await emit(client, "models:list", [{ colour: "red" }]);
  const listNothing = await emit(client, "models:list", []);
  const unknownEvent = await emit(client, "models:dance", [{}]);
  const internal = await emit(client, "instances:stop", [{ id: "x" }]);
  // Without acknowledgement: nothing to answer, nothing to break.
  for (const args of Object.values(PAYLOADS)) client.socket.emit("models:load", ...args);
  client.socket.emit("models:dance", {});
  const afterwards = await request(client, "models:list", {});
  return { answers, listUnknownField, listNothing, unknownEvent, internal, afterwards };
});
