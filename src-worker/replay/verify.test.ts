import { afterEach, expect, it } from "vitest";
import { parseRecord, recordHeaderLine, recordLinkLine } from "../../src-protocol/run-record.ts";
import { memoryCorpus } from "../corpus/corpus-reader.ts";
import { OfflineRun } from "./offline-run.ts";
import { TINY_CORPUS, tinyRun } from "../tiny-run.test-support.ts";
import { verify } from "./verify.ts";

const STEPS = 6;
const spec = tinyRun({ digestEverySteps: 2 });
const everything = { from: 1, to: STEPS, stage: null };

const open: OfflineRun[] = [];
afterEach(async () => {
  for (const run of open.splice(0)) await run.close();
});

async function opened(threads = 1): Promise<OfflineRun> {
  const run = await OfflineRun.open({
    spec,
    corpus: memoryCorpus(TINY_CORPUS),
    file: null,
    threads,
    from: null,
  });
  open.push(run);
  return run;
}

/** A record as the network writes it; `alter` meddles with the run before the step it is given. */
async function recorded(alter: (step: number, run: OfflineRun) => void = () => undefined): Promise<string> {
  const run = await opened();
  let text = recordHeaderLine(spec);
  while (run.step < STEPS) {
    alter(run.step, run);
    const { step, links } = await run.next();
    for (const [stage, link] of links.entries()) text += recordLinkLine(step, stage, link);
  }
  return text;
}

it("an honest run is the same in every link and parameter, on another number of threads too", async () => {
  const record = parseRecord(await recorded());
  const seen: number[] = [];
  const outcome = await verify(await opened(2), record, everything, ({ step }) => seen.push(step));
  expect(outcome).toMatchObject({ startStep: 0, step: STEPS, same: STEPS * spec.stages, differs: null });
  expect(seen).toEqual([1, 2, 3, 4, 5, 6]);
}, 60_000);

it("one parameter that was changed by a thousandth is found at the step that was worked with it", async () => {
  const record = parseRecord(
    await recorded((step, run) => {
      const values = run.weights().get("blocks.1.query");
      if (step === 3 && values !== undefined) values[0] = (values[0] ?? 0) * 1.001;
    }),
  );
  const outcome = await verify(await opened(), record, everything, () => undefined);
  expect(outcome.differs?.step).toBe(4);
  expect(outcome.same).toBe(3 * spec.stages);
  expect(outcome.step).toBe(4);
}, 60_000);

it("a link of one stage that is made up is found at its step and stage, and not asked for, not looked at", async () => {
  const lines = (await recorded()).split("\n");
  const at = lines.findIndex((line) => line.startsWith("[5,1,"));
  lines[at] = recordLinkLine(5, 1, "0".repeat(64)).trim();
  const record = parseRecord(lines.join("\n"));
  const outcome = await verify(await opened(), record, everything, () => undefined);
  expect(outcome.differs).toMatchObject({ step: 5, stages: [{ stage: 1, recorded: "0".repeat(64) }] });
  const others = await verify(await opened(), record, { ...everything, stage: 2 }, () => undefined);
  expect(others).toMatchObject({ differs: null, same: STEPS });
}, 60_000);

it("a record that was cut short is read up to there, and one that was meddled with names its line", () => {
  const whole =
    recordHeaderLine(spec) + recordLinkLine(1, 0, "a".repeat(64)) + recordLinkLine(2, 0, "b".repeat(64));
  expect(parseRecord(whole.slice(0, -5)).links.size).toBe(1);
  expect(() => parseRecord(whole.replace("[2,0", "[2,7"))).toThrow(/^Line 3 of the record .* no stage 7/);
  expect(() => parseRecord(whole.replace('"seed":7', '"seed":8'))).toThrow(/^Line 1 /);
  expect(() => parseRecord("{}\n")).toThrow(/^Line 1 /);
});
