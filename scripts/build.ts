import { join } from "node:path";
import { ensureRenderer } from "./renderer.ts";
import { buildShell } from "./shell-bundle.ts";
import { desktopDebScripts } from "./package/desktop-deb-scripts.ts";
import { productVersion } from "./package/product-version.ts";
import { stage, stageFolder } from "./package/stage.ts";
import { hostTarget } from "./package/target.ts";

/** `npm run build`: everything that electron-builder packages for this system. Then: `npx electron-builder`. */
const root = join(import.meta.dirname, "..");
const say = (text: string) => void process.stdout.write(`${text}\n`);

await ensureRenderer(root, say);
say("Building the desktop shell …");
await buildShell(root);
desktopDebScripts(root);
say("Collecting what the app ships …");
const target = hostTarget();
const folder = stageFolder(root, target);
const { packages } = await stage(root, { target, folder, version: productVersion(root), nodeArchive: null });
say(
  `dist/renderer, dist/main and ${folder} are ready: the daemon with ${packages.length} packages and its own Node.`,
);
