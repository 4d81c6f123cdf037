import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { ConfigFinding, PresetContent, Validation } from "../../lib/api/contract";
import { ApiError } from "../../lib/api/errors";
import { settled, TestApi } from "../../lib/api/test_api";
import { PresetEditor } from "./editor.svelte";
import { filenameProblem, PresetTable } from "./table.svelte";

const TEXT = "[*]\nctx-size = 1\n";

let api: TestApi;
let disk: Map<string, string>;
let editor: PresetEditor;

function content(filename: string): PresetContent {
  const text = disk.get(filename);
  if (text === undefined) throw new ApiError("PRESET_NOT_FOUND", `there is no preset '${filename}'`);
  return { filename, name: filename, description: "", content: text, models: {} };
}

function validation(findings: ConfigFinding[]): Validation {
  return { valid: findings.length === 0, errors: [], warnings: [], findings };
}

function error(message: string): ConfigFinding {
  return { section: "*", key: "ctx-size", severity: "error", message };
}

function asked(name: string): unknown[] {
  return api.asked.filter((one) => one.name === name).map(({ payload }) => payload);
}

async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
  await settled();
}

beforeEach(async () => {
  vi.useFakeTimers();
  disk = new Map([["mine", TEXT]]);
  api = new TestApi()
    .answer("presets:read", ({ filename }) => content(filename))
    .answer("presets:validate-config", () => validation([]))
    .answer("presets:save", ({ filename, content: text }) => {
      disk.set(filename, text ?? "");
      return { filename, savedAt: "" };
    });
  editor = new PresetEditor(api);
  await editor.open("mine");
  await settled();
});

afterEach(() => {
  vi.useRealTimers();
});

test("a preset is opened, changed and saved", async () => {
  expect([editor.draft, editor.dirty, editor.status.loading]).toEqual([TEXT, false, false]);
  editor.edit((document) => document.withValue("*", "ctx-size", "2"));
  expect(editor.dirty).toBe(true);
  expect(await editor.save()).toBe(true);
  expect(disk.get("mine")).toBe("[*]\nctx-size = 2\n");
  expect(editor.dirty).toBe(false);
  editor.write("[*]\n");
  editor.discard();
  expect([editor.draft, editor.dirty]).toEqual(["[*]\nctx-size = 2\n", false]);
});

test("what is not there is told", async () => {
  await editor.open("gone");
  expect(editor.status).toEqual({ loading: false, error: "There is no preset gone; it may have been renamed or deleted." });
});

test("typing is waited for", async () => {
  const before = asked("presets:validate-config").length;
  for (const text of ["a", "ab", "abc"]) {
    editor.write(text);
    await pass(200);
  }
  expect(asked("presets:validate-config")).toHaveLength(before);
  expect(editor.checking).toBe(true);
  await pass(200);
  expect(asked("presets:validate-config").slice(before)).toEqual([{ filename: "mine", content: "abc" }]);
  expect(editor.checking).toBe(false);
});

test("a late answer about an earlier draft is dropped", async () => {
  const answers: ((found: Validation) => void)[] = [];
  api.answer("presets:validate-config", () => new Promise((resolve) => answers.push(resolve)));
  editor.write("first");
  await pass(300);
  editor.write("second");
  await pass(300);
  answers[1]?.(validation([error("of the second")]));
  await settled();
  answers[0]?.(validation([error("of the first")]));
  await settled();
  expect(editor.findings.map(({ message }) => message)).toEqual(["of the second"]);
});

test("a check that fails is told, and the next one mends it", async () => {
  api.answer("presets:validate-config", () => Promise.reject(new Error("too busy")));
  editor.write("x");
  await pass(300);
  expect([editor.checkError, editor.checking]).toEqual(["Too busy.", false]);
  api.answer("presets:validate-config", () => validation([]));
  editor.write("y");
  await pass(300);
  expect(editor.checkError).toBeNull();
});

