// The code blocks of the API page, one file each, character for character as they stand there.

import { readFileSync } from "node:fs";

const BLOCKS = new URL("blocks/", import.meta.url);

export function text(name, suffix = ".js") {
  return readFileSync(new URL(name + suffix, BLOCKS), "utf8");
}

// Runs a block as the body of a function in which `names` are defined (`io`, `console` …): what
// it would find in a page, or in a script of the user's.
export function run(name, names) {
  new Function(...Object.keys(names), text(name))(...Object.values(names));
}

// The value that a block shows. `{ ... }` on the page stands for any object.
export function shown(name) {
  return new Function(`return (${text(name).replaceAll("{ ... }", "{}")})`)();
}
