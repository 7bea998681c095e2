// `node scripts/with-node.mjs SCRIPT …`: sets up when needed, then runs SCRIPT under the pinned Node.
import { resolve } from "node:path";
import { ensureDependencies, root, runPinned } from "./setup.mjs";

const [script, ...parameters] = process.argv.slice(2);
await ensureDependencies();
process.exitCode = await runPinned([resolve(root, script), ...parameters]);
