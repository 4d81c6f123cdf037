/** A small configuration for tests, with one setting of each kind that the form treats apart. */

import type { ConfigSchema, Configuration, Setting } from "../../lib/api/contract";

export function setting(path: string, more: Partial<Setting> = {}): Setting {
  return {
    path,
    section: path.split(/[.[]/)[0] ?? "",
    type: "string",
    default: "",
    description: "",
    allowed: "a string",
    items: null,
    choices: [],
    range: null,
    pattern: "",
    unit: "",
    restart: [],
    role: "operator",
    fixed: false,
    variable: "",
    overridden: false,
    secret: false,
    ...more,
  };
}

export const SCHEMA: ConfigSchema = {
  sections: ["server", "llama", "runners", "models"].map((name) => ({ name, description: "" })),
  settings: [
    setting("server.port", { type: "int", default: 3000, restart: ["gateway", "proxy"] }),
    setting("llama.maxModels", { type: "int", default: 4, description: "How many models." }),
    setting("llama.modelsDir", { type: "path", default: "models", role: "admin" }),
    setting("llama.flags", { type: "table", items: "string", default: {}, secret: true }),
    setting("runners", { type: "list", items: "table", default: [], restart: ["up"] }),
    setting("runners[].name", { default: null }),
    setting("runners[].env", { type: "table", items: "string", default: {}, role: "admin", secret: true }),
    setting("models", { type: "table", items: "table", default: {} }),
    setting("models.*.ttlSeconds", { type: "float", default: null, unit: "seconds" }),
  ],
};

export function configuration(llama: Record<string, unknown> = {}): Configuration {
  return {
    server: { port: 3000 },
    llama: { maxModels: 4, modelsDir: "models", flags: { threads: "1" }, ...llama },
    proxy: {},
    presets: {},
    logging: {},
    runner: {},
    metrics: {},
    host: {},
    backplane: {},
    runners: [],
    models: {},
  };
}
