import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

/**
 * Runs every test and ends with `N passed, N failed`, counted over all runners. A runner that
 * breaks before it reports counts as one failure, so that nothing can pass by not running.
 */
interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

const root = join(import.meta.dirname, "..");
const results = join(root, "test-results");
rmSync(results, { recursive: true, force: true });
mkdirSync(results, { recursive: true });

const total: Count = { passed: 0, failed: 0, skipped: 0 };

await part("checks", [join(root, "scripts", "check.ts")], {}, (code) => ({
  passed: code === 0 ? 1 : 0,
  failed: code === 0 ? 0 : 1,
  skipped: 0,
}));

const unit = join(results, "vitest.json");
await part(
  "unit, property and process tests",
  [
    join(root, "node_modules", "vitest", "vitest.mjs"),
    "run",
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${unit}`,
  ],
  {},
  () => countVitest(unit),
);

const browser = join(results, "playwright.json");
await part(
  "the dashboard in a browser",
  [join(root, "node_modules", "@playwright", "test", "cli.js"), "test", "--reporter=list,json"],
  { PLAYWRIGHT_JSON_OUTPUT_NAME: browser },
  () => countPlaywright(browser),
);

if (total.skipped > 0) process.stdout.write(`\n${total.skipped} skipped`);
process.stdout.write(`\n${total.passed} passed, ${total.failed} failed\n`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;

async function part(
  title: string,
  parameters: string[],
  env: Record<string, string>,
  count: (code: number) => Count,
): Promise<void> {
  process.stdout.write(`\n── ${title}\n`);
  const started = performance.now();
  const code = await new Promise<number>((resolve) => {
    const child = spawn(process.execPath, parameters, {
      cwd: root,
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env, ...env },
    });
    child.on("exit", (exitCode) => resolve(exitCode ?? 1));
  });
  const counted = safely(() => count(code));
  if (code !== 0 && counted.failed === 0) counted.failed = 1;
  total.passed += counted.passed;
  total.failed += counted.failed;
  total.skipped += counted.skipped;
  process.stdout.write(
    `── ${title}: ${counted.passed} of ${counted.passed + counted.failed} in ${Math.round((performance.now() - started) / 1000)} s\n`,
  );
}

function safely(count: () => Count): Count {
  try {
    return count();
  } catch (error) {
    process.stdout.write(
      `No result could be read: ${error instanceof Error ? error.message : String(error)}\n`,
    );
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

function countVitest(file: string): Count {
  const report = JSON.parse(readFileSync(file, "utf8"));
  // A file that could not even be loaded has no tests of its own: it counts as a failure.
  const broken = report.testResults.filter(
    (suite: { status: string; assertionResults: unknown[] }) =>
      suite.status === "failed" && suite.assertionResults.length === 0,
  ).length;
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken,
    skipped: report.numPendingTests,
  };
}

function countPlaywright(file: string): Count {
  const { stats } = JSON.parse(readFileSync(file, "utf8"));
  return { passed: stats.expected, failed: stats.unexpected + stats.flaky, skipped: stats.skipped };
}
