// Generated from common/api by `python -m deploy.api_types`; `make check` fails when it is stale.

/** Who uses the preset now: ids, or `*` for all that use no other. */
export interface AppliedPreset {
  filename: string;
  appliedTo: string[];
}

/** Which models use a preset from their next load, by id; none, or `*`: all of them. */
export interface ApplyPreset {
  filename: string;
  models?: string[];
}

/** Which request to end, as `requests:list` names it. */
export interface CancelRequest {
  id: string;
}

/** The request that was ended; its engine does not work for it any more. */
export interface CancelledRequest {
  id: string;
}

/** What an update would do, or why it would be refused; `diff` is empty where it would be. */
export interface CheckedConfig {
  valid: boolean;
  errors: ConfigProblem[];
  diff: ConfigDifference[];
  restartRequired: boolean;
  restart: string[];
}

/** A Socket.IO client, by its `socket.id`. */
export interface ClientId {
  clientId: string;
}

/**
 * What is to change: sections with some of their keys. A JSON Merge Patch (RFC 7396): null takes a
 * key back to its default, tables are merged, lists are replaced as a whole.
 */
export interface ConfigChanges {
  server?: unknown;
  llama?: unknown;
  proxy?: unknown;
  presets?: unknown;
  logging?: unknown;
  runner?: unknown;
  metrics?: unknown;
  host?: unknown;
  backplane?: unknown;
  runners?: unknown;
  models?: unknown;
}

/** A key that would change. `restart` as in `UpdatedConfig`, for this key alone. */
export interface ConfigDifference {
  path: string;
  before: unknown;
  after: unknown;
  restart: string[];
}

/**
 * A remark on a preset. `message` is a sentence; `key` is empty where it is about a section, and
 * `section`, too, where it is about the whole.
 */
export interface ConfigFinding {
  section: string;
  key: string;
  severity: "error" | "warning";
  message: string;
}

/**
 * Why a change is refused. `path` is a key or an environment variable; `given` is as JSON, and
 * empty with `allowed` where that says nothing.
 */
export interface ConfigProblem {
  path: string;
  message: string;
  given: string;
  allowed: string;
}

/** Every section and every key, in the order of the file. */
export interface ConfigSchema {
  sections: SettingsSection[];
  settings: Setting[];
}

/** Every section with every key: as it is configured, else its default. */
export interface Configuration {
  server: Record<string, unknown>;
  llama: Record<string, unknown>;
  proxy: Record<string, unknown>;
  presets: Record<string, unknown>;
  logging: Record<string, unknown>;
  runner: Record<string, unknown>;
  metrics: Record<string, unknown>;
  host: Record<string, unknown>;
  backplane: Record<string, unknown>;
  runners: Record<string, unknown>[];
  models: Record<string, Record<string, unknown>>;
}

/** Processor use of the host, 0 to 100, and its number of logical cores. */
export interface Cpu {
  usage: number;
  cores: number;
}

/** A new token's `name`, which no other token has, and what its bearer may do. */
export interface CreateToken {
  name: string;
  role: "inference" | "viewer" | "operator" | "admin";
}

/** `token` is the secret; it is shown this once and kept nowhere. */
export interface CreatedToken {
  id: string;
  name: string;
  role: "inference" | "viewer" | "operator" | "admin";
  createdAt: string;
  token: string;
}

/**
 * Which preset to delete; models that used it use what is applied to all, from their next load.
 * Loaded models keep what they were started with.
 */
export interface DeletePreset {
  filename: string;
}

/** The preset's file is gone. */
export interface DeletedPreset {
  deleted: boolean;
}

/** Which models, by their ids; null for all. Ids of which there is none are left out. */
export interface DescribeModels {
  ids?: string[] | null;
}

/** How many `logs:entry` this client was too slow for, since the last that it got. */
export interface DroppedEntries {
  count: number;
}

/** A request or a reply without fields: `{}`. */
export type Empty = Record<string, never>;

