import { renderToStaticMarkup } from "react-dom/server";
import { expect, test } from "vitest";
import { DialDrawing } from "./home/dial.tsx";
import { FailureNotice } from "./parts/failure-notice.tsx";

test("the dial tells in words what it draws", () => {
  const html = renderToStaticMarkup(
    <DialDrawing
      minute={845}
      coming={[{ start: 1380, end: 1860 }]}
      ran={[{ start: 0, end: 90 }]}
      tone="waiting"
      word="Waiting"
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
