import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { pageFile } from "./page-files.ts";

let root = "";
let bundle = "";

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "tah page "));
  bundle = join(root, "renderer");
  mkdirSync(join(bundle, "assets"), { recursive: true });
  mkdirSync(join(root, "renderer-2"));
  writeFileSync(join(bundle, "index.html"), "<h1>page</h1>");
  writeFileSync(join(bundle, "assets", "index.js"), "1");
  writeFileSync(join(bundle, "assets", "index.js.map"), "map");
  writeFileSync(join(root, "renderer-2", "secret.js"), "secret");
  writeFileSync(join(root, "secret.json"), "secret");
  symlinkSync(join(root, "secret.json"), join(bundle, "link.json"));
});
afterAll(() => rmSync(root, { recursive: true }));

const get = (url: string, method = "GET") => pageFile(bundle, { url, method });

it("gives the page, with a policy that allows no connection", async () => {
  const answer = await get("app://train-at-home/");
  expect(await answer.text()).toBe("<h1>page</h1>");
  expect(answer.headers.get("content-type")).toBe("text/html; charset=utf-8");
  expect(answer.headers.get("content-security-policy")).toContain("connect-src 'none'");
  expect(answer.headers.get("content-security-policy")).not.toContain("unsafe");
});

it("gives its parts", async () => {
  const answer = await get("app://train-at-home/assets/index.js?v=1#x");
  expect([answer.status, answer.headers.get("content-type")]).toEqual([
    200,
    "text/javascript; charset=utf-8",
  ]);
});

it.each([
  "app://train-at-home/../secret.json",
  "app://train-at-home/%2e%2e/secret.json",
  "app://train-at-home/..%2fsecret.json",
  "app://train-at-home/..%2frenderer-2/secret.js",
  "app://train-at-home/%2e%2e%5csecret.json",
  "app://train-at-home/assets/..%2f..%2fsecret.json",
  "app://train-at-home//etc/passwd",
  "app://train-at-home/link.json",
  "app://train-at-home/index.html%00.js",
  "app://train-at-home/%E0%A4%A",
  "app://train-at-home/assets",
  "app://train-at-home/assets/index.js.map",
  "app://train-at-home/none.js",
  "app://other/index.html",
  "https://train-at-home/index.html",
])("gives nothing else: %s", async (address) => {
  expect((await get(address)).status).toBe(404);
});

it("only reads", async () => {
  expect((await get("app://train-at-home/", "POST")).status).toBe(405);
});
