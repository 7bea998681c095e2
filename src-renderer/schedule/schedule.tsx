import { say } from "../../src-protocol/say.ts";
import { useState } from "react";
import { type FailureBody, failureBody } from "../../src-protocol/failure.ts";
import { LEAST_MBIT, lineLimits, MOST_MBIT } from "../../src-protocol/line-limits.ts";
import { type Rules, rules as rulesSchema, type WeeklyWindow } from "../../src-protocol/policy.ts";
import { getBridge } from "../bridge/bridge.ts";
import { useNow } from "../parts/clock-now.ts";
import { AlsoWaitCard } from "./also-wait-card.tsx";
import { ComingWeek } from "./coming-week.tsx";
import { Conditions } from "./conditions.tsx";
import controls from "../parts/controls.module.css";
import { useDashboard } from "../bridge/dashboard.ts";
import { FailureNotice } from "../parts/failure-notice.tsx";
import { DaysOffCard } from "./days-off-card.tsx";
import { HowMuchCard } from "./how-much-card.tsx";
import { LineCard } from "./line-card.tsx";
import { ModeChoice } from "./mode-choice.tsx";
import { previewOf } from "./next-runs.ts";
import { inMode, modeOf, nightOf, sameRules, type ScheduleMode, withNight } from "./schedule-mode.ts";
import styles from "./schedule.module.css";
import { SleepCard } from "./sleep-card.tsx";
import { SleepOffer } from "./sleep-offer.tsx";
import { WeekGrid } from "./week-grid.tsx";
import { hoursOf, type Interval, painted, windowsOf } from "./week-hours.ts";
import { WindowList } from "./window-list.tsx";
import { Heard } from "../parts/heard.tsx";

/** Rules that hold now and need what this computer cannot tell: without a word they would just never run. */
function CannotTell() {
  const missing = useDashboard(({ state }) => state?.policy.missing ?? null);
  if (missing === null || missing.length === 0) return null;
  return (
    <section className={controls["note"]} aria-label={say("What it cannot tell")} data-testid="cannot-tell">
      {missing.map(({ what, text }) => (
        <p key={what}>
          <Heard text={text} />
        </p>
      ))}
    </section>
  );
}

/** When will it run? What is changed here applies when it is saved. */
export function Schedule() {
  const saved = useDashboard(({ state }) => state?.rules ?? null);
  const draft = useDashboard(({ draft }) => draft);
  const now = useNow(30_000);
  /** "My own hours" stays chosen while they happen to equal another choice. */
  const [own, setOwn] = useState(false);
  if (saved === null) return null;

  const rules = draft ?? saved;
  const mode = own && rules.schedule === "windows" ? "own" : modeOf(rules);
  const night = nightOf(rules.windows);
  const edit = (next: Rules) =>
    useDashboard.setState({ draft: sameRules(next, saved) ? null : next, justSaved: false });
  const choose = (chosen: ScheduleMode) => {
    setOwn(chosen === "own");
    edit(inMode(rules, chosen));
  };
  const paint = (range: readonly Interval[], on: boolean) => {
    const hours = range.reduce((all, piece) => painted(all, piece, on), hoursOf(rules.windows));
    setOwn(true);
    edit({ ...rules, schedule: "windows", windows: withLimits(windowsOf(hours), rules.windows) });
  };

  return (
    <>
      <ModeChoice mode={mode} onChoose={choose} />
      <Preview rules={rules} changed={draft !== null} now={now} />
      {mode === "asleep" && night !== null && (
        <SleepCard {...night} onChange={(changed) => edit(withNight(rules, changed))} />
      )}
      {mode === "asleep" && (
        <SleepOffer onTake={(windows) => edit({ ...rules, schedule: "windows", windows })} />
      )}
      {mode === "own" && (
        <section className={controls["card"]} aria-labelledby="week-title">
          <div className={controls["cardHead"]}>
            <h2 id="week-title" className={controls["cardTitle"]}>
              {say("Your week")}
            </h2>
            <p className={controls["hint"]} id="grid-help">
              {say(
                "Drag to paint; a row is a night, from noon to noon. By keyboard: arrows move, Space paints, Shift with arrows paints a block.",
              )}
            </p>
          </div>
          <WeekGrid hours={hoursOf(rules.windows)} onPaint={paint} describedBy="grid-help" />
          <WindowList
            windows={rules.windows}
            onChange={(windows) => {
              setOwn(true);
              edit({ ...rules, windows });
            }}
          />
        </section>
      )}
      <Conditions rules={rules} onChange={edit} />
      <CannotTell />
      <HowMuchCard rules={rules} onChange={edit} />
      <LineCard limits={rules.limits} onChange={(limits) => edit({ ...rules, limits })} />
      <AlsoWaitCard rules={rules} onChange={edit} />
      <DaysOffCard rules={rules} onChange={edit} />
      <ComingWeek rules={rules} />
      {draft !== null && <SaveBar rules={rules} />}
    </>
  );
}

