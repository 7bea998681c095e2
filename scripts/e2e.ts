import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/**
 * `npm run e2e`: the browser tests alone. With `--screens` it takes pictures of every screen instead, into
 * `e2e/artifacts`; other words go to Playwright.
 */
const require = createRequire(import.meta.url);
const cli = join(dirname(require.resolve("@playwright/test/package.json")), "cli.js");
const words = process.argv.slice(2);
const screens = words.includes("--screens");
const rest = words.filter((word) => word !== "--screens");
const child = spawn(process.execPath, [cli, "test", ...(screens ? ["screens"] : []), ...rest], {
  cwd: join(import.meta.dirname, ".."),
  stdio: "inherit",
  env: { ...process.env, ...(screens ? { TAH_SCREENS: "1" } : {}) },
});
child.once("exit", (code) => process.exit(code ?? 1));
