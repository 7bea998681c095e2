import { join } from "node:path";

/**
 * A worker as three files of JavaScript: each of its two threads loads what it uses of 200 modules of ours and of
 * their packages, and starts in half the time. `main.js` is its beginning. Nothing else in the folder is touched.
 */
export async function bundleWorker(root: string, folder: string): Promise<void> {
  const { build } = await import("vite");
  const source = join(root, "src-worker");
  await build({
    root,
    configFile: false,
    publicDir: false,
    logLevel: "error",
    plugins: [{ name: "threads", transform: (code, id) => (id.startsWith(source) ? threads(code) : null) }],
    ssr: { noExternal: true, target: "node" },
    build: {
      ssr: true,
      outDir: folder,
      emptyOutDir: false,
      target: "node24",
      rolldownOptions: {
        input: {
          main: join(source, "main.ts"),
          "compute-thread": join(source, "compute", "compute-thread.ts"),
        },
        external: [...NATIVE, ...LOOKED_FOR],
        onLog: () => {},
        output: { format: "es", entryFileNames: "[name].js", chunkFileNames: "[name]-[hash].js" },
      },
    },
  });
}

/** They find their libraries beside themselves. */
const NATIVE = ["onnxruntime-node", /^tokenizers/, "udx-native", "sodium-native"] as const;
/** By ws, which does without. */
const LOOKED_FOR = ["bufferutil", "utf-8-validate"] as const;

/** A thread's beginning lies beside the program's. */
function threads(code: string): { code: string; map: null } {
  return {
    code: code.replaceAll(
      /new URL\("(?:\.\/)?([\w-]+)\.ts", import\.meta\.url\)/g,
      (_, name: string) => `new URL("./${name}.js", import.meta.url)`,
    ),
    map: null,
  };
}
