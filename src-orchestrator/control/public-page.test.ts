import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import type { RunView } from "../../src-protocol/api.ts";
import { DEFAULT_MODEL } from "../../src-protocol/model.ts";
import type { HistoryPoint } from "../../src-protocol/state.ts";
import { lossCurve, PAGE_POLICY, publicPage } from "./public-page.ts";

const VIEW: RunView = {
  runId: "run-1",
  name: "Fables",
  phase: "training",
  detail: "Training: step 3.",
  model: DEFAULT_MODEL,
  parameterCount: 2_541_312,
  corpus: "fables.txt",
  step: 2,
  steps: null,
  tokensPerStep: 3072,
  loss: 3.2,
  heldOutLoss: null,
  heldOutLossAtStart: 5.5,
  tokensPerSecond: 2400,
  recoveries: 0,
  lastRecoveryMs: null,
  stages: [
    {
      index: 0,
      parameterCount: 1_000_000,
      holder: {
        sessionKey: "ab".repeat(32),
        hotkey: "5F3sa2TJAWMqDhXG6jhV4N8ko9SxwGy8TpaNS1repo5EYjQX",
        connected: true,
      },
    },
    { index: 1, parameterCount: 1_541_312, holder: null },
  ],
  nodes: 1,
  block: 7,
} as RunView;

function point(step: number, loss: number, heldOutLoss: number | null = null): HistoryPoint {
  return { step, at: step, loss, heldOutLoss, tokensPerSecond: null };
}

function page(change: Partial<RunView> = {}, points = [point(1, 5.5), point(2, 3.2, 3.4)]): string {
  return publicPage({ name: "Kitchen", operator: "Anna", view: { ...VIEW, ...change }, points, now: 0 });
}

test("it says who, what and how far, and names no key", () => {
  const html = page();
  expect(html).toContain("Kitchen, operated by Anna");
  expect(html).toContain("<h1>Fables</h1>");
  expect(html).toContain("1 of 2 slices are at work");
  expect(html).toContain("waits for a computer");
  expect(html).toContain("<dt>Tokens so far</dt><dd>6.1K</dd>");
  expect(html).toContain("Training loss from 5.500 at step 1 to 3.200 at step 2");
  expect(html).not.toMatch(/5F3sa2|abab/);
});

test("it counts computers by country where that was said, and the others beside them", () => {
  expect(page()).not.toContain("by country");
  const html = page({
    nodes: 6,
    countries: [
      { country: "DE", nodes: 3 },
      { country: "CI", nodes: 1 },
    ],
  });
  expect(html).toContain("<span>Germany</span><span>3</span>");
  expect(html).toContain("<span>Côte d’Ivoire</span><span>1</span>");
  expect(html).toContain("<span>Not said</span><span>2</span>");
});

test("a name that is markup stays a name", () => {
  const html = page({ name: `<img src=x onerror="alert(1)">`, detail: "</main>" });
  expect(html).not.toContain("<img src=x");
  expect(html).toContain("&#60;img src=x onerror=&#34;alert(1)&#34;&#62;");
  expect(html.match(/<\/main>/g)).toHaveLength(1);
});

test("its policy names its own style and allows no script", () => {
  const style = /<style>([\s\S]*)<\/style>/.exec(page())?.[1] ?? "";
  expect(PAGE_POLICY).toContain(`'sha256-${createHash("sha256").update(style).digest("base64")}'`);
  expect(PAGE_POLICY).not.toMatch(/script|unsafe/);
  expect(page()).not.toContain("<script");
});

test("the curve is drawn from its first to its last step, thinned out, and without steps it says so", () => {
  const many = Array.from({ length: 5_000 }, (_, step) =>
    point(step, 6 - step / 1_000, step % 10 === 0 ? 5 : null),
  );
  const svg = lossCurve(many);
  expect(svg.match(/L/g)?.length).toBeLessThan(800);
  expect(svg).toMatch(/d="M52\.0 16\.0L/);
  expect(svg).toContain("4,999");
  expect(lossCurve([])).toContain("The curve begins with the second finished step.");
});
