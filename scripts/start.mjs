// `npm start`: set-up, then the daemon with its embedded network and the dashboard. Extra words are
// the daemon's options: `npm start -- --data FOLDER`.
import { join } from "node:path";
import { ensureDependencies, root, runPinned } from "./setup.mjs";

await ensureDependencies();
// The daemon is at rest for most of its life: without large nurseries it holds 18 MB less.
process.exitCode = await runPinned([
  "--max-semi-space-size=1",
  join(root, "scripts", "start.ts"),
  ...process.argv.slice(2),
]);
