// `npm start`: set-up, then the daemon with its embedded network and the dashboard. Extra words are
// the daemon's options: `npm start -- --data FOLDER`.
import { join } from "node:path";
import { ensureDependencies, root, runPinned } from "./setup.mjs";

await ensureDependencies();
// The daemon is at rest for most of its life: without large nurseries, and with one heap of glibc's for all
// threads, it holds 20 MB less (src-cli/daemon-process.ts has the same).
process.exitCode = await runPinned(
  ["--max-semi-space-size=1", join(root, "scripts", "start.ts"), ...process.argv.slice(2)],
  { MALLOC_ARENA_MAX: "1" },
);
