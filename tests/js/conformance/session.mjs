// What the tests of one run share: how they connect, and the clients that they opened.

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { io as stockIo } from "socket.io-client";
import { close, connect, request } from "../client.mjs";
import * as blocks from "./blocks.mjs";
import { assertLooksLike } from "./likeness.mjs";

const PAGE_ORIGIN = "http://localhost:3000";
const NAMESPACE = "/llamaproxws";
const LONG_MS = 30_000;

// The three ways to connect; each comes with another choice of transports.
const WAYS = {
  namespace: { transports: ["websocket"] },
  path: { transports: ["polling", "websocket"] },
  both: { transports: ["polling"] },
};

export class Session {
  // `home` is the server's; `watcher` hears every event from the beginning.
  constructor(way, baseUrl, home, actor, watcher) {
    this.way = way;
    this.baseUrl = baseUrl;
    this.home = home;
    this.actor = actor;
    this.watcher = watcher;
    this.answers = new Map();
    this.opened = new Set();
    this.cleanups = [];
  }

  static async open(way, baseUrl, home) {
    const actor = await connect(baseUrl, way, WAYS[way]);
    const watcher = await connect(baseUrl, way, WAYS[way]);
    return new Session(way, baseUrl, home, actor, watcher);
  }

  // A further client, which is closed when the test ends.
  async connect(options = {}) {
    const client = await connect(this.baseUrl, this.way, { ...WAYS[this.way], ...options });
    this.cleanups.push(() => close(client));
    return client;
  }

  // Runs `undo` when the test has ended, however it does.
  afterwards(undo) {
    this.cleanups.push(undo);
  }

  async tidy() {
    for (const undo of this.cleanups.splice(0).reverse()) await undo();
    for (const socket of this.opened) socket.disconnect();
    this.opened.clear();
  }

  ask(event, payload, client = this.actor) {
    return request(client, event, payload, LONG_MS);
  }

  // The data of a request that must succeed.
  async data(event, payload, client) {
    const answer = await this.ask(event, payload, client);
    assert.equal(answer.success, true, `${event}: ${JSON.stringify(answer.error)}`);
    return answer.data;
  }

  // Runs a request block on the actor's socket, and keeps the answer that it prints.
  async runRequest(name) {
    const printed = this.console();
    blocks.run(name, { socket: this.actor.socket, console: printed });
    await printed.has(() => true);
    assert.equal(printed.lines.length, 1);
    assert.equal(printed.lines[0].length, 1);
    const [[answer]] = printed.lines;
    this.answers.set(name, answer);
    assert.equal(answer.success, true, JSON.stringify(answer.error));
  }

  // The answer to a request block against the block that shows it. Every answer has a timestamp
  // too, as the page's "Response Format" says once for all.
  assertAnswered(name, rules = {}) {
    const answer = this.answers.get(`${name}.request`);
    assert.ok(answer, `${name}.request was not answered`);
    const { data, ...envelope } = blocks.shown(`${name}.response`);
    const { data: given, ...givenEnvelope } = answer;
    const format = { ...envelope, timestamp: "2024-01-15T10:30:00.000Z" };
    assertLooksLike(givenEnvelope, format);
    assertLooksLike(given, data, rules);
    return given;
  }

  // A `console` that collects what is logged, each call as the list of its arguments.
  console() {
    const lines = [];
    const waiting = new Set();
    return {
      lines,
      log: (...values) => {
        lines.push(values);
        for (const check of waiting) check();
      },
      // The first line that `matches`, once there is one.
      has: async (matches) => {
        let check;
        const found = new Promise((resolve) => {
          check = () => {
            const line = lines.find((values) => matches(...values));
            if (line) resolve(line);
          };
        });
        waiting.add(check);
        check();
        const cancel = new AbortController();
        const expired = delay(LONG_MS, null, { signal: cancel.signal }).then(() => {
          throw new Error(`not logged: ${matches}; logged: ${JSON.stringify(lines)}`);
        });
        return Promise.race([found, expired]).finally(() => {
          cancel.abort();
          waiting.delete(check);
        });
      },
    };
  }

  // The stock `io`, but for the page's example address, which becomes the server under test in this
  // run's way to connect. What the caller says about transports stays.
  get io() {
    return (url, options = {}) => {
      assert.ok(url.startsWith(PAGE_ORIGIN + NAMESPACE), url);
      const base = this.way === "path" ? this.baseUrl : this.baseUrl + NAMESPACE;
      const path = this.way === "namespace" ? {} : { path: NAMESPACE };
      const socket = stockIo(base, { forceNew: true, ...path, ...options });
      this.opened.add(socket);
      return socket;
    };
  }

  async close() {
    await Promise.all([close(this.actor), close(this.watcher)]);
  }
}
