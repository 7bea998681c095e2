import { decodeAddress, encodeAddress } from "@polkadot/util-crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeSs58, encodeSs58 } from "./ss58.ts";

const ADDRESS = "5HDvhV6WDCjCKyrXqGQSDYqQAzkzabNhctmiDYEqgBC66BsX";
const ACCOUNT = "e4359ad3e2716c539a1d663ebd0a51bdc5c98a12e663bb4c4402db47828c9446";

describe("SS58", () => {
  it("reads and writes btwallet's address of a known account", () => {
    expect(Buffer.from(decodeSs58(ADDRESS) ?? []).toString("hex")).toBe(ACCOUNT);
    expect(encodeSs58(Buffer.from(ACCOUNT, "hex"))).toBe(ADDRESS);
  });

  it("agrees with @polkadot/util-crypto on any account", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (account) => {
        const address = encodeSs58(account);
        expect(address).toBe(encodeAddress(account, 42));
        expect(decodeSs58(address)).toEqual(decodeAddress(address));
      }),
      { seed: 1, numRuns: 50 },
    );
  });

  it.each([
    ["one letter is wrong", ADDRESS.replace("zk", "zj")],
    ["btwallet's invalid example", "5F3sa2TJAWMqDhXG6jhV4N8ko9rLbc4B52kmxXJoN5D3ue8w"],
    ["prefix 0 (Polkadot)", encodeAddress(Buffer.from(ACCOUNT, "hex"), 0)],
    ["prefix 43", encodeAddress(Buffer.from(ACCOUNT, "hex"), 43)],
    ["a letter outside base58", `${ADDRESS.slice(0, -1)}0`],
    ["empty", ""],
    ["too long", `${ADDRESS}1`],
    ["the largest number of 48 letters", `5${"z".repeat(47)}`],
  ])("refuses an address when %s", (_why, address) => {
    expect(decodeSs58(address)).toBeNull();
  });

  it("accepts btwallet's valid example", () => {
    expect(decodeSs58("5HQV5mjTgcM9aEBi4xbnbiJdz8aez92tWyRc1U53rLYuYEMk")).not.toBeNull();
  });

  it("is total: no text makes it throw", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 60 }), (text) => {
        expect(decodeSs58(text)).toBeNull();
        expect(decodeSs58(`5${text}`)).toBeNull();
      }),
      { seed: 2 },
    );
  });
});
