import { join } from "node:path";
import { failureBody } from "../src-protocol/failure.ts";
import { ensureRenderer } from "./renderer.ts";

/** Builds the dashboard, which is all that a container and a start need built, in a process that ends with it. */
try {
  await ensureRenderer(join(import.meta.dirname, ".."), (text) => void process.stderr.write(`${text}\n`));
} catch (error) {
  process.stderr.write(`${failureBody(error).message}\n`);
  process.exitCode = 1;
}
