import { Failure } from "../src-protocol/failure.ts";
import {
  type DateException,
  ONLY_WHEN_ASLEEP,
  type Rules,
  rules as rulesSchema,
} from "../src-protocol/policy.ts";
import { parseHours, parseWindow } from "../src-protocol/rules-text.ts";

export const RULES_HELP = `
Words (without any, the rules are shown):
  any                                 at any time of the week
  asleep [23:00-07:00]                every night, on power
  hours "mon-fri 22:00-07:00; sat,sun 00:00-10:00 cores=2 up=5 quiet"
                                      these hours alone, each with limits of its own if you like
  except 2026-12-24 never             not on that day (what begins on it)
  except 2026-12-31 "10:00-12:00"     other hours on that day
  except 2026-12-24 clear             as every week again
  set NAME=VALUE ...                  power=yes|no  idle=MINUTES|no  battery=20/30|no  heat=95/80|no
                                      load=50/25|no  apps=steam,blender|no  metered=no|yes
                                      networks=cafe,office|no  data=50GB|no  cores=2|all  quiet=yes|no
                                      memory=4GB|no  disk=20GB|no
                                      gpu=yes|no  awake=yes|no  learn=yes|no  zone=Europe/Berlin|own
                                      country=DE|no  (told to networks, which count by country; else nothing)
                                      electricity=0.30@120|0.30|no  (price per kWh @ watts more; else as measured)
  json TEXT                           all rules, as --json prints them`;

/** `rules` with what the words say. Throws `bad-rules`. */
export function changedRules(rules: Rules, words: readonly string[]): Rules {
  const [verb = "", ...rest] = words;
  const checked = rulesSchema.safeParse(change(rules, verb, rest));
  if (checked.success) return checked.data;
  const issue = checked.error.issues[0];
  throw bad(`${issue?.path.join(".") || "the rules"}: ${issue?.message}`);
}

function change(rules: Rules, verb: string, rest: readonly string[]): unknown {
  switch (verb) {
    case "any":
      return { ...rules, schedule: "always" };
    case "asleep": {
      const windows = rest.length === 0 ? ONLY_WHEN_ASLEEP.windows : [parseWindow(rest.join(" "))];
      return { ...rules, schedule: "windows", windows, onlyOnPower: true };
    }
    case "hours": {
      const parts = split(rest.join(" "));
      return { ...rules, schedule: "windows", windows: parts.map(parseWindow) };
    }
    case "except":
      return { ...rules, exceptions: excepted(rules.exceptions, rest) };
    case "set":
      if (rest.length === 0) throw bad("set needs NAME=VALUE");
      return rest.reduce<Rules>(set, rules);
    case "json":
      return fromJson(rest.join(" "));
    default:
      throw bad(
        verb.includes("=")
          ? `what is set begins with the word set: tah rules set ${verb.slice(0, 40)}`
          : `"${verb.slice(0, 40)}" is none of: any, asleep, hours, except, set, json. See tah rules --help`,
      );
  }
}

