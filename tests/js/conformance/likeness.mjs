// Whether an answer looks as the page shows it: the same keys, nothing missing and nothing unnamed,
// and for each the same type. Numbers without a fraction stand for integers, ISO times for such
// times, a list's first element for all of its elements.

import assert from "node:assert/strict";

export const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

// `rules` by path (`models[].reason`, without the outermost name):
//   beyond: {path: [keys]}  keys which may also be there, that docs/api.md adds to the page
//   any:    [paths]         objects whose keys are data, not names of fields
//   orNull: [paths]         values that are null where there is nothing to tell
export function assertLooksLike(actual, page, rules = {}) {
  compare(actual, page, "", { beyond: {}, any: [], orNull: [], ...rules });
}

function compare(actual, page, path, rules) {
  if (actual === null && rules.orNull.includes(path)) return;
  const where = path || "the answer";
  assert.equal(kindOf(actual), kindOf(page), `${where} is ${JSON.stringify(actual)}`);
  if (Array.isArray(page)) {
    for (const element of actual) {
      if (page.length > 0) compare(element, page[0], `${path}[]`, rules);
    }
  } else if (page !== null && typeof page === "object") {
    compareObjects(actual, page, path, rules);
  } else if (typeof page === "number") {
    if (Number.isInteger(page)) assert.ok(Number.isInteger(actual), `${where}: ${actual}`);
    assert.ok(Number.isFinite(actual), `${where}: ${actual}`);
  } else if (ISO_TIME.test(page)) {
    assert.match(actual, ISO_TIME, where);
  }
}

function compareObjects(actual, page, path, rules) {
  if (rules.any.includes(path)) {
    const [example] = Object.values(page);
    for (const [key, value] of Object.entries(actual)) {
      if (example !== undefined) compare(value, example, `${path}.*`, rules);
      assert.ok(key.length > 0, path);
    }
    return;
  }
  const named = Object.keys(page);
  const beyond = rules.beyond[path] ?? [];
  const unnamed = Object.keys(actual).filter((key) => !named.includes(key));
  assert.deepEqual(
    unnamed.filter((key) => !beyond.includes(key)),
    [],
    `${path || "the answer"} has keys that nothing documents`,
  );
  for (const key of named) {
    assert.ok(key in actual, `${path || "the answer"} lacks ${key}`);
    compare(actual[key], page[key], path ? `${path}.${key}` : key, rules);
  }
}

function kindOf(value) {
  if (value === null) return "null";
  return Array.isArray(value) ? "list" : typeof value;
}
