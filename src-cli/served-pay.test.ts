import { Command } from "commander";
import { expect, it } from "vitest";
import { FINNEY_GENESIS } from "./chain-words.ts";
import { payOptions, servedPay } from "./served-pay.ts";
import type { PayWords } from "./served-pay.ts";

const HOTKEY = "5HDvhV6WDCjCKyrXqGQSDYqQAzkzabNhctmiDYEqgBC66BsX";

function said(...words: string[]): PayWords {
  return payOptions(new Command()).parse(words, { from: "user" }).opts<PayWords>();
}

it("a network counts test units until a wallet is named that pays", () => {
  expect(servedPay(said())).toBeNull();
  expect(servedPay(said("--pay-from", "pool", "--pay-rate", "0.02"))).toMatchObject({
    payer: { wallet: "pool", pays: { asset: "tao", netuid: 0 }, hotkey: null, genesis: FINNEY_GENESIS },
    raoPerTeraflop: 20_000n,
    limitRao: null,
  });
  const alpha = ["--pay-alpha", "9", "--pay-hotkey", HOTKEY, "--pay-limit", "500", "--chain", "local"];
  expect(servedPay(said("--pay-from", "pool", "--pay-rate", "1", ...alpha))).toMatchObject({
    payer: { url: "ws://127.0.0.1:9944", pays: { asset: "alpha", netuid: 9 }, hotkey: HOTKEY },
    limitRao: 500_000_000_000n,
  });
});

it.each([
  [["--pay-rate", "1"], "--pay-from"],
  [["--pay-from", "pool"], "--pay-rate"],
  [["--pay-from", "pool", "--pay-rate", "1", "--pay-alpha", "9"], "--pay-hotkey"],
  [["--pay-from", "pool", "--pay-rate", "0"], "no amount"],
  [["--pay-from", "pool", "--pay-rate", "0.0000001"], "cannot be counted"],
  [["--pay-from", "pool", "--pay-rate", "1", "--genesis", "0x12"], "64 digits"],
])("%j is refused", (words, why) => {
  expect(() => servedPay(said(...words))).toThrow(why);
});
