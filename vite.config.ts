import react from "@vitejs/plugin-react";
import { join } from "node:path";
import { defineConfig } from "vite";

/** The dashboard: one bundle for the desktop window and the browser. */
export default defineConfig({
  root: join(import.meta.dirname, "src-renderer"),
  // The desktop window serves it under another scheme: no address in it may be absolute.
  base: "./",
  plugins: [react()],
  build: {
    outDir: join(import.meta.dirname, "dist", "renderer"),
    emptyOutDir: true,
    // Electron 41 is Chromium 144; these have light-dark(), color-mix() and iterator helpers.
    target: ["chrome130", "firefox130", "safari18"],
    // SECURITY: nothing inline; the page's policy allows its own files only.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // It comes from this computer: one file is read faster than several.
    chunkSizeWarningLimit: 800,
  },
});
