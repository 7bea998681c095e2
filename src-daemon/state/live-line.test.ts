import { expect, test } from "vitest";
import { LiveLine } from "./live-line.ts";

test("a terminal keeps what changed, and has one line for what goes on", () => {
  let written = "";
  const line = new LiveLine({ columns: 41, write: (text: string) => ((written += text), true) });
  line.keep("Working: your schedule allows any time.");
  line.show("step 1");
  line.show(`step 2 ${"x".repeat(60)}`);
  line.keep("Paused: until 07:00.");
  line.end();
  line.show("step 3");
  line.end();
  const CLEAR = "\r\u001B[2K";
  expect(written).toBe(
    `Working: your schedule allows any time.\n${CLEAR}step 1${CLEAR}step 2 ${"x".repeat(33)}${CLEAR}Paused: until 07:00.\n${CLEAR}step 3\n`,
  );
});
