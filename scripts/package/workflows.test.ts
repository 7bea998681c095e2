import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import validator from "@action-validator/core";
import { describe, expect, it } from "vitest";
import { NODE_VERSION } from "./node-runtime.ts";

const root = join(import.meta.dirname, "..", "..");
const folder = join(root, ".github", "workflows");
const scripts = Object.keys(
  (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: object }).scripts,
);

describe.each(readdirSync(folder))("the workflow %s", (name) => {
  const text = readFileSync(join(folder, name), "utf8");

  it("is as the schema of workflows says", () => {
    expect(validator.validateWorkflow(text).errors).toEqual([]);
  });

  it("runs only commands that there are, on the Node that the product is tested with", () => {
    const asked = [...text.matchAll(/npm run (?:-s )?([\w:-]+)/g)].map(([, script]) => script ?? "");
    expect(asked.filter((script) => !scripts.includes(script))).toEqual([]);
    const versions = [...text.matchAll(/(?:node-version: "|NODE_VERSION: "|node-v)(\d+\.\d+\.\d+)/g)].map(
      ([, one]) => one,
    );
    expect([...new Set(versions)]).toEqual([NODE_VERSION]);
  });

  it("gives each secret to one step alone, and may write nothing", () => {
    expect(text).toContain("permissions:\n  contents: read");
    const jobs = text.slice(0, text.indexOf("    steps:"));
    expect(jobs).not.toContain("secrets.");
  });
});

it("a fault in a workflow is found", () => {
  const text = readFileSync(join(folder, "ci.yml"), "utf8").replaceAll("runs-on:", "run-on:");
  expect(validator.validateWorkflow(text).errors).not.toEqual([]);
});
