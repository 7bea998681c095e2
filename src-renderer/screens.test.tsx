import { renderToStaticMarkup } from "react-dom/server";
import { expect, test } from "vitest";
import { DialDrawing } from "./home/dial.tsx";
import type { FailureBody } from "../src-protocol/failure.ts";
import type { SessionKey, Ss58Address } from "../src-protocol/keys.ts";
import { ArrivedTable } from "./earnings/arrived-card.tsx";
import { Asked } from "./network/asked-card.tsx";
import { LoadingFigure } from "./network/loading-bar.tsx";
import { AppSwitches } from "./settings/app-card.tsx";
import { LineCard } from "./schedule/line-card.tsx";
import { FailureNotice } from "./parts/failure-notice.tsx";

test("the dial tells in words what it draws", () => {
  const html = renderToStaticMarkup(
    <DialDrawing
      minute={845}
      coming={[{ start: 1380, end: 1860 }]}
      byHand={null}
      ran={[{ start: 0, end: 90 }]}
      tone="waiting"
      centre="8:55 h"
      word="Waiting, starts in"
    />,
  );
  expect(html).toContain(
    'aria-label="A 24-hour dial. It is 14:05. In the next 24 hours it may run from 23:00 to 07:00. It ran from 00:00 to 01:30."',
  );
});

test("a failure is announced with its own sentence", () => {
  const html = renderToStaticMarkup(
    <FailureNotice failure={{ code: "nothing-accrued", message: "There is nothing to claim." }} />,
  );
  expect(html).toContain('role="alert"');
  expect(html).toContain("There is nothing to claim.");
});

test("who is asked reads what would be lost and who would bring it back, and a button gives nothing up at once", () => {
  const html = (resumeStep: number, isKnown: boolean, failure: FailureBody | null = null) =>
    renderToStaticMarkup(
      <Asked
        asked={{
          id: "ab".repeat(8),
          network: "Maple Street",
          resumeStep,
          lostSteps: 1900,
          ...(isKnown && {
            awaited: [
              {
                sessionKey: "ab".repeat(32) as SessionKey,
                hotkey: "5".repeat(48) as Ss58Address,
                stage: 1,
                goneAt: Date.UTC(2026, 10, 30, 18, 40),
              },
            ],
          }),
        }}
        own={null}
        now={Date.UTC(2026, 10, 30, 20)}
        isBusy={false}
        failure={failure}
        onGoBack={() => {
          throw new Error("nothing was agreed to");
        }}
      />,
    );
  const known = html(512, true);
  expect(known).toContain("Maple Street waits for your decision");
  expect(known).toContain("go on without them from step 512: then 1,900 steps are lost.");
  expect(known).toMatch(/Slice 2<.*gone since/);
  expect(known).toContain("Go back to step 512 …");
  const unknown = html(0, false);
  expect(unknown).toContain("begin again without them: then all 1,900 steps are lost.");
  expect(unknown).toContain("The network cannot tell which computers have it.");
  expect(html(0, false, { code: "question-changed", message: "By now." })).toContain('role="alert"');
});

test("a download shows how far it is as a bar and in words", () => {
  const html = renderToStaticMarkup(
    <LoadingFigure
      loading={{ what: "checkpoint", bytes: 60e6, ofBytes: 240e6, bytesPerSecond: 2e6, secondsLeft: 90 }}
    />,
  );
  expect(html).toContain('<progress max="240000000" value="60000000" aria-label="Loading">');
  expect(html).toContain("Loading the checkpoint: 60 of 240 MB, 2.0 MB/s, 2 minutes left.");
});

test("the line's limits are two fields, and an empty one is no limit", () => {
  const html = renderToStaticMarkup(
    <LineCard limits={{ uploadMbit: 5, downloadMbit: null }} onChange={() => undefined} />,
  );
  expect(html).toMatch(/Upload<\/label><input[^>]*value="5"/);
  expect(html).toMatch(/Download<\/label><input[^>]*placeholder="no limit"[^>]*value=""/);
  expect(html).toContain("An empty field is no limit.");
});

test("a copy of the app that cannot be started at sign-in does not offer it", () => {
  const html = (startAtLogin: boolean | null) =>
    renderToStaticMarkup(
      <AppSwitches
        settings={{ startAtLogin, notifications: true, language: "system", atQuit: "ask" }}
        onChange={() => undefined}
      />,
    );
  expect(html(true)).toContain("Start when I sign in");
  expect(html(null)).not.toContain("Start when I sign in");
  expect(html(null)).toContain("Tell me");
});

test("what has arrived is told by time and by computer, and test units are never money", () => {
  const windows = (rao: string) =>
    (["today", "last-7-days", "last-30-days", "ever"] as const).map((window) => ({
      window,
      from: 0,
      creditedRao: rao,
      payments: rao === "0" ? 0 : 1,
    }));
  const device = (letter: string, is: "this" | "other", rao: string) => ({
    hotkey: letter.repeat(48) as Ss58Address,
    is,
    windows: windows(rao),
  });
  const price = { price: "300", currency: "EUR", source: "a friend", at: 0 };
  const html = (asset: "test" | "tao", rao: string) =>
    renderToStaticMarkup(
      <ArrivedTable
        settled={{
          asset,
          asOf: 0,
          windows: windows(rao),
          devices: [device("5", "this", rao), device("4", "other", "0")],
        }}
        prices={{ tao: price }}
      />,
    );
  expect(html("tao", "0")).toContain("No payment has arrived yet");
  expect(html("tao", "500000000")).toContain("150.00");
  expect(html("tao", "500000000")).toContain("Another computer of mine, 4444…4444");
  expect(html("test", "500000000")).not.toContain("EUR");
});
