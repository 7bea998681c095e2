import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src-*/**/*.test.ts", "src-*/**/*.test.tsx", "scripts/**/*.test.ts", "bench/**/*.test.ts"],
    // ONNX Runtime must never write its telemetry files, in tests neither.
    env: { ORT_DISABLE_TELEMETRY: "1" },
    pool: "forks",
    // Files wait for processes and clocks about half of their time (daemon.test.ts 98 s for 36 s of processor time,
    // payer.test.ts 51 for 30, training-resume.test.ts 43 for 36): one more at once than there are cores.
    maxWorkers: availableParallelism() + 1,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
