/** The one connection to the gateway: requests with replies, events, and whether it stands. */

import { io } from "socket.io-client";

import type { CommandName, Commands, EventName, Events } from "./contract";
import { ApiError, DISCONNECTED, TIMEOUT } from "./errors";

/** `refused`: the gateway is there and wants a token, or another one. */
export type ConnectionState = "connecting" | "connected" | "disconnected" | "refused";

export interface Refusal {
  readonly code: string;
  readonly message: string;
}

/** What we need of socket.io-client's Socket; tests have one of their own. */
export interface SocketLike {
  readonly active: boolean;
  auth: unknown;
  on(name: string, listener: (...args: never[]) => void): unknown;
  off(name: string, listener: (...args: never[]) => void): unknown;
  emit(name: string, ...args: unknown[]): unknown;
  connect(): unknown;
  disconnect(): unknown;
}

/** Keeps the token: for this tab, or for good on this machine. */
export interface TokenStorage {
  read(): string;
  write(token: string, remember: boolean): void;
}

/** What stores need of a connection. */
export interface Api {
  request<Name extends CommandName>(
    name: Name,
    payload: Commands[Name]["request"],
    options?: RequestOptions,
  ): Promise<Commands[Name]["reply"]>;
  on<Name extends EventName>(name: Name, listener: (payload: Events[Name]) => void): () => void;
  onConnected(listener: () => void): () => void;
}

export interface RequestOptions {
  /** null: as long as it takes, as `models:load` does. */
  timeoutMs?: number | null;
}

interface Reply {
  success: boolean;
  data?: unknown;
  error?: { message: string; code: string; details?: Record<string, unknown> };
}

const REFUSALS: ReadonlySet<string> = new Set(["UNAUTHENTICATED", "PERMISSION_DENIED"]);
const REQUEST_TIMEOUT_MS = 15_000;
const RECONNECT_MIN_MS = 300;
const RECONNECT_MAX_MS = 3_000;

export class Connection implements Api {
  state = $state<ConnectionState>("connecting");
  refusal = $state<Refusal | null>(null);
  /** Whether there ever was a connection: before, there is nothing to grey. */
  wasConnected = $state(false);

  /** Whether a token is shown, be it good or not. */
  hasToken = $state(false);

  readonly #socket: SocketLike;
  readonly #storage: TokenStorage;
  readonly #pending = new Set<(error: ApiError) => void>();
  readonly #connectedListeners = new Set<() => void>();
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: SocketLike, storage: TokenStorage) {
    this.#socket = socket;
    this.#storage = storage;
    this.hasToken = storage.read() !== "";
    socket.auth = (give: (auth: Record<string, string>) => void) => {
      const token = storage.read();
      give(token === "" ? {} : { token });
    };
    socket.on("connect", () => this.#connected());
    socket.on("disconnect", (reason: string) => this.#disconnected(reason));
    socket.on("connect_error", (error: Error & { data?: { code?: string } }) =>
      this.#notConnected(error),
    );
    socket.connect();
  }

  get connected(): boolean {
    return this.state === "connected";
  }

  /** What we show; the proxy wants the same. Empty where there is none. */
  get token(): string {
    return this.#storage.read();
  }

  request<Name extends CommandName>(
    name: Name,
    payload: Commands[Name]["request"],
    { timeoutMs = REQUEST_TIMEOUT_MS }: RequestOptions = {},
  ): Promise<Commands[Name]["reply"]> {
    // socket.io-client would keep it for later; what was asked then may not be wanted any more.
    if (!this.connected) return Promise.reject(disconnected());
    return new Promise((resolve, reject) => {
      const settle = (): boolean => {
        clearTimeout(timer);
        return this.#pending.delete(fail);
      };
      const fail = (error: ApiError): void => {
        if (settle()) reject(error);
      };
      this.#pending.add(fail);
      const timer =
        timeoutMs === null
          ? undefined
          : setTimeout(() => fail(new ApiError(TIMEOUT, `No answer to ${name} in time`)), timeoutMs);
      this.#socket.emit(name, payload, (reply: Reply) => {
        if (!settle()) return;
        if (reply.success) resolve(reply.data as Commands[Name]["reply"]);
        else reject(refused(reply.error));
      });
    });
  }

  on<Name extends EventName>(name: Name, listener: (payload: Events[Name]) => void): () => void {
    this.#socket.on(name, listener);
    return () => this.#socket.off(name, listener);
  }

  /** `listener` is called at every connection, and now where one stands. */
  onConnected(listener: () => void): () => void {
    this.#connectedListeners.add(listener);
    if (this.connected) listener();
    return () => this.#connectedListeners.delete(listener);
  }

  /** Connect anew with this token; an empty one forgets the old. */
  useToken(token: string, remember: boolean): void {
    this.#storage.write(token, remember);
    this.hasToken = token !== "";
    this.state = "connecting";
    this.#socket.disconnect();
    this.#socket.connect();
  }

  #connected(): void {
    clearTimeout(this.#retry);
    this.state = "connected";
    this.refusal = null;
    this.wasConnected = true;
    for (const listener of this.#connectedListeners) listener();
  }

  #disconnected(reason: string): void {
    // Our own: a connection with another token is on its way.
    this.state = reason === "io client disconnect" ? "connecting" : "disconnected";
    this.#failPending();
    // The gateway ended it: it stops, or the token was revoked. Only then nobody tries again.
    if (reason === "io server disconnect") this.#connectSoon();
  }

  #notConnected(error: Error & { data?: { code?: string } }): void {
    this.#failPending();
    if (this.#socket.active) {
      if (this.wasConnected || this.state === "refused") this.state = "disconnected";
      return;
    }
    const code = error.data?.code;
    // A gateway that has just begun does not know the tokens yet (`UNAVAILABLE`).
    if (code === undefined || !REFUSALS.has(code)) {
      this.state = "disconnected";
      this.#connectSoon();
      return;
    }
    this.state = "refused";
    this.refusal = { code, message: error.message };
  }

  #connectSoon(): void {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#socket.connect(), RECONNECT_MIN_MS);
  }

  #failPending(): void {
    for (const fail of [...this.#pending]) fail(disconnected());
  }
}

function disconnected(): ApiError {
  return new ApiError(DISCONNECTED, "There is no connection to the gateway");
}

function refused(error: Reply["error"]): ApiError {
  if (error === undefined) return new ApiError("SERVER_ERROR", "The gateway gave no reason");
  return new ApiError(error.code, error.message, error.details);
}

const TOKEN_KEY = "token";

/** The browser's storages; where they are forbidden, the token lives as long as the page. */
export function browserTokenStorage(): TokenStorage {
  let here = "";
  return {
    read() {
      try {
        return sessionStorage.getItem(TOKEN_KEY) ?? localStorage.getItem(TOKEN_KEY) ?? here;
      } catch {
        return here;
      }
    },
    write(token, remember) {
      here = token;
      try {
        sessionStorage.removeItem(TOKEN_KEY);
        localStorage.removeItem(TOKEN_KEY);
        if (token !== "") (remember ? localStorage : sessionStorage).setItem(TOKEN_KEY, token);
      } catch {
        // Forbidden, see above.
      }
    },
  };
}

export function connectToGateway(): Connection {
  const socket = io("/llamaproxws", {
    autoConnect: false,
    transports: ["websocket", "polling"],
    tryAllTransports: true,
    reconnectionDelay: RECONNECT_MIN_MS,
    reconnectionDelayMax: RECONNECT_MAX_MS,
    timeout: 5_000,
  });
  return new Connection(socket as unknown as SocketLike, browserTokenStorage());
}
