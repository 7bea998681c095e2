import { countryName } from "./countries.ts";
import { Failure } from "./failure.ts";
import { limitText, mbitText } from "./line-limits.ts";
import {
  ALL_DAY_OR_NEVER,
  type DateException,
  DAYS,
  type Day,
  type Rules,
  type WeeklyWindow,
  weeklyWindow,
  type WindowLimits,
} from "./rules.ts";

/** Rules in the words that a terminal takes and prints: "mon-fri 22:00-07:00 cores=2 quiet". */

type Window = DateException["windows"][number];

export function windowText({ days, ...window }: WeeklyWindow): string {
  return `${daysText(days)} ${hoursText(window)}`;
}

export function hoursText({ from, to, limits = {} }: Window): string {
  return [`${from}-${to}`, ...limitWords(limits)].join(" ");
}

function limitWords({
  cores,
  gpu,
  quiet,
  memoryMegabytes,
  uploadMbit,
  downloadMbit,
}: WindowLimits): string[] {
  return [
    ...(typeof cores === "number" ? [`cores=${cores}`] : []),
    ...(typeof memoryMegabytes === "number" ? [`memory=${memoryMegabytes}`] : []),
    ...(typeof uploadMbit === "number" ? [`up=${uploadMbit}`] : []),
    ...(typeof downloadMbit === "number" ? [`down=${downloadMbit}`] : []),
    ...(gpu === false ? ["no-gpu"] : []),
    ...(quiet === true ? ["quiet"] : []),
  ];
}

/** "every day", "mon-fri", "sat,sun". */
export function daysText(days: readonly Day[]): string {
  const indexes = DAYS.flatMap((name, index) => (days.includes(name) ? [index] : []));
  const [first = 0] = indexes;
  const last = indexes.at(-1) ?? 0;
  if (indexes.length === 7) return "every day";
  if (indexes.length > 2 && last - first === indexes.length - 1) return `${DAYS[first]}-${DAYS[last]}`;
  return indexes.map((index) => DAYS[index]).join(",");
}

/** "mon-fri 22:00-07:00 cores=2"; without days it is every day. Throws `bad-rules`. */
export function parseWindow(text: string): WeeklyWindow {
  const words = text
    .trim()
    .toLowerCase()
    .replace(/^every day\b/, "mon-sun")
    .split(/\s+/);
  const hasDays = /^[a-z]/.test(words[0] ?? "");
  const days = hasDays ? parseDays(words[0] ?? "", text) : [...DAYS];
  const window = weeklyWindow.safeParse({ days, ...parseHours(words.slice(hasDays ? 1 : 0), text) });
  if (window.success) return window.data;
  throw bad(text, window.error.issues[0]?.message ?? "it is no window");
}

/** "22:00-07:00 cores=2 up=5 quiet". Throws `bad-rules`. */
export function parseHours(words: readonly string[], whole: string): Window {
  const [, from, to] = /^(\d{1,2}:\d{2})(?:-|–|to)(\d{1,2}:\d{2})$/.exec(words[0] ?? "") ?? [];
  if (from === undefined || to === undefined) throw bad(whole, "it needs hours like 22:00-07:00");
  const two = (clock: string): string => clock.padStart(5, "0");
  if (two(from) === two(to)) throw bad(whole, ALL_DAY_OR_NEVER);
  const limits = parseLimits(words.slice(1), whole);
  return { from: two(from), to: two(to), ...(Object.keys(limits).length === 0 ? {} : { limits }) };
}

function parseLimits(words: readonly string[], whole: string): WindowLimits {
  const limits: WindowLimits = {};
  for (const word of words) {
    const [, name, value] = /^(cores|memory|up|down)=(\d+(?:\.\d+)?)$/.exec(word) ?? [];
    if (word === "quiet") limits.quiet = true;
    else if (word === "no-gpu") limits.gpu = false;
    else if (name === "cores") limits.cores = Number(value);
    else if (name === "memory") limits.memoryMegabytes = Number(value);
    else if (name === "up") limits.uploadMbit = Number(value);
    else if (name === "down") limits.downloadMbit = Number(value);
    else
      throw bad(
        whole,
        `"${word}" is no limit; those are cores=2, memory=2000 (MB), up=5, down=20 (Mbit/s), no-gpu and quiet`,
      );
  }
  return limits;
}