/**
 * Requests that have just been stored: the newest of them, in the order in which they ended.
 * `omitted` counts the others; `requests:history` has them all.
 */
export interface FinishedRequests {
  requests: RequestRecord[];
  omitted: number;
}

/** The configuration; no fields. */
export type GetConfig = Record<string, never>;

/** What may be configured; no fields. */
export type GetConfigSchema = Record<string, never>;

/** How far to look back. */
export interface GetHistory {
  seconds?: number;
}

/** Who this client is; no fields. */
export type GetIdentity = Record<string, never>;

/** When every model was used last; no fields. */
export type GetLastUse = Record<string, never>;

/** The flags of the engine in use; no fields. */
export type GetLlamaParams = Record<string, never>;

/**
 * Which lines to give: `level` and above, `limit` at most, after `since` (ISO-8601). `sources` as
 * in `logs:subscribe`. `text` is in the message, in any case. `before` is a line's id: only older
 * ones are given. With `after`, a line's id, the next newer ones are given.
 */
export interface GetLogs {
  level?: "debug" | "error" | "info" | "warn";
  limit?: number;
  since?: string | null;
  sources?: string[];
  text?: string;
  before?: number | null;
  after?: number | null;
}

/** The newest figures; no fields. */
export type GetMetrics = Record<string, never>;

/**
 * Which finished requests to give, `limit` at most: those that began after `since` (ISO-8601), of
 * one model, caller, HTTP status or end. `before` is a request's id: only older ones are given.
 */
export interface GetRequests {
  limit?: number;
  since?: string | null;
  before?: string | null;
  model?: string | null;
  caller?: string | null;
  status?: number | null;
  end?: "cancelled" | "cut" | "done" | "failed" | "left" | "refused" | null;
}

/** Processes and models; no fields. */
export type GetStatus = Record<string, never>;

/**
 * One GPU over time: an entry per entry of its host's `times_ms`, null where it was not there or
 * did not say. `memoryTotal` and `powerLimit` are the newest.
 */
export interface GpuHistory {
  uuid: string;
  name: string;
  memoryTotal: number;
  usage: (number | null)[];
  memoryUsed: (number | null)[];
  temperature: (number | null)[];
  power: (number | null)[];
  powerLimit: number | null;
}

/**
 * Every host that could be asked, by name; and inference in all of them, null while the process
 * `logs` does not answer.
 */
export interface History {
  hosts: HostHistory[];
  inference: InferenceHistory | null;
}

/** One GPU, and the host it is in. */
export interface HostGpu {
  name: string;
  usage: number;
  memoryUsed: number;
  memoryTotal: number;
  uuid: string;
  temperature: number | null;
  power: number | null;
  powerLimit: number | null;
  host: string;
}

/**
 * One host over time, oldest first: an entry per entry of `timesMs` (ms since 1970). `cores`,
 * `memoryTotal` and `diskTotal` are the newest.
 */
export interface HostHistory {
  host: string;
  timesMs: number[];
  cpuUsage: number[];
  memoryUsed: number[];
  diskUsed: number[];
  cores: number;
  memoryTotal: number;
  diskTotal: number;
  gpu: GpuHistory[];
}

/** One host as a whole, as seen at `timestamp` (ISO-8601 in UTC). */
export interface HostMetrics {
  host: string;
  system: System;
  timestamp: string;
}

/**
 * Who this client is for us: its token's name and what that may do. `needsToken` is false while
 * there are no tokens, when everybody may do everything.
 */
export interface Identity {
  name: string;
  role: "inference" | "viewer" | "operator" | "admin";
  needsToken: boolean;
}

/**
 * What all proxies did, oldest first: an entry per second that began at `timesMs`. `inFlight` and
 * `waiting` (for room, a place or the load of a model) are the mean over the second, `finished`
 * the requests that ended in it, however they ended. `firstTokenMs` and `latencyMs` are the mean
 * of those that an engine answered to the end, null where there was none. `tokensOut` are tokens
 * per second: those of a request are known when it is over, and then count evenly over the time in
 * which its answer flowed. So a second may change while requests of it are under way. It begins
 * where records or the process `logs` do.
 */
