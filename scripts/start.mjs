// `npm start`: set-up, then the daemon with its embedded network and the dashboard. Extra words are
// the daemon's options: `npm start -- --data FOLDER`.
import { join } from "node:path";
import { ensureDependencies, root, runPinned } from "./setup.mjs";

await ensureDependencies();
process.exitCode = await runPinned([join(root, "scripts", "start.ts"), ...process.argv.slice(2)]);