function split(text: string): string[] {
  return text
    .split(";")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

function excepted(
  exceptions: readonly DateException[],
  [date = "", ...words]: readonly string[],
): DateException[] {
  const others = exceptions.filter((one) => one.date !== date);
  const text = words.join(" ");
  if (text === "") throw bad("except needs a date and then hours, never or clear");
  if (text === "clear") return others;
  const windows = text === "never" ? [] : split(text).map((part) => parseHours(part.split(/\s+/), part));
  return [...others, { date, windows }].toSorted((a, b) => a.date.localeCompare(b.date));
}

function set(rules: Rules, word: string): Rules {
  const at = word.indexOf("=");
  const name = word.slice(0, Math.max(0, at));
  const value = word.slice(at + 1).trim();
  const no = value === "no" || value === "none";
  switch (name) {
    case "power":
      return { ...rules, onlyOnPower: yes(name, value) };
    case "idle":
      return no
        ? { ...rules, onlyWhenIdle: false }
        : { ...rules, onlyWhenIdle: true, idleMinutes: whole(name, value) };
    case "battery": {
      if (no) return { ...rules, battery: null };
      const [stopBelow, startFrom] = pair(name, value);
      return { ...rules, battery: { stopBelow, startFrom } };
    }
    case "heat": {
      if (no) return { ...rules, heat: null };
      const [stopFrom, startBelow] = pair(name, value);
      return { ...rules, heat: { stopFrom, startBelow } };
    }
    case "load": {
      if (no) return { ...rules, load: null };
      const [stopFrom, startBelow] = pair(name, value);
      return { ...rules, load: { stopFrom, startBelow } };
    }
    case "apps":
      return { ...rules, apps: no ? [] : names(value) };
    case "metered":
      // "metered=no" reads as: not on metered networks.
      return { ...rules, notOnMetered: !yes(name, value) };
    case "networks":
      return { ...rules, notOnNetworks: no ? [] : names(value) };
    case "data":
      return { ...rules, monthlyMegabytes: no ? null : megabytes(name, value) };
    case "cores":
      return { ...rules, work: { ...rules.work, cores: value === "all" || no ? null : whole(name, value) } };
    case "memory":
      return { ...rules, work: { ...rules.work, memoryMegabytes: no ? null : megabytes(name, value) } };
    case "disk":
      return { ...rules, diskMegabytes: no ? null : megabytes(name, value) };
    case "quiet":
      return { ...rules, work: { ...rules.work, quiet: yes(name, value) } };
    case "gpu":
      return { ...rules, work: { ...rules.work, gpu: yes(name, value) } };
    case "awake":
      return { ...rules, keepAwake: yes(name, value) };
    case "learn":
      return { ...rules, learnHours: yes(name, value) };
    case "zone":
      return { ...rules, timeZone: value === "own" ? null : value };
    case "country":
      return { ...rules, country: no ? null : value.toUpperCase() };
    case "electricity":
      return { ...rules, electricity: no ? null : electricity(value) };
    default:
      throw bad(`"${word.slice(0, 40)}" sets nothing. See tah rules --help`);
  }
}

function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw bad("what follows json is not JSON");
  }
}

function yes(name: string, value: string): boolean {
  if (value === "yes" || value === "on") return true;
  if (value === "no" || value === "off") return false;
  throw bad(`${name} is yes or no`);
}

function whole(name: string, value: string): number {
  if (/^\d{1,6}$/.test(value)) return Number(value);
  throw bad(`${name} needs a whole number`);
}

function pair(name: string, value: string): [number, number] {
  const [, first, second] = /^(\d{1,3})\/(\d{1,3})$/.exec(value) ?? [];
  if (first === undefined || second === undefined) throw bad(`${name} needs two numbers, like 95/80`);
  return [Number(first), Number(second)];
}

function names(value: string): string[] {
  return value
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}

function megabytes(name: string, value: string): number {
  const [, amount, unit = "GB"] = /^(\d+(?:\.\d+)?) ?(MB|GB|TB)?$/i.exec(value) ?? [];
  if (amount === undefined) throw bad(`${name} needs an amount like 50GB`);
  return Math.round(Number(amount) * ({ MB: 1, GB: 1e3, TB: 1e6 }[unit.toUpperCase()] ?? 1e3));
}

function electricity(value: string): NonNullable<Rules["electricity"]> {
  const [, price, watts] = /^(\d+(?:\.\d+)?)(?:@(\d+(?:\.\d+)?))?$/.exec(value) ?? [];
  if (price === undefined)
    throw bad("electricity needs a price per kWh, like 0.30, or with the watts that it takes, like 0.30@120");
  return { pricePerKwh: Number(price), watts: watts === undefined ? null : Number(watts) };
}

function bad(why: string): Failure {
  return new Failure("bad-rules", `These rules cannot be used: ${why}. The rules of before still apply.`);
}
