import { say } from "../../src-protocol/say.ts";
import { ownTimeZone, localTime } from "../../src-protocol/zone.ts";
import type { DaemonState } from "../../src-protocol/state.ts";
import { useNow } from "../parts/clock-now.ts";
import controls from "../parts/controls.module.css";
import { useDashboard } from "../bridge/dashboard.ts";
import { arcPath, comingSpans, dialPoint, gapBetween, ranSpans, type Span } from "./dial-geometry.ts";
import styles from "./dial.module.css";
import { clock, listed } from "../parts/format.ts";
import { type Headline, headline } from "./headline.ts";
import { weekMinute } from "../schedule/next-runs.ts";
import { clockOf, DAY_MINUTES, hoursOf } from "../schedule/week-hours.ts";

const HOURS_RADIUS = 104;
const RAN_RADIUS = 90;
const HOURS = Array.from({ length: 24 }, (_, hour) => hour);

/** The product's mark: the day as a ring, the coming hours of work as an arc, now as a hand. */
export function Dial() {
  const state = useDashboard(({ state }) => state);
  const points = useDashboard(({ points }) => points);
  const isOpen = useDashboard(({ connection }) => connection === "open");
  const now = useNow(10_000);
  if (state === null) return null;
  const minute = minuteOfDay(state.rules.timeZone, now);
  const times = points.map(({ at }) => at);
  return (
    <section className={controls["card"]} aria-labelledby="dial-title">
      <h2 id="dial-title" className={controls["hidden"]}>
        {say("Day and night")}
      </h2>
      <DialDrawing
        minute={minute}
        coming={spansOf(state.rules, now)}
        byHand={byHandSpan(state.override, minute, now)}
        ran={ranSpans(times, now, minute, gapBetween(times))}
        {...(isOpen
          ? {
              tone: headline(state, now).tone,
              ...centreOf(state.decision, headline(state, now), minute, now),
            }
          : // What it does now is not known here.
            { tone: "unknown", centre: clockOf(minute), word: say("No connection") })}
      />
      <ul className={styles["legend"]} data-whole={state.rules.schedule === "always" || undefined}>
        <li data-kind="coming">{say("may run")}</li>
        <li data-kind="ran">{say("ran")}</li>
        <li data-kind="now">{say("now")}</li>
      </ul>
    </section>
  );
}

export interface DialDrawingProps {
  minute: number;
  coming: readonly Span[];
  /** A start by hand, which beats the hours. */
  byHand: Span | null;
  ran: readonly Span[];
  tone: string;
  /** In the middle, large: when it changes; and small beneath it what it does now. */
  centre: string;
  word: string;
}

/** What a person wants to know of the clock is how long this lasts. */
export function centreOf(
  { action, nextChange }: DaemonState["decision"],
  { tone, word }: Pick<Headline, "tone" | "word">,
  minute: number,
  now: number,
): { centre: string; word: string } {
  if (nextChange === null || nextChange.at <= now) return { centre: clockOf(minute), word };
  if (action === "run") return { centre: clock(nextChange.at), word: say("{word} until", { word }) };
  return {
    centre: countdown(nextChange.at - now),
    word: tone === "paused" ? say("Paused, goes on in") : say("{word}, starts in", { word }),
  };
}

function countdown(ms: number): string {
  const minutes = Math.max(1, Math.round(ms / 60_000));
  if (minutes < 60) return say("{minutes} min", { minutes });
  const hours = Math.floor(minutes / 60);
  return hours < 48
    ? `${hours}:${String(minutes % 60).padStart(2, "0")} h`
    : say("{hours} days", { hours: Math.round(hours / 24) });
}

export function DialDrawing({ minute, coming, byHand, ran, tone, centre, word }: DialDrawingProps) {
  const tip = dialPoint(minute, HOURS_RADIUS);
  const base = dialPoint(minute, 84);
  const isAbove = word.includes(" ");
  return (
    <svg
      className={styles["dial"]}
      viewBox="-140 -140 280 280"
      role="img"
      aria-label={describe(minute, coming, byHand, ran)}
      data-tone={tone}
    >
      <circle className={styles["track"]} r={HOURS_RADIUS} />
      <circle className={styles["ranTrack"]} r={RAN_RADIUS} />
      {coming.map((span) => (
        <path
          key={span.start}
          className={styles["coming"]}
          data-whole={span.end - span.start >= DAY_MINUTES || undefined}
          d={arcPath(span, HOURS_RADIUS)}
        />
      ))}
      {byHand !== null && <path className={styles["byHand"]} d={arcPath(byHand, HOURS_RADIUS)} />}
      {ran.map((span) => (
        <path key={span.start} className={styles["ran"]} d={arcPath(span, RAN_RADIUS)} />
      ))}
      {HOURS.map((hour) => {
        const from = dialPoint(hour * 60, 115);
        const to = dialPoint(hour * 60, hour % 6 === 0 ? 121 : 118);
        return <path key={hour} className={styles["tick"]} d={`M${from.x} ${from.y}L${to.x} ${to.y}`} />;
      })}
      {[0, 6, 12, 18].map((hour) => {
        const { x, y } = dialPoint(hour * 60, 131);
        return (
          <text key={hour} className={styles["hour"]} x={x} y={y}>
            {clockOf(hour * 60).slice(0, 2)}
          </text>
        );
      })}
      <path className={styles["hand"]} d={`M${base.x} ${base.y}L${tip.x} ${tip.y}`} />
      <circle className={styles["tip"]} cx={tip.x} cy={tip.y} r="7.5" />
      <text className={styles["word"]} y={isAbove ? -30 : 26}>
        {word}
      </text>
      <text className={styles["time"]} y={isAbove ? 14 : -2}>
        {centre}
      </text>
    </svg>
  );
}

function spansOf(rules: DaemonState["rules"], now: number): Span[] {
  if (rules.schedule === "always") return [{ start: 0, end: DAY_MINUTES }];
  return comingSpans(hoursOf(rules.windows), weekMinute(rules.timeZone, now));
}

function byHandSpan(override: DaemonState["override"], minute: number, now: number): Span | null {
  if (override?.action !== "run" || override.until === null || override.until <= now) return null;
  return { start: minute, end: minute + Math.min(DAY_MINUTES, (override.until - now) / 60_000) };
}

function minuteOfDay(timeZone: string | null, now: number): number {
  return Math.floor(localTime(timeZone ?? ownTimeZone(), now) / 60_000) % DAY_MINUTES;
}

function describe(
  minute: number,
  coming: readonly Span[],
  byHand: Span | null,
  ran: readonly Span[],
): string {
  const text = ({ start, end }: Span) =>
    say("{start} to {end}", {
      start: clockOf(Math.floor(start)),
      end: clockOf(Math.floor(end) % DAY_MINUTES),
    });
  const allDay = coming.some(({ start, end }) => end - start >= DAY_MINUTES);
  const may = allDay
    ? say("It may run at any hour.")
    : coming.length === 0
      ? say("It may not run within the next 24 hours.")
      : say("In the next 24 hours it may run from {hours}.", { hours: listed(coming.map(text)) });
  const hand =
    byHand === null
      ? ""
      : say("Started by hand until {clock}.", { clock: clockOf(Math.floor(byHand.end) % DAY_MINUTES) });
  const did = ran.length === 0 ? "" : say("It ran from {hours}.", { hours: listed(ran.slice(-6).map(text)) });
  return [say("A 24-hour dial. It is {clock}.", { clock: clockOf(minute) }), may, hand, did]
    .filter((text) => text !== "")
    .join(" ");
}
