// "Error Codes": each is brought about for real.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { proves } from "../suite.mjs";

const ID = "qwen-7b";

// A model whose file holds no model, and whose id comes last.
const BROKEN_ID = "zz-broken";

async function refused(session, code, event, payload, client) {
  const answer = await session.ask(event, payload, client);
  assert.equal(answer.success, false, `${event} succeeded: ${JSON.stringify(answer.data)}`);
  assert.equal(answer.error.code, code, answer.error.message);
  assert.ok(answer.error.message);
  assert.ok(!answer.error.message.includes("Traceback"), answer.error.message);
}

proves("MODEL_NOT_FOUND", async (session) => {
  for (const event of ["models:load", "models:unload", "models:info"]) {
    await refused(session, "MODEL_NOT_FOUND", event, { id: "no-such-model" });
  }
});

proves("MODEL_LOAD_FAILED", async (session) => {
  await refused(session, "MODEL_LOAD_FAILED", "models:load", { id: BROKEN_ID });
});

// Its runner answers no more: it is stopped by a signal, and goes on when the test has ended.
proves("MODEL_UNLOAD_FAILED", async (session) => {
  await session.data("models:load", { id: ID });
  const { processes } = await session.data("system:status", {});
  const { pid } = processes.find(({ kind }) => kind === "runner");
  process.kill(pid, "SIGSTOP");
  session.afterwards(async () => {
    process.kill(pid, "SIGCONT");
    await session.data("models:load", { id: ID }); // works again
    await session.data("models:unload", { id: ID });
  });
  await refused(session, "MODEL_UNLOAD_FAILED", "models:unload", { id: ID });
});

proves("PRESET_NOT_FOUND", async (session) => {
  const filename = "no-such-preset";
  for (const event of ["presets:read", "presets:delete"]) {
    await refused(session, "PRESET_NOT_FOUND", event, { filename });
  }
  await refused(session, "PRESET_NOT_FOUND", "models:load", { id: ID, preset: filename });
});

// The file cannot be replaced, since a directory has its name.
proves("PRESET_SAVE_FAILED", async (session) => {
  const inTheWay = join(session.home, "presets", "in-the-way.ini");
  mkdirSync(inTheWay);
  session.afterwards(() => rmdirSync(inTheWay));
  await refused(session, "PRESET_SAVE_FAILED", "presets:save", {
    filename: "in-the-way",
    config: { "*": { "ctx-size": "4096" } },
  });
});

proves("CONFIG_INVALID", async (session) => {
  const file = join(session.home, "config.toml");
  const before = readFileSync(file, "utf8");
  for (const wrong of [{ server: { port: 70_000 } }, { llama: { maxModels: "8" } }, { no: {} }]) {
    await refused(session, "CONFIG_INVALID", "config:update", wrong);
  }
  assert.equal(readFileSync(file, "utf8"), before);
});

// Somebody has damaged the database of the log.
proves("SERVER_ERROR", async (session) => {
  const database = join(session.home, "logs", "log.sqlite");
  const rename = (before, after) =>
    execFileSync(process.env.PYTHON ?? "python3", [
      "-c",
      "import sqlite3, sys\n" +
        "with sqlite3.connect(sys.argv[1]) as db:\n" +
        "    db.execute(f'ALTER TABLE {sys.argv[2]} RENAME TO {sys.argv[3]}')",
      database,
      before,
      after,
    ]);
  rename("entry", "mislaid");
  session.afterwards(() => rename("mislaid", "entry"));
  await refused(session, "SERVER_ERROR", "logs:get", {});
});

// Without tokens everybody may do all; once there is one, nobody gets in without. This is the last
// test, since it ends the connections that have none.
proves("PERMISSION_DENIED", async (session) => {
  const first = await session.connect();
  const admin = { name: "conformance-admin", role: "admin" };
  const { id: adminId, token } = await session.data("tokens:create", admin, first);
  const boss = await session.connect({ auth: { token } });
  const viewer = { name: "conformance-viewer", role: "viewer" };
  const visitor = await session.data("tokens:create", viewer, boss);
  const guest = await session.connect({ auth: { token: visitor.token } });
  await session.data("models:list", {}, guest);
  await refused(session, "PERMISSION_DENIED", "models:load", { id: ID }, guest);
  await session.data("tokens:revoke", { id: visitor.id }, boss);
  await session.data("tokens:revoke", { id: adminId }, boss);
});
