import { say } from "../../src-protocol/say.ts";
import { useEffect, useState } from "react";
import controls from "../parts/controls.module.css";
import { RangeChoice } from "../parts/range-choice.tsx";
import { type ActivityFilter, FILTERS, filterOf, hashOf } from "./activity-filter.ts";
import styles from "./activity.module.css";

/** Browsers refuse a page that changes its address with every letter. */
const WRITTEN_AFTER_MS = 300;

/** What is shown, as the address remembers it. */
export function useActivityFilter(): [ActivityFilter, (filter: ActivityFilter) => void] {
  const [filter, setFilter] = useState(() => filterOf(window.location.hash));
  useEffect(() => {
    // The link to this screen, which names no filter; and the way back.
    const follow = () => setFilter(filterOf(window.location.hash));
    window.addEventListener("hashchange", follow);
    return () => window.removeEventListener("hashchange", follow);
  }, []);
  const hash = hashOf(filter);
  useEffect(() => {
    // Replaced, so that nothing is taken for another screen, and one step back leads out of here.
    const timer = setTimeout(() => window.history.replaceState(null, "", hash), WRITTEN_AFTER_MS);
    return () => clearTimeout(timer);
  }, [hash]);
  return [filter, setFilter];
}

/** Which entries are shown: by what they are about, and by a word. */
export function FilterBar({
  filter,
  onChange,
}: {
  filter: ActivityFilter;
  onChange: (filter: ActivityFilter) => void;
}) {
  return (
    <search className={styles["filter"]}>
      <RangeChoice
        name="activity"
        legend={say("What is shown")}
        names={FILTERS}
        value={filter.kind}
        onChange={(kind) => onChange({ ...filter, kind })}
      />
      <input
        type="search"
        className={controls["field"]}
        aria-label={say("Search the entries")}
        placeholder={say("Search the entries")}
        maxLength={80}
        value={filter.text}
        onChange={({ target }) => onChange({ ...filter, text: target.value })}
      />
    </search>
  );
}

/** In place of entries, where a filter leaves none. */
export function NothingShown({ filter: { text }, onAll }: { filter: ActivityFilter; onAll: () => void }) {
  return (
    <div className={styles["nothing"]}>
      <p className={controls["empty"]}>
        {text.trim() === ""
          ? say("Nothing of this kind yet.")
          : say("No entry has “{text}” in it.", { text: text.trim() })}
      </p>
      <button type="button" className={controls["button"]} onClick={onAll}>
        {say("Show everything")}
      </button>
    </div>
  );
}
