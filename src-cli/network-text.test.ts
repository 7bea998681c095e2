import { expect, test } from "vitest";
import { ss58Address } from "../src-protocol/keys.ts";
import { createSessionSigner } from "../src-protocol/signing.ts";
import { goBackText, ownerLines, putAsideLine, reachText } from "./network-text.ts";

const hotkey = ss58Address.parse("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY");
const computer = (stage: number | null, receipts: number) => ({
  sessionKey: createSessionSigner().publicKey,
  hotkey,
  stage,
  memoryBytes: 8e9,
  receipts,
  links: [],
  reach: "",
});

test("several computers of one owner stand together, each with its own receipts", () => {
  const [own, ...computers] = ownerLines({ hotkey, nodes: [computer(0, 12), computer(null, 0)] });
  expect(own).toBe(`  ${hotkey}: 2 computers of one owner, 12 receipts`);
  expect(computers).toEqual([
    expect.stringMatching(/slice 1, .* of memory, 12 receipts$/),
    expect.stringMatching(/spare, .* of memory, 0 receipts$/),
  ]);
  expect(ownerLines({ hotkey, nodes: [computer(1, 3)] })[0]).toBe(`  ${hotkey}`);
});

test("a computer that was put aside is named with its owner, where it was, and why", () => {
  const { sessionKey } = computer(1, 0);
  const one = { hotkey, sessionKey, stage: 1, step: 41, code: "sent-to-two", at: 0, times: 1 };
  const line = putAsideLine(one);
  expect(line).toBe(
    `  ${hotkey}  ${sessionKey.slice(0, 8)}  slice 2, step 42: sent-to-two, 1970-01-01 00:00 UTC`,
  );
  expect(putAsideLine({ ...one, times: 3 })).toContain("sent-to-two, 3 times,");
});

test("who is to decide whether work is given up reads how much, and what to do", () => {
  const question = { resumeStep: 512, lostSteps: 1900 };
  expect(goBackText(question, false)).toBe(
    "Wait for the computers that have step 2,412, or give 1,900 steps up with `tah network go-back --yes`. " +
      "What those computers have is kept on their disks either way.",
  );
  const awaited = [
    {
      sessionKey: createSessionSigner().publicKey,
      hotkey,
      stage: 1,
      goneAt: Date.UTC(2026, 10, 30, 18, 40),
    },
  ];
  expect(goBackText({ ...question, awaited }, false)).toMatch(
    /either way\.\nThey are:\n {2}5\w+ {2}slice 2, gone since 2026-11-30 18:40 UTC$/,
  );
  expect(goBackText(question, true)).toBe("The run goes on from step 512: 1,900 steps are given up.");
  expect(goBackText(null, false)).toBe("The run loses nothing and waits for no decision.");
});

test("an operator reads who can come to the network's address, and what others need", () => {
  expect(reachText("computer", 7440)).toMatch(/^Only this computer reaches that address\. .*--address\.$/);
  expect(reachText("lan", 7440)).toMatch(/7440 and 7441 \(TCP\), and 7441 to 7445 \(UDP\)\.$/);
  expect(reachText("home", 7440)).toBeNull();
});