export interface InferenceHistory {
  timesMs: number[];
  inFlight: number[];
  waiting: number[];
  finished: number[];
  firstTokenMs: (number | null)[];
  latencyMs: (number | null)[];
  tokensOut: number[];
}

/** Model → when its newest request began that has ended (ISO-8601), of those in the history. */
export interface LastUse {
  models: Record<string, string>;
}

/** All models; no fields. */
export type ListModels = Record<string, never>;

/** All presets; no fields. */
export type ListPresets = Record<string, never>;

/** Every request under way; no fields. */
export type ListRequests = Record<string, never>;

/** All tokens; no fields. */
export type ListTokens = Record<string, never>;

/**
 * What all proxies do together. `activeConnections`: inference requests under way.
 * `requestsProcessed`: those that an engine has answered to the end. `averageResponseTime`: from a
 * request's arrival to the last byte of its answer, in ms, as the mean of the last 1,000 of each
 * proxy; 0 before the first.
 */
export interface LlamaMetrics {
  activeConnections: number;
  requestsProcessed: number;
  averageResponseTime: number;
}

/**
 * Every flag, by category. `engine` says who was asked for them: `shipped` where nobody could be;
 * `version` is what the engine calls itself.
 */
export interface LlamaParams {
  parameters: Record<string, Parameter[]>;
  engine: "embedded" | "llama-server" | "shipped";
  version: string;
}

/**
 * Which model to load, by its id or an alias. `ttlSeconds`: unload it when it was not used for so
 * long, 0 for never; until it is unloaded this is above the settings. `runner`: on which one, as
 * `system:status` names it or without its host where only one has such; a model that is loaded on
 * another one is loaded anew. `preset`: with which preset, just this time; a model that is loaded
 * with another one is loaded anew. Null: the one that `presets:apply` has set for the model or for
 * all, else `default`.
 */
export interface LoadModel {
  id: string;
  ttlSeconds?: number | null;
  preset?: string | null;
  runner?: string | null;
}

/** A model that answers requests now. `memoryUsage` is in bytes. */
export interface LoadedModel {
  id: string;
  status: "error" | "loaded" | "loading" | "unloaded" | "unloading";
  memoryUsage: number;
  loadedAt: string;
}

/** A log line as clients see it. `timestamp` is ISO-8601 in UTC, `id` its number in the log. */
export interface LogEntry {
  timestamp: string;
  level: "debug" | "error" | "info" | "warn";
  source: string;
  message: string;
  id: number;
}

/** What this client gets from now on. */
export interface LogSubscription {
  level: "debug" | "error" | "info" | "warn";
  sources: string[];
}

/**
 * The newest matching lines, newest last, 8 MiB of text at most. `total` counts every match; where
 * `sources`, `text`, `before` or `after` are given, those that are in `logs`. `searchedTo` is
 * there where the search ended before it had `limit` lines, since it has looked at 50,000: the id
 * to go on from.
 */
export interface Logs {
  logs: LogEntry[];
  total: number;
  searchedTo?: number;
}

/**
 * The newest figures. `system` and `timestamp` are those of the asked gateway's own host; `hosts`
 * has all, by name. `gpu` lists the GPUs of all hosts; it is empty without NVML.
 */
export interface Metrics {
  system: System;
  llama: LlamaMetrics;
  gpu: HostGpu[];
  timestamp: string;
  hosts: HostMetrics[];
}

/** How often this client gets `metrics:update` from now on. */
export interface MetricsPace {
  intervalMs: number;
}

/**
 * What a list of models does not tell of one. `runner`, `preset` and `memoryUsage` (bytes) are
 * there while it has an engine. `expiresAt` is there while it is loaded and idle and has a
 * `ttlSeconds`.
 */
