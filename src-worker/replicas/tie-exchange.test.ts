import { expect, it } from "vitest";
import type { SessionKey } from "../../src-protocol/keys.ts";
import { SUM_PART_VALUES } from "../../src-protocol/peer.ts";
import type { PeerMessage } from "../../src-protocol/peer.ts";
import { sha256 } from "../../src-protocol/signing.ts";
import { TieExchange } from "./tie-exchange.ts";

type Sent = readonly [to: SessionKey, message: PeerMessage, payload: Uint8Array];

const key = (name: string): SessionKey => name as SessionKey;
/** More than one piece. */
const COUNT = SUM_PART_VALUES + 5;
const PARTS = [0, 1, 2].map((stage) => new Float32Array(COUNT).fill(stage + 1));
const part = (stage: number): Float32Array<ArrayBuffer> => PARTS[stage] as Float32Array<ArrayBuffer>;
const digestOf = (values?: Float32Array<ArrayBuffer>): string =>
  sha256(new Uint8Array(values?.buffer ?? new ArrayBuffer(0)));
const wanted = [0, 2].map((stage) => ({ stage, sha256: digestOf(part(stage)) }));
const had = (parts: ReadonlyMap<number, Float32Array<ArrayBuffer>> | null): string[] =>
  [0, 2].flatMap((stage) => (parts?.has(stage) === true ? digestOf(parts.get(stage)) : []));

/** Exchanges that are linked; `heard` may change what arrives, or swallow it. */
function linked(
  towards: Readonly<Record<string, Readonly<Record<number, readonly string[]>>>>,
  heard: (from: string, sent: Sent) => Sent | null = (_, sent) => sent,
) {
  const accused: string[] = [];
  const all = new Map<string, TieExchange>();
  for (const [name, ways] of Object.entries(towards))
    all.set(
      name,
      new TieExchange({
        stage: Number(name[0]),
        generation: 1,
        count: (stage) => (stage === 1 ? 0 : COUNT),
        towards: (stage) => (ways[stage] ?? []).map(key),
        send: (to, message, payload = new Uint8Array(0)) => {
          const [peer, arrived, bytes] = heard(name, [to, message, payload]) ?? [];
          if (peer === undefined || arrived === undefined || bytes === undefined) return;
          queueMicrotask(() => all.get(peer)?.hear(key(name), arrived as never, bytes));
        },
        accuse: (replica) => accused.push(`${name} names ${replica}`),
      }),
    );
  const at = (name: string): TieExchange => all.get(name) as TieExchange;
  return { at, accused };
}

const THREE = { "0": { 2: ["1"] }, "1": { 0: ["0"], 2: ["2"] }, "2": { 0: ["1"] } };

it("what the ends hold together comes to all in pieces, through who holds none of it, whoever is asked first", async () => {
  const { at, accused } = linked(THREE);
  at("0").begin(4, part(0));
  // The middle one is asked before it knows of the step.
  const first = at("0").gather(wanted, () => true);
  at("2").begin(4, part(2));
  const last = at("2").gather(wanted, () => true);
  await new Promise(setImmediate);
  at("1").begin(4, null);
  const middle = at("1").gather(wanted, () => true);
  for (const parts of await Promise.all([first, middle, last]))
    expect(had(parts)).toEqual(wanted.map((each) => each.sha256));
  expect(accused).toEqual([]);
});

it("who gives something else is named, who is gone is left, and another one gives it", async () => {
  const ways = { "1": { 2: ["2 liar", "2 gone", "2"] }, "2 liar": {}, "2 gone": {}, "2": {} };
  const { at, accused } = linked(ways, (from, [to, message, payload]) => {
    if (from === "2 liar") return [to, message, new Uint8Array(payload.length)];
    if (to !== "2 gone") return [to, message, payload];
    queueMicrotask(() => at("1").lost(key("2 gone")));
    return null;
  });
  at("1").begin(4, null);
  for (const giver of ["2 liar", "2"]) at(giver).begin(4, part(2));
  const parts = await at("1").gather(wanted.slice(1), () => true);
  expect(had(parts)).toEqual([wanted[1]?.sha256]);
  expect(accused).toEqual(["1 names 2 liar"]);
});

it("nothing is gathered that is not wanted any more, or that this replica itself gives otherwise", async () => {
  const { at } = linked(THREE);
  at("0").begin(4, part(1));
  expect(await at("0").gather(wanted.slice(0, 1), () => true), "its own is another one").toBeNull();
  at("1").begin(4, null);
  let isWanted = true;
  const waiting = at("1").gather(wanted, () => isWanted);
  isWanted = false;
  at("1").giveUp();
  expect(await waiting).toBeNull();
});

it("nobody gets a piece again and again, or one of a step that is over", () => {
  const answers: string[] = [];
  const { at } = linked({ "1": {}, "2": {} }, (_, [, message]) => {
    answers.push(message.type);
    return null;
  });
  at("2").begin(4, part(2));
  const ask = { type: "tieAsk", generation: 1, step: 4, stage: 2, from: 0 } as const;
  for (let id = 0; id < 10; id++) at("2").hear(key("1"), { ...ask, id }, new Uint8Array(0));
  at("2").hear(key("1"), { ...ask, id: 10, step: 3 }, new Uint8Array(0));
  at("2").hear(key("1"), { ...ask, id: 11, from: 2 ** 40 }, new Uint8Array(0));
  const given = Array.from({ length: 8 }, () => "tiePart");
  expect(answers).toEqual([...given, "tieNone", "tieNone", "tieNone", "tieNone"]);
});
