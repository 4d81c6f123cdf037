import js from "@eslint/js";
import svelte from "eslint-plugin-svelte";
import globals from "globals";
import tseslint from "typescript-eslint";

import svelteConfig from "./svelte.config.js";

export default tseslint.config(
  { ignores: ["dist", "node_modules"] },
  js.configs.recommended,
  ...tseslint.configs.strict,
  ...svelte.configs.recommended,
  {
    languageOptions: { globals: { ...globals.browser, ...globals.node } },
    rules: {
      // Engines and users write what we show: text is text.
      "svelte/no-at-html-tags": "error",
      "no-console": "error",
      eqeqeq: "error",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      // TypeScript and svelte-check see undefined names, and know the types among them.
      "no-undef": "off",
    },
  },
  {
    files: ["**/*.svelte", "**/*.svelte.ts"],
    languageOptions: {
      parserOptions: { parser: tseslint.parser, extraFileExtensions: [".svelte"], svelteConfig },
    },
    // Routes are in the hash (`#/models`): there is no router of SvelteKit to resolve them.
    rules: {
      "svelte/no-navigation-without-resolve": "off",
      // Asks for a reactive one of every Set, also of those that no view ever sees.
      "svelte/prefer-svelte-reactivity": "off",
    },
  },
);
