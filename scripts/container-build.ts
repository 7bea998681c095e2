import { join } from "node:path";
import { ensureRenderer } from "./renderer.ts";

/** What the container needs built: the dashboard. Everything else runs from its sources. */
await ensureRenderer(join(import.meta.dirname, ".."), (text) => void process.stdout.write(`${text}\n`));
