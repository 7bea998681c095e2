import { expect, it } from "vitest";
import { buildFailure } from "./renderer.ts";

it("a folder that may not be written is one sentence that says what to do", () => {
  const error = Object.assign(new Error("EACCES: permission denied, open '/there/x'"), { code: "EACCES" });
  expect(buildFailure("/there", error).message).toMatch(
    /^The dashboard has to be built again, and you may not write to \/there\. Run `npm run build`/,
  );
});

it("anything else is named by its first line", () => {
  const { message } = buildFailure("/there", new Error("Unexpected token\n  at somewhere"));
  expect(message).toMatch(/^The dashboard could not be built \(Unexpected token\)\. Check with/);
});
