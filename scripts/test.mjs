// `npm test`: set-up, a Chromium for the dashboard's tests, then every test there is.
import { join } from "node:path";
import { ensureBrowser, ensureDependencies, root, runPinned } from "./setup.mjs";

await ensureDependencies();
const browser = ensureBrowser();
process.exitCode = await runPinned([join(root, "scripts", "test.ts"), ...process.argv.slice(2)], {
  TAH_CHROMIUM: browser,
});
