import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { collectRegularly } from "../src-worker/limits/collected-heap.ts";

/**
 * Loaded into the daemon and the orchestrator that are measured: workers collect by themselves. Here room for what is
 * young is given back too: V8 doubles it now and then, up to 100 MB, which looks like a leak.
 */
setFlagsFromString("--expose-gc");
const collect: unknown = runInNewContext("gc");
collectRegularly(() => {
  if (typeof collect === "function") collect({ type: "major", execution: "sync", flavor: "last-resort" });
});