function parseDays(text: string, whole: string): Day[] {
  const found = new Set<Day>();
  for (const part of text.split(",")) {
    const [first, last = first] = part
      .split("-")
      .map((name) => DAYS.findIndex((day) => name.startsWith(day)));
    if (first === undefined || last === undefined || first < 0 || last < 0)
      throw bad(whole, `"${part}" is no day; those are ${DAYS.join(", ")}, as in mon-fri or sat,sun`);
    for (let index = first; ; index = (index + 1) % 7) {
      found.add(DAYS[index] as Day);
      if (index === last) break;
    }
  }
  return DAYS.filter((day) => found.has(day));
}

function bad(text: string, why: string): Failure {
  const end = why.endsWith("?") ? "" : ".";
  return new Failure("bad-rules", `"${text.slice(0, 80)}" cannot be used: ${why}${end}`);
}

/** What `tah rules` prints and an agent is told: every rule that restricts, each on a line. */
export function rulesText(rules: Rules): string {
  const { battery, heat, load, apps, notOnNetworks, monthlyMegabytes, diskMegabytes } = rules;
  const { limits, work, electricity } = rules;
  const lines: string[] = [];
  if (rules.schedule === "always") lines.push("Any time of the week.");
  else if (rules.windows.length === 0) lines.push("Never: no window is set.");
  else lines.push(...rules.windows.map(windowText));
  for (const { date, windows } of rules.exceptions)
    lines.push(`On ${date}: ${windows.length === 0 ? "not at all" : windows.map(hoursText).join("; ")}`);
  if (rules.timeZone !== null) lines.push(`Hours are those of ${rules.timeZone}.`);
  lines.push(rules.onlyOnPower ? "Only while the computer is on power." : "On battery too.");
  if (!rules.onlyOnPower && battery !== null)
    lines.push(
      `On battery it stops below ${battery.stopBelow} % and starts again from ${battery.startFrom} %.`,
    );
  lines.push(
    rules.onlyWhenIdle
      ? `Only after ${rules.idleMinutes} minutes without input, and while no film or call is on.`
      : "Also while you are using the computer.",
  );
  if (heat !== null)
    lines.push(`It stops at ${heat.stopFrom} °C and starts again below ${heat.startBelow} °C.`);
  if (load !== null)
    lines.push(
      `It stops when others use ${load.stopFrom} % of the processor, and starts again below ${load.startBelow} %.`,
    );
  if (apps.length > 0) lines.push(`Not while one of these runs: ${apps.join(", ")}.`);
  if (rules.notOnMetered) lines.push("Not on metered networks.");
  if (notOnNetworks.length > 0) lines.push(`Not on these networks: ${notOnNetworks.join(", ")}.`);
  if (monthlyMegabytes !== null) lines.push(`At most ${mbitText(monthlyMegabytes / 1000)} GB a month.`);
  if (work.cores !== null)
    lines.push(`It uses at most ${work.cores} ${work.cores === 1 ? "core" : "cores"}.`);
  if (work.memoryMegabytes !== null)
    lines.push(`It uses at most ${mbitText(work.memoryMegabytes / 1000)} GB of memory.`);
  if (diskMegabytes !== null)
    lines.push(`Its folder takes at most ${mbitText(diskMegabytes / 1000)} GB of the disk.`);
  if (work.quiet) lines.push("Quiet: half of the cores, at the lowest priority.");
  if (!work.gpu) lines.push("It leaves the graphics card alone.");
  if (limits.uploadMbit !== null) lines.push(`It sends at most ${limitText(limits.uploadMbit)}.`);
  if (limits.downloadMbit !== null) lines.push(`It receives at most ${limitText(limits.downloadMbit)}.`);
  if (!rules.keepAwake) lines.push("The computer may go to sleep while it works.");
  if (!rules.learnHours) lines.push("It does not learn when nobody is here.");
  if (rules.country !== null)
    lines.push(
      `Networks are told that it stands in ${countryName(rules.country, "en")}, and may show how many do.`,
    );
  if (electricity !== null)
    lines.push(
      `Electricity: ${electricity.pricePerKwh} per kWh, ${electricity.watts === null ? "what is measured" : `${electricity.watts} W more`} while it works.`,
    );
  return lines.join("\n");
}
