import { number } from "./amounts.ts";
import { heard, say } from "./say.ts";
import type { NetworkOffer, NetworkView } from "./networks.ts";
import { payText } from "./payouts.ts";
import { momentText } from "./reason-text.ts";
import { ownTimeZone } from "./zone.ts";

/** What is said of networks, the same in window, terminal and CLI. */

const SHORT_MS = 90_000;

/**
 * "Waiting: cannot reach Maple Street at https://10.0.0.2:4711 since 03:10 (nothing answers there);
 * tries again in 8 s." Null while the active network answers.
 */
export function awayText(network: NetworkView, now: number, zone: string = ownTimeZone()): string | null {
  const { away, name, url } = network;
  if (away === null) return null;
  // What the network says itself is a sentence.
  if (away.why.endsWith("."))
    return say("Waiting: {name} has not let this computer in since {since}; {next}. {why}", {
      name,
      since: momentText(away.since, now, zone),
      why: heard(away.why),
      next: nextTry(away.nextTryAt, now, zone),
    });
  return say("Waiting: cannot reach {where} since {since} ({why}); {next}.", {
    where: url === null ? name : say("{name} at {url}", { name, url }),
    since: momentText(away.since, now, zone),
    why: heard(away.why),
    next: nextTry(away.nextTryAt, now, zone),
  });
}

function nextTry(at: number | null, now: number, zone: string): string {
  if (at === null || at <= now) return say("trying again now");
  const left = at - now;
  if (left < SHORT_MS) return say("tries again in {seconds} s", { seconds: Math.ceil(left / 1000) });
  return say("tries again at {moment}", { moment: momentText(at, now, zone) });
}

/** "Waiting: for your yes to join Maple Street. …" Null when no invitation waits. */
export function offerText({ offer }: Pick<NetworkView, "offer">): string | null {
  if (offer === null) return null;
  return say("Waiting: for your yes to join {name}. Nothing is downloaded or computed before that.", {
    name: offer.card.name,
  });
}

/** What keeps a network from working here though the rules allow it; null: nothing does. */
export function networkWait(network: NetworkView, now: number, zone: string = ownTimeZone()): string | null {
  return offerText(network) ?? awayText(network, now, zone);
}

/** Name and value of what somebody should know before they say yes: who, what, and what it asks. */
export function offerRows({ address, keySha256, card }: NetworkOffer): readonly OfferRow[] {
  const { run, asks } = card;
  const step = run.step === 0 ? say("not begun") : say("step {step}", { step: number(run.step) });
  return [
    { name: say("Network"), value: card.name },
    { name: say("Operated by"), value: card.operator === "" ? say("it does not say") : card.operator },
    { name: say("Address"), value: address },
    { name: say("Key"), value: fingerprint(keySha256) },
    { name: say("Trains"), value: run.name },
    {
      name: say("Model"),
      value: say("{parameters} parameters in {count, plural, one {# slice} other {# slices}}", {
        parameters: number(run.parameterCount),
        count: run.stages,
      }),
    },
    { name: say("Text"), value: run.corpus },
    {
      name: say("Now"),
      value: say("{step}, {count, plural, one {# computer} other {# computers}} taking part", {
        step,
        count: card.nodes,
      }),
    },
    { name: say("Downloads"), value: say("about {size} at first", { size: bytesText(asks.downloadBytes) }) },
    {
      name: say("Memory"),
      value: say("about {size} while it trains", { size: bytesText(asks.memoryBytes) }),
    },
    { name: say("Connection"), value: lineText(asks) },
    { name: say("Pays"), value: paysText(card) },
  ];
}

function paysText({ testUnits, pays }: NetworkOffer["card"]): string {
  if (testUnits) return say("test units, worth nothing");
  const why = say("for counter-signed work");
  return pays === undefined ? why : `${payText(pays)}, ${why}`;
}

function lineText({ bytesPerStep, megabitsPerSecond }: NetworkOffer["card"]["asks"]): string {
  if (bytesPerStep === 0) return say("next to nothing while it trains");
  const each = say("{size} up and as much down for each step", { size: bytesText(bytesPerStep) });
  return megabitsPerSecond === null
    ? say("about {size}", { size: each })
    : say("about {rate} up and down at its pace of now ({each})", {
        rate: mbitText(megabitsPerSecond),
        each,
      });
}

export interface OfferRow {
  readonly name: string;
  readonly value: string;
}

/** "ab12 cd34 …": the first 16 digits, enough to compare by telephone. */
export function fingerprint(keySha256: string): string {
  return (keySha256.slice(0, 16).match(/.{4}/g) ?? []).join(" ");
}

/** 1.5 GB, 240 MB, 12 kB. Decimal units, as networks and disks are sold. */
export function bytesText(bytes: number): string {
  for (const [unit, size] of UNITS) if (bytes >= size) return `${figure(bytes / size)} ${unit}`;
  return say("{bytes} bytes", { bytes });
}

const UNITS = [
  ["TB", 1e12],
  ["GB", 1e9],
  ["MB", 1e6],
  ["kB", 1e3],
] as const;

export function mbitText(mbitPerSecond: number): string {
  return `${figure(mbitPerSecond)} Mbit/s`;
}

/** Two significant figures below 10, whole numbers above. */
function figure(value: number): string {
  return value < 10 ? number(Number(value.toPrecision(2))) : number(Math.round(value));
}
