import { beforeEach, describe, expect, it, vi } from "vitest";

import { Connection, type SocketLike, type TokenStorage } from "./connection.svelte";
import { ApiError } from "./errors";

type Listener = (...args: never[]) => void;
type Ack = (reply: unknown) => void;

/** A socket whose server is the test. */
class TestSocket implements SocketLike {
  active = true;
  auth: unknown;
  connects = 0;
  readonly sent: { name: string; payload: unknown; ack: Ack }[] = [];
  readonly #listeners = new Map<string, Listener[]>();

  on(name: string, listener: Listener): void {
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener]);
  }

  off(name: string, listener: Listener): void {
    this.#listeners.set(name, (this.#listeners.get(name) ?? []).filter((one) => one !== listener));
  }

  emit(name: string, payload: unknown, ack: unknown): void {
    this.sent.push({ name, payload, ack: ack as Ack });
  }

  connect(): void {
    this.connects++;
  }

  disconnect(): void {
    this.say("disconnect", "io client disconnect");
  }

  say(name: string, ...args: unknown[]): void {
    for (const listener of this.#listeners.get(name) ?? []) listener(...(args as never[]));
  }

  refuse(code?: string): void {
    this.active = false;
    this.say("connect_error", Object.assign(new Error("no"), code ? { data: { code } } : {}));
  }
}

function memory(): TokenStorage & { token: string } {
  return {
    token: "",
    read() {
      return this.token;
    },
    write(token) {
      this.token = token;
    },
  };
}

let socket: TestSocket;
let connection: Connection;

beforeEach(() => {
  vi.useFakeTimers();
  socket = new TestSocket();
  connection = new Connection(socket, memory());
});

describe("requests", () => {
  it("give the reply's data", async () => {
    socket.say("connect");
    const asked = connection.request("models:list", {});
    socket.sent[0]?.ack({ success: true, data: { models: [], total: 0 } });
    await expect(asked).resolves.toEqual({ models: [], total: 0 });
  });

  it("fail with the reply's error", async () => {
    socket.say("connect");
    const asked = connection.request("models:info", { id: "x" });
    const error = { code: "MODEL_NOT_FOUND", message: "no x", details: { id: "x" } };
    socket.sent[0]?.ack({ success: false, error });
    await expect(asked).rejects.toMatchObject(error);
    await expect(asked).rejects.toBeInstanceOf(ApiError);
  });

  it("are not kept for later", async () => {
    await expect(connection.request("models:list", {})).rejects.toMatchObject({
      code: "DISCONNECTED",
    });
    expect(socket.sent).toEqual([]);
  });

  it("fail when the connection does, and hear no late reply", async () => {
    socket.say("connect");
    const asked = connection.request("models:load", { id: "x" }, { timeoutMs: null });
    socket.say("disconnect", "transport close");
    await expect(asked).rejects.toMatchObject({ code: "DISCONNECTED" });
    socket.sent[0]?.ack({ success: true, data: {} });
  });

  it("end after their time, unless they have all of it", async () => {
    socket.say("connect");
    const short = connection.request("models:list", {}, { timeoutMs: 100 });
    const ended = vi.fn();
    connection.request("models:load", { id: "x" }, { timeoutMs: null }).then(ended, ended);
    const failed = expect(short).rejects.toMatchObject({ code: "TIMEOUT" });
    await vi.advanceTimersByTimeAsync(3_600_000);
    await failed;
    expect(ended).not.toHaveBeenCalled();
  });
});

describe("the state", () => {
  it("follows the socket and tells of each connection", () => {
    expect(connection.state).toBe("connecting");
    const heard = vi.fn();
    socket.say("connect");
    connection.onConnected(heard);
    expect(heard).toHaveBeenCalledTimes(1);
    socket.say("disconnect", "transport close");
    expect(connection.state).toBe("disconnected");
    socket.say("connect");
    expect(connection.state).toBe("connected");
    expect(heard).toHaveBeenCalledTimes(2);
  });

  it("is refused where a token is needed, and tries with a new one", () => {
    socket.refuse("UNAUTHENTICATED");
    expect(connection.state).toBe("refused");
    const before = socket.connects;
    connection.useToken("lap_x", false);
    expect(socket.connects).toBe(before + 1);
    const auth = vi.fn();
    (socket.auth as (give: (auth: unknown) => void) => void)(auth);
    expect(auth).toHaveBeenCalledWith({ token: "lap_x" });
  });

  it.each([undefined, "UNAVAILABLE"])("tries again when refused for %s", (code) => {
    socket.refuse(code);
    expect(connection.state).toBe("disconnected");
    const before = socket.connects;
    vi.advanceTimersByTime(5_000);
    expect(socket.connects).toBe(before + 1);
  });

  it("tries again when the server ended it", () => {
    socket.say("connect");
    socket.active = false;
    const before = socket.connects;
    socket.say("disconnect", "io server disconnect");
    vi.advanceTimersByTime(5_000);
    expect(socket.connects).toBe(before + 1);
  });
});
