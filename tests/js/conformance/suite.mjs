// The list of tests, and what runs them one after the other: they share one server, and the page
// is read from top to bottom.

import { setTimeout as delay } from "node:timers/promises";
import { inspect } from "node:util";

const DEADLINE_MS = 45_000;

const tests = new Map();

// Registers the test of one block of the page (its name is the block's), or of one error code.
export function proves(name, body) {
  if (tests.has(name)) throw new Error(`two tests are named ${name}`);
  tests.set(name, body);
}

// Runs all of them; `{name: null}` for what passed, `{name: "what went wrong"}` for what did not.
export async function runAll(session) {
  const results = {};
  for (const [name, body] of tests) {
    const failure = await withDeadline(body(session)).then(() => null, inspect);
    const untidy = await session.tidy().then(() => null, inspect);
    results[name] = failure ?? untidy;
  }
  return results;
}

async function withDeadline(running) {
  const cancel = new AbortController();
  const expired = delay(DEADLINE_MS, null, { signal: cancel.signal }).then(() => {
    throw new Error(`not done within ${DEADLINE_MS} ms`);
  });
  return Promise.race([running, expired]).finally(() => cancel.abort());
}