export interface ModelDetails {
  architecture: string | null;
  quantization: string | null;
  parameterCount: number | null;
  contextLength: number | null;
  id: string;
  runner: string | null;
  preset: string | null;
  memoryUsage: number | null;
  loadedAt: string | null;
  expiresAt: string | null;
}

/** Models by id. */
export interface ModelDetailsList {
  models: ModelDetails[];
}

/**
 * One model in detail. `parameters` groups the readable part of the file's header: General, Model,
 * Tokenizer. It is null where the header is unreadable; `reason` then says why. `memoryUsage` is
 * in bytes. `preset` is there while it is loaded with one. `expiresAt` is there while it is loaded
 * and idle and has a `ttlSeconds`: when it will be unloaded unless it is used before.
 */
export interface ModelInfo {
  id: string;
  name: string;
  path: string;
  size: number;
  status: "error" | "loaded" | "loading" | "unloaded" | "unloading";
  parameters: Record<string, Record<string, unknown>> | null;
  memoryUsage: number | null;
  loadedAt: string | null;
  reason?: string;
  preset?: string;
  expiresAt?: string;
}

/** Which model to describe, by its id or an alias. */
export interface ModelInfoRequest {
  id: string;
}

/** Every model of every host, by id. */
export interface ModelList {
  models: ModelRow[];
  total: number;
}

/** Which model was loaded or unloaded. */
export interface ModelMoved {
  modelId: string;
}

/**
 * One model in a list. `size` is in bytes; `parameters` are given by `models:info` only. `reason`
 * says why the status is `error` and is absent otherwise.
 */
export interface ModelRow {
  id: string;
  name: string;
  path: string;
  size: number;
  status: "error" | "loaded" | "loading" | "unloaded" | "unloading";
  parameters: null;
  reason?: string;
}

/**
 * A model's row after a change of its status or progress. `reason` says why it is in `error` or
 * did not load; null where there is nothing to explain. A model of which neither file nor engine
 * is left is told once more, in `error`; it is listed no more. `progress` is there while the model
 * loads, from 0 to 1, where the engine tells it.
 */
export interface ModelStatusChange {
  id: string;
  name: string;
  path: string;
  size: number;
  status: "error" | "loaded" | "loading" | "unloaded" | "unloading";
  reason: string | null;
  parameters: null;
  progress?: number;
}

/** A log line that was just stored. */
export interface NewEntry {
  entry: LogEntry;
}

/**
 * One flag. `name` is its canonical long form without dashes. `type`: `path` is a file, a
 * directory or an address that something is read from. `default` is the literal value that holds
 * without the flag, empty where there is none or where it depends on others. `choices` of an
 * `enum` are all its values; of a `string`, the words of a list divided by commas; of an `int`,
 * words that it takes beside numbers. `env` is the `LLAMA_ARG_…` name, which presets may use as
 * well. `aliases` are all other spellings without dashes, `negations` those that mean the opposite
 * (`no-jinja`). A `reserved` flag is refused in presets and settings; `reason` says why.
 */
export interface Parameter {
  name: string;
  type: "bool" | "enum" | "float" | "int" | "path" | "string";
  default: string;
  description: string;
  category: string;
  choices: string[];
  range: Range | null;
  env: string | null;
  aliases: string[];
  negations: string[];
  reserved: boolean;
  reason: string | null;
}

/**
 * One preset. `filename` is its file's name without `.ini`. `models` are the file's sections.
 * `problem` is there where the file cannot be used as it is, and says why; `models` is then empty.
 * `appliedTo` is there where models use the preset: their ids, or `*` for all that use no other.
 */
export interface Preset {
  filename: string;
  name: string;
  description: string;
  models: Record<string, Record<string, string>>;
  problem?: string;
  appliedTo?: string[];
}

/** One preset with its file's text. */
export interface PresetContent {
  filename: string;
  name: string;
  description: string;
  content: string;
  models: Record<string, Record<string, string>>;
  problem?: string;
  appliedTo?: string[];
}

