import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src-*/**/*.test.ts", "src-*/**/*.test.tsx", "scripts/**/*.test.ts", "bench/**/*.test.ts"],
    // ONNX Runtime must never write its telemetry files, in tests neither.
    env: { ORT_DISABLE_TELEMETRY: "1" },
    pool: "forks",
    // Many files wait for processes and clocks more than they compute: two at once on two cores too.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
