import { join } from "node:path";
import type { InlineConfig } from "vite";

/** Builds `dist/main`: the shell's main process as one module, and its preload script. Under a second. */
export async function buildShell(root: string): Promise<void> {
  const { build } = await import("vite");
  await build(bundle(root, { entry: "main.ts", output: "main.js", format: "es", fresh: true }));
  // SECURITY: a sandboxed preload script is a CommonJS script that may require nothing but electron.
  await build(bundle(root, { entry: "preload.ts", output: "preload.cjs", format: "cjs", fresh: false }));
}

interface Part {
  entry: string;
  output: string;
  format: "es" | "cjs";
  fresh: boolean;
}

function bundle(root: string, { entry, output, format, fresh }: Part): InlineConfig {
  return {
    root,
    configFile: false,
    publicDir: false,
    logLevel: "warn",
    // Of a release alone: without both, the app takes no updates.
    define: {
      TAH_UPDATE_URL: JSON.stringify(process.env["TAH_UPDATE_URL"] ?? ""),
      TAH_UPDATE_PUBLIC_KEY: JSON.stringify(process.env["TAH_UPDATE_PUBLIC_KEY"] ?? ""),
    },
    // What is bundled needs no node_modules in the package.
    ssr: { noExternal: true, external: ["electron"], target: "node" },
    build: {
      ssr: join(root, "src-main", entry),
      outDir: join(root, "dist", "main"),
      emptyOutDir: fresh,
      target: "node24",
      rolldownOptions: {
        // ws looks for these two and does without; only electron is there in the app.
        external: ["electron", "bufferutil", "utf-8-validate"],
        output: { format, entryFileNames: output, codeSplitting: false },
      },
    },
  };
}