/** Every preset, by filename. */
export interface PresetList {
  presets: Preset[];
}

/**
 * One process. `hung`: it lives, but nothing was heard of it for some seconds. `gone`: it does
 * not, or nobody can tell; it is shown until it returns. `startedAt` is ISO-8601 in UTC.
 */
export interface ProcessStatus {
  name: string;
  kind: "backplane" | "cli" | "controller" | "gateway" | "logs" | "metrics" | "proxy" | "runner";
  host: string;
  pid: number;
  status: "gone" | "hung" | "running";
  startedAt: string;
}

/** Bounds of a number, both included; null where there is none. */
export interface Range {
  min: number | null;
  max: number | null;
}

/** Which preset to read; a trailing `.ini` is taken off, here and wherever one is named. */
export interface ReadPreset {
  filename: string;
}

/** A preset's new filename; models that use it use it under that. */
export interface RenamePreset {
  filename: string;
  to: string;
}

/** What the preset is called now. */
export interface RenamedPreset {
  filename: string;
}

/**
 * The newest matching requests in the order in which they began, newest last. `more`: there are
 * older ones; they are got with the first one's id as `before`.
 */
export interface RequestHistory {
  requests: RequestRecord[];
  more: boolean;
}

/**
 * A request that is under way. `arriving`: its body is being read, `model` is empty yet.
 * `waiting`: for its model. `asked`: its engine was asked. `answering`: the answer flows.
 */
export interface RequestInFlight {
  id: string;
  model: string;
  endpoint: string;
  caller: string;
  proxy: string;
  startedAt: string;
  queueMs: number;
  loadMs: number;
  firstTokenMs: number | null;
  durationMs: number;
  bytesIn: number;
  bytesOut: number;
  status: number;
  state: "answering" | "arriving" | "asked" | "waiting";
}

/**
 * The requests under way in all proxies, oldest first. `silent` are the proxies that did not
 * answer in time; theirs are missing.
 */
export interface RequestList {
  requests: RequestInFlight[];
  silent: string[];
}

/**
 * A finished request. Tokens are as the engine counted them, null where it did not say.
 * `promptTokens` include `cachedTokens`, which were in the engine's memory already.
 * `tokensPerSecond` is the speed of generation alone. `end` is how it ended. `done`: an engine's
 * answer reached its end. `refused`: by the proxy, before an engine was asked. `failed`: no engine
 * answered. `cut`: an engine's answer broke off. `left`: its caller went away. `cancelled`: by
 * `requests:cancel`.
 */
export interface RequestRecord {
  id: string;
  model: string;
  endpoint: string;
  caller: string;
  proxy: string;
  startedAt: string;
  queueMs: number;
  loadMs: number;
  firstTokenMs: number | null;
  durationMs: number;
  bytesIn: number;
  bytesOut: number;
  status: number;
  promptTokens: number | null;
  cachedTokens: number | null;
  completionTokens: number | null;
  tokensPerSecond: number | null;
  end: "cancelled" | "cut" | "done" | "failed" | "left" | "refused";
}

/** Which model with which preset. */
export interface ResolvePreset {
  filename: string;
  id: string;
}

/**
 * What a model's engine gets with a preset: every flag by its long name, whichever spelling sets
 * it (`no-jinja = true` is `jinja`, false). `llama.flags` are the main host's; a joined host has
 * its own.
 */
export interface ResolvedPreset {
  filename: string;
  id: string;
  parameters: Record<string, ResolvedValue>;
}

/**
 * One flag's value and where it comes from. `source`: the engine's own `default`, `llama.flags` of
 * `config`, the preset's `[*]`, one of its groups, or the model's own section. `section` is the
 * preset's section, where it is one.
 */
export interface ResolvedValue {
  value: string;
  source: "[*]" | "config" | "default" | "group" | "model";
  section?: string;
}

/**
 * Which process to start anew, as `system:status` names it; without a host, one of the host of the
 * asked gateway.
 */
export interface RestartProcess {
  process: string;
}

