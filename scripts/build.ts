import { join } from "node:path";
import { ensureRenderer } from "./renderer.ts";
import { buildShell } from "./shell-bundle.ts";
import { stage } from "./stage.ts";

/** `npm run build`: everything that electron-builder packages. Then: `npx electron-builder`. */
const root = join(import.meta.dirname, "..");
const say = (text: string) => void process.stdout.write(`${text}\n`);

await ensureRenderer(root, say);
say("Building the desktop shell …");
await buildShell(root);
say("Collecting what the app ships …");
const { packages } = stage(root);
say(
  `dist/renderer, dist/main and dist/stage are ready: the daemon with ${packages} packages and its own Node.`,
);
