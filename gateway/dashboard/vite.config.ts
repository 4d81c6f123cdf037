import { svelte } from "@sveltejs/vite-plugin-svelte";
import tailwindcss from "@tailwindcss/vite";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [tailwindcss(), svelte()],
  base: "./",
  build: {
    target: "es2022",
    // The Content-Security-Policy admits no data: scripts or styles, and one rule is easier to keep
    // than an exception for small files.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    // `npx vite` beside a running stack: pages from here, the API from there.
    proxy: { "/socket.io": { target: "http://127.0.0.1:3000", ws: true } },
  },
});