/** The process that now ends and is started anew; `system:status` shows its new `startedAt`. */
export interface Restarting {
  process: string;
}

/** Which token shall be worth nothing from now on: by its `id`, or by its `name`. */
export interface RevokeToken {
  id?: string;
  name?: string;
}

/** The token that is gone. */
export interface RevokedToken {
  id: string;
  name: string;
}

/**
 * What a preset shall say; it is made where there is none. Either `config`: each section of it is
 * written as given, a section that is null is removed, and all else of the file stays, comments
 * and order included. Or `content`: the file's whole text. `name` and `description` are kept in
 * leading comments; an empty text removes them.
 */
export interface SavePreset {
  filename: string;
  config?: Record<string, Record<string, string> | null>;
  content?: string;
  name?: string;
  description?: string;
}

/** A preset that is on disk now. */
export interface SavedPreset {
  filename: string;
  savedAt: string;
}

/**
 * One key. `path` is `llama.maxModels`; `runners[].name` is that of each entry of a list,
 * `models.*.aliases` of each of a table. `type` of a list's items, and of a table's values, is
 * `items`, null where that may be anything; those of `runners` and `models` have keys of their own
 * here. `default` is null where a key must be given, or where another one holds without it.
 * `allowed` says in words what it takes; `range` and `choices` the same as data, where that is
 * possible; `pattern` is a regular expression. `unit` is empty where it is a plain number.
 * `restart` names the kinds of processes that a change has to be followed by `system:restart` for,
 * or `up` where `llama-proxy up` itself has to be started anew. `role` may change it: nobody where
 * it is `fixed`, then only the file can. `variable` is the environment variable for it, and
 * `overridden` whether that is set, so that no change is accepted. Of a `secret` one, `config:get`
 * hides the values whose names look like keys, tokens or passwords.
 */
export interface Setting {
  path: string;
  section: string;
  type: "bool" | "enum" | "float" | "int" | "list" | "path" | "string" | "table";
  default: unknown;
  description: string;
  allowed: string;
  items: "bool" | "enum" | "float" | "int" | "list" | "path" | "string" | "table" | null;
  choices: string[];
  range: Range | null;
  pattern: string;
  unit: "" | "bytes" | "seconds";
  restart: string[];
  role: "inference" | "viewer" | "operator" | "admin";
  fixed: boolean;
  variable: string;
  overridden: boolean;
  secret: boolean;
}

/** A `[table]` of the file, or a list or table of tables (`runners`, `models`). */
export interface SettingsSection {
  name: string;
  description: string;
}

/** Used and total bytes, of memory or of the disk that holds the models. */
export interface Space {
  used: number;
  total: number;
}

/**
 * Which lines this client wants as `logs:entry`: `level` and above, of `sources`. A source is
 * named in full (`gateway@myhost`) or by how its name begins (`engine:`); none means all.
 */
export interface SubscribeLogs {
  level?: "debug" | "error" | "info" | "warn";
  sources?: string[];
}

/** How often this client wants `metrics:update`. Hosts are looked at once a second. */
export interface SubscribeMetrics {
  intervalMs?: number;
}

/** One host as a whole. */
export interface System {
  cpu: Cpu;
  memory: Space;
  disk: Space;
}

/** All processes that were seen, by name, and all models, by id. */
export interface SystemStatus {
  processes: ProcessStatus[];
  models: ModelRow[];
}

/** A token as administrators see it. `createdAt` is ISO-8601 in UTC. */
export interface TokenEntry {
  id: string;
  name: string;
  role: "inference" | "viewer" | "operator" | "admin";
  createdAt: string;
}

/** All tokens, oldest first. */
export interface TokenList {
  tokens: TokenEntry[];
}

/** Which model to unload, by its id or an alias. */
export interface UnloadModel {
  id: string;
}

/** A model whose engine has ended. */
export interface UnloadedModel {
  id: string;
  status: "error" | "loaded" | "loading" | "unloaded" | "unloading";
  unloadedAt: string;
}

