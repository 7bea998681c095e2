import { heard, say } from "../../src-protocol/say.ts";
import type { DaemonState } from "../../src-protocol/state.ts";
import { useDashboard } from "../bridge/dashboard.ts";
import { useNow } from "../parts/clock-now.ts";
import layout from "../parts/layout.module.css";
import controls from "../parts/controls.module.css";
import { type ActivityFilter, isShown, showsWork } from "./activity-filter.ts";
import { ChangesCard } from "./changes-card.tsx";
import { FilterBar, NothingShown, useActivityFilter } from "./filter-bar.tsx";
import { HoursTable } from "./hours-table.tsx";
import { byDay } from "./by-day.ts";
import styles from "./activity.module.css";
import { Heard } from "../parts/heard.tsx";

/** What happened, and when did it work? */
export function Activity() {
  const activity = useDashboard(({ state }) => state?.activity ?? null);
  const now = useNow(60_000);
  const [filter, setFilter] = useActivityFilter();
  if (activity === null) return null;
  const showAll = () => setFilter({ kind: "all", text: "" });
  return (
    <>
      <FilterBar filter={filter} onChange={setFilter} />
      <div className={styles["pair"]}>
        <EventsCard activity={activity} filter={filter} now={now} onAll={showAll} />
        <div className={layout["stack"]}>
          <HoursTable now={now} />
          {showsWork(filter) && <ChangesCard now={now} filter={filter} onAll={showAll} />}
        </div>
      </div>
    </>
  );
}

function EventsCard({
  activity,
  filter,
  now,
  onAll,
}: {
  activity: DaemonState["activity"];
  filter: ActivityFilter;
  now: number;
  onAll: () => void;
}) {
  const days = byDay(
    activity.filter(({ kind, text }) => isShown(filter, kind, heard(text))),
    now,
  );
  return (
    <section className={controls["card"]} aria-labelledby="events-title">
      <div className={controls["cardHead"]}>
        <h2 id="events-title" className={controls["cardTitle"]}>
          {say("What happened")}
        </h2>
        <p className={controls["hint"]}>{say("since Train at Home was started")}</p>
      </div>
      {activity.length === 0 ? (
        <p className={controls["empty"]}>
          {say("Nothing yet. The first entry comes when work starts or stops.")}
        </p>
      ) : days.length === 0 ? (
        <NothingShown filter={filter} onAll={onAll} />
      ) : (
        days.map(({ day, entries }) => (
          <section key={day} aria-label={day} className={styles["day"]}>
            <h3>{day}</h3>
            <ul>
              {entries.map(({ at, clock, text }) => (
                <li key={`${at} ${text}`}>
                  <time dateTime={new Date(at).toISOString()}>{clock}</time>
                  <Heard text={text} />
                </li>
              ))}
            </ul>
          </section>
        ))
      )}
    </section>
  );
}
