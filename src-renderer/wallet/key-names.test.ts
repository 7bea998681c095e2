import { expect, test } from "vitest";
import type { ListedWallet } from "../../src-protocol/wallet-ipc.ts";
import { askedWords, freeName, keyAt, passwordProblem } from "./key-names.ts";

const wallet = (name: string): ListedWallet => ({
  name,
  coldkey: null,
  hotkeys: [{ name: "default", path: `/w/${name}/default`, address: null, holds: "secret", problem: null }],
});

test("the hotkey in use is found by its file, and one of another folder is not", () => {
  expect(keyAt([wallet("a"), wallet("b")], "/w/b/default")).toEqual({ wallet: "b", hotkey: "default" });
  expect(keyAt([wallet("a")], "/elsewhere/default")).toBeNull();
});

test("a key that is taken in gets a name that no wallet has", () => {
  expect(freeName([wallet("default")], "mine")).toBe("mine");
  expect(freeName([wallet("mine"), wallet("mine-2")], "mine")).toBe("mine-3");
});

test("two words of a phrase are asked for, neither the first nor the last", () => {
  expect(askedWords(Array.from({ length: 12 }, (_, i) => `w${i}`).join(" "))).toEqual([2, 10]);
});

test("a password is typed twice, and not empty", () => {
  expect(passwordProblem("", "")).not.toBeNull();
  expect(passwordProblem("a", "b")).not.toBeNull();
  expect(passwordProblem("a", "a")).toBeNull();
});
