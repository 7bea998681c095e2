import { expect, test } from "vitest";
import { formatTao, raoText } from "./units.ts";

test("rao are shown as tao without rounding", () => {
  expect(formatTao(1_234_567_890n)).toBe("1.23456789");
  expect(formatTao(1n)).toBe("0.000000001");
  expect(formatTao(5_000_000_000n)).toBe("5");
  expect(formatTao(5_000_000_000n, 2)).toBe("5.00");
  expect(formatTao(-1_500_000_000n)).toBe("-1.5");
});

test("an amount on a wire is a whole, unsigned, plain decimal", () => {
  for (const good of ["0", "1", "18446744073709551615"]) expect(raoText.safeParse(good).success).toBe(true);
  for (const bad of ["", "01", "-1", "1.5", "1e9", " 1", "999999999999999999999"])
    expect(raoText.safeParse(bad).success).toBe(false);
});
