import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

const packageFile = z.object({ version: z.string() });

/** Of the product, as its package says: what one version has written down another one may not understand. */
export const VERSION = packageFile.parse(
  JSON.parse(readFileSync(join(import.meta.dirname, "..", "package.json"), "utf8")),
).version;