test("a refused save keeps the draft and says what to do", async () => {
  const findings = [error("[*] ctx-size: 'x' is not a whole number")];
  api.answer("presets:validate-config", () => validation(findings));
  api.answer("presets:save", () =>
    Promise.reject(new ApiError("PRESET_SAVE_FAILED", "the preset is not saved: …", { reason: "invalid", findings })),
  );
  editor.write("[*]\nctx-size = x\n");
  expect(await editor.save()).toBe(false);
  expect(editor.refusal?.advice).toContain("marked below");
  await settled();
  expect(editor.findings).toEqual(findings);
  expect([editor.draft, editor.dirty]).toEqual(["[*]\nctx-size = x\n", true]);
});

test("what somebody else writes is taken over where nothing was changed here", async () => {
  disk.set("mine", "[*]\n");
  await editor.look();
  expect([editor.draft, editor.theirs, editor.dirty]).toEqual(["[*]\n", null, false]);
});

test("what somebody else writes is shown beside a draft, and not overwritten", async () => {
  editor.write("[*]\n; mine\n");
  disk.set("mine", "[*]\n; theirs\n");
  expect(await editor.save()).toBe(false);
  expect(editor.theirs?.content).toBe("[*]\n; theirs\n");
  expect(disk.get("mine")).toBe("[*]\n; theirs\n");
  editor.keepMine();
  expect(await editor.save()).toBe(true);
  expect(disk.get("mine")).toBe("[*]\n; mine\n");

  editor.write("[*]\n; mine again\n");
  disk.set("mine", "[*]\n; theirs\n");
  await editor.look();
  editor.takeTheirs();
  expect([editor.draft, editor.dirty]).toEqual(["[*]\n; theirs\n", false]);
});

test("what was read before a save does not undo it", async () => {
  let late: ((found: PresetContent) => void) | undefined;
  api.answer("presets:read", () => new Promise((resolve) => (late = resolve)));
  const looking = editor.look();
  const before = content("mine");
  const answer = late;
  api.answer("presets:read", ({ filename }) => content(filename));
  editor.write("[*]\n; new\n");
  await editor.save();
  answer?.(before);
  await looking;
  expect([editor.draft, editor.dirty, editor.theirs]).toEqual(["[*]\n; new\n", false, null]);
});

test("a deleted file leaves the draft, which can be saved anew", async () => {
  disk.clear();
  await editor.look();
  expect([editor.gone, editor.dirty, editor.draft]).toEqual([true, true, TEXT]);
  expect(await editor.save()).toBe(true);
  expect([editor.gone, disk.get("mine")]).toEqual([false, TEXT]);
});

test("a preset is made, copied and not made twice", async () => {
  const table = new PresetTable(api);
  api.answer("presets:list", () => ({ presets: [] }));
  await table.create("new", "New one", "for tests");
  expect(disk.get("new")).toBe("; name: New one\n; description: for tests\nversion = 1\n\n[*]\n");
  await table.create("copy", "Copy", "", "mine");
  expect(disk.get("copy")).toBe(`; name: Copy\n${TEXT}`);
  await expect(table.create("mine", "", "")).rejects.toThrow("already");
  expect(disk.get("mine")).toBe(TEXT);
});

test("each preset of the list is checked once", async () => {
  const table = new PresetTable(api);
  const row = { filename: "mine", name: "Mine", description: "", models: { "*": { "ctx-size": "x" } } };
  api.answer("presets:list", () => ({ presets: [row, { ...row, filename: "broken", problem: "line 1: no" }] }));
  api.answer("presets:validate-config", () => validation([error("no")]));
  const before = asked("presets:validate-config").length;
  await table.refresh();
  await table.refresh();
  expect(asked("presets:validate-config").length - before).toBe(1);
  expect(table.remarks.get("mine")?.errors).toBe(1);
});

test("what a preset may be called", () => {
  expect(filenameProblem("a.B-9_")).toBeNull();
  for (const name of [".a", "a/b", "a b", "a".repeat(65), "a.ini", "ä"]) expect(filenameProblem(name), name).not.toBeNull();
  expect(filenameProblem("mine", ["mine"])).toContain("already");
});