/** No more `logs:entry` for this client; no fields. */
export type UnsubscribeLogs = Record<string, never>;

/** Back to the pace of everybody; no fields. */
export type UnsubscribeMetrics = Record<string, never>;

/**
 * `updated`: whether anything has changed. `restart` names the processes, as `system:status` shows
 * them, that need `system:restart` to follow, or `up` where `llama-proxy up` itself has to be
 * started anew; all else holds already.
 */
export interface UpdatedConfig {
  updated: boolean;
  restartRequired: boolean;
  restart: string[];
}

/**
 * A preset to check without saving it: either `config`, or a file's whole text as `content`.
 * `filename` is the preset that it is meant for.
 */
export interface ValidateConfig {
  filename: string;
  config?: Record<string, Record<string, string> | null>;
  content?: string;
}

/**
 * What is wrong with a configuration (`errors`), and what is worth a look (`warnings`). Both are
 * sentences that name section and key; `findings` are the same as data.
 */
export interface Validation {
  valid: boolean;
  errors: string[];
  warnings: string[];
  findings: ConfigFinding[];
}

/** Each includes those before it. */
export const ROLES = ["inference", "viewer", "operator", "admin"] as const;

export type Role = (typeof ROLES)[number];

/** What each request takes and gives. */
export interface Commands {
  /** All models, by id. */
  "models:list": { request: ListModels; reply: ModelList };
  /** One model in detail. */
  "models:info": { request: ModelInfoRequest; reply: ModelInfo };
  /** What tables of models show beside their rows: of the files and of the engines. */
  "models:details": { request: DescribeModels; reply: ModelDetailsList };
  /** Load a model; acknowledged when it answers requests. */
  "models:load": { request: LoadModel; reply: LoadedModel };
  /** Unload a model; acknowledged when its engine has ended. */
  "models:unload": { request: UnloadModel; reply: UnloadedModel };
  /** All presets, by filename. */
  "presets:list": { request: ListPresets; reply: PresetList };
  /** One preset with its file's text. */
  "presets:read": { request: ReadPreset; reply: PresetContent };
  /** Create or update a preset. */
  "presets:save": { request: SavePreset; reply: SavedPreset };
  /** Delete a preset. */
  "presets:delete": { request: DeletePreset; reply: DeletedPreset };
  /** Every flag of the engine in use, by category. */
  "presets:get-llama-params": { request: GetLlamaParams; reply: LlamaParams };
  /** Check a configuration without saving it. */
  "presets:validate-config": { request: ValidateConfig; reply: Validation };
  /** Say which models use a preset from their next load. */
  "presets:apply": { request: ApplyPreset; reply: AppliedPreset };
  /** Give a preset another filename. */
  "presets:rename": { request: RenamePreset; reply: RenamedPreset };
  /** What a model gets with a preset: each flag with its value and where that comes from. */
  "presets:resolve": { request: ResolvePreset; reply: ResolvedPreset };
  /** All processes and all models. */
  "system:status": { request: GetStatus; reply: SystemStatus };
  /** Start a process anew, with the configuration as it is now. Engines of a runner go on; a proxy ends its streams first, or when its drain timeout is over. */
  "system:restart": { request: RestartProcess; reply: Restarting };
  /** Who this client is, and what it may do. */
  "tokens:identity": { request: GetIdentity; reply: Identity };
  /** All access tokens. */
  "tokens:list": { request: ListTokens; reply: TokenList };
  /** Make an access token; shown once. */
  "tokens:create": { request: CreateToken; reply: CreatedToken };
  /** Make a token worthless: what its Socket.IO clients ask from then on is refused, and they are disconnected within a second, or three where they wait for an answer. */
  "tokens:revoke": { request: RevokeToken; reply: RevokedToken };
  /** The configuration. */
  "config:get": { request: GetConfig; reply: Configuration };
  /** What may be configured: each key with its type, default, meaning and what its change takes. */
  "config:schema": { request: GetConfigSchema; reply: ConfigSchema };
  /** Change the configuration, and write it down. What names a program, a directory or an address needs the role `admin`. */
  "config:update": { request: ConfigChanges; reply: UpdatedConfig };
  /** What `config:update` would do; nothing changes. */
  "config:validate": { request: ConfigChanges; reply: CheckedConfig };
  /** The requests under way. */
  "requests:list": { request: ListRequests; reply: RequestList };
  /** End a request that is under way; its caller is told by an error. */
  "requests:cancel": { request: CancelRequest; reply: CancelledRequest };
  /** The newest finished requests. */
  "requests:history": { request: GetRequests; reply: RequestHistory };
  /** When each model was used last. */
  "requests:last-use": { request: GetLastUse; reply: LastUse };
  /** The newest log lines. */
  "logs:get": { request: GetLogs; reply: Logs };
  /** Narrow `logs:entry` to what this client wants; without it a client gets every line. */
  "logs:subscribe": { request: SubscribeLogs; reply: LogSubscription };
  /** Send this client no more `logs:entry`, until it subscribes again. */
  "logs:unsubscribe": { request: UnsubscribeLogs; reply: Empty };
  /** The newest figures. */
  "metrics:get": { request: GetMetrics; reply: Metrics };
  /** Give this client `metrics:update` at its own pace, the first at once. */
  "metrics:subscribe": { request: SubscribeMetrics; reply: MetricsPace };
  /** Give this client `metrics:update` every 10 s again, as everybody gets it. */
  "metrics:unsubscribe": { request: UnsubscribeMetrics; reply: MetricsPace };
  /** The last hour of every host and of inference, once a second. */
  "metrics:history": { request: GetHistory; reply: History };
}

