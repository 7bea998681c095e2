import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { networkId } from "../../src-protocol/networks.ts";
import { MOST_NETWORKS, NetworksStore, storedNetwork } from "./networks-store.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tah networks "));
  path = join(folder, "networks.json");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const open = (): NetworksStore => new NetworksStore(path, (id) => join(folder, id));
const id = (number: number) => networkId.parse(number.toString(16).padStart(16, "0"));
const network = (number: number) =>
  storedNetwork.parse({
    id: id(number),
    name: `Street ${number}`,
    operator: "",
    address: `https://10.0.0.${number % 250}:4711`,
    joinedAt: number,
    network: `street-${number}`,
    access: { keySha256: "ab".repeat(32), token: number.toString(16).padStart(32, "5ec4e7") },
  });

describe("the networks that were joined", () => {
  it("are none at first: the embedded network is active", () => {
    expect([open().active(), open().list()]).toEqual([null, []]);
  });

  it("are remembered with the one that is active, over a restart, newest first", () => {
    const store = open();
    store.join(network(1));
    store.join(network(2));
    store.activate(id(1));
    expect(open().active()?.name).toBe("Street 1");
    expect(open().list()).toMatchObject([
      { name: "Street 2", active: false },
      { name: "Street 1", active: true, folder: join(folder, id(1)) },
    ]);
  });

  it("never show the invitation, which only the owner's file holds", () => {
    const store = open();
    store.join(network(1));
    expect(JSON.stringify(store.list())).not.toContain("5ec4e7");
    expect(readFileSync(path, "utf8")).toContain("5ec4e7");
    expect(statSync(path).mode & 0o077).toBe(process.platform === "win32" ? 0o066 : 0);
  });

  it("are left one by one; leaving the active one makes the embedded network active", () => {
    const store = open();
    store.join(network(1));
    store.join(network(2));
    expect(store.leave(id(2)).name).toBe("Street 2");
    expect(open().active()).toBeNull();
    expect(
      open()
        .list()
        .map(({ name }) => name),
    ).toEqual(["Street 1"]);
    expect(() => store.leave(id(2))).toThrow(expect.objectContaining({ code: "unknown-network" }));
    expect(() => store.activate(id(2))).toThrow(expect.objectContaining({ code: "unknown-network" }));
  });

  it("are remembered once, with the newest invitation", () => {
    const store = open();
    store.join(network(1));
    const token = "0".repeat(32);
    store.join({ ...network(1), access: { ...network(1).access, token } });
    expect(open().list()).toHaveLength(1);
    expect(open().find(id(1))?.access.token).toBe(token);
  });

  it("are so many at most, and joining one again is no other one", () => {
    const store = open();
    for (let number = 1; number <= MOST_NETWORKS; number += 1) store.join(network(number));
    expect(() => store.join(network(999))).toThrow(expect.objectContaining({ code: "too-many-networks" }));
    store.join(network(3));
    expect(store.active()?.name).toBe("Street 3");
  });

  it.each([
    ["no JSON", "{"],
    [
      "an active one that is not listed",
      JSON.stringify({ schema: "train-at-home/networks/v1", active: "0".repeat(16), networks: [] }),
    ],
    [
      "one listed twice",
      JSON.stringify({
        schema: "train-at-home/networks/v1",
        active: null,
        networks: [network(1), network(1)],
      }),
    ],
    [
      "a folder's name in place of an id",
      JSON.stringify({
        schema: "train-at-home/networks/v1",
        active: null,
        networks: [{ ...network(1), id: "../../etc" }],
      }),
    ],
  ])("that cannot be understood stop the start and are kept as they are: %s", (_, text) => {
    writeFileSync(path, text);
    expect(open).toThrow(expect.objectContaining({ code: "stored-file-corrupt" }));
    expect(readFileSync(path, "utf8")).toBe(text);
  });
});
