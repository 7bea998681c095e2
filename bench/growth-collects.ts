import { collectRegularly } from "../src-worker/limits/collected-heap.ts";

// Loaded into the daemon and the orchestrator that are measured: workers collect by themselves.
collectRegularly();
