import { expect, test } from "vitest";
import { drawnText } from "./drawn-text.ts";

const bytes = { sentBytes: 2_000_000, receivedBytes: 500_000 };
const hour = { at: 0, ...bytes, wattHours: null, measuredMs: 0, measured: null };

test("bytes and energy are added up; what no sensor tells is said so", () => {
  expect(drawnText([hour, { ...hour, wattHours: 40, measured: "the processor alone" }])).toBe(
    "Over your line: 4.0 MB sent, 1.0 MB received. Drawn while it worked: 0.04 kWh, as far as it is measured.",
  );
  expect(drawnText([hour])).toMatch(/This computer does not tell what it draws\.$/);
});
