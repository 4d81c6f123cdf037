import { expect, it } from "vitest";

import type { TokenEntry } from "../../lib/api/contract";
import { settled, TestApi } from "../../lib/api/test_api";
import { nameProblem, Tokens } from "./tokens.svelte";

const entry = (name: string): TokenEntry => ({ id: `id-${name}`, name, role: "viewer", createdAt: "2026-01-15T10:30:00.000Z" });

it("are listed, made and revoked", async () => {
  const api = new TestApi()
    .answer("tokens:list", () => ({ tokens: [entry("a")] }))
    .answer("tokens:create", ({ name, role }) => ({ ...entry(name), role, token: "lap_x" }))
    .answer("tokens:revoke", () => ({ id: "id-a", name: "a" }));
  const tokens = new Tokens(api);
  const stop = tokens.show();
  await api.connect();
  expect(tokens.list.map(({ name }) => name)).toEqual(["a"]);
  expect((await tokens.create("b", "admin")).token).toBe("lap_x");
  expect(tokens.list.map(({ name, role }) => [name, role])).toEqual([["a", "viewer"], ["b", "admin"]]);
  expect(JSON.stringify(tokens.list)).not.toContain("lap_x");
  await tokens.revoke("id-a");
  expect(tokens.list.map(({ name }) => name)).toEqual(["b"]);
  stop();
});

it("say why they cannot be listed", async () => {
  const tokens = new Tokens(new TestApi().answer("tokens:list", () => Promise.reject(new Error("no disk"))));
  const stop = tokens.show();
  await settled();
  expect(tokens.status).toEqual({ loading: false, error: "No disk." });
  stop();
});

it.each([
  ["", "needed"],
  [" a", "begins with"],
  ["a/b", "only"],
  ["a".repeat(65), "at most"],
  ["taken", "already"],
  ["alice@host v1.0_-", ""],
])("the name %j: %s", (name, why) => {
  const problem = nameProblem(name, [entry("taken")]);
  if (why === "") expect(problem).toBe("");
  else expect(problem).toContain(why);
});