export type CommandName = keyof Commands;

/** The role that each request needs. */
export const COMMAND_ROLES: Readonly<Record<CommandName, Role>> = {
  "models:list": "viewer",
  "models:info": "viewer",
  "models:details": "viewer",
  "models:load": "operator",
  "models:unload": "operator",
  "presets:list": "viewer",
  "presets:read": "viewer",
  "presets:save": "operator",
  "presets:delete": "operator",
  "presets:get-llama-params": "viewer",
  "presets:validate-config": "viewer",
  "presets:apply": "operator",
  "presets:rename": "operator",
  "presets:resolve": "viewer",
  "system:status": "viewer",
  "system:restart": "admin",
  "tokens:identity": "viewer",
  "tokens:list": "admin",
  "tokens:create": "admin",
  "tokens:revoke": "admin",
  "config:get": "viewer",
  "config:schema": "viewer",
  "config:update": "operator",
  "config:validate": "operator",
  "requests:list": "viewer",
  "requests:cancel": "operator",
  "requests:history": "viewer",
  "requests:last-use": "viewer",
  "logs:get": "viewer",
  "logs:subscribe": "viewer",
  "logs:unsubscribe": "viewer",
  "metrics:get": "viewer",
  "metrics:subscribe": "viewer",
  "metrics:unsubscribe": "viewer",
  "metrics:history": "viewer",
};

/** What each event carries. */
export interface Events {
  /** A model's status changed, its loading went on, or it is gone. */
  "models:status": ModelStatusChange;
  /** A model answers requests now. */
  "models:loaded": ModelMoved;
  /** A model's engine has ended. */
  "models:unloaded": ModelMoved;
  /** A client connected; it hears of itself too. */
  "client:connected": ClientId;
  /** A client disconnected. */
  "client:disconnected": ClientId;
  /** Requests have ended, and their records are stored. */
  "requests:finished": FinishedRequests;
  /** A log line was stored. */
  "logs:entry": NewEntry;
  /** This client reads too slowly and has missed log lines. */
  "logs:dropped": DroppedEntries;
  /** The newest figures; see `metrics:subscribe` for how often. */
  "metrics:update": Metrics;
}

export type EventName = keyof Events;