/** What the rules mean, in a sentence; and whether they hold already. */
function Preview({ rules, changed, now }: { rules: Rules; changed: boolean; now: number }) {
  const justSaved = useDashboard(({ justSaved }) => justSaved);
  return (
    <section id="preview" tabIndex={-1} className={styles["preview"]} aria-label={say("What this means")}>
      <p data-testid="preview">{previewOf(rules, now).join(" ")}</p>
      <output className={controls["hint"]}>
        {changed
          ? say("Not saved yet.")
          : justSaved
            ? say("Saved. It applies from now on.")
            : say("This is what applies now.")}
      </output>
    </section>
  );
}

function SaveBar({ rules }: { rules: Rules }) {
  const [failure, setFailure] = useState<FailureBody | null>(null);
  const [busy, setBusy] = useState(false);

  const save = async () => {
    const checked = rulesSchema.safeParse(rules);
    if (!checked.success) return setFailure({ code: "bad-rules", message: problemOf(rules) });
    setBusy(true);
    setFailure(null);
    try {
      await getBridge().call("policy.setRules", { rules: checked.data });
      useDashboard.setState({ draft: null, justSaved: true });
      // The bar goes; whoever stood on it stands on what it has led to.
      document.getElementById("preview")?.focus({ preventScroll: true });
    } catch (error) {
      setFailure(failureBody(error));
    } finally {
      setBusy(false);
    }
  };
  const undo = () => {
    useDashboard.setState({ draft: null, justSaved: false });
    document.getElementById("preview")?.focus({ preventScroll: true });
  };

  return (
    <section className={styles["bar"]} aria-label={say("Save or undo")}>
      <p className={styles["changed"]}>{busy ? say("Saving …") : say("You have changed when it runs.")}</p>
      <div className={styles["actions"]}>
        <button type="button" className={controls["button"]} disabled={busy} onClick={undo}>
          {say("Undo")}
        </button>
        <button
          type="button"
          className={`${controls["button"]} ${controls["primary"]}`}
          disabled={busy}
          onClick={() => void save()}
        >
          {say("Save")}
        </button>
      </div>
      {failure !== null && <FailureNotice failure={failure} />}
    </section>
  );
}

/** Hours that were not painted over keep the limits that they had (by `tah rules`). */
function withLimits(windows: readonly WeeklyWindow[], before: readonly WeeklyWindow[]): WeeklyWindow[] {
  return windows.map((window) => {
    const limits = before.find(({ from, to }) => from === window.from && to === window.to)?.limits;
    return limits === undefined ? window : { ...window, limits };
  });
}

function problemOf(rules: Rules): string {
  if (rules.windows.length > 64) {
    return say(
      "These hours make {windows} separate windows; 64 can be kept. Join some of them and save again.",
      { windows: rules.windows.length },
    );
  }
  if (rules.windows.some(({ days }) => days.length === 0)) {
    return say("One of the windows has no day. Choose a day for it or remove it, and save again.");
  }
  if (!lineLimits.safeParse(rules.limits).success) {
    return say(
      "A limit goes from {least_mbit} to {most_mbit} Mbit/s. Correct it, or switch it off, and save again.",
      { least_mbit: LEAST_MBIT, most_mbit: MOST_MBIT },
    );
  }
  const { heat, load, battery } = rules;
  if (
    (heat !== null && heat.startBelow >= heat.stopFrom) ||
    (load !== null && load.startBelow >= load.stopFrom) ||
    (battery !== null && battery.stopBelow >= battery.startFrom)
  ) {
    return say(
      "Of heat, other programs and battery each, it must go on at another value than it stops at: below it for heat and programs, above it for the battery.",
    );
  }
  return say(
    "A time is missing or a number is out of range: idle minutes go from 1 to 240. Correct it and save again.",
  );
}
