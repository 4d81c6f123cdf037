// What the stock client sees of access tokens: refused without one, let in with one, disconnected
// once it is revoked. `adminToken` makes and revokes the tokens of the others.

import { FORMS, connect, request, scenario } from "./client.mjs";

async function refusal(baseUrl, form, options) {
  try {
    await connect(baseUrl, form, options);
  } catch (error) {
    return { message: error.message, data: error.data };
  }
  return null;
}

function disconnected(client) {
  return new Promise((resolve) => client.socket.once("disconnect", resolve));
}

scenario(async (baseUrl, adminToken) => {
  const admin = await connect(baseUrl, "namespace", { auth: { token: adminToken } });
  const forms = {};
  for (const form of FORMS) {
    for (const transport of ["websocket", "polling"]) {
      const transports = [transport];
      const name = `${form} by ${transport}`;
      const made = await request(admin, "tokens:create", { name, role: "viewer" });
      const auth = { token: made.data.token };
      const viewer = await connect(baseUrl, form, { transports, auth });
      const left = disconnected(viewer);
      const listed = await request(viewer, "models:list", {});
      const denied = await request(viewer, "models:load", { id: "x" });
      const began = performance.now();
      const revoked = await request(admin, "tokens:revoke", { id: made.data.id });
      forms[name] = {
        listed: listed.success,
        denied: denied.error,
        revoked: revoked.success,
        reason: await left,
        afterMs: performance.now() - began,
        again: await refusal(baseUrl, form, { transports, auth }),
        without: await refusal(baseUrl, form, { transports }),
      };
    }
  }
  const tokens = await request(admin, "tokens:list", {});
  const unknown = await request(admin, "tokens:revoke", { id: "nothing" });
  const wrong = await request(admin, "tokens:create", { name: "x", role: "root" });
  const inference = await request(admin, "tokens:create", { name: "inference", role: "inference" });
  const auth = { token: inference.data.token };
  return {
    forms,
    tokens: tokens.data.tokens,
    unknown: unknown.error,
    wrong: wrong.error,
    inference: await refusal(baseUrl, "namespace", { auth }),
    inferenceToken: inference.data.token,
  };
});
