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
  const at = url === null ? "" : ` at ${url}`;
  const since = momentText(away.since, now, zone);
  return `Waiting: cannot reach ${name}${at} since ${since} (${away.why}); ${nextTry(away.nextTryAt, now, zone)}.`;
}

function nextTry(at: number | null, now: number, zone: string): string {
  if (at === null || at <= now) return "trying again now";
  const left = at - now;
  if (left < SHORT_MS) return `tries again in ${Math.ceil(left / 1000)} s`;
  return `tries again at ${momentText(at, now, zone)}`;
}

/** "Waiting: for your yes to join Maple Street. …" Null when no invitation waits. */
export function offerText({ offer }: Pick<NetworkView, "offer">): string | null {
  if (offer === null) return null;
  return `Waiting: for your yes to join ${offer.card.name}. Nothing is downloaded or computed before that.`;
}

/** What keeps a network from working here though the rules allow it; null: nothing does. */
export function networkWait(network: NetworkView, now: number, zone: string = ownTimeZone()): string | null {
  return offerText(network) ?? awayText(network, now, zone);
}

/** Name and value of what somebody should know before they say yes: who, what, and what it asks. */
export function offerRows({ address, keySha256, card }: NetworkOffer): readonly OfferRow[] {
  const { run, asks } = card;
  const step = run.step === 0 ? "not begun" : `step ${grouped(run.step)}`;
  return [
    { name: "Network", value: card.name },
    { name: "Operated by", value: card.operator === "" ? "it does not say" : card.operator },
    { name: "Address", value: address },
    { name: "Key", value: fingerprint(keySha256) },
    { name: "Trains", value: run.name },
    { name: "Model", value: `${grouped(run.parameterCount)} parameters in ${counted(run.stages, "slice")}` },
    { name: "Text", value: run.corpus },
    { name: "Now", value: `${step}, ${counted(card.nodes, "computer")} taking part` },
    { name: "Downloads", value: `about ${bytesText(asks.downloadBytes)} at first` },
    { name: "Memory", value: `about ${bytesText(asks.memoryBytes)} while it trains` },
    { name: "Connection", value: lineText(asks) },
    { name: "Pays", value: paysText(card) },
  ];
}

function paysText({ testUnits, pays }: NetworkOffer["card"]): string {
  if (testUnits) return "test units, worth nothing";
  const what = pays === undefined ? "" : `${payText(pays)}, `;
  return `${what}for counter-signed work`;
}

function lineText({ bytesPerStep, megabitsPerSecond }: NetworkOffer["card"]["asks"]): string {
  if (bytesPerStep === 0) return "next to nothing while it trains";
  const each = `${bytesText(bytesPerStep)} up and as much down for each step`;
  return megabitsPerSecond === null
    ? `about ${each}`
    : `about ${mbitText(megabitsPerSecond)} up and down at its pace of now (${each})`;
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
  return `${bytes} bytes`;
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
  return value < 10 ? String(Number(value.toPrecision(2))) : grouped(Math.round(value));
}

function grouped(value: number): string {
  return value.toLocaleString("en-US");
}

function counted(count: number, noun: string): string {
  return `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
}
